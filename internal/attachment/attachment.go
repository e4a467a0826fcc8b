// Package attachment brings the content of attachments: it decides which files are wanted, fetches them into a spool, has
// them stored and their text read, and says of each what became of it. A file that cannot be had is no error of the sync.
package attachment

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cqservicenow/cq-source-servicenow/internal/blobstore"
	"github.com/cqservicenow/cq-source-servicenow/internal/extract"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// CodeText is the code of what keeps a file's text from being read, in the column text_error.
const CodeText = "SN-TEXT-002"

// What became of a file's content, in the column content_status.
const (
	Stored      = "stored"
	Skipped     = "skipped" // of a format that is not wanted
	TooLarge    = "too_large"
	Unavailable = "unavailable" // pending or blocked by the security scan, deleted meanwhile, not for this user
	Failed      = "failed"      // it does not arrive as the instance states it
)

// What became of a file's text, in the column text_status.
const (
	TextExtracted   = string(extract.Extracted)
	TextUnsupported = string(extract.Unsupported)
	TextEncrypted   = string(extract.Encrypted)
	TextFailed      = string(extract.Failed)
	TextTooLarge    = TooLarge
	TextUnavailable = Unavailable
)

// Extractor reads the text of a file on disk.
type Extractor interface {
	Read(ctx context.Context, path, name, contentType string, size int64) extract.Result
	// Reads reports by name and stated type whether a file may have text that can be read.
	Reads(name, contentType string) bool
}

// Config says what is wanted of the files of one instance.
type Config struct {
	ServiceNow *servicenow.Client
	// Instance is what the keys of stored files begin with.
	Instance string
	// Store takes the content; nil for none.
	Store *blobstore.Store
	// Column keeps the content for Content.Bytes.
	Column bool
	// Extractor reads the text; nil for none.
	Extractor Extractor
	// All fetches every file, and not those alone that may have text.
	All bool
	// MaxSize is the largest file that is fetched.
	MaxSize int64
	// Spool is a private directory for files in transit.
	Spool string
}

// Fetcher brings files. It is safe for concurrent use.
type Fetcher struct {
	cfg Config
	// lost counts files in a row that could not be had although the instance has them.
	lost atomic.Int32
}

// New returns a fetcher.
func New(cfg Config) *Fetcher { return &Fetcher{cfg: cfg} }

// lostInRow is how many files in a row may fail as the instance fails; then it is not the files' fault.
const lostInRow = 3

// Content is what became of one file.
type Content struct {
	URL, SignedURL string
	SHA256         string
	Status, Error  string
	// Text is nil where there is none to have; a file may well have an empty text.
	Text                  *string
	TextStatus, TextError string
	// Again says that the next sync should try again, whether or not the attachment changes.
	Again bool

	spool *spool
}

// Bytes reads the content, nil where it is not kept for a column.
func (c *Content) Bytes() ([]byte, error) {
	if c.spool == nil {
		return nil, nil
	}
	content := make([]byte, c.spool.size)
	if _, err := c.spool.file.ReadAt(content, 0); err != nil && c.spool.size > 0 {
		return nil, fmt.Errorf("reading the spool: %w", err)
	}
	return content, nil
}

// Close gives back what the content holds.
func (c *Content) Close() {
	if c.spool != nil {
		c.spool.close()
		c.spool = nil
	}
}

// facts are what the attachment's row says.
type facts struct {
	SysID       string `json:"sys_id"`
	Record      string `json:"table_sys_id"`
	Name        string `json:"file_name"`
	ContentType string `json:"content_type"`
	SizeBytes   string `json:"size_bytes"`
	Hash        string `json:"hash"`
	State       string `json:"state"`
}

// sum is the stated SHA-256 in lower case; "" where the row states none, or something else.
func (f *facts) sum() string {
	sum := strings.ToLower(f.Hash)
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size {
		return ""
	}
	return sum
}

