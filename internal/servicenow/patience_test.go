package servicenow_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// direct hands requests to a handler without a network, so that hours pass in no time.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	r.RequestURI = r.URL.RequestURI()
	d.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// adapting returns a client that is set up as in a sync.
func adapting(t *testing.T, handler http.Handler, change func(*httpclient.Config)) *servicenow.Client {
	t.Helper()
	counters := &httpclient.Counters{}
	cfg := httpclient.Config{
		Logger: zerolog.Nop(), MaxBody: 40 << 20, MaxInFlight: 16, Adaptive: true, UserAgent: "test", Counters: counters, Base: direct{handler},
		Auth: func(next http.RoundTripper) http.RoundTripper { return apiKey{next} },
	}
	if change != nil {
		change(&cfg)
	}
	httpClient, err := httpclient.New(cfg)
	require.NoError(t, err)
	return servicenow.New(servicenow.Config{
		BaseURL: &url.URL{Scheme: "http", Host: "127.0.0.1"}, HTTP: httpClient, Counters: counters, Logger: zerolog.Nop(),
	})
}

// loadTwice reads the incidents side by side with as many readers, as a sync reads its tables.
func loadTwice(t *testing.T, e *emulator.Emulator, c *servicenow.Client) {
	t.Helper()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			r := everything("incident")
			r.Pages = servicenow.NewPageSize(2)
			var ids []string
			for page, err := range c.ReadPages(t.Context(), r) {
				if err != nil {
					t.Error(err)
					return
				}
				for _, record := range page.Records {
					key, _ := record.Key()
					ids = append(ids, key.SysID)
				}
			}
			requireSameRows(t, e.SysIDs("incident"), ids)
		})
	}
	wg.Wait()
}

// A load of 1,200 requests from an instance that allows 500 an hour.
func TestALoadWithinARateLimitFinishes(t *testing.T) {
	for name, c := range map[string]struct {
		headers    bool
		configured int
		refusals   int64         // at most
		within     time.Duration // the time at most
	}{
		"announced":     {headers: true, within: 160 * time.Minute},
		"not announced": {refusals: 200, within: 170 * time.Minute},
		"configured":    {configured: 400, within: 200 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := emulator.New(emulator.Config{Incidents: 600 * 2, RateLimit: emulator.RateLimit{Requests: 500, Headers: c.headers}})
				client := adapting(t, e, func(cfg *httpclient.Config) { cfg.MaxPerHour = c.configured })
				began := time.Now()
				loadTwice(t, e, client)
				stats := client.Stats()
				require.LessOrEqual(t, stats.RateLimited, c.refusals)
				require.GreaterOrEqual(t, stats.Requests, int64(1200))
				require.LessOrEqual(t, time.Since(began), c.within)
				require.Greater(t, time.Since(began), 2*time.Hour, "the limit was kept")
				require.Greater(t, stats.RateWait, 90*time.Minute)
				require.LessOrEqual(t, stats.RateWait, time.Since(began))
			})
		})
	}
}

// Another program of the same user draws on the same rule, so that the announced limit says too much.
func TestALoadThatSharesItsRateLimitFinishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := emulator.New(emulator.Config{Incidents: 300 * 2, RateLimit: emulator.RateLimit{Requests: 500, Headers: true}})
		done := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(10 * time.Second):
				}
				r := httptest.NewRequest(http.MethodGet, "/api/now/table/incident?sysparm_limit=1", nil)
				r.Header.Set("Accept", "application/json")
				if resp, err := (apiKey{direct{e}}).RoundTrip(r); err == nil {
					_ = resp.Body.Close()
				}
			}
		})
		client := adapting(t, e, nil)
		loadTwice(t, e, client)
		close(done)
		wg.Wait()
		stats := client.Stats()
		require.Positive(t, stats.RateLimited)
		require.LessOrEqual(t, stats.RateLimited, int64(40), "one or two for each pause")
	})
}

// More refusals in a row than a request has tries.
func TestRateLimitsUseUpNoTries(t *testing.T) {
	for _, kind := range []emulator.FaultKind{emulator.FaultQueueFull, emulator.FaultRateLimited} {
		synctest.Test(t, func(t *testing.T) {
			e := emulator.New(emulator.Config{Incidents: 200})
			client := adapting(t, e, nil)
			e.SetFaults(emulator.Fault{Kind: kind, From: 3, Times: 60, RetryAfter: 30})
			ids, err := read(t, client, everything("incident"))
			require.NoError(t, err)
			requireSameRows(t, e.SysIDs("incident"), ids)
			require.EqualValues(t, 60, client.Stats().RateLimited)
			require.EqualValues(t, 60, client.Stats().Retries)
		})
	}
}

func TestARateLimitThatNeverEndsHasACode(t *testing.T) {
	for _, fault := range []emulator.Fault{
		{Kind: emulator.FaultQueueFull}, {Kind: emulator.FaultRateLimited, RetryAfter: 1200}, {Kind: emulator.FaultRateLimited, RetryAfter: 86400},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := emulator.New(emulator.Config{Incidents: 200})
			client := adapting(t, e, nil)
			e.SetFaults(fault)
			began := time.Now()
			_, err := read(t, client, everything("incident"))
			require.Equal(t, servicenow.CodeRateLimited, usererror.CodeOf(err), "%v", err)
			require.LessOrEqual(t, time.Since(began), servicenow.DefaultRetry().Budget+5*time.Minute)
			require.LessOrEqual(t, len(e.Requests()), 150, "no storm")
		})
	}
}

// Pages that take long are halved, whether they arrive or not.
func TestSlowPagesAreHalved(t *testing.T) {
	for name, c := range map[string]struct {
		rows   int
		perRow time.Duration
		cut    time.Duration // the connection ends after this time
		last   int           // rows asked for in the end
	}{
		"they arrive":         {rows: 3000, perRow: 40 * time.Millisecond, last: 500},
		"a proxy cuts them":   {rows: 2000, perRow: 400 * time.Millisecond, cut: time.Minute, last: 62},
		"they come at 5 s":    {rows: 6000, perRow: 5 * time.Millisecond, last: 1000},
		"they come at once":   {rows: 12500, perRow: time.Millisecond / 10, last: 4000},
		"even quick ones cut": {rows: 3000, perRow: 31 * time.Millisecond, cut: 31 * time.Second, last: 500},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := emulator.New(emulator.Config{Incidents: c.rows, RowLatency: c.perRow})
				client := adapting(t, http.HandlerFunc(e.ServeHTTP), func(cfg *httpclient.Config) {
					next := cfg.Base
					cfg.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
						began := time.Now()
						resp, err := next.RoundTrip(r)
						if took := time.Since(began); err == nil && c.cut > 0 && took >= c.cut {
							return nil, errors.New("connection reset by peer")
						}
						return resp, err
					})
				})
				r := everything("incident")
				r.Pages = servicenow.NewPageSize(0)
				ids, err := read(t, client, r)
				require.NoError(t, err)
				requireSameRows(t, e.SysIDs("incident"), ids)
				require.Equal(t, c.last, client.Stats().PageSize)
			})
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
