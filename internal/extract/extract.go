// Package extract reads the text of files: documents, spreadsheets, slides, mails, pages and plain text. A file's format is
// found by its content, and by its name only where the content does not tell.
//
// The files come from strangers. Every reader is bounded in what it unpacks, in depth and in text, looks at its context,
// and holds no tree of a document in memory. What a reader cannot survive by itself (its memory, a loop in a library) is the
// business of the worker process that runs this package; see internal/extract/worker.
package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Status says what became of a file.
type Status string

// A file of status Extracted may hold no text, or not all of it: Reason then says why.
const (
	Extracted   Status = "extracted"
	Unsupported Status = "unsupported" // a format that no reader knows
	Encrypted   Status = "encrypted"   // it needs a password
	Failed      Status = "failed"      // broken, or built to exhaust the reader
)

// File is what is to be read.
type File struct {
	Content io.ReaderAt
	Size    int64
	// Name and ContentType are what the uploader stated; they decide only where the content does not.
	Name, ContentType string
}

// Result is a file's text.
type Result struct {
	Status Status `json:"status"`
	// Type is the media type that the content shows, "" when unknown.
	Type string `json:"type,omitempty"`
	Text string `json:"text,omitempty"`
	// Reason says in a few words why there is no text, or not all of it.
	Reason string `json:"reason,omitempty"`
	// Passing says that the fault was not the file's, so that another try may read it.
	Passing bool `json:"-"`
}

// reader writes a document's text to w. It returns nil at the document's end, and otherwise why it stopped; what it has
// written until then is kept. errEncrypted, errUnsupported and limits (limitError, errFull) have statuses of their own.
type reader func(ctx context.Context, d *document, w *text) error

// document is a file with the bounds that it shares with everything inside it.
type document struct {
	io.ReaderAt
	size int64
	name string // of the file, as its uploader called it
	// contentType is what was stated, with its parameters, such as a charset.
	contentType string
	budget      *budget
	depth       int // of mails in mails
}

// open reads the document from its first byte. It ends with an error when ctx does.
func (d *document) open(ctx context.Context) io.Reader {
	return &contextReader{ctx, io.NewSectionReader(d, 0, d.size)}
}

// head returns the first n bytes at most.
func (d *document) head(n int64) []byte {
	head := make([]byte, min(n, d.size))
	read, _ := d.ReadAt(head, 0)
	return head[:read]
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

var (
	errEncrypted   = errors.New("it needs a password")
	errUnsupported = errors.New("no reader knows its format")
)

// Read reads the text of a file that is no PDF; see Reader. It never panics and returns no error: what went wrong is in the
// result.
func Read(ctx context.Context, f File) Result {
	return readFile(ctx, f, func(found format) reader { return found.read })
}

// readFile finds a file's format and reads it with what choose returns for the format.
func readFile(ctx context.Context, f File, choose func(format) reader) Result {
	d := &document{ReaderAt: f.Content, size: f.Size, name: f.Name, contentType: f.ContentType, budget: newBudget()}
	format := detect(d)
	result := Result{Type: format.mediaType}
	if f.Size == 0 {
		result.Status, result.Reason = Extracted, "the file is empty"
		return result
	}
	w := &text{}
	err := run(ctx, choose(format), d, w)
	result.Text = w.String()
	var limit *limitError
	var remark *notice
	switch {
	case err == nil:
		result.Status = Extracted
		if result.Text == "" {
			result.Reason = "the file holds no text"
		}
	case errors.Is(err, errEncrypted):
		result.Status, result.Reason = Encrypted, err.Error()
	case errors.As(err, &remark):
		result.Status, result.Reason = Extracted, remark.Error()
	case errors.Is(err, errUnsupported), errors.Is(err, errNoTextLayer):
		result.Status, result.Reason = Unsupported, err.Error()
	case result.Text != "" && errors.As(err, &limit):
		result.Status, result.Reason = Extracted, "the text is cut: "+limit.Error()
	case result.Text != "" && ctx.Err() == nil:
		result.Status, result.Reason = Extracted, "the file is damaged, so text may be missing: "+shorten(err.Error())
	default:
		result.Status, result.Reason = Failed, shorten(err.Error())
	}
	return result
}

// run calls a reader and turns its panic into an error.
func run(ctx context.Context, read reader, d *document, w *text) (err error) {
	if read == nil {
		return errUnsupported
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the reader broke down: %v", p)
		}
	}()
	if err := read(ctx, d, w); err != nil {
		return err
	}
	return w.err
}

// shorten keeps what a library says about a broken file small.
func shorten(reason string) string {
	const most = 300
	if len(reason) > most {
		reason = reason[:most] + "…"
	}
	return clean(reason)
}

// Clean applies the rules of local text to text from elsewhere: spaces collapsed, lines trimmed, no control characters, no
// more than a result may hold.
func Clean(s string) string { return clean(s) }

// Full reports whether Clean may have left out the end of a text.
func Full(cleaned string) bool { return len(cleaned) > maxText-16 }
