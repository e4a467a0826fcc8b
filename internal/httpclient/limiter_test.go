package httpclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func ok(body string) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: int64(len(body)),
		Body: io.NopCloser(strings.NewReader(body))}
}

func TestSlotIsHeldUntilBodyIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inFlight, most atomic.Int64
		cfg := config()
		cfg.MaxInFlight = 3
		cfg.Base = roundTripper(func(*http.Request) (*http.Response, error) {
			if n := inFlight.Add(1); n > most.Load() {
				most.Store(n)
			}
			return ok("x"), nil
		})
		client := newClient(t, cfg)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				resp, err := client.Get("http://x.example/")
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.ReadAll(resp.Body)
				time.Sleep(time.Second) // read, and not closed yet
				inFlight.Add(-1)
				_ = resp.Body.Close()
				_ = resp.Body.Close() // must not free a second slot
			})
		}
		wg.Wait()
		require.EqualValues(t, 3, most.Load())
	})
}

func TestSlotIsFreedByErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.MaxInFlight = 1
		cfg.Base = roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("reset") })
		client := newClient(t, cfg)
		for range 3 {
			_, err := client.Get("http://x.example/") //nolint:bodyclose // it is an error
			require.ErrorContains(t, err, "reset")
		}
	})
}

func TestWaitForSlotEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.MaxInFlight = 1
		cfg.Base = roundTripper(func(*http.Request) (*http.Response, error) { return ok(""), nil })
		client := newClient(t, cfg)
		resp, err := client.Get("http://x.example/")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://x.example/", nil)
		_, err = client.Do(req) //nolint:bodyclose // it is an error
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, resp.Body.Close())
	})
}

func TestHourlyBudgetHoldsInEveryWindow(t *testing.T) {
	for _, perHour := range []int{1, 2, 7, 10, 100, 500} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var sent []time.Time
			counters := &Counters{}
			cfg := config()
			cfg.MaxPerHour, cfg.MaxInFlight, cfg.Counters = perHour, 4, counters
			cfg.Base = roundTripper(func(*http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				sent = append(sent, time.Now())
				return ok(""), nil
			})
			client := newClient(t, cfg)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for range perHour {
						resp, err := client.Get("http://x.example/")
						if err != nil {
							t.Error(err)
							return
						}
						_ = resp.Body.Close()
					}
				})
			}
			wg.Wait()
			require.Len(t, sent, 4*perHour)
			for i := range sent[perHour:] {
				require.GreaterOrEqual(t, sent[i+perHour].Sub(sent[i]), time.Hour, "%d requests an hour", perHour)
			}
			require.Positive(t, counters.RateWait())
			require.Less(t, sent[len(sent)-1].Sub(sent[0]), 8*time.Hour, "the budget must not be wasted either")
		})
	}
}

func TestBudgetBeyondDeadlineFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.MaxPerHour = 1
		cfg.Base = roundTripper(func(*http.Request) (*http.Response, error) { return ok(""), nil })
		client := newClient(t, cfg)
		resp, err := client.Get("http://x.example/")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())

		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://x.example/", nil)
		_, err = client.Do(req) //nolint:bodyclose // it is an error
		var budget *BudgetError
		require.ErrorAs(t, err, &budget)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Zero(t, time.Since(start))

		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		req, _ = http.NewRequestWithContext(ctx, http.MethodGet, "http://x.example/", nil)
		_, err = client.Do(req) //nolint:bodyclose // it is an error
		require.ErrorIs(t, err, context.Canceled)

		time.Sleep(61 * time.Minute) // the two that gave up must not have used the budget
		resp, err = client.Get("http://x.example/")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	})
}

func TestReplayPaysFromTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []time.Time
		counters := &Counters{}
		cfg := config()
		cfg.MaxPerHour, cfg.Counters = 1, counters
		cfg.Auth = func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(req *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(req)
				if err != nil {
					return nil, err
				}
				_ = resp.Body.Close()
				return next.RoundTrip(req)
			})
		}
		cfg.Base = roundTripper(func(*http.Request) (*http.Response, error) {
			sent = append(sent, time.Now())
			return ok(""), nil
		})
		resp, err := newClient(t, cfg).Get("http://x.example/")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Len(t, sent, 2)
		require.GreaterOrEqual(t, sent[1].Sub(sent[0]), time.Hour)
		require.EqualValues(t, 2, counters.Requests())
	})
}
