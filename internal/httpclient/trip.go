package httpclient

import (
	"context"
	"sync/atomic"
	"time"
)

// Trip is what a caller tells the limiter about one request, and learns from it.
type Trip struct {
	// Class names requests that should take the same time, for example pages of one size of one table. The adaptive limit
	// compares latencies within a class only; requests without one are not compared. Use few.
	Class string
	// API names requests that fall under the same rate-limit rule.
	API string

	sent     time.Time
	received atomic.Int64
}

// Sent is when the request was sent, behind all waits for a slot, a pause or the budget; zero before that. A request
// that is sent again after a redirect keeps its last time. Only the goroutine that called Do may ask.
func (t *Trip) Sent() time.Time { return t.sent }

// Received is how many bytes of answers came over the wire for the request, still compressed.
func (t *Trip) Received() int64 { return t.received.Load() }

type tripKey struct{}

// WithTrip ties a trip to the request that is sent with the returned context.
func WithTrip(ctx context.Context, t *Trip) context.Context {
	return context.WithValue(ctx, tripKey{}, t)
}

func tripOf(ctx context.Context) *Trip {
	if t, ok := ctx.Value(tripKey{}).(*Trip); ok {
		return t
	}
	return &Trip{}
}
