package httpclient

import (
	"sync"
	"sync/atomic"
	"time"
)

// Counters sum up what one chain did. The zero value is ready; all methods may be called while requests run.
type Counters struct {
	requests atomic.Int64
	bytes    atomic.Int64
	refused  atomic.Int64
	most     atomic.Int64
	limit    atomic.Int64
	perHour  atomic.Int64
	held     stopwatch
}

// Requests is how many requests were sent, replays and redirects included.
func (c *Counters) Requests() int64 { return c.requests.Load() }

// Bytes is how many bytes of response bodies came over the wire, still compressed.
func (c *Counters) Bytes() int64 { return c.bytes.Load() }

// RateLimited is how many answers were a 429.
func (c *Counters) RateLimited() int64 { return c.refused.Load() }

// RateWait is the time during which requests were held back by the hourly budget or by a pause that the server asked
// for. Time in which several were counts once.
func (c *Counters) RateWait() time.Duration { return c.held.elapsed() }

// InFlightMost is the most requests that were in flight at once.
func (c *Counters) InFlightMost() int { return int(c.most.Load()) }

// InFlightLimit is how many may be in flight now; 0 is no cap.
func (c *Counters) InFlightLimit() int { return int(c.limit.Load()) }

// PerHour is the lowest hourly budget so far, of the config and of what the server announces; 0 is none.
func (c *Counters) PerHour() int { return int(c.perHour.Load()) }

func (c *Counters) flying(n int) {
	for {
		most := c.most.Load()
		if int64(n) <= most || c.most.CompareAndSwap(most, int64(n)) {
			return
		}
	}
}

// stopwatch measures how long at least one of its users was running.
type stopwatch struct {
	mu      sync.Mutex
	running int
	since   time.Time
	total   time.Duration
}

func (s *stopwatch) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running++; s.running == 1 {
		s.since = time.Now()
	}
}

func (s *stopwatch) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running--; s.running == 0 {
		s.total += time.Since(s.since)
	}
}

func (s *stopwatch) elapsed() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running > 0 {
		return s.total + time.Since(s.since)
	}
	return s.total
}
