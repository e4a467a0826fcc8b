package servicenow

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
)

// Usage sums up what was asked of the instance with the contexts of WithUsage. It is safe for concurrent use.
type Usage struct{ requests, retries, waited, bytes, pages, short atomic.Int64 }

// UsageCounts are the sums of a Usage so far.
type UsageCounts struct {
	// Requests is how many were sent, Retries how many of them because one before did not succeed.
	Requests, Retries int64
	// Waited is the time that requests waited for a slot, a pause, the hourly budget or another attempt, added up over all.
	Waited time.Duration
	// Bytes is how much came over the wire, still compressed.
	Bytes int64
	// Pages is how many pages of windows were read, ShortPages how many of them held fewer rows than asked for although the
	// instance counted more.
	Pages, ShortPages int64
}

// Counts returns the sums so far.
func (u *Usage) Counts() UsageCounts {
	return UsageCounts{
		Requests: u.requests.Load(), Retries: u.retries.Load(), Waited: time.Duration(u.waited.Load()), Bytes: u.bytes.Load(),
		Pages: u.pages.Load(), ShortPages: u.short.Load(),
	}
}

type usageKey struct{}

// WithUsage returns a context whose requests are counted.
func WithUsage(ctx context.Context, u *Usage) context.Context {
	return context.WithValue(ctx, usageKey{}, u)
}

// usageOf returns the usage of a context, or one that nobody reads.
func usageOf(ctx context.Context) *Usage {
	if u, ok := ctx.Value(usageKey{}).(*Usage); ok {
		return u
	}
	return &Usage{}
}

// request counts a request that is over; asked is when the caller asked for it.
func (u *Usage) request(trip *httpclient.Trip, asked time.Time) {
	u.requests.Add(1)
	u.bytes.Add(trip.Received())
	if sent := trip.Sent(); !sent.IsZero() {
		u.waited.Add(int64(sent.Sub(asked)))
	}
}

func (u *Usage) again(wait time.Duration) {
	u.retries.Add(1)
	u.waited.Add(int64(wait))
}

func (u *Usage) page(short bool) {
	u.pages.Add(1)
	if short {
		u.short.Add(1)
	}
}
