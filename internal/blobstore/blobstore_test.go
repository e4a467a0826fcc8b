package blobstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/fileblob"

	"github.com/cqservicenow/cq-source-servicenow/internal/blobstore"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

func open(t *testing.T, address string, signed time.Duration) *blobstore.Store {
	t.Helper()
	s, err := blobstore.Open(t.Context(), address, signed)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func directoryURL(dir string) string {
	return (&url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(dir), "/")}).String()
}

func write(t *testing.T, s *blobstore.Store, key, content string) {
	t.Helper()
	require.NoError(t, s.Write(t.Context(), key, strings.NewReader(content), "text/plain", sumOf(content)))
}

func read(t *testing.T, s *blobstore.Store, key string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, s.Read(t.Context(), key, &out))
	return out.String()
}

func sumOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// files lists every file below a directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			relative, _ := filepath.Rel(dir, path)
			found = append(found, filepath.ToSlash(relative))
		}
		return err
	}))
	return found
}

func TestDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "as needed")
	s := open(t, directoryURL(dir), time.Hour)
	require.NoError(t, s.Check(t.Context()))
	require.Empty(t, files(t, dir), "the check leaves nothing behind")

	const key = "example/attachments/1/2-a.txt"
	has, err := s.Has(t.Context(), key, 5, sumOf("hello"))
	require.NoError(t, err)
	require.False(t, has)
	write(t, s, key, "hello")
	require.Equal(t, "hello", read(t, s, key))
	for _, test := range []struct {
		size int64
		sum  string
		want bool
	}{{5, sumOf("hello"), true}, {6, sumOf("hello"), false}, {5, sumOf("hallo"), false}} {
		has, err := s.Has(t.Context(), key, test.size, test.sum)
		require.NoError(t, err)
		require.Equal(t, test.want, has, "%v", test)
	}
	write(t, s, key, "another content")
	require.Equal(t, "another content", read(t, s, key))
	require.Equal(t, []string{key}, files(t, dir), "nothing else lies beside it")

	address, err := url.Parse(s.Address(key))
	require.NoError(t, err)
	require.Equal(t, "file", address.Scheme)
	content, err := os.ReadFile(filepath.FromSlash(address.Path))
	require.NoError(t, err)
	require.Equal(t, "another content", string(content))
	signed, err := s.SignedAddress(t.Context(), key)
	require.NoError(t, err)
	require.Empty(t, signed, "a directory alone signs nothing")
}

func TestDirectoryIsForItsOwner(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, directoryURL(dir), 0)
	write(t, s, "a/b/c.txt", "x")
	write(t, s, "a/b/c.txt", "y")
	for path, mode := range map[string]fs.FileMode{".": 0o700, "a": 0o700, "a/b": 0o700, "a/b/c.txt": 0o600} {
		info, err := os.Stat(filepath.Join(dir, path))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), path)
	}
	// Who opens it for others gets files that these can read.
	shared := filepath.Join(t.TempDir(), "shared")
	write(t, open(t, directoryURL(shared)+"?dir_file_mode=0755", 0), "c.txt", "x")
	info, err := os.Stat(filepath.Join(shared, "c.txt"))
	require.NoError(t, err)
	require.NotZero(t, info.Mode().Perm()&0o044)
}

func TestPrefix(t *testing.T) {
	dir := t.TempDir()
	s := open(t, directoryURL(dir)+"?prefix=a/b%20c/", 0)
	write(t, s, "x.txt", "x")
	require.Equal(t, []string{"a/b c/x.txt"}, files(t, dir))
	address, err := url.Parse(s.Address("x.txt"))
	require.NoError(t, err)
	require.Equal(t, filepath.ToSlash(filepath.Join(dir, "a", "b c", "x.txt")), address.Path)
	require.Empty(t, address.RawQuery)
}

func TestHostileNames(t *testing.T) {
	dir := t.TempDir()
	s := open(t, directoryURL(dir), 0)
	names := []string{
		"../../etc/passwd", "..", ".", "", "/", "/etc/passwd", `C:\windows\system32`, "CON", "NUL.txt", "a\x00b", "line\nbreak", "naïve ☃.txt",
		strings.Repeat("x", 5000) + ".pdf", strings.Repeat("ä", 300), ".hidden", "trailing.", "trailing ", "a.attrs", ".attrs", "a.ATTRS", "%2e%2e%2f", "a?b#c",
		"\xff\xfe", "..\\..\\x", "a.attrs.", "-rf",
	}
	seen := map[string]bool{}
	for i, name := range names {
		id := strings.Repeat("0", 31) + string(rune('a'+i))
		key := blobstore.AttachmentKey("localhost:8080", "../..", id, name)
		require.NotContains(t, strings.Split(key, "/"), "..", "%q", name)
		require.Regexp(t, `^[A-Za-z0-9._/-]{1,300}$`, key, "%q", name)
		require.Equal(t, 3, strings.Count(key, "/"), "%q", name)
		require.False(t, seen[key])
		seen[key] = true
		content := "content of " + id
		require.NoError(t, s.Write(t.Context(), key, strings.NewReader(content), "text/plain", ""), "%q", name)
		require.Equal(t, content, read(t, s, key), "%q", name)
		_, err := url.Parse(s.Address(key))
		require.NoError(t, err)
	}
	require.Len(t, files(t, dir), len(names))
	require.Equal(t, "example/attachments/r/1-report.pdf", blobstore.AttachmentKey("example", "r", "1", "report.pdf"))
	require.True(t, strings.HasSuffix(blobstore.AttachmentKey("e", "r", "1", strings.Repeat("x", 5000)+".pdf"), ".pdf"), "the end is kept")
}

