package httpclient

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// limiterTransport lets at most so many requests be in flight and makes each wait for the hourly budget. A slot is
// held until the body is closed: a streaming body keeps its transaction, and its semaphore, busy on the instance.
type limiterTransport struct {
	next   http.RoundTripper
	slots  *semaphore.Weighted // nil: no cap
	budget *budget
}

func newLimiterTransport(next http.RoundTripper, maxInFlight int, b *budget) *limiterTransport {
	t := &limiterTransport{next: next, budget: b}
	if maxInFlight > 0 {
		t.slots = semaphore.NewWeighted(int64(maxInFlight))
	}
	return t
}

func (t *limiterTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	release := func() {}
	if t.slots != nil {
		if err := t.slots.Acquire(ctx, 1); err != nil {
			closeBody(req)
			return nil, fmt.Errorf("waiting for an in-flight slot: %w", err)
		}
		release = sync.OnceFunc(func() { t.slots.Release(1) })
	}
	// The slot comes first, so that a share of the budget is spent only when it can be used at once.
	if err := t.budget.wait(ctx); err != nil {
		release()
		closeBody(req)
		return nil, err
	}
	resp, err := t.next.RoundTrip(req.WithContext(context.WithValue(ctx, fareKey{}, &fare{})))
	if err != nil {
		release()
		return nil, err
	}
	resp.Body = &slotBody{ReadCloser: resp.Body, release: release}
	return resp, nil
}

type slotBody struct {
	io.ReadCloser
	release func()
}

func (b *slotBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}

// fare is the share of the budget that the limiter paid for one sending. The auth layer may send a request again
// after a 401; the wire layer then finds the fare spent and pays another.
type fare struct{ spent atomic.Bool }

type fareKey struct{}

// closeBody keeps RoundTripper's promise to close the request's body on errors too.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
