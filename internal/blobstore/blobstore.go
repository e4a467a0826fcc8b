// Package blobstore keeps files in a directory or in a bucket of S3, Google Cloud Storage or Azure, under keys that are
// safe everywhere, and tells their addresses.
package blobstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // azblob://
	"gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/gcsblob" // gs://
	_ "gocloud.dev/blob/s3blob"  // s3://
	"gocloud.dev/gcerrors"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// CodeUnreachable is the code of a store that cannot be opened or written to.
const CodeUnreachable = "SN-BLOB-001"

// Store is an open store. It is safe for concurrent use.
type Store struct {
	bucket *blob.Bucket
	base   url.URL // of every key
	signed time.Duration
	// private says that files in a directory are for its owner alone, as the directories made for them are.
	private bool
}

// Open opens the store at an address such as s3://bucket?prefix=a/ or file:///directory, which is created as needed.
// Addresses are signed for the given time; 0 signs none.
func Open(ctx context.Context, address string, signed time.Duration) (*Store, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("opening the blob store: %w", err)
	}
	mux := blob.DefaultURLMux()
	if u.Scheme == fileblob.Scheme {
		mux = new(blob.URLMux)
		mux.RegisterBucket(fileblob.Scheme, &fileblob.URLOpener{Options: fileblob.Options{
			CreateDir: true, DirFileMode: 0o700,
			NoTempDir: true, // the system's one is often on another file system, from where a file cannot be moved
			Metadata:  fileblob.MetadataDontWrite,
		}})
	}
	bucket, err := mux.OpenBucketURL(ctx, u)
	if err != nil {
		return nil, unreachable(err, u)
	}
	base := url.URL{Scheme: u.Scheme, Host: u.Host, Path: path.Join("/", u.Path, "/")}
	if prefix := u.Query().Get("prefix"); prefix != "" {
		base.Path = strings.TrimSuffix(base.Path, "/") + "/" + prefix
	} else {
		base.Path = strings.TrimSuffix(base.Path, "/") + "/"
	}
	private := u.Scheme == fileblob.Scheme && !u.Query().Has("dir_file_mode")
	return &Store{bucket: bucket, base: base, signed: signed, private: private}, nil
}

func unreachable(err error, u *url.URL) error {
	return usererror.Wrap(err, CodeUnreachable, "the blob store "+u.Scheme+"://"+u.Host+u.Path+" cannot be used",
		"check attachments.blob_url, whether it exists, and the credentials in the environment of the sync")
}

// failed explains an error of the store, unless it is that of an ended context.
func (s *Store) failed(ctx context.Context, doing string, err error) error {
	err = fmt.Errorf("%s: %w", doing, err)
	if ctx.Err() != nil {
		return err
	}
	return unreachable(err, &s.base)
}

// Check writes and removes a small file, so that a store that refuses is known before the first row. Its name is its own,
// since several syncs may check a store at once. Syncs never remove files, so that the right to do so is not needed.
func (s *Store) Check(ctx context.Context) error {
	key := ".servicenow-write-check-" + rand.Text()
	if err := s.bucket.WriteAll(ctx, key, []byte("ok"), nil); err != nil {
		return s.failed(ctx, "storing a file", err)
	}
	_ = s.bucket.Delete(ctx, key)
	return ctx.Err()
}

// Close ends the use of the store.
func (s *Store) Close() error { return s.bucket.Close() }

// sumKey is where a file's SHA-256 stands among its metadata.
const sumKey = "sha256"

