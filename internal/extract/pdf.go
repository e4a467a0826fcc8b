package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"unicode"

	pdfiumapi "github.com/klippa-app/go-pdfium"
	pdfiumerrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

const (
	pdfMemory = 256 << 20 // bytes that one PDF may take up while it is read
	wasmPage  = 64 << 10  // bytes of a WebAssembly page
	maxNotes  = 50000     // annotations that are looked at in one PDF
	// A page with fewer letters and digits is taken for a picture: scanners add page numbers and stamps.
	fewLetters = 5
)

// pdfium is PDFium, which is compiled to WebAssembly: what a broken file does to it stays in its memory, which is bounded
// and thrown away with every file. It starts with the first PDF.
type pdfium struct {
	mu     sync.Mutex
	pool   pdfiumapi.Pool
	cache  wazero.CompilationCache
	err    error // why it did not start
	closed bool
}

// start returns the pool, which gives an instance to one file at a time.
func (p *pdfium) start() (pdfiumapi.Pool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("the reader is closed")
	}
	if p.pool != nil || p.err != nil {
		return p.pool, p.err
	}
	config := wazero.NewRuntimeConfig().
		WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling). // PDFium's setjmp needs it
		WithCloseOnContextDone(true).                                                      // or nothing stops a running call
		WithMemoryLimitPages(pdfMemory / wasmPage)
	if p.cache = compilationCache(); p.cache != nil {
		config = config.WithCompilationCache(p.cache)
	}
	p.pool, p.err = webassembly.Init(webassembly.Config{
		MaxTotal: 1, MaxIdle: 1,
		FSConfig:      wazero.NewFSConfig(), // empty; without one the whole disk is mounted
		RuntimeConfig: config,
		Stdout:        io.Discard, Stderr: io.Discard,
	})
	if p.err != nil {
		p.err = fmt.Errorf("starting the PDF reader: %w", p.err)
	}
	return p.pool, p.err
}

// Close ends what start started.
func (p *pdfium) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var err error
	if p.pool != nil {
		err = p.pool.Close()
		p.pool = nil
	}
	if p.cache != nil {
		err = errors.Join(err, p.cache.Close(context.Background()))
		p.cache = nil
	}
	return err
}

// readPDF reads the text of a PDF's pages, and behind each page's text what its form fields and notes hold.
func (r *Reader) readPDF(ctx context.Context, d *document, w *text) error {
	if d.size > math.MaxInt32 {
		return limit("it is larger than 2 GiB")
	}
	pool, err := r.pdfium.start()
	if err != nil {
		return err
	}
	instance, err := pool.GetInstanceWithContext(ctx)
	if err != nil {
		return stopped(ctx, fmt.Errorf("starting the PDF reader: %w", err))
	}
	// The instance is dropped whatever becomes of the file: a broken one cannot be closed in an orderly way, and a new one
	// costs 2 ms. Another goroutine does it when the context ends, and then this one waits for it.
	kill := sync.OnceFunc(func() { _ = instance.Kill() })
	defer kill()
	unwatch := context.AfterFunc(ctx, kill)
	defer unwatch()
	p := &pdf{Pdfium: instance, w: w, ocr: r.OCR}
	if err := p.read(ctx, d); err != nil {
		return stopped(ctx, err)
	}
	return nil
}

// stopped returns why the context ended if it did, and else err: what a killed instance says is of no use.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// pdf is one PDF in an instance of its own.
type pdf struct {
	pdfiumapi.Pdfium
	w     *text
	ocr   *OCR
	notes int // annotations looked at
	// recognised counts the pages that OCR read, pictures those that hold something but no text.
	recognised, pictures int
}

