package httpclient

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"
)

// budget is the hourly budget: never more than n requests in any 60 minutes.
//
// A token bucket of burst b and rate r lets at most b + r·60min pass in any 60 minutes. With b = max(1, n/10) and
// r = (n-b)/h that is n: a tenth may go out at once, which makes small syncs quick, and the rest is spread evenly.
// With n = 1 the rate would be 0; one request every 61 minutes keeps the same promise.
type budget struct {
	perHour  int
	limiter  *rate.Limiter // nil: no budget
	counters *Counters
}

func newBudget(perHour int, counters *Counters) *budget {
	b := &budget{perHour: perHour, counters: counters}
	switch {
	case perHour == 1:
		b.limiter = rate.NewLimiter(rate.Every(61*time.Minute), 1)
	case perHour > 1:
		burst := max(1, perHour/10)
		b.limiter = rate.NewLimiter(rate.Limit(float64(perHour-burst)/time.Hour.Seconds()), burst)
	}
	return b
}

// wait returns when one request may be sent.
func (b *budget) wait(ctx context.Context) error {
	if b.limiter == nil {
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
	start := time.Now()
	defer func() { b.counters.waited.Add(int64(time.Since(start))) }()
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