func (f *facts) size() int64 {
	n, err := strconv.ParseInt(f.SizeBytes, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// Fetch brings the content of the attachment that a record of sys_attachment describes, with stored values. The error is
// one of the sync, and not of the file. The caller closes the content.
func (f *Fetcher) Fetch(ctx context.Context, record servicenow.Record) (*Content, error) {
	var a facts
	if err := json.Unmarshal(record, &a); err != nil {
		return nil, fmt.Errorf("reading an attachment's facts: %w", err)
	}
	if refusal := f.refuse(&a); refusal != nil {
		return refusal, nil
	}
	s, err := newSpool(f.cfg.Spool)
	if err != nil {
		return nil, err
	}
	content := &Content{spool: s}
	if err := f.bring(ctx, &a, content); err != nil {
		content.Close()
		return nil, err
	}
	if !f.cfg.Column || content.Status != Stored {
		content.Close()
	}
	return content, nil
}

// Wants reports whether Fetch would ask the instance for the file.
func (f *Fetcher) Wants(record servicenow.Record) bool {
	var a facts
	return json.Unmarshal(record, &a) == nil && f.refuse(&a) == nil
}

// refuse says why a file is not fetched; nil when it is.
func (f *Fetcher) refuse(a *facts) *Content {
	switch {
	case !f.wanted(a):
		return f.without(Skipped, nil)
	case a.State == "pending":
		c := f.without(Unavailable, usererror.New(servicenow.CodeFileUnavailable, "the file is waiting for its security scan", "wait; the next sync tries again"))
		c.Again = true
		return c
	case a.State != "" && a.State != "available":
		return f.without(Unavailable, usererror.New(servicenow.CodeFileUnavailable, "the instance has blocked the file: its state is "+strconv.Quote(a.State), "look at it in ServiceNow; the security scan did not pass it"))
	case a.size() > f.cfg.MaxSize:
		return f.without(TooLarge, usererror.New(servicenow.CodeFileTooLarge, fmt.Sprintf("the file has %d bytes, and at most %d are fetched", a.size(), f.cfg.MaxSize), "raise attachments.max_size"))
	}
	return nil
}

func (f *Fetcher) wanted(a *facts) bool {
	if f.cfg.Extractor != nil && f.cfg.Extractor.Reads(a.Name, a.ContentType) {
		return true
	}
	stored := f.cfg.Column || f.cfg.Store != nil
	return stored && (f.cfg.All || extract.Readable(a.Name, a.ContentType))
}

// without is the content of a file that is not there.
func (f *Fetcher) without(status string, reason error) *Content {
	c := &Content{}
	text := ""
	if reason != nil {
		text = reason.Error()
	}
	if f.cfg.Column || f.cfg.Store != nil {
		c.Status, c.Error = status, text
	}
	if f.cfg.Extractor == nil {
		return c
	}
	switch status {
	case Skipped:
		c.TextStatus = TextUnsupported
	default:
		c.TextStatus, c.TextError = status, text // the two name these outcomes alike
	}
	return c
}

// bring fetches a file, from the store where it is there already, stores it and has its text read.
func (f *Fetcher) bring(ctx context.Context, a *facts, c *Content) error {
	key := blobstore.AttachmentKey(f.cfg.Instance, a.Record, a.SysID, a.Name)
	there, sum := false, a.sum()
	if f.cfg.Store != nil && sum != "" && a.size() >= 0 {
		var err error
		if there, err = f.cfg.Store.Has(ctx, key, a.size(), sum); err != nil {
			return err
		}
	}
	switch {
	case there && f.cfg.Extractor == nil:
		c.SHA256 = sum
	case there:
		if err := f.cfg.Store.Read(ctx, key, c.spool); err != nil {
			return err
		}
		c.SHA256 = sum
	default:
		lost, err := f.download(ctx, a, c)
		if err != nil || lost != nil {
			if lost != nil {
				c.Close()
				*c = *lost
			}
			return err
		}
	}
	if f.cfg.Column || f.cfg.Store != nil {
		c.Status = Stored
	}
	if f.cfg.Store != nil {
		if err := f.store(ctx, a, c, key, there); err != nil {
			return err
		}
	}
	if f.cfg.Extractor != nil {
		f.read(ctx, a, c)
	}
	return ctx.Err()
}

// download fetches a file. lost is what is known of one that cannot be had.
func (f *Fetcher) download(ctx context.Context, a *facts, c *Content) (lost *Content, err error) {
	want := servicenow.FileFacts{SysID: a.SysID, Size: a.size(), SHA256: a.sum()}
	_, c.SHA256, err = f.cfg.ServiceNow.DownloadFile(ctx, want, f.cfg.MaxSize, c.spool)
	if err == nil {
		f.lost.Store(0)
		return nil, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var reason *usererror.Error
	if !errors.As(err, &reason) {
		return nil, err
	}
	switch reason.Code {
	case servicenow.CodeFileUnavailable:
		lost = f.without(Unavailable, reason)
		lost.Again = true
	case servicenow.CodeFileGone:
		lost = f.without(Unavailable, reason)
	case servicenow.CodeFileTooLarge:
		lost = f.without(TooLarge, reason)
	case servicenow.CodeFileMismatch:
		lost = f.without(Failed, reason)
		lost.Again = true
	case servicenow.CodeUnavailable, servicenow.CodeCutAnswers, servicenow.CodeCancelled, servicenow.CodeRefused, servicenow.CodeNotJSON:
		if f.lost.Add(1) >= lostInRow && !f.serves(ctx) {
			return nil, err
		}
		lost = f.without(Failed, reason)
		lost.Again = true
		return lost, nil
	default:
		return nil, err
	}
	f.lost.Store(0) // the instance has answered
	return lost, nil
}

// serves reports whether the instance answers at all: then it is the files that it fails at, such as those of a clone that
// was made without them, and they must not keep a sync from its end.
func (f *Fetcher) serves(ctx context.Context) bool {
	_, err := f.cfg.ServiceNow.ListRecords(ctx, "sys_attachment", servicenow.ListOptions{Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: 1})
	if err == nil {
		f.lost.Store(0)
	}
	return err == nil
}

// store puts the spooled file into the store, unless it is there, and notes its addresses.
func (f *Fetcher) store(ctx context.Context, a *facts, c *Content, key string, there bool) error {
	if !there {
		r, err := c.spool.reader()
		if err != nil {
			return err
		}
		contentType := cmp.Or(a.ContentType, "application/octet-stream")
		if err := f.cfg.Store.Write(ctx, key, r, contentType, c.SHA256); err != nil {
			return err
		}
	}
	var err error
	c.URL = f.cfg.Store.Address(key)
	if c.SignedURL, err = f.cfg.Store.SignedAddress(ctx, key); err != nil {
		return err
	}
	return nil
}

// read has the text read.
func (f *Fetcher) read(ctx context.Context, a *facts, c *Content) {
	result := f.cfg.Extractor.Read(ctx, c.spool.path, a.Name, a.ContentType, c.spool.size)
	c.TextStatus, c.Again = string(result.Status), result.Passing
	if result.Text != "" || result.Status == extract.Extracted {
		c.Text = &result.Text
	}
	// That a file is empty or of another format is no fault.
	if c.TextError = result.Reason; result.Reason != "" && (result.Status == extract.Failed || result.Status == extract.Encrypted || result.Text != "") {
		c.TextError = CodeText + ": " + result.Reason
	}
}

// spool is a file in transit.
type spool struct {
	file *os.File
	path string
	size int64
}

func newSpool(dir string) (*spool, error) {
	file, err := os.CreateTemp(dir, "file-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("spooling a file: %w", err)
	}
	return &spool{file: file, path: file.Name()}, nil
}

func (s *spool) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	s.size += int64(n)
	return n, err
}

// Reset empties the spool.
func (s *spool) Reset() error {
	if err := s.file.Truncate(0); err != nil {
		return err
	}
	_, err := s.file.Seek(0, io.SeekStart)
	s.size = 0
	return err
}

func (s *spool) close() {
	_ = s.file.Close()
	_ = os.Remove(s.path)
}

// reader reads the spooled bytes from the first.
func (s *spool) reader() (io.Reader, error) {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading the spool: %w", err)
	}
	return s.file, nil
}
