package doctor

import (
	"net/http"
	"sync"
	"time"
)

// observer is the innermost transport: it notes what the headers of every answer say.
type observer struct {
	next http.RoundTripper

	mu       sync.Mutex
	requests int
	// queueFull and limited count 429 without and with the headers of a rate-limit rule; queued counts 202.
	queueFull, limited, queued int
	// perHour is the lowest X-RateLimit-Limit; "" when no answer had one.
	perHour string
	// clockOffset is the instance's clock less ours, by the answer that came fastest; travelled is how long that one took.
	clockOffset, travelled time.Duration
}

func (o *observer) RoundTrip(req *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := o.next.RoundTrip(req)
	took := time.Since(began)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests++
	if err != nil {
		return nil, err
	}
	limit := resp.Header.Get("X-RateLimit-Limit")
	if limit != "" && (o.perHour == "" || len(limit) < len(o.perHour) || len(limit) == len(o.perHour) && limit < o.perHour) {
		o.perHour = limit
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests && limit != "":
		o.limited++
	case resp.StatusCode == http.StatusTooManyRequests:
		o.queueFull++
	case resp.StatusCode == http.StatusAccepted:
		o.queued++
	}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil && (o.travelled == 0 || took < o.travelled) {
		o.travelled = max(took, 1)
		// Date is cut to the second, so half a second is missing on average.
		o.clockOffset = at.Add(500 * time.Millisecond).Sub(began.Add(took / 2))
	}
	return resp, nil
}

// seen is a copy of an observer's notes.
type seen struct {
	requests, queueFull, limited, queued int
	perHour                              string
	clockOffset, travelled               time.Duration
}

func (o *observer) notes() seen {
	o.mu.Lock()
	defer o.mu.Unlock()
	return seen{o.requests, o.queueFull, o.limited, o.queued, o.perHour, o.clockOffset, o.travelled}
}
