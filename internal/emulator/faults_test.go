package emulator

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const page = "/api/now/table/incident"

// pageOf is an ordered page of 20.
func pageOf(h *harness, more ...string) answer {
	return h.get(page, append([]string{"sysparm_query", "ORDERBYsys_id", "sysparm_limit", "20"}, more...)...)
}

// decoded is what a careful client reads of a body.
func decoded(a answer) (rows int, failed bool, err error) {
	var body struct {
		Result []map[string]any
		Error  *struct{ Message string }
	}
	err = json.Unmarshal(a.body, &body)
	return len(body.Result), body.Error != nil, err
}

func TestFaultsThatAreTheWholeAnswer(t *testing.T) {
	h := start(t, Config{Incidents: 50})
	for _, c := range []struct {
		kind   FaultKind
		status int
		html   bool
		holds  string
	}{
		{FaultHibernating, 200, true, "Instance Hibernating page"},
		{FaultAccepted, 202, false, ""},
		{FaultTokenExpired, 401, false, "User Not Authenticated"},
		{FaultForbidden, 403, false, "Insufficient rights"},
		{FaultNotFound, 404, false, "No Record found"},
		{FaultPaginationURL, 400, false, "too long to build the response pagination header"},
		{FaultURITooLong, 414, true, ""},
		{FaultRateLimited, 429, false, "Rate limit exceeded"},
		{FaultQueueFull, 429, false, "Too many"},
		{FaultCancelled, 500, false, "Transaction cancelled"},
		{FaultBadGateway, 502, true, "502"},
		{FaultUnavailable, 503, true, "503"},
		{FaultGatewayTimeout, 504, true, "504"},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			h.ResetRequests()
			h.SetFaults(Fault{Kind: c.kind, Times: 1, RetryAfter: 7})
			a := pageOf(h)
			require.NoError(t, a.err)
			require.Equal(t, c.status, a.StatusCode)
			require.Equal(t, c.html, strings.HasPrefix(a.Header.Get("Content-Type"), "text/html"))
			require.Contains(t, string(a.body), c.holds)
			if c.kind == FaultAccepted {
				require.Empty(t, a.body)
			}
			require.Equal(t, c.kind == FaultRateLimited, a.Header.Get("X-RateLimit-Reset") != "")
			require.Equal(t, c.kind == FaultRateLimited || c.kind == FaultBadGateway || c.kind == FaultUnavailable, a.Header.Get("Retry-After") == "7")
			require.Equal(t, c.kind, h.Requests()[0].Fault)
			require.Len(t, h.rows(pageOf(h)), 20, "the retry is served")
		})
	}
}

func TestFaultsWithinABody(t *testing.T) {
	h := start(t, Config{Incidents: 50})
	whole := pageOf(h)
	want := h.rows(whole)
	ids := func(rows []map[string]any) (ids []string) {
		for _, row := range rows {
			ids = append(ids, row["sys_id"].(string))
		}
		return ids
	}
	once := func(kind FaultKind, more ...string) answer {
		h.SetFaults(Fault{Kind: kind, Times: 1, Share: 0.3, Delay: 200 * time.Millisecond})
		return pageOf(h, more...)
	}

	a := once(FaultPartialResult)
	rows, failed, err := decoded(a)
	require.NoError(t, err)
	require.True(t, failed)
	require.Equal(t, 6, rows)
	require.Equal(t, 200, a.StatusCode)

	a = once(FaultPartialCut)
	_, _, err = decoded(a)
	require.Error(t, err)
	require.NoError(t, a.err)
	require.Contains(t, string(a.body), cancelledMessage)

	a = once(FaultEmptyWithError)
	rows, failed, err = decoded(a)
	require.NoError(t, err)
	require.True(t, failed)
	require.Zero(t, rows)

	a = once(FaultCutBody)
	require.NoError(t, a.err, "the connection ends normally")
	require.Less(t, len(a.body), len(whole.body)/2)
	require.True(t, strings.HasPrefix(string(whole.body), string(a.body[:20])))
	_, _, err = decoded(a)
	require.Error(t, err)

	a = once(FaultCutReset)
	require.Error(t, a.err)
	require.NotEmpty(t, a.body)

	a = once(FaultCutGzip)
	require.Error(t, a.err)

	begun := time.Now()
	a = once(FaultSlowBody)
	require.Equal(t, ids(want), ids(h.rows(a)))
	require.Greater(t, time.Since(begun), 150*time.Millisecond)

	a = once(FaultWrongOrder)
	got := ids(h.rows(a))
	require.NotEqual(t, ids(want), got)
	require.ElementsMatch(t, ids(want), got)

	window := "sys_updated_on>=2030-01-01 00:00:00^sys_updated_on>2030-01-01 00:00:00^ORsys_id>0^ORDERBYsys_updated_on^ORDERBYsys_id"
	require.Empty(t, h.ids("incident", window))
	require.Len(t, h.rows(once(FaultDroppedWindow, "sysparm_query", window, "sysparm_limit", "30")), 30)

	h.server.Client().CloseIdleConnections() // on a reused one the transport would try again by itself
	a = once(FaultReset)
	require.Error(t, a.err)
	require.Nil(t, a.Response)
	require.Zero(t, h.Requests()[len(h.Requests())-1].Status)

	require.Equal(t, ids(want), ids(h.rows(pageOf(h))), "and all is well again")
}

