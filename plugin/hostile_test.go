package plugin

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// serve puts a handler before the emulator.
func (w *trial) serve(handler func(rw http.ResponseWriter, r *http.Request)) {
	h := http.Handler(http.HandlerFunc(handler))
	w.handler.Store(&h)
}

// tamper lets change rewrite the answers to requests for pages of the table that is read.
func (w *trial) tamper(change func(r *http.Request, body []byte, header http.Header) []byte) {
	w.serve(func(rw http.ResponseWriter, r *http.Request) {
		if !w.isPage(r) {
			w.ServeHTTP(rw, r)
			return
		}
		plain := r.Clone(r.Context())
		plain.Header.Del("Accept-Encoding")
		got := httptest.NewRecorder()
		w.ServeHTTP(got, plain)
		for name, values := range got.Header() {
			rw.Header()[name] = values
		}
		body := change(r, got.Body.Bytes(), rw.Header())
		rw.Header().Del("Content-Length")
		rw.WriteHeader(got.Code)
		_, _ = rw.Write(body)
	})
}

func (w *trial) isPage(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, "/table/"+w.table.reads) && strings.Contains(r.URL.Query().Get("sysparm_query"), "ORDERBY")
}

// A value of any shape costs nothing but itself.
func TestHostileValues(t *testing.T) {
	deep := strings.Repeat(`[`, 3000) + strings.Repeat(`]`, 3000)
	values := []struct{ json, column, record string }{
		{`12345`, "12345", `12345`},
		{`true`, "true", `true`},
		{`null`, null, `null`},
		{`["a","b"]`, null, `["a","b"]`},
		{`{"unexpected":{"a":[1]}}`, null, `{"unexpected":{"a":[1]}}`},
		{deep, null, deep},
		{`"nul\u0000byte"`, "nulbyte", "nul\uFFFDbyte"},
		{`"lone\ud800surrogate"`, "lone\uFFFDsurrogate", "lone\uFFFDsurrogate"},
		{"\"invalid\xff\xfeUTF-8\"", "invalid\uFFFDUTF-8", "invalid"},
		{"\"raw\x00\x01control\"", "raw\x01control", `\u0001control`},
		{`"twice","value":"second","short_description":"third"`, "second", `"third"`}, // behind the display value
	}
	table := conformingIncidents()
	w := startTrial(t, table, table.seed(rowsOfATrial))
	ids := w.ordered()
	for i := range values {
		w.Update("incident", ids[3*i], map[string]string{"short_description": fmt.Sprintf("<hostile %d>", i)})
	}
	w.tamper(func(_ *http.Request, body []byte, _ http.Header) []byte {
		for i, v := range values {
			body = bytes.ReplaceAll(body, fmt.Appendf(nil, `"<hostile %d>"`, i), []byte(v.json))
		}
		return body
	})
	w.mustSync(t)
	for i, v := range values {
		row := w.rows[ids[3*i]]
		require.NotNil(t, row, v.json)
		got, ok := row["short_description"]
		if !ok {
			got = null
		}
		require.Equal(t, v.column, got, "%.100s", v.json)
		require.True(t, strings.Contains(row["record"], v.record), "the record of %.100s", v.json)
		w.rows[ids[3*i]] = w.table.want(w)[ids[3*i]]
	}
	require.Contains(t, w.log.String(), "SN-READ-012")
	require.Contains(t, w.log.String(), "short_description (3)")
	require.NoError(t, w.compare(false), "the other rows")
}

