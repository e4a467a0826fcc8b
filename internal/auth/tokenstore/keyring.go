package tokenstore

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/zalando/go-keyring"
)

const (
	keyringService  = "cq-source-servicenow"
	keyringPatience = time.Minute // a locked keyring asks the person at the screen for its password
)

// keyringStore is the keyring of the operating system: Keychain, Credential Manager, or the Secret Service of a Linux
// desktop. Each sign-in is an item of its own; lock is the file by which processes take turns.
type keyringStore struct{ lock string }

func (s *keyringStore) String() string { return "the operating system's keyring" }

func (s *keyringStore) Setting() string { return Keyring }

func (s *keyringStore) Load(ctx context.Context, key Key) (Entry, error) {
	held, err := s.get(ctx, key)
	switch {
	case err != nil:
		return Entry{}, err
	case held == nil:
		return Entry{}, noSignIn(s, key)
	}
	return *held, nil
}

func (s *keyringStore) Save(ctx context.Context, key Key, entry Entry) error {
	return save(ctx, s, key, entry)
}

func (s *keyringStore) Delete(ctx context.Context, key Key) error {
	return s.edit(ctx, key, func(*Entry) (*Entry, bool) { return nil, true })
}

func (s *keyringStore) Change(ctx context.Context, key Key, do func(Entry) (Entry, bool)) error {
	return s.edit(ctx, key, func(held *Entry) (*Entry, bool) { return change(held, do) })
}

func (s *keyringStore) edit(ctx context.Context, key Key, change func(*Entry) (*Entry, bool)) error {
	if err := os.MkdirAll(filepath.Dir(s.lock), 0o700); err != nil {
		return fileFault(s, "making the folder of the keyring's lock", err)
	}
	unlock, err := lock(ctx, s.lock+".lock", s)
	if err != nil {
		return err
	}
	defer unlock()
	held, err := s.get(ctx, key)
	if errors.Is(err, errIncomplete) || errors.Is(err, errNotJSON) { // a new sign-in mends the item
		held, err = nil, nil
	}
	if err != nil {
		return err
	}
	next, changed := change(held)
	if !changed {
		return nil
	}
	if next == nil {
		_, err = ask(ctx, func() (string, error) { return "", keyring.Delete(keyringService, item(key)) })
	} else {
		r := newRecord(key, *next)
		r.Version = formatVersion
		var text []byte
		if text, err = json.Marshal(r); err != nil {
			return damaged(s, errIncomplete)
		}
		_, err = ask(ctx, func() (string, error) { return "", keyring.Set(keyringService, item(key), string(text)) })
	}
	if errors.Is(err, keyring.ErrNotFound) {
		return nil
	}
	return s.fault(ctx, err)
}

// get returns nil when there is no item.
func (s *keyringStore) get(ctx context.Context, key Key) (*Entry, error) {
	text, err := ask(ctx, func() (string, error) { return keyring.Get(keyringService, item(key)) })
	switch {
	case errors.Is(err, keyring.ErrNotFound):
		return nil, nil //nolint:nilnil // no item
	case err != nil:
		return nil, s.fault(ctx, err)
	}
	var r record
	if json.Unmarshal([]byte(text), &r) != nil || r.Version == 0 {
		return nil, damaged(s, errNotJSON)
	}
	if r.Version != formatVersion {
		return nil, damaged(s, errNewVersion)
	}
	entry, err := r.entry()
	if err != nil || r.key() != key {
		return nil, damaged(s, errIncomplete)
	}
	return &entry, nil
}

func item(key Key) string { return key.Instance + " " + key.ClientID }

func (s *keyringStore) fault(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		err = errors.New("no answer within a minute")
	case errors.Is(err, keyring.ErrSetDataTooBig):
		err = errors.New("the token is larger than the keyring takes")
	case errors.Is(err, keyring.ErrUnsupportedPlatform):
		err = errors.New("this operating system has none")
	}
	return keyringFault(err)
}

// ask does not wait for a keyring that hangs, since the keyring's library knows no context.
func ask(ctx context.Context, do func() (string, error)) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, keyringPatience)
	defer cancel()
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := do()
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
