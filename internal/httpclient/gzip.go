package httpclient

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// gzipTransport asks for gzip and unpacks it. A request that sets Accept-Encoding itself is left alone, and so is
// one with a Range or a HEAD, where the encoding would change what the answer means (as in net/http).
type gzipTransport struct {
	next    http.RoundTripper
	readers *sync.Pool // of *gzip.Reader; a reader's window is 32 KiB and more, worth keeping
}

func newGzipTransport(next http.RoundTripper) *gzipTransport {
	return &gzipTransport{next: next, readers: &sync.Pool{New: func() any { return new(gzip.Reader) }}}
}

func (t *gzipTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("Accept-Encoding") != "" || req.Header.Get("Range") != "" || req.Method == http.MethodHead {
		return t.next.RoundTrip(req)
	}
	asking := req.Clone(req.Context()) // a RoundTripper must not change the caller's request
	asking.Header.Set("Accept-Encoding", "gzip")
	resp, err := t.next.RoundTrip(asking)
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") && resp.ContentLength != 0 {
		resp.Body = &gzipBody{body: resp.Body, readers: t.readers}
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
		resp.ContentLength = -1
		resp.Uncompressed = true
	}
	return resp, nil
}

var (
	errReadInProgress = errors.New("reading a response body from two goroutines at once")
	errReadAfterClose = errors.New("reading a closed response body")
)

// gzipBody unpacks on the first Read, not earlier, so that RoundTrip returns with the headers. A Close may come from
// another goroutine than a Read, as net/http allows; the reader must not enter the pool while a Read uses it.
type gzipBody struct {
	body    io.ReadCloser
	readers *sync.Pool

	mu     sync.Mutex
	reader *gzip.Reader // nil before the first Read, while a Read has it, and after Close
	err    error        // sticky; errReadInProgress while a Read has the reader
}

func (b *gzipBody) Read(p []byte) (int, error) {
	reader, err := b.take()
	if err != nil {
		return 0, err
	}
	n := 0
	if reader == nil {
		reader, err = b.open()
	}
	if err == nil {
		n, err = reader.Read(p)
	}
	b.giveBack(reader, err)
	return n, err
}

func (b *gzipBody) open() (*gzip.Reader, error) {
	reader := b.readers.Get().(*gzip.Reader)
	err := reader.Reset(b.body)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // gzip of nothing still has 20 bytes: this body was cut
	}
	return reader, err
}

func (b *gzipBody) take() (*gzip.Reader, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	reader := b.reader
	b.reader, b.err = nil, errReadInProgress
	return reader, nil
}

func (b *gzipBody) giveBack(reader *gzip.Reader, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !errors.Is(b.err, errReadInProgress) { // closed in the meantime
		b.pool(reader)
		return
	}
	b.reader, b.err = reader, err
}

func (b *gzipBody) Close() error {
	b.mu.Lock()
	if b.reader != nil {
		b.pool(b.reader)
		b.reader = nil
	}
	b.err = errReadAfterClose
	b.mu.Unlock()
	return b.body.Close()
}

func (b *gzipBody) pool(reader *gzip.Reader) {
	_ = reader.Reset(http.NoBody) // lets go of the body; that nothing is no gzip is expected
	b.readers.Put(reader)
}
