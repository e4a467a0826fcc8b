package tokenstore

import (
	"context"
	"errors"
	"time"

	"github.com/gofrs/flock"
)

const (
	lockPatience = 10 * time.Second // a save takes milliseconds
	lockPause    = 25 * time.Millisecond
)

// lock waits for the lock between processes. The lock file stays: removing it would let two processes hold a lock on two
// files of the same name.
func lock(ctx context.Context, path string, s Store) (unlock func(), err error) {
	waiting, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	l := flock.New(path, flock.SetPermissions(0o600))
	locked, err := l.TryLockContext(waiting, lockPause)
	switch {
	case ctx.Err() != nil:
		_ = l.Close()
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		_ = l.Close()
		return nil, storeLocked(s)
	case err != nil:
		_ = l.Close()
		return nil, fileFault(s, "locking the token store", err)
	case !locked:
		_ = l.Close()
		return nil, storeLocked(s)
	}
	return func() { _ = l.Close() }, nil
}
