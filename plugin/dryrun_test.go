package plugin

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// estimate runs a dry run of the world's one table, or of several.
func (w *filesWorld) estimate() map[string]client.Estimate {
	w.t.Helper()
	data := specFor(w.t, w.url, func(s map[string]any) { maps.Copy(s, w.spec) })
	stored := len(w.state.rows)
	estimates, err := DryRun(w.t.Context(), zerolog.Nop(), data, plugin.SyncOptions{Tables: w.tables, BackendOptions: w.backend})
	require.NoError(w.t, err)
	require.Len(w.t, w.state.rows, stored, "no cursor is written")
	byTable := map[string]client.Estimate{}
	for _, e := range estimates {
		byTable[e.Table] = e
	}
	return byTable
}

// requireForetold compares an estimate with the sync that follows it.
func (w *filesWorld) requireForetold(exact bool) client.Estimate {
	w.t.Helper()
	e := w.estimate()[w.tables[0]]
	rows := w.mustSync()
	requests := 0
	for _, r := range w.Requests() {
		if !strings.HasSuffix(r.Path, ".do") { // the sign-in
			requests++
		}
	}
	if exact {
		require.Equal(w.t, len(rows), e.Rows)
		require.InDelta(w.t, requests, e.Requests+e.Setup, 2)
		if e.Files >= 0 {
			require.Equal(w.t, w.downloads(), e.Files)
		}
		return e
	}
	require.InEpsilon(w.t, len(rows), e.Rows, 0.25)
	require.InEpsilon(w.t, requests, e.Requests+e.Setup, 0.25)
	return e
}

func TestDryRunForetellsTheSync(t *testing.T) {
	for name, spec := range map[string]map[string]any{
		"everything": {},
		"a query":    {"incidents": map[string]any{"query": "active=true"}},
		"no files":   {"attachments": map[string]any{"content": "none", "extract_text": false}},
		"all files":  {"attachments": map[string]any{"content": "column", "extract_text": false, "formats": "all"}, "page_size": 50},
	} {
		t.Run(name, func(t *testing.T) {
			for _, table := range []string{resources.IncidentsTable, resources.AttachmentsTable} {
				w := newFilesWorld(t, emulator.Config{Incidents: 700, Attachments: 400})
				maps.Copy(w.spec, spec)
				w.tables = []string{table}
				if w.spec["page_size"] == nil {
					w.spec["page_size"] = 200
				}
				e := w.requireForetold(false)
				require.Empty(t, e.From)
				require.False(t, e.Interrupted)

				// The same window as the sync reads, so few rows that all of them are looked at.
				w.pass(time.Hour)
				incidents := w.SysIDs("incident")
				for i := range 30 {
					w.Update("incident", incidents[i*7], map[string]string{"active": "true", "short_description": "changed"})
					w.attach(i*7, "new.txt", []byte("new"))
				}
				if table == resources.AttachmentsTable && spec["incidents"] != nil {
					continue // older files come in with their incidents, and are not estimated
				}
				e = w.requireForetold(true)
				require.NotEmpty(t, e.From)
				require.Positive(t, e.Rows)
			}
		})
	}
}

// A blob store is neither opened nor made, and no directory for files in transit.
func TestDryRunWritesNothing(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 50, Attachments: 40})
	dir := t.TempDir() + "/store"
	w.spec["attachments"] = map[string]any{"content": "blob", "blob_url": "file://" + dir}
	w.tables = []string{"*"}
	estimates := w.estimate()
	require.Len(t, estimates, 3)
	require.Positive(t, estimates[resources.AttachmentsTable].Files)
	require.Equal(t, 2, estimates[resources.TablesTable].Rows)
	require.NoDirExists(t, dir)
}

func TestDryRunWithoutCounts(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 50, Attachments: -1})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/stats/") {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusForbidden)
			_, _ = rw.Write([]byte(`{"error":{"message":"User Not Authorized","detail":"no"},"status":"failure"}`))
			return
		}
		w.ServeHTTP(rw, r)
	}))
	defer server.Close()
	w.url, w.tables = server.URL, []string{resources.IncidentsTable}
	e := w.estimate()[resources.IncidentsTable]
	require.Equal(t, -1, e.Rows)
	require.Equal(t, -1, e.Requests)
}

func TestDryRunRefusesWhatASyncRefuses(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 10, Attachments: -1})
	_, err := DryRun(t.Context(), zerolog.Nop(), []byte(`{"instance_subdomain":"x"}`), plugin.SyncOptions{Tables: []string{"*"}})
	require.ErrorContains(t, err, "SN-SPEC-001")
	_, err = DryRun(t.Context(), zerolog.Nop(), specFor(t, w.url, func(map[string]any) {}), plugin.SyncOptions{Tables: []string{"nope"}})
	require.ErrorContains(t, err, CodeUnknownTable)
}
