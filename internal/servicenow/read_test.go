package servicenow_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// apiKey signs requests in to the emulator; the grants have tests of their own.
type apiKey struct{ next http.RoundTripper }

func (a apiKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("x-sn-apikey", "emulator-key")
	return a.next.RoundTrip(r)
}

// connect serves an emulator and returns a client of it that gives up quickly.
func connect(t *testing.T, cfg emulator.Config) (*emulator.Emulator, *servicenow.Client) {
	t.Helper()
	e := emulator.New(cfg)
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	t.Cleanup(func() { require.Empty(t, e.Violations()) })
	return e, clientOf(t, server.URL, 4<<20)
}

func clientOf(t *testing.T, address string, maxBody int64, with ...func(*httpclient.Config)) *servicenow.Client {
	t.Helper()
	counters := &httpclient.Counters{}
	cfg := httpclient.Config{
		Logger: zerolog.Nop(), MaxBody: maxBody, MaxInFlight: 4, UserAgent: "test", Counters: counters,
		Auth: func(next http.RoundTripper) http.RoundTripper { return apiKey{next} },
	}
	for _, change := range with {
		change(&cfg)
	}
	httpClient, err := httpclient.New(cfg)
	require.NoError(t, err)
	base, err := url.Parse(address)
	require.NoError(t, err)
	return servicenow.New(servicenow.Config{
		BaseURL: base, HTTP: httpClient, Counters: counters, Logger: zerolog.Nop(),
		Refused: func(*http.Response) error { return usererror.New("SN-AUTH-015", "refused", "sign in") },
		Retry:   servicenow.Retry{Tries: 6, First: time.Millisecond, Longest: 5 * time.Millisecond, Budget: 10 * time.Second},
	})
}

func everything(table string) servicenow.Read {
	return servicenow.Read{
		Table: table, Fields: []string{"sys_id", "sys_updated_on"}, Display: servicenow.Values, Pages: servicenow.NewPageSize(50),
		Window: servicenow.Window{Through: time.Now().UTC().Format(servicenow.DateTime)},
	}
}

// read returns the sys_ids in the order in which they came.
func read(t *testing.T, c *servicenow.Client, r servicenow.Read) ([]string, error) {
	t.Helper()
	var ids []string
	for page, err := range c.ReadPages(t.Context(), r) {
		if err != nil {
			return ids, err
		}
		for _, record := range page.Records {
			key, ok := record.Key()
			require.True(t, ok)
			ids = append(ids, key.SysID)
		}
	}
	return ids, nil
}

func requireSameRows(t *testing.T, want, got []string) {
	t.Helper()
	want, got = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
	require.Equal(t, len(want), len(got), "number of rows")
	require.Equal(t, want, got)
}

func TestReadsEveryRowOnceWithoutARequestTooMany(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 1200})
	ids, err := read(t, c, everything("incident"))
	require.NoError(t, err)
	requireSameRows(t, e.SysIDs("incident"), ids)
	require.Len(t, e.Requests(), 24, "1,200 rows in pages of 50; the last page's count proves the end")
}

func TestMoreRowsInOneSecondThanAPageHolds(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 900, TiedShare: 1})
	ids, err := read(t, c, everything("incident"))
	require.NoError(t, err)
	requireSameRows(t, e.SysIDs("incident"), ids)
}

func TestGoesOnBehindAKey(t *testing.T) {
	_, c := connect(t, emulator.Config{Incidents: 600})
	whole, err := read(t, c, everything("incident"))
	require.NoError(t, err)
	for _, at := range []int{0, 130, 299, 598} {
		r := everything("incident")
		list, err := c.ListRecords(t.Context(), "incident", servicenow.ListOptions{
			Query: servicenow.Where(servicenow.Clause{Field: "sys_id", Operator: "=", Value: whole[at]}), Fields: r.Fields, Display: servicenow.Values, Limit: 2,
		})
		require.NoError(t, err)
		r.Window.After, _ = list.Records[0].Key()
		rest, err := read(t, c, r)
		require.NoError(t, err)
		require.Equal(t, whole[at+1:], rest)
	}
}

