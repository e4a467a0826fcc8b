package httpclient

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// busyServer serves so many requests at once and queues the others, first come, first served.
type busyServer struct {
	mu       sync.Mutex
	serves   int
	takes    time.Duration
	jitter   float64 // share of takes; above 1 the times are exponential
	busy     int
	waiting  []chan struct{}
	atOnce   int // the most in flight
	inFlight int
	chance   *rand.Rand // the same in every run
}

func (s *busyServer) RoundTrip(*http.Request) (*http.Response, error) {
	s.mu.Lock()
	if s.chance == nil {
		s.chance = rand.New(rand.NewPCG(1, 2))
	}
	s.inFlight++
	s.atOnce = max(s.atOnce, s.inFlight)
	takes := s.takes + time.Duration((2*s.chance.Float64()-1)*s.jitter*float64(s.takes))
	if s.jitter > 1 {
		takes = time.Duration(s.chance.ExpFloat64() * float64(s.takes))
	}
	if s.busy < s.serves {
		s.busy++
		s.mu.Unlock()
	} else {
		turn := make(chan struct{})
		s.waiting = append(s.waiting, turn)
		s.mu.Unlock()
		<-turn
	}
	time.Sleep(takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	if len(s.waiting) > 0 && s.busy <= s.serves {
		close(s.waiting[0])
		s.waiting = s.waiting[1:]
	} else {
		s.busy--
	}
	return ok("x"), nil
}

func (s *busyServer) set(serves int, takes time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serves, s.takes = serves, takes
}

// load keeps workers busy with requests until the returned function is called.
func load(t *testing.T, client *http.Client, workers int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				resp, err := get(ctx, client)
				if err == nil {
					_ = resp.Body.Close()
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

func get(ctx context.Context, client *http.Client) (*http.Response, error) {
	return getPage(ctx, client, "page")
}

func getPage(ctx context.Context, client *http.Client, class string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(WithTrip(ctx, &Trip{Class: class, API: "table"}), http.MethodGet, "http://x.example/", nil)
	if err != nil {
		return nil, err
	}
	return client.Do(req)
}

func adaptive(t *testing.T, most int, base http.RoundTripper) (*http.Client, *Counters) {
	t.Helper()
	cfg := config()
	cfg.Adaptive, cfg.MaxInFlight, cfg.Base, cfg.Counters = true, most, base, &Counters{}
	return newClient(t, cfg), cfg.Counters
}

// watch returns the least, the mean and the most that the limit was during d.
func watch(c *Counters, d time.Duration) (least int, mean float64, most int) {
	const looks = 1000
	least = c.InFlightLimit()
	for range looks {
		time.Sleep(d / looks)
		now := c.InFlightLimit()
		least, most = min(least, now), max(most, now)
		mean += float64(now) / looks
	}
	return least, mean, most
}

func TestLimitSettlesWhereTheServerIsBusy(t *testing.T) {
	for _, takes := range []time.Duration{200 * time.Millisecond, time.Second, 5 * time.Second} {
		for _, serves := range []int{2, 4, 8} {
			for _, jitter := range []float64{0, 0.3} {
				t.Run(fmt.Sprintf("%d at once, %s each, jitter %.0f %%", serves, takes, 100*jitter), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						server := &busyServer{serves: serves, takes: takes, jitter: jitter}
						client, counters := adaptive(t, 16, server)
						require.Equal(t, 2, counters.InFlightLimit())
						stop := load(t, client, 24)
						defer stop()
						time.Sleep(60 * takes) // to find it
						least, mean, most := watch(counters, max(60*takes, bestAges))
						require.GreaterOrEqual(t, mean, float64(serves), "the server is kept busy")
						require.GreaterOrEqual(t, 2*least, serves, "also where the best latency is measured anew")
						require.LessOrEqual(t, mean, 1.6*float64(serves)+1, "a short queue at the server")
						require.LessOrEqual(t, most, 2*serves+2)
					})
				})
			}
		}
	}
}