// An instance that breaks its own rules ends the sync with an error, in a bounded time and a bounded memory.
func TestHostileInstances(t *testing.T) {
	if underRace {
		t.Skip("the race detector has a memory of its own")
	}
	type instance struct {
		name  string
		codes []string
		setUp func(t *testing.T, w *trial)
	}
	list := func(rw http.ResponseWriter) {
		rw.Header().Set("Content-Type", "application/json")
		rw.Header().Set("X-Total-Count", "1000000000")
	}
	filler := bytes.Repeat([]byte(`{"sys_id":"x"},`), 1<<16)
	endless := func(rw http.ResponseWriter, served *atomic.Int64, write func([]byte) (int, error)) {
		list(rw)
		_, err := write([]byte(`{"result":[`))
		for err == nil {
			var n int
			n, err = write(filler)
			served.Add(int64(n))
		}
	}
	for _, broken := range []instance{
		{"the same page for ever", []string{servicenow.CodeOutsideWindow, servicenow.CodeOutOfOrder}, func(_ *testing.T, w *trial) {
			var first atomic.Pointer[[]byte]
			w.tamper(func(r *http.Request, body []byte, _ http.Header) []byte {
				if strings.Contains(r.URL.Query().Get("sysparm_query"), "ISEMPTY") {
					return body // the window of rows without a stamp
				}
				first.CompareAndSwap(nil, &body)
				return *first.Load()
			})
		}},
		{"an endless body", []string{servicenow.CodeRecordTooLarge}, func(t *testing.T, w *trial) {
			var served atomic.Int64
			t.Cleanup(func() { require.Less(t, served.Load(), int64(1<<30)) })
			w.serve(func(rw http.ResponseWriter, r *http.Request) {
				if !w.isPage(r) {
					w.ServeHTTP(rw, r)
					return
				}
				endless(rw, &served, rw.Write)
			})
		}},
		{"a gzip bomb", []string{servicenow.CodeRecordTooLarge}, func(t *testing.T, w *trial) {
			var served atomic.Int64
			t.Cleanup(func() { require.Less(t, served.Load(), int64(4<<30)) })
			w.serve(func(rw http.ResponseWriter, r *http.Request) {
				if !w.isPage(r) {
					w.ServeHTTP(rw, r)
					return
				}
				rw.Header().Set("Content-Encoding", "gzip")
				endless(rw, &served, gzip.NewWriter(rw).Write)
			})
		}},
		{"JSON of a depth that no decoder takes", []string{servicenow.CodeCutAnswers}, func(_ *testing.T, w *trial) {
			w.tamper(func(*http.Request, []byte, http.Header) []byte {
				return []byte(`{"result":[{"sys_id":` + strings.Repeat(`[`, 1<<20) + strings.Repeat(`]`, 1<<20) + `}]}`)
			})
		}},
		{"items that are no records", []string{servicenow.CodeCutAnswers}, func(_ *testing.T, w *trial) {
			w.tamper(func(*http.Request, []byte, http.Header) []byte { return []byte(`{"result":[null,7,"x"]}`) })
		}},
		{"a result that is no list", []string{servicenow.CodeCutAnswers}, func(_ *testing.T, w *trial) {
			w.tamper(func(*http.Request, []byte, http.Header) []byte { return []byte(`{"result":{"a":1}}`) })
		}},
		{"keys that are no texts", []string{servicenow.CodeKeyHidden}, func(_ *testing.T, w *trial) {
			w.tamper(func(*http.Request, []byte, http.Header) []byte {
				return []byte(`{"result":[{"sys_id":{"value":7},"sys_updated_on":{"value":["2026-01-01 00:00:00"]}}]}`)
			})
		}},
		{"keys of another world", []string{servicenow.CodeOutsideWindow, servicenow.CodeOutOfOrder}, func(_ *testing.T, w *trial) {
			w.tamper(func(*http.Request, []byte, http.Header) []byte {
				return []byte(`{"result":[{"sys_id":"` + strings.Repeat("z", 1<<20) + `","sys_updated_on":"tomorrow"},{"sys_id":"a","sys_updated_on":""}]}`)
			})
		}},
		{"counts without end", []string{servicenow.CodeCountUnproven, servicenow.CodeOutsideWindow}, func(_ *testing.T, w *trial) {
			w.tamper(func(_ *http.Request, _ []byte, header http.Header) []byte {
				header.Set("X-Total-Count", "9223372036854775807")
				return []byte(`{"result":[]}`)
			})
		}},
	} {
		t.Run(broken.name, func(t *testing.T) {
			table := conformingIncidents()
			w := startTrial(t, table, table.seed(rowsOfATrial))
			w.retry = servicenow.Retry{Tries: 4, First: time.Millisecond, Longest: 2 * time.Millisecond, Budget: time.Minute}
			broken.setUp(t, w)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			peak := watchHeap()
			err := w.sync(ctx)
			grown := peak()
			require.NoError(t, ctx.Err(), "it hangs")
			require.Error(t, err)
			require.Contains(t, broken.codes, innermostCode(err), "%.500v", err)
			require.Less(t, grown, uint64(256<<20), "memory")
			require.Less(t, len(err.Error()), 5000)
			require.Nil(t, w.cursor)
			require.NoError(t, w.compareArrived())
		})
	}
}