func TestRowSecurityNeverEndsATable(t *testing.T) {
	for name, hide := range map[string]func(i int, id string) bool{
		"every third row":                          func(i int, _ string) bool { return i%3 == 0 },
		"all but a few rows, pages empty in a row": func(i int, _ string) bool { return i%211 != 0 },
		"the first half":                           func(i int, _ string) bool { return i < 600 },
		"the second half":                          func(i int, _ string) bool { return i >= 600 },
		"every row":                                func(int, string) bool { return true },
		"by sys_id, within the tied second too":    func(_ int, id string) bool { return id[0] != '7' },
	} {
		t.Run(name, func(t *testing.T) {
			e, c := connect(t, emulator.Config{Incidents: 1200, TiedShare: 0.5})
			order, err := read(t, c, everything("incident"))
			require.NoError(t, err)
			var shown []string
			hidden := map[string]bool{}
			for i, id := range order {
				if hidden[id] = hide(i, id); !hidden[id] {
					shown = append(shown, id)
				}
			}
			e.HideRows("incident", func(id string, _ func(string) string) bool { return hidden[id] })
			e.ResetRequests()
			ids, err := read(t, c, everything("incident"))
			require.NoError(t, err)
			require.Equal(t, shown, ids)
			require.Less(t, len(e.Requests()), 200, "the work is bounded")
		})
	}
}

func TestCountsFromTheAggregateAPIWhereListsCarryNone(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 300})
	e.OmitTotalCount(true)
	e.HideRows("incident", func(id string, _ func(string) string) bool { return id[0] < '8' })
	ids, err := read(t, c, everything("incident"))
	require.NoError(t, err)
	var shown []string
	for _, id := range e.SysIDs("incident") {
		if id[0] >= '8' {
			shown = append(shown, id)
		}
	}
	requireSameRows(t, shown, ids)
}

func TestRowsThatChangeDuringPagingLeaveTheWindowAndNoOthersWithThem(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 1000})
	all := e.SysIDs("incident")
	touched := map[string]bool{}
	r := everything("incident")
	r.Window.Through = time.Now().UTC().Add(-time.Second).Format(servicenow.DateTime)
	var n atomic.Int64
	e.OnRequest(func(int, *http.Request) {
		i := int(n.Add(1)) * 37
		id := all[i%len(all)]
		touched[id] = true
		e.Update("incident", id, map[string]string{"state": "2"})
		e.Insert("incident", map[string]string{"short_description": "new"})
	})
	ids, err := read(t, c, r)
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, id := range ids {
		require.False(t, seen[id], "twice")
		seen[id] = true
	}
	for _, id := range all {
		require.True(t, seen[id] || touched[id], "a row that did not change was lost")
	}
}

func TestStrayRows(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 300})
	var stray []string
	for i, id := range e.SysIDs("incident") {
		switch i % 3 {
		case 0:
			e.Update("incident", id, map[string]string{"sys_updated_on": ""})
			stray = append(stray, id)
		case 1:
			e.Update("incident", id, map[string]string{"sys_updated_on": "2099-01-01 00:00:00"})
			stray = append(stray, id)
		}
	}
	dated, err := read(t, c, everything("incident"))
	require.NoError(t, err)
	require.Len(t, dated, 100)
	r := everything("incident")
	r.Window.Stray = true
	ids, err := read(t, c, r)
	require.NoError(t, err)
	requireSameRows(t, stray, ids)
	// Hidden ones among them, whole pages in a row.
	e.HideRows("incident", func(id string, _ func(string) string) bool { return id[0] < 'c' })
	ids, err = read(t, c, r)
	require.NoError(t, err)
	var shown []string
	for _, id := range stray {
		if id[0] >= 'c' {
			shown = append(shown, id)
		}
	}
	require.NotEmpty(t, shown)
	requireSameRows(t, shown, ids)
}