// What another size of page takes is first seen while others wait at the server. Taken for the best, it would let the limit grow.
func TestLimitKnowsTheQueueWhenPagesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes = 400 * time.Millisecond
		client, counters := adaptive(t, 16, &busyServer{serves: 4, takes: takes, jitter: 0.1})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		var sent atomic.Int64
		for range 24 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if resp, err := getPage(ctx, client, fmt.Sprintf("page %d", sent.Add(1)/100)); err == nil {
						_ = resp.Body.Close()
					}
				}
			})
		}
		time.Sleep(60 * takes)
		_, mean, most := watch(counters, 500*takes)
		require.GreaterOrEqual(t, mean, 4.0)
		require.LessOrEqual(t, mean, 7.5)
		require.LessOrEqual(t, most, 10)
	})
}

// Times that scatter as widely as chance can make them slow the growth, and are not taken for a queue.
func TestLimitSurvivesWildTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, counters := adaptive(t, 16, &busyServer{serves: 100, takes: time.Second, jitter: 2})
		defer load(t, client, 24)()
		time.Sleep(time.Minute)
		_, mean, _ := watch(counters, 30*time.Minute)
		require.GreaterOrEqual(t, mean, 3.0)
	})
}

func TestLimitGrowsToTheCeilingWhereNothingQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &busyServer{serves: 100, takes: 300 * time.Millisecond, jitter: 0.3}
		client, counters := adaptive(t, 10, server)
		stop := load(t, client, 24)
		time.Sleep(20 * time.Second)
		stop()
		require.Equal(t, 10, counters.InFlightLimit())
		require.Equal(t, 10, counters.InFlightMost())
		require.Equal(t, 10, server.atOnce)
	})
}

func TestLimitDoesNotGrowUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, counters := adaptive(t, 16, &busyServer{serves: 100, takes: 300 * time.Millisecond})
		stop := load(t, client, 3)
		time.Sleep(time.Minute)
		stop()
		require.LessOrEqual(t, counters.InFlightLimit(), 4)
	})
}

func TestLimitFollowsTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &busyServer{serves: 12, takes: time.Second}
		client, counters := adaptive(t, 16, server)
		stop := load(t, client, 24)
		defer stop()
		time.Sleep(2 * time.Minute)
		require.GreaterOrEqual(t, counters.InFlightLimit(), 12)

		server.set(4, time.Second) // others use it too
		time.Sleep(time.Minute)
		least, mean, most := watch(counters, time.Minute)
		require.GreaterOrEqual(t, least, 2)
		require.GreaterOrEqual(t, mean, 3.5)
		require.LessOrEqual(t, most, 8)

		server.set(12, time.Second)
		time.Sleep(2 * time.Minute)
		require.GreaterOrEqual(t, counters.InFlightLimit(), 12)

		server.set(12, 3*time.Second) // slower for all, which is not our doing
		time.Sleep(3 * bestAges)
		require.GreaterOrEqual(t, counters.InFlightLimit(), 12)
	})
}

// What takes different times is not compared.
func TestRequestsOfOtherClassesDoNotHalve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, counters := adaptive(t, 8, roundTripper(func(r *http.Request) (*http.Response, error) {
			takes, _ := time.ParseDuration(r.URL.Query().Get("takes"))
			time.Sleep(takes)
			return ok(""), nil
		}))
		var wg sync.WaitGroup
		for i := range 12 {
			takes := []string{"100ms", "2s", "7s"}[i%3]
			wg.Go(func() {
				for range 60 {
					ctx := WithTrip(t.Context(), &Trip{Class: takes})
					req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://x.example/?takes="+takes, nil)
					if resp, err := client.Do(req); err == nil {
						_ = resp.Body.Close()
					}
				}
			})
		}
		wg.Wait()
		require.Equal(t, 8, counters.InFlightLimit())
	})
}