// watchHeap returns a function that tells by how much the heap grew at most.
func watchHeap() func() uint64 {
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	stop, done := make(chan struct{}), make(chan uint64, 1)
	go func() {
		var peak uint64
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapInuse)
			select {
			case <-stop:
				done <- peak - min(peak, before.HeapInuse)
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() uint64 { close(stop); return <-done }
}

// Whatever an answer points to, nothing of this side goes to another host.
func TestHostileHosts(t *testing.T) {
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer elsewhere.Close()
	for _, table := range conformingTables() {
		w := startTrial(t, table, table.seed(rowsOfATrial))
		w.serve(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Link", "<"+elsewhere.URL+"/api/now/table/incident?sysparm_offset=6>;rel=\"next\"")
			rw.Header().Set("Location", elsewhere.URL)
			rw.Header().Set("Content-Location", elsewhere.URL)
			rw.Header().Set("Refresh", "0;url="+elsewhere.URL)
			rw.Header().Set("Set-Cookie", "glide_session_store=x; Domain=127.0.0.1")
			w.ServeHTTP(rw, r)
		})
		w.mustSync(t)
		require.NoError(t, w.compare(false))

		for _, status := range []int{301, 302, 303, 307, 308} {
			for _, path := range []string{"/oauth_token.do", "/api/now/", "/file"} {
				w := startTrial(t, table, table.seed(rowsOfATrial))
				w.retry = servicenow.Retry{Tries: 2, First: time.Millisecond, Longest: time.Millisecond, Budget: time.Minute}
				w.serve(func(rw http.ResponseWriter, r *http.Request) {
					if strings.Contains(r.URL.Path, path) {
						http.Redirect(rw, r, elsewhere.URL+r.URL.RequestURI(), status)
						return
					}
					w.ServeHTTP(rw, r)
				})
				err := w.sync(t.Context())
				if path != "/file" {
					require.NotEmpty(t, usererror.CodeOf(err), "%d of %s: %v", status, path, err)
				}
				for _, row := range w.rows {
					require.Empty(t, row["content"])
				}
			}
		}
	}
	require.Zero(t, asked.Load())
}

// Picked incidents are asked for by their sys_ids. An instance that ignores that term shows others.
func TestOtherIncidentsThanPickedAreAnError(t *testing.T) {
	table := conformingIncidents()
	w := startTrial(t, table, table.seed(rowsOfATrial))
	picked, pickedTerm := w.ordered()[5:9], regexp.MustCompile(`sys_idIN[^^]*`)
	w.spec["incidents"] = map[string]any{"sys_ids": picked}
	w.serve(func(rw http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); w.isPage(r) {
			q.Set("sysparm_query", pickedTerm.ReplaceAllString(q.Get("sysparm_query"), "sys_idISNOTEMPTY"))
			r.URL.RawQuery = q.Encode()
		}
		w.ServeHTTP(rw, r)
	})
	w.moving = true
	require.Equal(t, servicenow.CodeOutsideWindow, innermostCode(w.sync(t.Context())))
	for id := range w.rows {
		require.Contains(t, picked, id)
	}
}
