package localsync

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/cqservicenow/cq-source-servicenow/internal/localsync/sqlitedest"
)

// databases are the open destinations of a source, each offered to it by gRPC.
type databases struct {
	dir       string // of the sockets
	addresses map[string]string
	closers   []func() error
}

func openDatabases() (*databases, error) {
	dir, err := makeSocketDir()
	if err != nil {
		return nil, err
	}
	return &databases{dir: dir, addresses: map[string]string{}, closers: []func() error{func() error { return os.RemoveAll(dir) }}}, nil
}

// offer serves a database, which it closes in the end, under a destination's name.
func (d *databases) offer(ctx context.Context, name string, db *sqlitedest.Client) error {
	d.closers = append(d.closers, func() error { return db.Close(context.WithoutCancel(ctx)) })
	listener, address, err := listen(d.dir, len(d.addresses))
	if err != nil {
		return err
	}
	served := serveDestination(listener, db)
	d.closers = append(d.closers, func() error { served.stop(); return nil })
	d.addresses[name] = address
	return nil
}

// close undoes everything, the last first.
func (d *databases) close() error {
	var errs []error
	for _, undo := range slices.Backward(d.closers) {
		errs = append(errs, undo())
	}
	return errors.Join(errs...)
}

// listen offers a destination to the child. On Windows the state client cannot be given a unix socket's path.
func listen(dir string, n int) (net.Listener, string, error) {
	network, address := "unix", filepath.Join(dir, fmt.Sprintf("dest%d", n))
	if runtime.GOOS == "windows" {
		network, address = "tcp", "127.0.0.1:0"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, "", fmt.Errorf("listening for the state client: %w", err)
	}
	if network == "unix" {
		return l, "unix://" + address, nil
	}
	return l, l.Addr().String(), nil
}
