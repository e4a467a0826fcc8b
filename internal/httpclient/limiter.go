package httpclient

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
)

// limiterTransport lets at most so many requests be in flight and makes each wait for the hourly budget. A slot is
// held until the body is closed: a streaming body keeps its transaction, and its semaphore, busy on the instance.
type limiterTransport struct {
	next   http.RoundTripper
	gate   *gate
	budget *budget
}

func (t *limiterTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	trip := tripOf(ctx)
	slot := t.gate.newSlot(trip.Class)
	for paid := false; ; {
		if err := t.gate.enter(ctx, slot); err != nil {
			closeBody(req)
			return nil, err
		}
		// The slot comes first, so that a share of the budget is spent only when it can be used at once.
		if !paid {
			if err := t.budget.wait(ctx, trip.API); err != nil {
				slot.release()
				closeBody(req)
				return nil, err
			}
			paid = true
		}
		if t.gate.depart(slot) {
			break
		}
	}
	trip.sent = slot.sentAt
	resp, err := t.next.RoundTrip(req.WithContext(context.WithValue(ctx, fareKey{}, &fare{})))
	if err != nil {
		slot.release()
		return nil, err
	}
	t.budget.learn(trip.API, resp)
	t.gate.answered(slot, resp)
	resp.Body = &slotBody{ReadCloser: resp.Body, release: slot.release}
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
