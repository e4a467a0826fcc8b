package client

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/attachment"
	"github.com/cqservicenow/cq-source-servicenow/internal/extract"
	"github.com/cqservicenow/cq-source-servicenow/internal/extract/remote"
	"github.com/cqservicenow/cq-source-servicenow/internal/extract/worker"
)

const (
	// serviceTimeout is how long a service may work on one file, recordings of hours among them.
	serviceTimeout = 10 * time.Minute
	// servicesAtOnce is how many files the services work on at once.
	servicesAtOnce = 4
)

// texts reads the text of files: in worker processes, and what is left with the services that the spec names.
type texts struct {
	pool        *worker.Pool
	ocr         bool
	tika        *remote.Tika
	transcriber *remote.Transcriber
	slots       chan struct{} // for the services
}

// texts returns the reader of an instance's files. Instances with the same OCR share its processes.
func (s *Sync) texts(a spec.Attachments, logger zerolog.Logger) attachment.Extractor {
	var ocr *extract.OCR
	if program := extract.FindTesseract(); program != "" && a.OCR == spec.OCRAuto {
		ocr = &extract.OCR{Program: program, Languages: a.OCRLanguages}
	}
	t := &texts{pool: s.pool(ocr, logger), ocr: ocr != nil, slots: make(chan struct{}, servicesAtOnce)}
	services := &http.Client{Timeout: serviceTimeout}
	if a.TikaURL != "" {
		t.tika = &remote.Tika{URL: a.TikaURL, HTTP: services}
	}
	if a.TranscriptionURL != "" {
		t.transcriber = &remote.Transcriber{URL: a.TranscriptionURL, Key: a.TranscriptionKey, Model: a.TranscriptionModel, HTTP: services}
	}
	return t
}

// pool returns the worker processes with one kind of OCR; as many as there are processors, which they keep busy.
func (s *Sync) pool(ocr *extract.OCR, logger zerolog.Logger) *worker.Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := ""
	if ocr != nil {
		key = ocr.Languages
	}
	if s.pools == nil {
		s.pools = map[string]*worker.Pool{}
	}
	if s.pools[key] == nil {
		s.pools[key] = worker.New(worker.Config{Size: runtime.GOMAXPROCS(0), OCR: ocr, Logger: logger})
	}
	return s.pools[key]
}

// Reads reports whether a file may have text, as far as its name and stated type tell.
func (t *texts) Reads(name, contentType string) bool {
	return extract.Readable(name, contentType) ||
		(t.ocr || t.tika != nil) && extract.Image(name, contentType) ||
		t.tika != nil && extract.OldOffice(name, contentType) ||
		t.transcriber != nil && extract.Media(name, contentType)
}

// Read reads the text of a file on disk. Only what no reader here knows goes to a service.
func (t *texts) Read(ctx context.Context, path, name, contentType string, size int64) extract.Result {
	result := t.pool.Read(ctx, path, name, contentType, size)
	if result.Status != extract.Unsupported {
		return result
	}
	read := t.service(name, contentType, result.Type)
	if read == nil {
		return result
	}
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
		return extract.Result{Status: extract.Failed, Type: result.Type, Reason: context.Cause(ctx).Error()}
	}
	file, err := os.Open(path)
	if err != nil {
		return extract.Result{Status: extract.Failed, Type: result.Type, Reason: fmt.Sprintf("opening the file: %v", err)}
	}
	defer func() { _ = file.Close() }()
	if contentType == "" || result.Type != "" && !strings.HasPrefix(result.Type, "application/octet-stream") {
		contentType = result.Type // found by the content
	}
	served, err := read(ctx, extract.File{Content: file, Size: size, Name: name, ContentType: contentType})
	if err != nil {
		return extract.Result{Status: extract.Failed, Type: result.Type, Reason: err.Error(), Passing: true}
	}
	if served.Type == "" {
		served.Type = result.Type
	}
	return served
}

// service returns the service for a file; nil when there is none. found is the type that the content shows.
func (t *texts) service(name, contentType, found string) func(context.Context, extract.File) (extract.Result, error) {
	media := strings.HasPrefix(found, "audio/") || strings.HasPrefix(found, "video/") || extract.Media(name, contentType)
	switch {
	case media && t.transcriber != nil:
		return t.transcriber.Read
	case media || t.tika == nil:
		return nil
	case strings.HasPrefix(found, "image/"), found == "application/pdf", extract.OldOffice("", found),
		extract.Image(name, contentType), extract.OldOffice(name, contentType):
		return t.tika.Read
	}
	return nil
}
