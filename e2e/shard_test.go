package e2e

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/localsync"
)

// syncShards runs all parts of a sync, and returns how many rows of a table each of them brought.
func (w *world) syncShards(total int, table string) []int64 {
	w.t.Helper()
	var rows []int64
	for num := 1; num <= total; num++ {
		w.shard = localsync.Shard{Num: num, Total: total}
		summary := w.mustSync()
		var n int64
		for _, t := range summary.Sources[0].Tables {
			if t.Name == table {
				n = t.Rows
			}
		}
		rows = append(rows, n)
	}
	return rows
}

func TestShardsShareALoadAndTheSyncsBehindIt(t *testing.T) {
	for _, backend := range []bool{true, false} {
		t.Run(fmt.Sprintf("with cursors: %v", backend), func(t *testing.T) {
			w := newWorld(t, emulator.Config{Incidents: 3000, Attachments: 60})
			w.backend = backend
			first := w.syncShards(3, "servicenow_incidents")
			require.Equal(t, int64(3000), first[0]+first[1]+first[2], "each row once: %v", first)
			for _, n := range first {
				require.InDelta(t, 1000, n, 150)
			}
			w.requireEqualsSource()
			ids := w.SysIDs("incident")
			for i := range 30 {
				w.Update("incident", ids[i*99], map[string]string{"state": "3"})
				w.Insert("incident", map[string]string{"short_description": "new"})
				w.Attach("incident", ids[i*77], "new.txt", "text/plain", []byte("text"))
			}
			again := w.syncShards(3, "servicenow_incidents")
			if sum := again[0] + again[1] + again[2]; backend {
				require.Equal(t, int64(60), sum, "what changed: %v", again)
			}
			w.requireEqualsSource()
			require.Equal(t, "2", w.value(`SELECT count(*) FROM servicenow_tables`))
		})
	}
}

// With as many instances as shards, each instance is read by one of them, and cursors are nobody's own.
func TestShardsShareInstances(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 700, Attachments: -1})
	others := map[string]*emulator.Emulator{}
	instances := []map[string]any{{"name": "one", "instance_url": w.url}}
	for _, name := range []string{"two", "three"} {
		others[name] = emulator.New(emulator.Config{Incidents: 300, Attachments: -1, Seed: uint64(len(name))})
		server := httptest.NewServer(others[name])
		t.Cleanup(server.Close)
		instances = append(instances, map[string]any{"name": name, "instance_url": server.URL})
	}
	w.url, w.spec["instances"] = "", instances
	require.Equal(t, []int64{1000, 300}, w.syncShards(2, "servicenow_incidents"))
	w.shard = localsync.Shard{}
	summary := w.mustSync()
	for _, table := range summary.Sources[0].Tables {
		if table.Name == "servicenow_incidents" {
			require.Zero(t, table.Rows, "a sync of the whole goes on from the shards' cursors")
		}
	}
	require.Equal(t, "1300", w.value(`SELECT count(*) FROM servicenow_incidents`))

	instances[1]["paused"] = true
	others["two"].ResetRequests()
	w.mustSync()
	require.Empty(t, others["two"].Requests(), "a paused instance is left alone")
}
