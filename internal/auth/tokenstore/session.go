package tokenstore

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// warnBefore is how long before its end a refresh token is announced.
const warnBefore = 14 * 24 * time.Hour

// Session goes on from a stored sign-in. Its methods may be called from many goroutines.
type Session struct {
	store Store
	key   Key
	now   func() time.Time

	mu    sync.Mutex
	entry Entry
}

// Resume loads the sign-in of key. The error has CodeNoSignIn when a person has to sign in first.
func Resume(ctx context.Context, store Store, key Key) (*Session, error) {
	entry, err := store.Load(ctx, key)
	if err != nil {
		return nil, err
	}
	return &Session{store: store, key: key, now: time.Now, entry: entry}, nil
}

// ResumeFrom is Open and Resume, for a spec's token_store and client_id and the instance's base URL.
func ResumeFrom(ctx context.Context, tokenStore, baseURL, clientID string) (*Session, error) {
	store, err := Open(tokenStore)
	if err != nil {
		return nil, err
	}
	return Resume(ctx, store, NewKey(baseURL, clientID))
}

// RefreshToken is what auth.Config takes.
func (s *Session) RefreshToken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entry.RefreshToken
}

// User is who signed in, or "".
func (s *Session) User() string { return s.entry.User }

// OnRefreshToken saves a refresh token that the instance gave in place of the held one; it is made for auth.Deps. The
// latest wins, since the instance gave it last. Two things are not undone: a login that a person made in the meantime,
// whose token is newer than anything that follows from this session, and a logout.
func (s *Session) OnRefreshToken(ctx context.Context, token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.entry
	next.RefreshToken, next.ObtainedAt = token, s.now()
	err := s.store.Change(ctx, s.key, func(held Entry) (Entry, bool) {
		return next, !held.SignedInAt.Truncate(time.Second).After(next.SignedInAt)
	})
	if err != nil {
		return err
	}
	s.entry = next
	return nil
}

// Load returns the refresh token that the store holds now; another process may have been given a new one. It is made for
// auth.Deps.
func (s *Session) Load(ctx context.Context) (string, error) {
	entry, err := s.store.Load(ctx, s.key)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entry = entry
	return entry.RefreshToken, nil
}

// ExpiryWarning returns what to tell the person who runs the sync when the refresh token ends within 14 days, and nil
// before that.
func (s *Session) ExpiryWarning(now time.Time) *usererror.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ExpiryWarning(now, s.entry, s.key, s.store.Setting())
}

// ExpiryWarning is Session.ExpiryWarning for an entry at hand.
func ExpiryWarning(now time.Time, entry Entry, key Key, tokenStore string) *usererror.Error {
	ends := entry.ExpiresAt()
	left := ends.Sub(now)
	if left > warnBefore {
		return nil
	}
	day := ends.UTC().Format("2 January 2006, 15:04 UTC")
	message := fmt.Sprintf("the sign-in to %s ends on %s", key, day)
	if left <= 0 {
		message = fmt.Sprintf("the sign-in to %s has probably ended on %s", key, day)
	}
	return usererror.New(CodeEnding, message, "run `"+key.LoginCommand(tokenStore)+"` and sign in again; syncs go on with it by themselves")
}

// String names the session without its token.
func (s *Session) String() string { return "tokenstore.Session{" + s.key.String() + "}" }

// Format is String for every verb, as fmt would print unexported fields otherwise.
func (s *Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }
