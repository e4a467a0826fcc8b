package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxText is the most bytes that a Result's text has.
const MaxText = maxText

// Reader reads files of every format. Beyond what the function Read does it knows PDF, whose machinery it starts with the
// first such file and keeps until Close, and, with OCR, images.
//
// Several files may be read at once, but PDFs are read one after the other: each may take up all the memory that one is
// given.
type Reader struct {
	// OCR reads images and the pages of PDFs that hold no text. Without it such files are unsupported.
	OCR *OCR

	pdfium pdfium
}

// NewReader returns a reader, which Close must end.
func NewReader() *Reader { return &Reader{} }

// Close frees what reading PDFs needs. No file may be read during it or after it.
func (r *Reader) Close() error { return r.pdfium.Close() }

// Read reads a file's text. It never panics and returns no error: what went wrong is in the result.
func (r *Reader) Read(ctx context.Context, f File) Result { return readFile(ctx, f, r.reader) }

// Warm starts what a file needs to be read, so that the start does not count against the file's time. A start that fails
// shows when the file is read.
func (r *Reader) Warm(f File) {
	d := &document{ReaderAt: f.Content, size: f.Size, name: f.Name, contentType: f.ContentType, budget: newBudget()}
	if bytes.Contains(d.head(pdfHead), []byte("%PDF-")) {
		_, _ = r.pdfium.start()
	}
}

// reader returns what reads the formats that need more than the file.
func (r *Reader) reader(found format) reader {
	switch {
	case found.mediaType == "application/pdf":
		return r.readPDF
	case r.OCR != nil && r.OCR.reads(found.mediaType):
		return r.OCR.readImage
	default:
		return found.read
	}
}

// WithTimeout is context.WithTimeout for reading: a reader that is stopped by it hands over the text that it has.
func WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, limit("%s", TookTooLong(d)))
}

// TookTooLong is the reason that a result states when a file's time ran out.
func TookTooLong(d time.Duration) string { return fmt.Sprintf("it took longer than %s", seconds(d)) }

// seconds writes a duration as "30 s".
func seconds(d time.Duration) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.1f", d.Seconds()), "0"), ".") + " s"
}

// notice is what there is to say about a text that was read to its end.
type notice struct{ what string }

func (n *notice) Error() string { return n.what }

// errNoTextLayer is a PDF whose pages are pictures. OCR may read it.
var errNoTextLayer = errors.New("it has no text layer (a scan?)")