// Write stores what r reads under a key, with its stated type where that is one, and its SHA-256 or "". A file is there as a
// whole or not at all.
func (s *Store) Write(ctx context.Context, key string, r io.Reader, contentType, sum string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()                                                 // an unfinished writer leaves nothing behind when its context ends
	if _, _, err := mime.ParseMediaType(contentType); err != nil { // what the uploader's program wrote can be anything
		contentType = "application/octet-stream"
	}
	options := &blob.WriterOptions{ContentType: contentType, DisableContentTypeDetection: true, BeforeWrite: s.protect}
	if sum != "" {
		options.Metadata = map[string]string{sumKey: sum}
	}
	w, err := s.bucket.NewWriter(ctx, key, options)
	if err != nil {
		return s.failed(ctx, "storing a file", err)
	}
	if _, err := io.Copy(w, r); err != nil {
		err = s.failed(ctx, "storing a file", err)
		cancel()
		_ = w.Close()
		return err
	}
	if err := w.Close(); err != nil {
		return s.failed(ctx, "storing a file", err)
	}
	return nil
}

// protect narrows the mode of a file in a directory before anything is in it.
func (s *Store) protect(as func(any) bool) error {
	var file *os.File
	if !s.private || !as(&file) {
		return nil
	}
	return file.Chmod(0o600)
}

// Has reports whether a file with this content is stored already.
func (s *Store) Has(ctx context.Context, key string, size int64, sum string) (bool, error) {
	attributes, err := s.bucket.Attributes(ctx, key)
	switch {
	case gcerrors.Code(err) == gcerrors.NotFound:
		return false, nil
	case gcerrors.Code(err) == gcerrors.PermissionDenied:
		return false, nil // S3 says so of a file that is not there to whom may not list the bucket
	case err != nil:
		return false, s.failed(ctx, "looking for a stored file", err)
	case attributes.Size != size:
		return false, nil
	case attributes.Metadata[sumKey] != "" || s.base.Scheme != fileblob.Scheme:
		return attributes.Metadata[sumKey] == sum, nil
	}
	// A directory keeps no metadata, and is cheap to read.
	hash := sha256.New()
	if err := s.Read(ctx, key, hash); err != nil {
		return false, err
	}
	return hex.EncodeToString(hash.Sum(nil)) == sum, nil
}

// Read copies a stored file to w.
func (s *Store) Read(ctx context.Context, key string, w io.Writer) error {
	r, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return s.failed(ctx, "reading a stored file", err)
	}
	defer func() { _ = r.Close() }()
	if _, err := io.Copy(w, r); err != nil {
		return s.failed(ctx, "reading a stored file", err)
	}
	return nil
}

// Address returns where a key is, as the store's own tools write it.
func (s *Store) Address(key string) string {
	u := s.base
	u.Path += key
	return u.String()
}

// SignedAddress returns an address that gives a file to everybody who knows it, for a time; "" where the store cannot sign.
func (s *Store) SignedAddress(ctx context.Context, key string) (string, error) {
	if s.signed <= 0 {
		return "", nil
	}
	address, err := s.bucket.SignedURL(ctx, key, &blob.SignedURLOptions{Expiry: s.signed})
	switch {
	case gcerrors.Code(err) == gcerrors.Unimplemented, errors.Is(err, bloberror.MissingSharedKeyCredential):
		return "", nil // the latter on Azure, where a storage account's key signs, and a managed identity does not
	case err != nil:
		return "", s.failed(ctx, "signing an address", err)
	}
	return address, nil
}

// AttachmentKey is where the content of an attachment goes. The name is shortened to what every store and every file system
// takes; the sys_id before it keeps names apart, and away from those that systems reserve.
func AttachmentKey(instance, record, sysID, fileName string) string {
	name := safe(fileName)
	if strings.HasSuffix(name, ".attrs") {
		name += "_" // the directory store takes no such names
	}
	return strings.Join([]string{safe(instance), "attachments", safe(record), safe(sysID) + "-" + name}, "/")
}

// RecordKey is where the JSON of a record goes.
func RecordKey(instance, table, sysID string) string {
	id := safe(sysID)
	return strings.Join([]string{safe(instance), safe(table), id[:min(2, len(id))], id + ".json"}, "/")
}

// safe keeps letters, digits and a few signs of a name, and its end, where the extension is.
func safe(name string) string {
	const longest = 100
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, name)
	if len(name) > longest {
		name = name[len(name)-longest:]
	}
	if name = strings.Trim(name, "."); name == "" {
		return "_"
	}
	return name
}