func TestResetsAreTCPResets(t *testing.T) {
	h := start(t, Config{Incidents: 5})
	h.SetFaults(Fault{Kind: FaultReset})
	connection, err := net.Dial("tcp", strings.TrimPrefix(h.server.URL, "http://"))
	require.NoError(t, err)
	defer connection.Close()
	_, err = connection.Write([]byte("GET " + page + " HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nx-sn-apikey: emulator-key\r\n\r\n"))
	require.NoError(t, err)
	_, err = bufio.NewReader(connection).ReadByte()
	require.ErrorContains(t, err, "reset")
}

func TestExpiredTokensStayExpired(t *testing.T) {
	h := start(t, Config{Incidents: 5})
	_, issued := h.token("grant_type", "client_credentials")
	h.SetFaults(Fault{Kind: FaultTokenExpired, From: 2, Times: 1})
	require.Equal(t, 200, h.bearerStatus(issued.AccessToken))
	require.Equal(t, 401, h.bearerStatus(issued.AccessToken))
	require.Equal(t, 401, h.bearerStatus(issued.AccessToken))
	_, fresh := h.token("grant_type", "client_credentials")
	require.Equal(t, 200, h.bearerStatus(fresh.AccessToken))
}

func TestTokenEndpointFaults(t *testing.T) {
	h := start(t, Config{Incidents: 5})
	h.SetFaults(Fault{Kind: FaultTokenHibernating, Times: 1}, Fault{Kind: FaultTokenUnavailable, From: 2, Times: 1}, Fault{Kind: FaultTokenReset, From: 3, Times: 1})
	a, _ := h.token("grant_type", "client_credentials")
	require.Equal(t, 200, a.StatusCode)
	require.Contains(t, string(a.body), "Hibernating")
	a, _ = h.token("grant_type", "client_credentials")
	require.Equal(t, 503, a.StatusCode)
	a, _ = h.token("grant_type", "client_credentials")
	require.Error(t, a.err)
	_, answer := h.token("grant_type", "client_credentials")
	require.NotEmpty(t, answer.AccessToken)
}

func TestFaultSchedules(t *testing.T) {
	h := start(t, Config{Incidents: 5})
	statuses := func(n int, path string) (statuses []int) {
		for range n {
			statuses = append(statuses, h.get(path).StatusCode)
		}
		return statuses
	}
	h.SetFaults(Fault{Kind: FaultForbidden, Every: 3})
	require.Equal(t, []int{200, 200, 403, 200, 200, 403}, statuses(6, page))
	h.SetFaults(Fault{Kind: FaultForbidden, Every: 2, From: 3, Times: 1})
	require.Equal(t, []int{200, 200, 200, 403, 200, 200}, statuses(6, page))
	h.SetFaults(Fault{Kind: FaultForbidden, Table: "problem"}, Fault{Kind: FaultNotFound, Every: 2})
	require.Equal(t, []int{200, 404}, statuses(2, page))
	require.Equal(t, []int{403}, statuses(1, "/api/now/table/problem"))
	h.SetFaults()
	require.Equal(t, []int{200}, statuses(1, page))
}

