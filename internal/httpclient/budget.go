package httpclient

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

// Of a limit that the server announces, burstShare may go out at once and safeShare is spread over each hour, which leaves
// a twentieth at least. Nodes count for themselves and add up every half a minute, other programs of the same user draw
// on the same rule, requests before the first answer go uncounted, and no header tells how much is left.
const safeShare, burstShare = 0.9, 0.05

// mostAPIs bounds the announced limits that are remembered.
const mostAPIs = 16

// budget is the hourly budget: never more than so many requests in any 60 minutes. There is one for all requests, by
// the config, and one for each API whose answers announce a limit, below it.
type budget struct {
	configured *bucket // nil: no budget
	learns     bool
	counters   *Counters
	logger     zerolog.Logger

	mu        sync.Mutex
	announced map[string]*bucket // by API
}

func newBudget(cfg Config, counters *Counters) *budget {
	b := &budget{learns: cfg.Adaptive, counters: counters, logger: cfg.Logger, announced: map[string]*bucket{}}
	if cfg.MaxPerHour > 0 {
		b.configured = newBucket(cfg.MaxPerHour)
		counters.perHour.Store(int64(cfg.MaxPerHour))
	}
	return b
}

// learn takes over the limit that an answer announces. Where answers for one API name several, the lowest counts, since
// nothing tells beforehand which rule a request will fall under.
func (b *budget) learn(api string, resp *http.Response) {
	limit := announcedLimit(resp)
	if !b.learns || limit == 0 {
		return
	}
	fair := newShare(limit)
	perHour := fair.perHour
	b.mu.Lock()
	defer b.mu.Unlock()
	if known, ok := b.announced[api]; ok && known.perHour <= perHour || !ok && len(b.announced) >= mostAPIs {
		return
	}
	b.announced[api] = fair
	if b.configured != nil && b.configured.perHour <= perHour {
		return // the config's is the one that is felt
	}
	if known := b.counters.perHour.Load(); known == 0 || int64(perHour) < known {
		b.counters.perHour.Store(int64(perHour))
	}
	b.logger.Info().Str("api", api).Int("limit_per_hour", limit).Int("using_per_hour", perHour).
		Msg("the instance limits requests per hour: they are spread over the hour")
}

// wait returns when one request may be sent.
func (b *budget) wait(ctx context.Context, api string) error {
	if err := b.configured.wait(ctx, b.counters); err != nil {
		return err
	}
	b.mu.Lock()
	announced := b.announced[api]
	b.mu.Unlock()
	return announced.wait(ctx, b.counters)
}

// bucket spreads n requests over 60 minutes; nil spreads nothing.
//
// A token bucket of burst b and rate r lets at most b + r·60min pass in any 60 minutes. With b = max(1, n/10) and
// r = (n-b)/h that is n: a tenth may go out at once, which makes small syncs quick, and the rest is spread evenly.
// With n = 1 the rate would be 0; one request every 61 minutes keeps the same promise.
type bucket struct {
	perHour int
	limiter *rate.Limiter
}

func newBucket(perHour int) *bucket {
	if perHour == 1 {
		return &bucket{perHour, rate.NewLimiter(rate.Every(61*time.Minute), 1)}
	}
	burst := max(1, perHour/10)
	return &bucket{perHour, rate.NewLimiter(rate.Limit(float64(perHour-burst)/time.Hour.Seconds()), burst)}
}

// newShare is the bucket of an announced limit.
func newShare(limit int) *bucket {
	spread := safeShare * float64(limit)
	burst := max(int(burstShare*float64(limit)), 1)
	return &bucket{max(int(spread), 1), rate.NewLimiter(rate.Limit(spread/time.Hour.Seconds()), burst)}
}

func (b *bucket) wait(ctx context.Context, counters *Counters) error {
	if b == nil {
		return nil
	}
	reservation := b.limiter.Reserve()
	delay := reservation.Delay()
	if delay == 0 {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < delay {
		reservation.Cancel()
		return &BudgetError{PerHour: b.perHour, Wait: delay}
	}
	counters.held.begin()
	defer counters.held.end()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		reservation.Cancel()
		return fmt.Errorf("waiting for the hourly budget: %w", ctx.Err())
	}
}

// BudgetError says that the hourly budget has no share left before the request's deadline. It is a
// context.DeadlineExceeded, seen beforehand.
type BudgetError struct {
	// PerHour is the budget.
	PerHour int
	// Wait is how long the request would have had to wait.
	Wait time.Duration
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("the budget of %d requests an hour is used up for the next %s, which is beyond the request's deadline",
		e.PerHour, e.Wait.Round(time.Second))
}

func (e *BudgetError) Unwrap() error { return context.DeadlineExceeded }