func TestRecordKeys(t *testing.T) {
	require.Equal(t, "example/incidents/a1/a1b2.json", blobstore.RecordKey("example", "incidents", "a1b2"))
	for _, id := range []string{"", ".", "..", "../../x", "a", "\x00"} {
		key := blobstore.RecordKey("example", "incidents", id)
		require.Regexp(t, `^example/incidents/[A-Za-z0-9_-][A-Za-z0-9._-]?/[A-Za-z0-9._-]+\.json$`, key, "%q", id)
		require.NotContains(t, strings.Split(key, "/"), "..")
	}
}

func FuzzAttachmentKey(f *testing.F) {
	f.Add("localhost:80", "r", "s", "../x.attrs")
	f.Add("", "", "", "")
	f.Fuzz(func(t *testing.T, instance, record, id, name string) {
		key := blobstore.AttachmentKey(instance, record, id, name)
		require.Regexp(t, `^[A-Za-z0-9._-]{1,100}/attachments/[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{3,210}$`, key)
		for _, part := range strings.Split(key, "/") {
			require.NotEqual(t, "..", part)
			require.NotEqual(t, ".", part)
			require.False(t, strings.HasSuffix(part, "."))
		}
		require.False(t, strings.HasSuffix(key, ".attrs"))
	})
}

// What uploaders state as a type is not always one.
func TestStatedTypesAreNoReasonToFail(t *testing.T) {
	s := open(t, directoryURL(t.TempDir()), 0)
	for i, contentType := range []string{"", "image", "text/plain; charset", "a/b/c", "text/plain\r\nX-Evil: 1", "application/pdf;name=\"x", strings.Repeat("x", 10000)} {
		require.NoError(t, s.Write(t.Context(), string(rune('a'+i)), strings.NewReader("x"), contentType, ""), "%q", contentType)
	}
}

func TestFailedWriteLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	s := open(t, directoryURL(dir), 0)
	write(t, s, "kept.txt", "the old content")
	broken := errors.New("broken")
	half := io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000)), iotest.ErrReader(broken))
	err := s.Write(t.Context(), "kept.txt", half, "text/plain", "")
	require.ErrorIs(t, err, broken)
	require.Equal(t, "the old content", read(t, s, "kept.txt"))
	require.Equal(t, []string{"kept.txt"}, files(t, dir))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = s.Write(ctx, "new.txt", strings.NewReader("x"), "text/plain", "")
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, usererror.CodeOf(err), "a cancelled sync is no fault of the store")
	require.Equal(t, []string{"kept.txt"}, files(t, dir))
}

func TestStoreThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, address := range map[string]string{
		"a file": directoryURL(file), "an unknown option": directoryURL(t.TempDir()) + "?nope=1", "half of a signer": directoryURL(t.TempDir()) + "?base_url=/x",
		"an unknown scheme": "ftp://x/y",
	} {
		_, err := blobstore.Open(t.Context(), address, 0)
		require.Equal(t, blobstore.CodeUnreachable, usererror.CodeOf(err), name)
	}
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		return // modes do not bind them
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o500))
	err := open(t, directoryURL(dir), 0).Check(t.Context())
	require.Equal(t, blobstore.CodeUnreachable, usererror.CodeOf(err))
}