// between serves an emulator behind a handler that may change what passes.
func between(t *testing.T, cfg emulator.Config, handle func(e *emulator.Emulator, w http.ResponseWriter, r *http.Request)) (*emulator.Emulator, *servicenow.Client) {
	t.Helper()
	e := emulator.New(cfg)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(e, w, r) }))
	t.Cleanup(server.Close)
	return e, clientOf(t, server.URL, 4<<20)
}

func hideFirst(t *testing.T, e *emulator.Emulator, c *servicenow.Client, n int) (shown []string) {
	t.Helper()
	order, err := read(t, c, everything("incident"))
	require.NoError(t, err)
	hidden := map[string]bool{}
	for _, id := range order[:n] {
		hidden[id] = true
	}
	e.HideRows("incident", func(id string, _ func(string) string) bool { return hidden[id] })
	return order[n:]
}

func TestACountThatFailsIsNotTheEnd(t *testing.T) {
	down := false
	e, c := between(t, emulator.Config{Incidents: 300}, func(e *emulator.Emulator, w http.ResponseWriter, r *http.Request) {
		if down && strings.HasPrefix(r.URL.Path, "/api/now/stats/") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		e.ServeHTTP(w, r)
	})
	hideFirst(t, e, c, 100)
	e.OmitTotalCount(true)
	down = true
	_, err := read(t, c, everything("incident"))
	require.Equal(t, servicenow.CodeUnavailable, usererror.CodeOf(err), "%v", err)
}

func TestASmallerPageThanAskedForIsNotTheEnd(t *testing.T) {
	e, c := between(t, emulator.Config{Incidents: 700}, func(e *emulator.Emulator, w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("sysparm_limit") == "500" {
			q.Set("sysparm_limit", "150")
			r.URL.RawQuery = q.Encode()
		}
		e.ServeHTTP(w, r)
	})
	shown := hideFirst(t, e, c, 300)
	r := everything("incident")
	r.Pages = servicenow.NewPageSize(500)
	ids, err := read(t, c, r)
	require.NoError(t, err)
	require.Equal(t, shown, ids)
}

func TestCountsThatNeverFallEndWithACode(t *testing.T) {
	requests := 0
	_, c := between(t, emulator.Config{}, func(_ *emulator.Emulator, w http.ResponseWriter, _ *http.Request) {
		requests++
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Total-Count", "5000")
		_, _ = w.Write([]byte(`{"result":[]}`))
	})
	for _, stray := range []bool{false, true} {
		r := everything("incident")
		r.Window.Stray = stray
		_, err := read(t, c, r)
		require.Equal(t, servicenow.CodeCountUnproven, usererror.CodeOf(err), "%v", err)
		require.Less(t, requests, 1000)
	}
}

func TestRowsWithoutEndEndWithACode(t *testing.T) {
	next := 0
	_, c := between(t, emulator.Config{}, func(_ *emulator.Emulator, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Total-Count", "30000")
		body := []byte(`{"result":[`)
		for i := range 20000 {
			if i > 0 {
				body = append(body, ',')
			}
			next++
			body = fmt.Appendf(body, `{"sys_id":"%032x","sys_updated_on":"2020-01-01 00:00:00"}`, next)
		}
		_, _ = w.Write(append(body, "]}"...))
	})
	r := everything("incident")
	r.Pages = servicenow.NewPageSize(10000)
	rows := 0
	for page, err := range c.ReadPages(t.Context(), r) {
		if err != nil {
			require.Equal(t, servicenow.CodeEndless, usererror.CodeOf(err), "%v", err)
			require.Greater(t, rows, 500_000)
			return
		}
		rows += len(page.Records)
	}
	t.Fatal("the reading ended")
}

