package httpclient

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// logTransport writes one debug line a request, when its body is closed, because only then the duration and
// the bytes are known. No query string, no header and no body is ever logged.
type logTransport struct {
	next   http.RoundTripper
	logger zerolog.Logger
}

func (t *logTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		err = RedactError(err)
		t.logger.Debug().Str("method", req.Method).Str("path", req.URL.Path).Dur("duration", time.Since(start)).
			Err(err).Msg("request without an answer")
		return nil, err
	}
	body := &loggedBody{ReadCloser: resp.Body}
	body.finish = sync.OnceFunc(func() {
		t.logger.Debug().Str("method", req.Method).Str("path", req.URL.Path).Int("status", resp.StatusCode).
			Dur("duration", time.Since(start)).Int64("bytes", body.bytes.Load()).AnErr("body_error", body.fault()).
			Msg("request")
	})
	resp.Body = body
	return resp, nil
}

// loggedBody counts what the layers below gave, which is the compressed size.
type loggedBody struct {
	io.ReadCloser
	finish func()
	bytes  atomic.Int64
	err    atomic.Pointer[error]
}

func (b *loggedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		err = RedactError(err)
		b.err.Store(&err)
	}
	return n, err
}

func (b *loggedBody) Close() error {
	defer b.finish()
	return b.ReadCloser.Close()
}

func (b *loggedBody) fault() error {
	if err := b.err.Load(); err != nil {
		return *err
	}
	return nil
}
