package emulator

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fixedNow is the clock of tests that look at dates.
func fixedNow() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// harness is an emulator behind a real listener.
type harness struct {
	*Emulator
	t      *testing.T
	server *httptest.Server
}

func start(t *testing.T, cfg Config) *harness {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = fixedNow
	}
	h := &harness{Emulator: New(cfg), t: t}
	h.server = httptest.NewServer(h.Emulator)
	t.Cleanup(h.server.Close)
	return h
}

// answer is a response, read to its end.
type answer struct {
	*http.Response
	body []byte
	err  error // of reading the body, or of the request
}

func (h *harness) get(path string, params ...string) answer {
	h.t.Helper()
	return h.getWith(path, nil, params...)
}

// getWith sends a request signed in by API key, with more headers.
func (h *harness) getWith(path string, header http.Header, params ...string) answer {
	h.t.Helper()
	query := url.Values{}
	for i := 0; i < len(params); i += 2 {
		query.Set(params[i], params[i+1])
	}
	target := h.server.URL + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r, err := http.NewRequest(http.MethodGet, target, nil)
	require.NoError(h.t, err)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("x-sn-apikey", "emulator-key")
	for name, values := range header {
		r.Header[name] = values
	}
	return h.do(r)
}

func (h *harness) do(r *http.Request) answer {
	h.t.Helper()
	response, err := h.server.Client().Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{Response: response, body: body, err: err}
}

// rows decodes a list answer.
func (h *harness) rows(a answer) []map[string]any {
	h.t.Helper()
	require.NoError(h.t, a.err)
	require.Equal(h.t, http.StatusOK, a.StatusCode, string(a.body))
	var decoded struct{ Result []map[string]any }
	require.NoError(h.t, json.Unmarshal(a.body, &decoded), string(a.body))
	return decoded.Result
}

// ids lists the sys_ids a query finds, in order.
func (h *harness) ids(table, query string) []string {
	h.t.Helper()
	var ids []string
	for _, row := range h.rows(h.get("/api/now/table/"+table, "sysparm_query", query, "sysparm_fields", "sys_id")) {
		ids = append(ids, row["sys_id"].(string))
	}
	return ids
}

func TestSeedIsDeterministicAndVaried(t *testing.T) {
	one, two, other := New(Config{Seed: 7, Now: fixedNow}), New(Config{Seed: 7, Now: fixedNow}), New(Config{Seed: 8, Now: fixedNow})
	require.Equal(t, one.SysIDs("incident"), two.SysIDs("incident"))
	require.NotEqual(t, one.SysIDs("incident")[0], other.SysIDs("incident")[0])
	require.Len(t, one.SysIDs("incident"), 1200)
	require.Len(t, one.SysIDs("sys_attachment"), 60)

	filled := map[string]int{}
	tied := map[string]int{}
	for _, id := range one.SysIDs("incident") {
		require.Regexp(t, "^[0-9a-f]{32}$", id)
		record, ok := one.Record("incident", id)
		require.True(t, ok)
		again, _ := two.Record("incident", id)
		require.Equal(t, record, again)
		require.LessOrEqual(t, record["sys_created_on"], record["sys_updated_on"])
		tied[record["sys_updated_on"]]++
		for field, value := range record {
			if value != "" {
				filled[field]++
			}
		}
	}
	most := 0
	for _, n := range tied {
		most = max(most, n)
	}
	require.Equal(t, 300, most, "a quarter of the incidents share one second")
	for _, c := range one.schemas.byName["incident"].columns {
		switch c.name {
		case "comments", "work_notes", "comments_and_work_notes", "approval_history", "sys_tags", "user_input", "universal_request",
			"delivery_plan", "delivery_task":
			require.Zero(t, filled[c.name], c.name)
		default:
			require.NotZero(t, filled[c.name], c.name)
		}
	}
}

func TestServesAPage(t *testing.T) {
	h := start(t, Config{})
	a := h.get("/api/now/table/incident", "sysparm_limit", "3", "sysparm_query", "ORDERBYnumber")
	require.Len(t, h.rows(a), 3)
	require.Equal(t, "1200", a.Header.Get("X-Total-Count"))
	require.Equal(t, "Sun, 01 Mar 2026 12:00:00 GMT", a.Header.Get("Date"), "the server's clock")
	require.Equal(t, "application/json;charset=UTF-8", a.Header.Get("Content-Type"))
	require.NotEmpty(t, a.Header.Values("Set-Cookie"))
	require.Empty(t, h.Violations())
}
