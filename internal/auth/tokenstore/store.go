package tokenstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Keyring is the token_store that stands for the operating system's keyring.
const Keyring = "keyring"

// Store keeps one Entry a Key. Its methods may be called from many goroutines and processes. Their errors are user
// errors, apart from the context's own, and hold no token.
type Store interface {
	// Load returns an error with CodeNoSignIn when there is no entry.
	Load(ctx context.Context, key Key) (Entry, error)
	// Save puts an entry in, or replaces the one that is there.
	Save(ctx context.Context, key Key, entry Entry) error
	// Delete removes an entry. It is no error when there is none.
	Delete(ctx context.Context, key Key) error
	// Change gives change the entry, and keeps what it returns, with nobody else writing in between. change returns false
	// to leave the entry as it is; without an entry it is not called.
	Change(ctx context.Context, key Key, change func(Entry) (Entry, bool)) error
	// String says where the store is, for people.
	String() string
	// Setting is what token_store says to get this store; "" for the default.
	Setting() string
}

// Open returns the store that a spec's token_store names: "" is tokens.json in the user's config directory, "keyring" the
// operating system's keyring, and anything else the path of a file. It touches nothing yet.
func Open(setting string) (Store, error) {
	switch setting {
	case "":
		path, err := defaultPath("tokens.json")
		if err != nil {
			return nil, err
		}
		return &fileStore{path: path, ours: true}, nil
	case Keyring:
		lock, err := defaultPath("keyring")
		if err != nil {
			return nil, err
		}
		return &keyringStore{lock: lock}, nil
	}
	path := setting
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, noHome(err)
		}
		path = filepath.Join(home, rest)
	}
	return &fileStore{path: path, setting: setting}, nil
}

func defaultPath(name string) (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", noHome(err)
	}
	return filepath.Join(dir, "cq-source-servicenow", name), nil
}

func save(ctx context.Context, s interface {
	edit(context.Context, Key, func(*Entry) (*Entry, bool)) error
}, key Key, entry Entry) error {
	if entry.RefreshToken == "" {
		return errors.New("saving a sign-in: it has no refresh token")
	}
	return s.edit(ctx, key, func(*Entry) (*Entry, bool) { return &entry, true })
}

func change(held *Entry, change func(Entry) (Entry, bool)) (*Entry, bool) {
	if held == nil {
		return nil, false
	}
	next, keep := change(*held)
	return &next, keep
}
