package client

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/attachment"
	"github.com/cqservicenow/cq-source-servicenow/internal/blobstore"
	"github.com/cqservicenow/cq-source-servicenow/internal/cursor"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// Extra is what a row holds beside its record.
type Extra interface {
	// Values returns the values of the Given columns, in their order; nil is NULL.
	Values() ([][]byte, error)
	// Again reports whether the next sync should read the record again, changed or not.
	Again() bool
	// Close gives back what the extra holds.
	Close()
}

// spoolPrefix begins the names of the directories in which files are in transit.
const spoolPrefix = "cq-servicenow-files-"

// spool returns a private directory for files in transit. What a killed sync left behind goes a day later.
func (s *Sync) spool() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spoolDir != "" {
		return s.spoolDir, nil
	}
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), spoolPrefix+"*"))
	for _, dir := range old {
		if info, err := os.Lstat(dir); err == nil && info.IsDir() && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.RemoveAll(dir)
		}
	}
	dir, err := os.MkdirTemp("", spoolPrefix) // mode 0700
	if err != nil {
		return "", fmt.Errorf("making a directory for files in transit: %w", err)
	}
	s.spoolDir = dir
	return dir, nil
}

// Close gives back what the sync holds beside its stream.
func (s *Sync) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.Instances {
		if c.store != nil {
			_ = c.store.Close()
			c.store = nil
		}
		c.Connection.Close()
	}
	for _, pool := range s.pools {
		pool.Close()
	}
	if s.spoolDir != "" {
		_ = os.RemoveAll(s.spoolDir)
		s.spoolDir = ""
	}
}

// Store opens the blob store of the spec; nil when it names none.
func (c *Client) Store(ctx context.Context) (*blobstore.Store, error) {
	a := c.Spec.Attachments
	if a.BlobURL == "" || c.sync.options.Plan != nil { // opening a store writes to it
		return nil, nil
	}
	c.storeMu.Lock()
	defer c.storeMu.Unlock()
	if c.store != nil {
		return c.store, nil
	}
	store, err := blobstore.Open(ctx, a.BlobURL, a.SignedURLs.Duration())
	if err != nil {
		return nil, err
	}
	if err := store.Check(ctx); err != nil {
		_ = store.Close()
		return nil, err
	}
	c.store = store
	return store, nil
}

// Files returns what brings the content of attachments; nil when the spec wants none of it.
func (c *Client) Files(ctx context.Context) (*attachment.Fetcher, error) {
	a := c.Spec.Attachments
	if !a.Wanted() {
		return nil, nil
	}
	cfg := attachment.Config{
		ServiceNow: c.ServiceNow, Instance: c.InstanceName, Column: a.Content == spec.ContentColumn,
		All: a.Formats == spec.FormatsAll, MaxSize: int64(a.MaxSize),
	}
	if *a.ExtractText {
		cfg.Extractor = c.sync.texts(a, c.Logger)
	}
	if c.sync.options.Plan != nil {
		cfg.Column = a.Content != spec.ContentNone // kept somewhere; nothing is fetched
		return attachment.New(cfg), nil
	}
	var err error
	if cfg.Spool, err = c.sync.spool(); err != nil {
		return nil, err
	}
	if a.Content == spec.ContentBlob {
		if cfg.Store, err = c.Store(ctx); err != nil {
			return nil, err
		}
	}
	return attachment.New(cfg), nil
}

// FilesFingerprint identifies the rows of attachments by what is wanted of files too: a change of that needs a full sync.
func (c *Client) FilesFingerprint(columns []string) cursor.Fingerprint {
	a := c.Spec.Attachments
	if !a.Wanted() {
		return c.Fingerprint("sys_attachment", columns)
	}
	parts := []string{
		"content=" + a.Content, "text=" + strconv.FormatBool(*a.ExtractText), "formats=" + a.Formats,
		"max=" + strconv.FormatInt(int64(a.MaxSize), 10), "ocr=" + a.OCR + " " + a.OCRLanguages,
		"tika=" + strconv.FormatBool(a.TikaURL != ""), "transcription=" + strconv.FormatBool(a.TranscriptionURL != ""),
	}
	if a.Content == spec.ContentBlob {
		parts = append(parts, "blob="+a.BlobURL)
	}
	return c.Fingerprint("sys_attachment", append(columns, parts...))
}

// RecordMark identifies where the records' JSON goes.
func (c *Client) RecordMark() string {
	if c.Spec.Incidents.Record == spec.RecordColumn {
		return "record=column"
	}
	return "record=" + c.Spec.Incidents.Record + " " + c.Spec.Attachments.BlobURL
}

// recordFile is the address of a record's JSON in the blob store.
type recordFile string

func (f recordFile) Values() ([][]byte, error) { return [][]byte{[]byte(f)}, nil }
func (f recordFile) Again() bool               { return false }
func (f recordFile) Close()                    {}

// StoreRecords returns what puts the JSON of incidents into the blob store; nil when the spec does not want that.
func (c *Client) StoreRecords(ctx context.Context) (func(context.Context, servicenow.Record) (Extra, error), error) {
	if c.Spec.Incidents.Record == spec.RecordColumn {
		return nil, nil
	}
	store, err := c.Store(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, record servicenow.Record) (Extra, error) {
		id, _ := record.Text("sys_id")
		key := blobstore.RecordKey(c.InstanceName, "incidents", id)
		if err := store.Write(ctx, key, strings.NewReader(string(record)), "application/json", ""); err != nil {
			return nil, fmt.Errorf("storing a record: %w", err)
		}
		return recordFile(store.Address(key)), nil
	}, nil
}
