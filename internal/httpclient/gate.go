package httpclient

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// startInFlight is where an adaptive limit begins.
	startInFlight = 2
	// longestPause is the longest pause that an answer can bring about. Rate-limit rules count by the hour, so an answer that
	// asks for more than this tells of something else; it is left to the caller.
	longestPause = 3 * time.Hour
	// firstRefusal and longestRefusal bound the pause behind a 429 that does not say how long to wait: ServiceNow sends it
	// when the queue of a node is full.
	firstRefusal, longestRefusal = 500 * time.Millisecond, 2 * time.Minute
)

// gate hands out in-flight slots in the order in which they were asked for. A fixed gate keeps its limit. An adaptive
// one moves it between 1 and the ceiling by what the answers tell (see adaptive.go), and lets nothing pass during a
// pause that an answer asked for.
type gate struct {
	adaptive bool
	ceiling  int
	counters *Counters
	logger   zerolog.Logger

	mu      sync.Mutex
	limit   int
	queue   []*slot // by ticket
	tickets uint64
	held    int // slots handed out; some wait for the budget
	flying  int // those of them whose request was sent and whose body is not closed
	sent    uint64

	// For the adaptive gate.
	threshold int       // below it the limit grows with every answer, above with every round
	cut       uint64    // sent at the last cut: answers to requests up to it tell nothing new
	good      int       // good answers since the limit changed
	full      bool      // the limit was reached since it changed
	refusals  int       // pauses in a row that no answer gave a length to
	resume    time.Time // the end of the pause
	pausing   bool
	latency   latencies
}

// slot is a request's place in the queue, and later its right to be in flight.
type slot struct {
	ticket  uint64
	ready   chan struct{} // closed when the slot is held
	held    bool
	number  uint64 // of the request among those sent
	class   string
	sentAt  time.Time
	release func()
}

func newGate(cfg Config, counters *Counters) *gate {
	g := &gate{adaptive: cfg.Adaptive, ceiling: cfg.MaxInFlight, counters: counters, logger: cfg.Logger, limit: cfg.MaxInFlight}
	if g.adaptive {
		g.limit = min(startInFlight, g.ceiling)
		g.threshold = g.limit
	}
	g.counters.limit.Store(int64(g.limit))
	return g
}

// newSlot takes a place at the end of the queue.
func (g *gate) newSlot(class string) *slot {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tickets++
	s := &slot{ticket: g.tickets, class: class}
	s.release = sync.OnceFunc(func() { g.release(s) })
	return s
}

// enter waits for the slot. A slot that enters again stands before all that came later.
func (g *gate) enter(ctx context.Context, s *slot) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("waiting for an in-flight slot: %w", err)
	}
	g.mu.Lock()
	s.ready = make(chan struct{})
	at, _ := slices.BinarySearchFunc(g.queue, s, func(a, b *slot) int { return int(int64(a.ticket - b.ticket)) })
	g.queue = slices.Insert(g.queue, at, s)
	g.dispatch()
	g.mu.Unlock()
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.held { // in the meantime
		g.giveBack(s)
	} else if at := slices.Index(g.queue, s); at >= 0 {
		g.queue = slices.Delete(g.queue, at, at+1)
	}
	return fmt.Errorf("waiting for an in-flight slot: %w", ctx.Err())
}

// depart marks the request of a held slot as sent. It reports false, and takes the slot back, when a pause or a lower
// limit came while the request waited for its budget: it has to enter again.
func (g *gate) depart(s *slot) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pausing || !g.uncapped() && g.flying >= g.limit {
		g.giveBack(s)
		return false
	}
	g.sent++
	g.flying++
	s.number, s.sentAt = g.sent, time.Now()
	g.full = g.full || g.flying >= g.limit
	g.counters.flying(g.flying)
	return true
}

// release frees the slot of a request that was sent, or will not be.
func (g *gate) release(s *slot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.number > 0 {
		g.flying--
	}
	if s.held {
		g.giveBack(s)
	}
}

func (g *gate) giveBack(s *slot) {
	s.held = false
	g.held--
	g.dispatch()
}

func (g *gate) uncapped() bool { return g.ceiling == 0 }

// dispatch hands free slots to the first in the queue.
func (g *gate) dispatch() {
	for !g.pausing && len(g.queue) > 0 && (g.uncapped() || g.held < g.limit) {
		s := g.queue[0]
		g.queue = slices.Delete(g.queue, 0, 1)
		s.held = true
		g.held++
		close(s.ready)
	}
}

// answered learns from an answer, when its headers are there.
func (g *gate) answered(s *slot, resp *http.Response) {
	if !g.adaptive {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	fresh := s.number > g.cut
	switch {
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
		wait := RetryAfter(resp)
		if fresh {
			g.halve("status " + resp.Status)
		}
		if resp.StatusCode == http.StatusTooManyRequests && wait == 0 && fresh {
			wait = min(firstRefusal<<min(g.refusals, 16), longestRefusal)
			wait += rand.N(wait / 2) // syncs of several machines should not come back in step
			g.refusals++
		}
		if wait > 0 && wait <= longestPause {
			g.pause(wait)
		}
	case resp.StatusCode < http.StatusBadRequest && fresh:
		g.refusals = 0
		g.grow(s)
	}
	g.dispatch()
}

// pause keeps all requests back for so long. Behind it they go out one by one: the limit starts again at 1, and grows
// quickly to where it was cut to.
func (g *gate) pause(wait time.Duration) {
	if g.limit > 1 {
		g.threshold = g.limit
	}
	g.setLimit(1)
	g.cut = g.sent
	g.latency.restart()
	until := time.Now().Add(wait)
	if g.pausing && !until.After(g.resume) {
		return
	}
	g.resume = until
	if !g.pausing {
		g.pausing = true
		g.counters.held.begin()
		g.logger.Info().Dur("wait_ms", wait).Msg("the instance limits requests: none is sent for this time")
	}
	time.AfterFunc(wait, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.pausing && !time.Now().Before(g.resume) { // else a longer pause has its own timer
			g.pausing = false
			g.counters.held.end()
			g.dispatch()
		}
	})
}

func (g *gate) setLimit(n int) {
	g.limit, g.good, g.full = n, 0, g.flying >= n
	g.counters.limit.Store(int64(n))
}
