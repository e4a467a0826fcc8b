package e2e

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

// Whole syncs, rows and cursors, as they stand in the destination. `go test ./e2e -run Golden -update` accepts a change;
// its diff is what a reviewer reads.
func TestGolden(t *testing.T) {
	var clock atomic.Int64
	clock.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Unix())
	w := newWorld(t, emulator.Config{
		Seed: 7, Incidents: 7, Attachments: 9, Now: func() time.Time { return time.Unix(clock.Load(), 0).UTC() },
	})
	w.spec["page_size"] = 2
	w.spec["incidents"] = map[string]any{"fields": []string{"*"}}
	w.mustSync()
	w.requireGolden("full")

	clock.Add(3600)
	incidents := w.SysIDs("incident")
	w.Update("incident", incidents[1], map[string]string{"state": "6", "close_notes": "Replaced the cable.\nSaid \"done\"."})
	w.Insert("incident", map[string]string{"short_description": "Ölfilter 🛠 leaks", "impact": "1", "urgency": "1"})
	w.Attach("incident", incidents[2], "../notes & more.txt", "text/plain", []byte("text"))
	clock.Add(60)
	w.mustSync()
	w.requireGolden("incremental")
}

// requireGolden compares the database with a golden file.
func (w *world) requireGolden(name string) {
	w.t.Helper()
	var got bytes.Buffer
	for _, table := range []string{"servicenow_tables", "servicenow_incidents", "servicenow_attachments", "cq_state_servicenow"} {
		order := "sys_id"
		if table == "cq_state_servicenow" {
			order = "key"
		}
		got.WriteString("# " + table + "\n")
		names := w.rows(`SELECT name FROM pragma_table_info(?) ORDER BY name`, table)
		for _, row := range w.rows("SELECT " + quoted(names) + " FROM " + table + " ORDER BY " + order) {
			got.WriteString("-\n")
			for i, value := range row {
				switch column := names[i][0]; column {
				case "_cq_sync_time", "_cq_source_name", "_cq_parent_id":
				case "_cq_id":
					require.NotEqual(w.t, "NULL", value)
				default:
					if value != "NULL" {
						text, err := json.Marshal(value)
						require.NoError(w.t, err)
						got.WriteString("  " + column + ": " + string(text) + "\n")
					}
				}
			}
		}
	}
	address, err := url.Parse(w.url)
	require.NoError(w.t, err)
	sanitised := strings.ReplaceAll(got.String(), address.Host, "INSTANCE")
	file := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(w.t, os.WriteFile(file, []byte(sanitised), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(w.t, err)
	require.Equal(w.t, string(want), sanitised)
}

func quoted(names [][]string) string {
	columns := make([]string, len(names))
	for i, name := range names {
		columns[i] = `"` + name[0] + `"`
	}
	return strings.Join(columns, ", ")
}