// Instances of one sync, and syncs of one store, check it at the same time.
func TestChecksDoNotDisturbEachOther(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	errs := make([]error, 32)
	for i := range errs {
		s := open(t, directoryURL(dir), 0)
		wg.Go(func() { errs[i] = s.Check(t.Context()) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Empty(t, files(t, dir))
}

func TestDirectorySignsWithAKey(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	address := directoryURL(t.TempDir()) + "?base_url=" + url.QueryEscape("https://files.example.com/show") + "&secret_key_path=" + url.QueryEscape(secret)
	s := open(t, address, 10*time.Minute)
	write(t, s, "a/b.txt", "x")
	text, err := s.SignedAddress(t.Context(), "a/b.txt")
	require.NoError(t, err)
	signed, err := url.Parse(text)
	require.NoError(t, err)
	require.Equal(t, "files.example.com", signed.Host)
	base, _ := url.Parse("https://files.example.com/show")
	key, err := fileblob.NewURLSignerHMAC(base, []byte("secret")).KeyFromURL(t.Context(), signed)
	require.NoError(t, err)
	require.Equal(t, "a/b.txt", key)
	require.NotContains(t, s.Address("a/b.txt"), "secret")

	none, err := open(t, address, 0).SignedAddress(t.Context(), "a/b.txt")
	require.NoError(t, err)
	require.Empty(t, none, "0s signs none")
}

// bucket serves an S3 bucket and returns its address; refuse answers requests in its place.
func bucket(t *testing.T, refuse func(*http.Request) bool) string {
	t.Helper()
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("files"))
	s3 := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse != nil && refuse(r) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		s3.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	return "s3://files?region=us-east-1&use_path_style=true&endpoint=" + url.QueryEscape(server.URL)
}

func TestS3(t *testing.T) {
	address := bucket(t, nil)
	for name, option := range map[string]string{"": "", "with a prefix": "&prefix=" + url.QueryEscape("service now/x/")} {
		t.Run(name, func(t *testing.T) {
			s := open(t, address+option, time.Hour)
			require.NoError(t, s.Check(t.Context()))
			key := blobstore.AttachmentKey("example", "r", "1", "naïve & ☃.txt")
			content := strings.Repeat("0123456789", 700_000) // more than one part of an upload
			has, err := s.Has(t.Context(), key, int64(len(content)), sumOf(content))
			require.NoError(t, err)
			require.False(t, has)
			write(t, s, key, content)
			require.Equal(t, sumOf(content), sumOf(read(t, s, key)))
			for _, test := range []struct {
				size int64
				sum  string
				want bool
			}{{int64(len(content)), sumOf(content), true}, {1, sumOf(content), false}, {int64(len(content)), sumOf("x"), false}} {
				has, err := s.Has(t.Context(), key, test.size, test.sum)
				require.NoError(t, err)
				require.Equal(t, test.want, has)
			}

			signed, err := s.SignedAddress(t.Context(), key)
			require.NoError(t, err)
			resp, err := http.Get(signed)
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			require.Equal(t, sumOf(content), sumOf(string(body)))
			require.Equal(t, "text/plain", resp.Header.Get("Content-Type"))
			u, err := url.Parse(signed)
			require.NoError(t, err)
			require.Equal(t, "3600", u.Query().Get("X-Amz-Expires"))

			at, err := url.Parse(s.Address(key))
			require.NoError(t, err)
			require.Equal(t, "files", at.Host)
			require.True(t, strings.HasSuffix(u.Path, "/files"+at.Path), "%s is the key that was signed: %s", at.Path, u.Path)

			write(t, s, key, "another")
			require.Equal(t, "another", read(t, s, key))
		})
	}
}

func TestS3FailedUploadLeavesNothingBehind(t *testing.T) {
	s := open(t, bucket(t, nil), 0)
	broken := errors.New("broken")
	half := io.MultiReader(strings.NewReader(strings.Repeat("x", 12<<20)), iotest.ErrReader(broken))
	require.ErrorIs(t, s.Write(t.Context(), "k", half, "text/plain", ""), broken)
	require.Error(t, s.Read(t.Context(), "k", io.Discard))
}

// The narrowest of rights is to put objects: S3 then says 403 of objects that are not there.
func TestS3WithNarrowRights(t *testing.T) {
	s := open(t, bucket(t, func(r *http.Request) bool {
		return slices.Contains([]string{http.MethodHead, http.MethodDelete}, r.Method)
	}), 0)
	require.NoError(t, s.Check(t.Context()))
	has, err := s.Has(t.Context(), "k", 1, sumOf("x"))
	require.NoError(t, err)
	require.False(t, has)
	write(t, s, "k", "x")
}

func TestS3ThatRefuses(t *testing.T) {
	s := open(t, bucket(t, func(*http.Request) bool { return true }), 0)
	err := s.Check(t.Context())
	require.Equal(t, blobstore.CodeUnreachable, usererror.CodeOf(err))
	require.NotContains(t, err.Error(), "secret")
	err = s.Write(t.Context(), "k", strings.NewReader("x"), "", "")
	require.Equal(t, blobstore.CodeUnreachable, usererror.CodeOf(err))
}

// An account's key signs addresses on Azure; a token or a managed identity does not.
func TestAzureWithoutAKeySignsNothing(t *testing.T) {
	t.Setenv("AZURE_STORAGE_ACCOUNT", "example")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "sv=2024-01-01&sig=x")
	signed, err := open(t, "azblob://files", time.Hour).SignedAddress(t.Context(), "k")
	require.NoError(t, err)
	require.Empty(t, signed)
}
