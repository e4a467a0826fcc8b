package httpclient

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// BodyTooLargeError says that a response body went on beyond the limit. It comes in place of io.EOF, never after it:
// a body is whole or an error.
type BodyTooLargeError struct {
	// Limit is the most decompressed bytes a body may have.
	Limit int64
}

func (e *BodyTooLargeError) Error() string {
	return fmt.Sprintf("the response body is larger than %d bytes", e.Limit)
}

type bodyLimitTransport struct {
	next  http.RoundTripper
	limit int64
}

func (t *bodyLimitTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	limit := t.limit
	if own, ok := req.Context().Value(maxBodyKey{}).(int64); ok {
		limit = own
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, limit: limit, left: limit}
	return resp, nil
}

type maxBodyKey struct{}

// WithMaxBody gives the requests of a context a limit of their own in place of Config.MaxBody: for bodies that are
// streamed and not held in memory.
func WithMaxBody(ctx context.Context, limit int64) context.Context {
	return context.WithValue(ctx, maxBodyKey{}, limit)
}

type limitedBody struct {
	io.ReadCloser
	limit int64
	left  int64
	err   error
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	// One byte more than what is left tells a body of exactly the limit from a larger one.
	if int64(len(p))-1 > b.left {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) <= b.left {
		b.left -= int64(n)
		b.err = err
		return n, err
	}
	n = int(b.left)
	b.left = 0
	b.err = &BodyTooLargeError{Limit: b.limit}
	return n, b.err
}
