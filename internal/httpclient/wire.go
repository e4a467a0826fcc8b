package httpclient

import (
	"io"
	"net/http"
)

// wireTransport is the innermost layer of ours: what passes here is sent. So it counts here, replays included.
type wireTransport struct {
	next      http.RoundTripper
	userAgent string
	budget    *budget
	counters  *Counters
}

func (t *wireTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if paid, ok := req.Context().Value(fareKey{}).(*fare); ok && paid.spent.Swap(true) {
		if err := t.budget.wait(req.Context(), tripOf(req.Context()).API); err != nil {
			closeBody(req)
			return nil, err
		}
	}
	if _, ok := req.Header["User-Agent"]; !ok {
		req = req.Clone(req.Context())
		req.Header.Set("User-Agent", t.userAgent)
	}
	t.counters.requests.Add(1)
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		t.counters.refused.Add(1)
	}
	resp.Body = &countedBody{ReadCloser: resp.Body, counters: t.counters, trip: tripOf(req.Context())}
	return resp, nil
}

type countedBody struct {
	io.ReadCloser
	counters *Counters
	trip     *Trip
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.counters.bytes.Add(int64(n))
	b.trip.received.Add(int64(n))
	return n, err
}