func TestHookSeesEveryAPIRequest(t *testing.T) {
	h := start(t, Config{Incidents: 5})
	var seen []int
	h.OnRequest(func(n int, r *http.Request) {
		seen = append(seen, n)
		if n == 2 {
			h.Insert("incident", map[string]string{"short_description": "in mid-sync"})
		}
	})
	require.Len(t, h.ids("incident", ""), 5)
	h.token("grant_type", "client_credentials")
	require.Len(t, h.ids("incident", ""), 6)
	require.Equal(t, []int{1, 2}, seen)
}

func TestLatency(t *testing.T) {
	h := start(t, Config{Incidents: 20, RequestLatency: 30 * time.Millisecond, RowLatency: 2 * time.Millisecond})
	begun := time.Now()
	require.Len(t, h.rows(pageOf(h)), 20)
	require.Greater(t, time.Since(begun), 65*time.Millisecond)
}

func TestOffsetsSlowDownWithDepth(t *testing.T) {
	h := start(t, Config{Incidents: 200, OffsetLatency: time.Millisecond})
	begun := time.Now()
	require.Len(t, h.rows(pageOf(h, "sysparm_offset", "100")), 20)
	require.Greater(t, time.Since(begun), 100*time.Millisecond)
}

func TestOnlySoManyAreServedAtOnce(t *testing.T) {
	h := start(t, Config{Incidents: 5, RequestLatency: 20 * time.Millisecond, ServedAtOnce: 2})
	begun := time.Now()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { pageOf(h) })
	}
	wg.Wait()
	require.Greater(t, time.Since(begun), 80*time.Millisecond, "four rounds of two")
	for _, r := range h.Requests() {
		require.GreaterOrEqual(t, r.Took, 20*time.Millisecond)
	}
}

func TestFaultsHitFilesToo(t *testing.T) {
	h := start(t, Config{Incidents: 5, Attachments: -1})
	content := []byte(strings.Repeat("0123456789", 500))
	id := h.Attach("incident", h.SysIDs("incident")[0], "a.txt", "text/plain", content)
	file := "/api/now/attachment/" + id + "/file"
	fetch := func(kind FaultKind) answer {
		h.SetFaults(Fault{Kind: kind, Times: 1})
		return h.get(file)
	}
	a := fetch(FaultCorruptFile)
	require.Len(t, a.body, len(content))
	require.NotEqual(t, content, a.body)
	a = fetch(FaultCutBody)
	require.NoError(t, a.err)
	require.Equal(t, content[:2500], a.body)
	a = fetch(FaultCutReset)
	require.Error(t, a.err)
	require.Equal(t, content, h.get(file).body)
}

func TestNoFaultKindIsForgotten(t *testing.T) {
	// Every kind does something to a page, a file or a token; this guards the lists above.
	h := start(t, Config{Incidents: 50})
	for _, kind := range []FaultKind{
		FaultPartialResult, FaultPartialCut, FaultEmptyWithError, FaultCutBody, FaultCutReset, FaultCutGzip, FaultHibernating, FaultAccepted,
		FaultReset, FaultTokenExpired, FaultForbidden, FaultNotFound, FaultPaginationURL, FaultURITooLong, FaultRateLimited, FaultQueueFull,
		FaultCancelled, FaultBadGateway, FaultUnavailable, FaultGatewayTimeout, FaultWrongOrder, FaultCorruptFile,
	} {
		h.server.Client().CloseIdleConnections()
		h.SetFaults(Fault{Kind: kind, Times: 1})
		want := pageOf(h, "sysparm_fields", "sys_id")
		got := pageOf(h, "sysparm_fields", "sys_id")
		require.False(t, want.err == nil && want.StatusCode == got.StatusCode && slices.Equal(want.body, got.body), kind)
	}
}