func (p *pdf) read(ctx context.Context, d *document) error {
	opened, err := p.OpenDocument(&requests.OpenDocument{
		FileReader: io.NewSectionReader(d, 0, d.size), FileReaderSize: d.size,
	})
	switch {
	case errors.Is(err, pdfiumerrors.ErrPassword), errors.Is(err, pdfiumerrors.ErrSecurity):
		return errEncrypted
	case err != nil:
		return fmt.Errorf("opening the PDF: %w", err)
	}
	counted, err := p.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: opened.Document})
	if err != nil {
		return fmt.Errorf("counting the pages: %w", err)
	}
	var damaged error // the first page that could not be read
	for i := range min(counted.PageCount, maxPages) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := p.page(ctx, opened.Document, i)
		var full *limitError
		switch {
		case err == nil:
		case broken(err) || errors.As(err, &full) || ctx.Err() != nil:
			return err
		case damaged == nil:
			damaged = fmt.Errorf("reading page %d: %w", i+1, err)
		}
		p.w.Paragraph()
	}
	switch {
	case damaged != nil:
		return damaged
	case counted.PageCount > maxPages:
		return limit("it has more than %d pages", maxPages)
	case p.pictures == 0 && p.w.String() != "":
		return nil
	case p.recognised > 0 && p.pictures > 0:
		return limit("OCR read %d pages without text, and left out %d", p.recognised, p.pictures)
	case p.recognised > 0:
		return nil
	case letters(p.w.String()) < fewLetters:
		return errNoTextLayer
	default:
		return &notice{fmt.Sprintf("%d of %d pages have no text layer (scans?)", p.pictures, counted.PageCount)}
	}
}

// broken reports whether an instance cannot go on after an error: its memory ran out, it was killed, or it broke down.
func broken(err error) bool {
	s := err.Error()
	return strings.Contains(s, "wasm error") || strings.Contains(s, "closed") || strings.Contains(s, "panic occurred")
}

// page reads one page.
func (p *pdf) page(ctx context.Context, document references.FPDF_DOCUMENT, index int) error {
	loaded, err := p.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: document, Index: index})
	if err != nil {
		return err
	}
	page := requests.Page{ByReference: &loaded.Page}
	found, err := p.pageText(page)
	if err != nil {
		return err
	}
	if _, err := p.w.WriteString(found); err != nil {
		return err
	}
	p.w.Line()
	if n := letters(found); n < fewLetters {
		if err := p.picture(ctx, page, n); err != nil {
			return err
		}
	}
	if err := p.annotations(page); err != nil {
		return err
	}
	_, err = p.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: loaded.Page})
	return err
}

func letters(s string) int {
	n := 0
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			n++
		}
	}
	return n
}

// pageText returns the text layer of a page. It asks for all characters in one call: each call costs a goroutine that
// watches the context.
func (p *pdf) pageText(page requests.Page) (string, error) {
	layer, err := p.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: page})
	if err != nil {
		return "", err
	}
	chars, err := p.FPDFText_CountChars(&requests.FPDFText_CountChars{TextPage: layer.TextPage})
	if err != nil {
		return "", err
	}
	found := ""
	if chars.Count > 0 {
		// One character more than the result may hold: that is how the text notices that it is full.
		got, err := p.FPDFText_GetText(&requests.FPDFText_GetText{TextPage: layer.TextPage, Count: min(chars.Count, maxText+1)})
		if err != nil {
			return "", err
		}
		found = got.Text
	}
	if _, err := p.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: layer.TextPage}); err != nil {
		return "", err
	}
	// U+0002 stands where PDFium has put a hyphenated word together. The others are what text drops too.
	return strings.ReplaceAll(found, "\x02", ""), nil
}

// annotations writes the values of a page's form fields and the content of its notes; a page's text has neither.
func (p *pdf) annotations(page requests.Page) error {
	counted, err := p.FPDFPage_GetAnnotCount(&requests.FPDFPage_GetAnnotCount{Page: page})
	if err != nil {
		return err
	}
	for i := range counted.Count {
		if p.notes++; p.notes > maxNotes {
			return limit("it has more than %d annotations", maxNotes)
		}
		got, err := p.FPDFPage_GetAnnot(&requests.FPDFPage_GetAnnot{Page: page, Index: i})
		switch {
		case err != nil && broken(err):
			return err
		case err != nil:
			continue // no annotation, such as a number in the list
		}
		for _, key := range []string{"V", "Contents"} { // PDF 32000-1:2008, 12.7.3.1 and 12.5.2
			value, err := p.FPDFAnnot_GetStringValue(&requests.FPDFAnnot_GetStringValue{Annotation: got.Annotation, Key: key})
			switch {
			case err != nil && broken(err):
				return err
			case err != nil || value.Value == "Off": // an unticked box
				continue
			}
			if _, err := p.w.WriteString(strings.TrimRight(value.Value, "\x00")); err != nil {
				return err
			}
			p.w.Line()
		}
		if _, err := p.FPDFPage_CloseAnnot(&requests.FPDFPage_CloseAnnot{Annotation: got.Annotation}); err != nil {
			return err
		}
	}
	return nil
}

// readPDF stands for the Reader's own reader of PDF, which needs what a Reader holds.
func readPDF(context.Context, *document, *text) error { return errUnsupported }