func refusal(status int, header ...string) *http.Response {
	resp := ok("")
	resp.StatusCode, resp.Status = status, strconv.Itoa(status)
	for i := 0; i < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

// Requests that are refused side by side are one event, and nothing is sent before the time that they name.
func TestAPauseHoldsAllRequestsBackAndEndsOneByOne(t *testing.T) {
	for name, headers := range map[string]func() []string{
		"seconds": func() []string { return []string{"Retry-After", "600"} },
		"reset":   func() []string { return []string{"X-RateLimit-Reset", strconv.FormatInt(time.Now().Unix()+600, 10)} },
		"date": func() []string {
			return []string{"Retry-After", time.Now().Add(600 * time.Second).UTC().Format(http.TimeFormat)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var sent []time.Time
				began, inFlight := time.Now(), 0
				var atOnce []int // behind the pause
				client, counters := adaptive(t, 8, roundTripper(func(*http.Request) (*http.Response, error) {
					mu.Lock()
					sent = append(sent, time.Now())
					inFlight++
					after := time.Since(began)
					if after > 5*time.Minute {
						atOnce = append(atOnce, inFlight)
					}
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					inFlight--
					mu.Unlock()
					if after > 30*time.Second && after < 5*time.Minute {
						return refusal(http.StatusTooManyRequests, headers()...), nil
					}
					return ok(""), nil
				}))
				stop := load(t, client, 20)
				time.Sleep(30 * time.Second)
				require.Equal(t, 8, counters.InFlightLimit())
				time.Sleep(11 * time.Minute)
				stop()
				var last, first time.Time
				for _, at := range sent {
					if at.Sub(began) < 5*time.Minute {
						last = at
					} else if first.IsZero() {
						first = at
					}
				}
				require.GreaterOrEqual(t, first.Sub(last), 10*time.Minute-2*time.Second)
				require.EqualValues(t, 8, counters.RateLimited(), "no more than were in flight")
				require.Equal(t, []int{1, 1, 2}, atOnce[:3], "one, then two")
				require.InDelta(t, 10*time.Minute, counters.RateWait(), float64(5*time.Second), "counted once, not for each request")
			})
		})
	}
}

func TestA429WithoutAHeaderPausesLongerEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sent []time.Time
		full := true
		client, _ := adaptive(t, 1, roundTripper(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			sent = append(sent, time.Now())
			refuses := full
			mu.Unlock()
			if refuses {
				return refusal(http.StatusTooManyRequests), nil
			}
			time.Sleep(time.Second)
			return ok(""), nil
		}))
		stop := load(t, client, 6)
		time.Sleep(time.Hour)
		mu.Lock()
		require.Greater(t, len(sent), 20)
		require.Less(t, len(sent), 45, "no storm")
		require.GreaterOrEqual(t, sent[1].Sub(sent[0]), firstRefusal)
		for i := range sent[1:] {
			require.LessOrEqual(t, sent[i+1].Sub(sent[i]), longestRefusal*3/2)
		}
		full = false
		n := len(sent)
		mu.Unlock()
		time.Sleep(10 * time.Minute)
		stop()
		require.Greater(t, len(sent)-n, 300, "it recovers")
	})
}

func TestHalvesOnceForEachRoundTrip(t *testing.T) {
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			failing := false
			client, counters := adaptive(t, 16, roundTripper(func(*http.Request) (*http.Response, error) {
				time.Sleep(time.Second)
				mu.Lock()
				defer mu.Unlock()
				if failing {
					return refusal(status), nil
				}
				return ok(""), nil
			}))
			stop := load(t, client, 30)
			defer stop()
			time.Sleep(29500 * time.Millisecond) // between two rounds
			require.Equal(t, 16, counters.InFlightLimit())
			mu.Lock()
			failing = true
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			failing = false
			mu.Unlock()
			time.Sleep(100 * time.Millisecond)
			if status == http.StatusServiceUnavailable {
				require.Equal(t, 8, counters.InFlightLimit(), "16 refusals in one round trip")
			}
			time.Sleep(30 * time.Second)
			require.GreaterOrEqual(t, counters.InFlightLimit(), 14, "it finds its way back")
		})
	}
}

// A pause of a day is no rate limit: requests are refused one after the other, and the caller decides.
func TestAnEndlessPauseIsLeftToTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, counters := adaptive(t, 4, roundTripper(func(*http.Request) (*http.Response, error) {
			return refusal(http.StatusTooManyRequests, "Retry-After", "86400"), nil
		}))
		for range 3 {
			resp, err := get(t.Context(), client)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
		require.Zero(t, counters.RateWait())
	})
}

