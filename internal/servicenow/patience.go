package servicenow

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
)

func (r Retry) backOff() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{InitialInterval: r.First, MaxInterval: r.Longest, Multiplier: 2, RandomizationFactor: 0.5}
}

// patient repeats an attempt while a 429 ends it, so that rate limits use up the time of a request but none of its tries.
// It waits as long as the answer asks; an HTTP chain that adapts waits for the same pause at the same time.
func patient[T any](ctx context.Context, retry Retry, again func(error, time.Duration), attempt func() (T, error)) func() (T, error) {
	began := time.Now()
	return func() (T, error) {
		growing := retry.backOff()
		growing.Reset()
		for {
			value, err := attempt()
			var status *StatusError
			if !errors.As(err, &status) || status.Status != http.StatusTooManyRequests {
				return value, err
			}
			wait := status.RetryAfter
			if wait == 0 {
				wait = growing.NextBackOff()
			}
			if time.Since(began)+wait > retry.Budget {
				return value, backoff.Permanent(err)
			}
			again(err, wait)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return value, backoff.Permanent(context.Cause(ctx))
			}
		}
	}
}
