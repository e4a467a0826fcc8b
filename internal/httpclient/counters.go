package httpclient

import (
	"sync/atomic"
	"time"
)

// Counters sum up what one chain did. The zero value is ready; all methods may be called while requests run.
type Counters struct {
	requests atomic.Int64
	bytes    atomic.Int64
	waited   atomic.Int64
}

// Requests is how many requests were sent, replays and redirects included.
func (c *Counters) Requests() int64 { return c.requests.Load() }

// Bytes is how many bytes of response bodies came over the wire, still compressed.
func (c *Counters) Bytes() int64 { return c.bytes.Load() }

// BudgetWait is the time that requests spent waiting for the hourly budget, added up over all of them.
func (c *Counters) BudgetWait() time.Duration { return time.Duration(c.waited.Load()) }