func TestARowThatChangesWhileItsPageIsWrittenIsAskedForAgain(t *testing.T) {
	odd := true
	e, c := between(t, emulator.Config{Incidents: 300}, func(e *emulator.Emulator, w http.ResponseWriter, r *http.Request) {
		if !odd || r.URL.Query().Get("sysparm_limit") != "50" {
			e.ServeHTTP(w, r)
			return
		}
		odd = false
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"result":[{"sys_id":"a","sys_updated_on":"2099-01-01 00:00:00"}]}`))
	})
	ids, err := read(t, c, everything("incident"))
	require.NoError(t, err)
	requireSameRows(t, e.SysIDs("incident"), ids)
}

func TestAFailureWithoutAnErrorIsNoPage(t *testing.T) {
	_, c := between(t, emulator.Config{}, func(_ *emulator.Emulator, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Total-Count", "0")
		_, _ = w.Write([]byte(`{"result":[],"status":"failure"}`))
	})
	_, err := read(t, c, everything("incident"))
	require.Equal(t, servicenow.CodeCutAnswers, usererror.CodeOf(err), "%v", err)
}

func transientFaults() []emulator.FaultKind {
	return []emulator.FaultKind{
		emulator.FaultPartialResult, emulator.FaultPartialCut, emulator.FaultEmptyWithError, emulator.FaultCutBody, emulator.FaultCutReset,
		emulator.FaultCutGzip, emulator.FaultHibernating, emulator.FaultAccepted, emulator.FaultReset, emulator.FaultQueueFull,
		emulator.FaultCancelled, emulator.FaultBadGateway, emulator.FaultUnavailable, emulator.FaultGatewayTimeout, emulator.FaultSlowBody,
	}
}

// endlessFaults are what a request ends with when a fault stays. A 429 is not among them: see patience_test.go.
func endlessFaults() map[emulator.FaultKind]string {
	return map[emulator.FaultKind]string{
		emulator.FaultPartialResult:  servicenow.CodeCancelled,
		emulator.FaultEmptyWithError: servicenow.CodeCancelled,
		emulator.FaultCutBody:        servicenow.CodeCutAnswers,
		emulator.FaultCutReset:       servicenow.CodeUnavailable,
		emulator.FaultHibernating:    servicenow.CodeNotJSON,
		emulator.FaultAccepted:       servicenow.CodeSessionQueueFull,
		emulator.FaultReset:          servicenow.CodeUnavailable,
		emulator.FaultCancelled:      servicenow.CodeCancelled,
		emulator.FaultUnavailable:    servicenow.CodeUnavailable,
		emulator.FaultForbidden:      servicenow.CodeTableForbidden,
		emulator.FaultNotFound:       servicenow.CodeRefused,
		emulator.FaultPaginationURL:  servicenow.CodeURLTooLong,
		emulator.FaultURITooLong:     servicenow.CodeURLTooLong,
		emulator.FaultTokenExpired:   "SN-AUTH-015",
	}
}

func TestTransientFaultsLoseNothing(t *testing.T) {
	for _, kind := range transientFaults() {
		for _, every := range []int{2, 7} {
			t.Run(fmt.Sprintf("%v every %d", kind, every), func(t *testing.T) {
				e, c := connect(t, emulator.Config{Incidents: 700})
				e.SetFaults(emulator.Fault{Kind: kind, Every: every, Delay: 10 * time.Millisecond})
				ids, err := read(t, c, everything("incident"))
				require.NoError(t, err)
				requireSameRows(t, e.SysIDs("incident"), ids)
			})
		}
	}
}

func TestAServerThatNeverRecoversEndsWithACode(t *testing.T) {
	for kind, code := range endlessFaults() {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			e, c := connect(t, emulator.Config{Incidents: 700})
			e.SetFaults(emulator.Fault{Kind: kind, Every: 1, From: 4})
			ids, err := read(t, c, everything("incident"))
			require.Equal(t, code, usererror.CodeOf(err), "%v", err)
			require.LessOrEqual(t, len(ids), 150, "what came before the fault")
			require.LessOrEqual(t, len(e.Requests()), 3+6+3, "as many tries as allowed")
		})
	}
}

func TestWaitsAsLongAsARateLimitAsks(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 300})
	e.SetFaults(emulator.Fault{Kind: emulator.FaultRateLimited, From: 3, Times: 1, RetryAfter: 1})
	began := time.Now()
	ids, err := read(t, c, everything("incident"))
	require.NoError(t, err)
	requireSameRows(t, e.SysIDs("incident"), ids)
	require.GreaterOrEqual(t, time.Since(began), time.Second)
	require.Equal(t, int64(1), c.Stats().Retries)

	e.SetFaults(emulator.Fault{Kind: emulator.FaultRateLimited, RetryAfter: 3600})
	began = time.Now()
	_, err = read(t, c, everything("incident"))
	require.Equal(t, servicenow.CodeRateLimited, usererror.CodeOf(err))
	require.Less(t, time.Since(began), time.Second, "a wait beyond the budget is not begun")
}

func TestRowsThatWereNotAskedForAreAnError(t *testing.T) {
	for kind, code := range map[emulator.FaultKind]string{
		emulator.FaultDroppedWindow: servicenow.CodeOutsideWindow,
		emulator.FaultWrongOrder:    servicenow.CodeOutOfOrder,
	} {
		e, c := connect(t, emulator.Config{Incidents: 700})
		e.SetFaults(emulator.Fault{Kind: kind, Every: 1, From: 3})
		_, err := read(t, c, everything("incident"))
		require.Contains(t, []string{code, servicenow.CodeOutsideWindow}, usererror.CodeOf(err), "%v: %v", kind, err)
	}
}

// What is looked up by its ids is not there, or is something else: the first is an answer, the second is none.
func TestAListOfOtherRecordsIsAnError(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 700})
	ids := e.SysIDs("incident")[300:320]
	list := func() (*servicenow.List, error) {
		return c.ListAmong(t.Context(), "incident", "sys_id", append(slices.Clone(ids), "0"), servicenow.ListOptions{
			Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: 30,
		})
	}
	e.SetFaults(emulator.Fault{Kind: emulator.FaultDroppedWindow, Times: 2})
	found, err := list()
	require.NoError(t, err)
	require.Len(t, found.Records, len(ids))
	e.SetFaults(emulator.Fault{Kind: emulator.FaultDroppedWindow})
	_, err = list()
	require.Equal(t, servicenow.CodeOutsideWindow, usererror.CodeOf(err))
}

func TestHiddenKeyFields(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 100})
	e.HideFields("incident", "sys_updated_on")
	_, err := read(t, c, everything("incident"))
	require.Equal(t, servicenow.CodeKeyHidden, usererror.CodeOf(err), "%v", err)
}

func TestTableErrors(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 100})
	_, err := read(t, c, everything("no_such_table"))
	require.Equal(t, servicenow.CodeTableUnknown, usererror.CodeOf(err))
	e.DenyTable("incident", emulator.DenyForbidden)
	_, err = read(t, c, everything("incident"))
	require.Equal(t, servicenow.CodeTableForbidden, usererror.CodeOf(err))
	_, err = c.Count(t.Context(), "incident", servicenow.Query{})
	require.Equal(t, servicenow.CodeTableForbidden, usererror.CodeOf(err))
}

func TestPagesShrinkUntilTheyFit(t *testing.T) {
	e := emulator.New(emulator.Config{Incidents: 300})
	server := httptest.NewServer(e)
	defer server.Close()
	c := clientOf(t, server.URL, 64<<10)
	r := everything("incident")
	r.Fields, r.Pages = nil, servicenow.NewPageSize(200)
	ids, err := read(t, c, r)
	require.NoError(t, err)
	requireSameRows(t, e.SysIDs("incident"), ids)

	c = clientOf(t, server.URL, 500)
	r.Pages = servicenow.NewPageSize(10000)
	_, err = read(t, c, r)
	require.Equal(t, servicenow.CodeRecordTooLarge, usererror.CodeOf(err), "%v", err)
}

func TestCancel(t *testing.T) {
	_, c := connect(t, emulator.Config{Incidents: 500, RequestLatency: 20 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pages := 0
	var last error
	for _, err := range c.ReadPages(ctx, everything("incident")) {
		if last = err; err != nil {
			break
		}
		if pages++; pages == 2 {
			cancel()
		}
	}
	require.True(t, errors.Is(last, context.Canceled), "%v", last)
	require.Equal(t, 2, pages)
}

func TestErrorsHoldNoQuery(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 100})
	r := everything("incident")
	r.Query = servicenow.Where(servicenow.Clause{Field: "short_description", Operator: "LIKE", Value: "canary-value"})
	for kind := range endlessFaults() {
		e.SetFaults(emulator.Fault{Kind: kind, Every: 1})
		_, err := read(t, c, r)
		require.Error(t, err)
		require.False(t, strings.Contains(err.Error(), "canary"), "%v", err)
	}
}

// A range of sys_ids holds what lies in it, whatever the stamps, also while rows change.
func TestReadByID(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 500, Attachments: -1})
	ids := e.SysIDs("incident")
	e.Update("incident", ids[3], map[string]string{"sys_updated_on": ""})
	e.HideRows("incident", func(id string, _ func(string) string) bool { return id >= ids[100] && id < ids[180] })
	n := 0
	e.OnRequest(func(int, *http.Request) {
		n++
		e.Update("incident", ids[n], map[string]string{"state": "2"})
	})
	for _, r := range []struct {
		after, through string
		want           []string
	}{
		{"", "", append(slices.Clone(ids[:100]), ids[180:]...)},
		{ids[10], ids[200], append(slices.Clone(ids[11:100]), ids[180:201]...)},
		{ids[499], "", nil},
	} {
		read := everything("incident")
		read.Pages = servicenow.NewPageSize(30)
		read.Window, read.IDs = servicenow.Window{ByID: true}, servicenow.IDRange{Above: r.after, Through: r.through}
		var got []string
		for page, err := range c.ReadPages(t.Context(), read) {
			require.NoError(t, err)
			for _, record := range page.Records {
				id, _ := record.Text("sys_id")
				got = append(got, id)
			}
		}
		require.Equal(t, r.want, got)
	}
}

func TestReadByAnotherStamp(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 20, Attachments: -1})
	read := servicenow.Read{
		Table: "sys_audit_delete", Fields: []string{"sys_id", "sys_created_on"}, Display: servicenow.Values, Stamp: "sys_created_on",
		Pages: servicenow.NewPageSize(3), Window: servicenow.Window{Through: "2099-01-01 00:00:00"},
	}
	rows := 0
	for page, err := range c.ReadPages(t.Context(), read) {
		require.NoError(t, err)
		rows += len(page.Records)
	}
	require.Equal(t, len(e.SysIDs("sys_audit_delete")), rows)
}

func TestSums(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 50, Attachments: -1})
	var want servicenow.Sums
	ids := e.SysIDs("incident")
	for _, id := range ids[:20] {
		record, _ := e.Record("incident", id)
		updates, err := strconv.ParseInt(record["sys_mod_count"], 10, 64)
		require.NoError(t, err)
		want.Rows++
		want.Updates += updates
		want.Latest = max(want.Latest, record["sys_updated_on"])
	}
	sums, err := c.Sum(t.Context(), "incident", servicenow.Where(servicenow.Clause{Field: "sys_id", Operator: "<=", Value: ids[19]}))
	require.NoError(t, err)
	require.Equal(t, want, sums)
	sums, err = c.Sum(t.Context(), "incident", servicenow.Where(servicenow.Clause{Field: "sys_id", Operator: "=", Value: "0"}))
	require.NoError(t, err)
	require.Zero(t, sums)
}
