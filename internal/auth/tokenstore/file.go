package tokenstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

const (
	mostFile = 4 << 20 // thousands of sign-ins; a larger file is something else

	windows = "windows"
)

// fileStore is a JSON file that only its owner may read.
type fileStore struct {
	path    string
	setting string
	ours    bool // the folder is this program's own
}

func (s *fileStore) String() string { return s.path }

func (s *fileStore) Setting() string { return s.setting }

func (s *fileStore) Load(ctx context.Context, key Key) (Entry, error) {
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	doc, err := s.read()
	if err != nil {
		return Entry{}, err
	}
	_, entry, err := doc.find(key)
	switch {
	case err != nil:
		return Entry{}, damaged(s, err)
	case entry == nil:
		return Entry{}, noSignIn(s, key)
	}
	return *entry, nil
}

func (s *fileStore) Save(ctx context.Context, key Key, entry Entry) error {
	return save(ctx, s, key, entry)
}

func (s *fileStore) Delete(ctx context.Context, key Key) error {
	if _, err := os.Stat(s.path); errors.Is(err, fs.ErrNotExist) {
		return nil // nor make a folder for it
	}
	return s.edit(ctx, key, func(*Entry) (*Entry, bool) { return nil, true })
}

func (s *fileStore) Change(ctx context.Context, key Key, do func(Entry) (Entry, bool)) error {
	return s.edit(ctx, key, func(held *Entry) (*Entry, bool) { return change(held, do) })
}

// edit reads, changes and replaces the file under the lock.
func (s *fileStore) edit(ctx context.Context, key Key, change func(*Entry) (*Entry, bool)) error {
	if err := s.makeFolder(); err != nil {
		return err
	}
	unlock, err := lock(ctx, s.path+".lock", s)
	if err != nil {
		return err
	}
	defer unlock()
	doc, err := s.read()
	if err != nil {
		return err
	}
	place, held, err := doc.find(key)
	if errors.Is(err, errIncomplete) { // a new sign-in mends the entry
		held, err = nil, nil
	}
	if err != nil {
		return damaged(s, err)
	}
	next, changed := change(held)
	if !changed {
		return nil
	}
	if err := doc.put(place, key, next); err != nil {
		return damaged(s, err)
	}
	data, err := doc.bytes()
	if err != nil {
		return damaged(s, err)
	}
	return s.replace(data)
}

func (s *fileStore) makeFolder() error {
	folder := filepath.Dir(s.path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fileFault(s, "making the token file's folder", err)
	}
	if !s.ours {
		return nil
	}
	if err := os.Chmod(folder, 0o700); err != nil { //nolint:gosec // a folder needs the x to be entered
		return fileFault(s, "closing the token file's folder to others", err)
	}
	return nil
}

func (s *fileStore) read() (*document, error) {
	file, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return readDocument(nil)
	}
	if err != nil {
		return nil, fileFault(s, "opening the token file", err)
	}
	defer file.Close() //nolint:errcheck // only read from
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, fileFault(s, "looking at the token file", err)
	case !info.Mode().IsRegular():
		return nil, fileFault(s, "opening the token file", fmt.Errorf("%s is not a regular file", s.path))
	case runtime.GOOS != windows && info.Mode().Perm()&0o077 != 0:
		return nil, readableByOthers(s, info.Mode().Perm())
	case info.Size() > mostFile:
		return nil, damaged(s, errNotJSON)
	}
	data, err := io.ReadAll(io.LimitReader(file, mostFile))
	if err != nil {
		return nil, fileFault(s, "reading the token file", err)
	}
	if info.Size() > 0 && len(data) == 0 {
		return nil, damaged(s, errNotJSON)
	}
	doc, err := readDocument(data)
	if err != nil {
		return nil, damaged(s, err)
	}
	return doc, nil
}

// replace puts a whole new file in place: after a crash there is the old file or the new one. The temporary file's name
// is fixed, since the lock is held; one that a crash left is removed.
func (s *fileStore) replace(data []byte) error {
	path := s.path
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // the link stays a link
	}
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileFault(s, "removing what an interrupted save left", err)
	}
	if err := writeNew(temporary, data); err != nil {
		_ = os.Remove(temporary)
		return fileFault(s, "writing the token file", err)
	}
	if err := rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return fileFault(s, "putting the new token file in place", err)
	}
	if runtime.GOOS == windows {
		return nil
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fileFault(s, "writing the token file", err)
	}
	defer folder.Close() //nolint:errcheck // only synced
	_ = folder.Sync()    // some file systems cannot; the file itself is on the disk
	return nil
}

func writeNew(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	return err
}

// rename is tried for a second on Windows, where it fails while another process reads the old file.
func rename(from, to string) error {
	err := os.Rename(from, to)
	for range 20 {
		if err == nil || runtime.GOOS != windows {
			break
		}
		time.Sleep(50 * time.Millisecond)
		err = os.Rename(from, to)
	}
	return err
}