func TestWaitingIsInOrderAndCanBeCancelled(t *testing.T) {
	for _, most := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			type sending struct {
				after  time.Duration
				number int
			}
			var order []sending
			began := time.Now()
			client, _ := adaptive(t, most, roundTripper(func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				n, _ := strconv.Atoi(r.URL.Path[1:])
				order = append(order, sending{time.Since(began), n})
				mu.Unlock()
				time.Sleep(time.Second)
				if r.URL.Path == "/0" {
					return refusal(http.StatusTooManyRequests, "Retry-After", "60"), nil
				}
				return ok(""), nil
			}))
			var wg sync.WaitGroup
			var want, got []int
			for i := range 30 {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i > 3 && i%5 == 0 {
					time.AfterFunc(10*time.Second, cancel) // in the middle of the pause
				} else {
					want = append(want, i)
				}
				wg.Go(func() {
					req, _ := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://x.example/%d", i), nil)
					resp, err := client.Do(req)
					if err == nil {
						_ = resp.Body.Close()
					} else if ctx.Err() == nil {
						t.Error(err)
					}
				})
				time.Sleep(time.Millisecond)
			}
			wg.Wait()
			slices.SortFunc(order, func(a, b sending) int { // those of one moment have no order
				return cmp.Or(cmp.Compare(a.after, b.after), cmp.Compare(a.number, b.number))
			})
			for _, s := range order {
				got = append(got, s.number)
			}
			require.Equal(t, want, got)
		})
	}
}

// A limit of an hour that answers announce is kept from then on, with a margin, and apart for each API.
func TestAnnouncedLimitIsSpread(t *testing.T) {
	for name, c := range map[string]struct{ announced, configured, most int }{
		"announced":          {announced: 500, most: 475},
		"configured is less": {announced: 500, configured: 200, most: 200},
		"configured is more": {announced: 100, configured: 200, most: 95},
		"one":                {announced: 1, most: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var sent []time.Time
				cfg := config()
				cfg.Adaptive, cfg.MaxInFlight, cfg.MaxPerHour = true, 4, c.configured
				cfg.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
					mu.Lock()
					defer mu.Unlock()
					resp := ok("")
					if tripOf(r.Context()).API == "table" {
						sent = append(sent, time.Now())
						resp.Header.Set("X-RateLimit-Limit", strconv.Itoa(c.announced))
					}
					return resp, nil
				})
				client := newClient(t, cfg)
				stop := load(t, client, 3)
				time.Sleep(5 * time.Hour)
				if c.configured == 0 {
					ctx, cancel := context.WithTimeout(WithTrip(t.Context(), &Trip{API: "attachment"}), time.Second)
					defer cancel()
					req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://x.example/", nil)
					stop()
					resp, err := client.Do(req)
					require.NoError(t, err, "no limit was announced for this API")
					require.NoError(t, resp.Body.Close())
				}
				stop()
				const unaware = 3 // sent before the first answer was there
				for i := range max(len(sent)-c.most-unaware, 0) {
					require.GreaterOrEqual(t, sent[i+c.most+unaware].Sub(sent[i]), time.Hour)
				}
				require.GreaterOrEqual(t, len(sent), c.most*4, "and it is used, over 5 hours")
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	const date = "Wed, 01 Jul 2026 10:00:00 GMT"
	for _, c := range []struct {
		headers []string
		want    time.Duration
	}{
		{nil, 0},
		{[]string{"Retry-After", "30"}, 30 * time.Second},
		{[]string{"Retry-After", "0"}, time.Second},
		{[]string{"Retry-After", "-5"}, 0},
		{[]string{"Retry-After", "soon"}, 0},
		{[]string{"Retry-After", "99999999999999999999"}, 0},
		{[]string{"Date", date, "Retry-After", "Wed, 01 Jul 2026 10:02:00 GMT"}, 2 * time.Minute},
		{[]string{"Date", date, "Retry-After", "Wed, 01 Jul 2026 09:00:00 GMT"}, time.Second},
		{[]string{"Date", date, "X-RateLimit-Reset", "1782901800"}, 30 * time.Minute},
		{[]string{"Date", date, "X-RateLimit-Reset", "1782901800", "Retry-After", "5"}, 5 * time.Second},
		{[]string{"Date", date, "X-RateLimit-Reset", "0"}, 0},
	} {
		require.Equal(t, c.want, RetryAfter(refusal(429, c.headers...)), "%v", c.headers) //nolint:bodyclose // made by the test
	}
}
