package plugin

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// deletesWorld is synced once, so that what follows is incremental.
func deletesWorld(t *testing.T, deletes string, cfg emulator.Config) *warehouse {
	t.Helper()
	w := newWarehouse(t, cfg)
	w.spec["deletes"] = deletes
	w.mustSync()
	w.requireIncidents()
	w.pass(time.Hour)
	return w
}

// deleted returns the deleted records that are noted of a table, each with how it was found.
func (w *warehouse) deleted(table string) map[string]string {
	w.t.Helper()
	found := map[string]string{}
	for _, row := range w.rows(`SELECT sys_id, found_by FROM servicenow_deleted_records WHERE table_name = ?`, table) {
		found[row[0]] = row[1]
	}
	return found
}

func (w *warehouse) requireDeletedBy(table, how string, ids ...string) {
	w.t.Helper()
	want := map[string]string{}
	for _, id := range ids {
		want[id] = how
	}
	require.Equal(w.t, want, w.deleted(table), w.log.String())
}

func TestAuditFindsDeletes(t *testing.T) {
	w := deletesWorld(t, "audit", emulator.Config{Incidents: 400, Attachments: 60})
	w.AddTable("u_major_incident", "Major Incident", "incident")
	major := w.Insert("u_major_incident", map[string]string{"short_description": "of a class of its own"})
	w.mustSync()
	w.requireIncidents()
	w.requireReport("servicenow_incidents", map[string]string{"rows_deleted": "0", "verdict": "complete"})
	w.pass(time.Hour)

	withFile := w.value(`SELECT incident_sys_id FROM servicenow_attachments GROUP BY 1 ORDER BY 1 LIMIT 1`)
	ids := slices.DeleteFunc(w.SysIDs("incident"), func(id string) bool { return id == withFile || id == major })
	number, _ := w.Record("incident", ids[0])
	gone := append(slices.Clone(ids[:8]), withFile, major)
	for _, id := range gone {
		w.Delete("incident", id)
	}
	w.Delete("incident", ids[20])
	w.Restore(ids[20]) // came back
	w.Archive("incident", ids[30])
	w.pass(time.Minute)
	w.ResetRequests()
	w.mustSync()
	w.requireDeletedBy("servicenow_incidents", "audit", gone...)
	require.Equal(t, "1", w.value(`SELECT count(*) FROM servicenow_incidents WHERE sys_id = ?`, ids[30]), "an archive leaves no trace that an audit could find")
	w.Restore(ids[30])
	w.requireIncidents()
	require.Equal(t, "0", w.value(`SELECT count(*) FROM servicenow_attachments WHERE incident_sys_id = ?`, withFile), "files go with their record")
	require.Equal(t, []string{number["number"], "emulator.user", "2026-03-04T07:06:07Z", "1"},
		w.rows(`SELECT label, deleted_by, deleted_on, row_removed FROM servicenow_deleted_records WHERE sys_id = ?`, ids[0])[0])
	w.requireReport("servicenow_incidents", map[string]string{"rows_deleted": "10", "reason": "1 records were deleted and came back", "verdict": "complete"})
	require.Less(t, len(w.Requests()), 30)

	// Deletes inside the overlap are met again, and are no news, unless the record has come back by then.
	w.Restore(gone[1])
	w.mustSync()
	w.requireReport("servicenow_incidents", map[string]string{"rows_deleted": "0"})
	w.requireIncidents()
	for range 2 {
		w.pass(time.Hour)
		w.mustSync()
	}
	w.requireReport("servicenow_incidents", map[string]string{"rows_deleted": "0", "reason": "NULL", "rows_sent": "0"})
}

func TestAuditOfAttachmentsWhereTheInstanceNotesThem(t *testing.T) {
	w := deletesWorld(t, "audit", emulator.Config{Incidents: 100, Attachments: 80})
	w.SetDeleteAudit("sys_attachment", true)
	files := w.rows(`SELECT sys_id FROM servicenow_attachments ORDER BY sys_id LIMIT 3`)
	for _, row := range files {
		w.Delete("sys_attachment", row[0])
	}
	w.mustSync()
	w.requireDeletedBy("servicenow_attachments", "audit", files[0][0], files[1][0], files[2][0])
	require.Equal(t, "0", w.value(`SELECT count(*) FROM servicenow_attachments WHERE sys_id IN (?, ?, ?)`, files[0][0], files[1][0], files[2][0]))
}

func TestAuditWithoutTheRoleSaysSo(t *testing.T) {
	w := deletesWorld(t, "audit", emulator.Config{Incidents: 100, Attachments: -1})
	id := w.SysIDs("incident")[0]
	w.Delete("incident", id)
	for name, deny := range map[string]func(){
		"forbidden": func() { w.DenyTable("sys_audit_delete", emulator.DenyForbidden) },
		"rows":      func() { w.HideRows("sys_audit_delete", func(string, func(string) string) bool { return true }) },
		"fields":    func() { w.HideFields("sys_audit_delete", "documentkey") },
	} {
		t.Run(name, func(t *testing.T) {
			deny()
			err := w.sync()
			require.ErrorContains(t, err, client.CodeAuditForbidden)
			require.ErrorContains(t, err, "audit_viewer")
			w.requireReport("servicenow_incidents", map[string]string{"verdict": "failed"})
			require.Equal(t, "100", w.value(`SELECT count(*) FROM servicenow_incidents`))
			w.DenyTable("sys_audit_delete", emulator.DenyNone)
			w.HideRows("sys_audit_delete", nil)
			w.HideFields("sys_audit_delete")
		})
	}
	// The table read as empty is a lost role as well: it had rows before.
	w.DenyTable("sys_audit_delete", emulator.DenyEmpty)
	require.ErrorContains(t, w.sync(), client.CodeAuditForgotten)
	w.DenyTable("sys_audit_delete", emulator.DenyNone)
	w.mustSync()
	w.requireIncidents()
}

func TestAuditIsRefusedBeyondItsHorizon(t *testing.T) {
	w := deletesWorld(t, "audit", emulator.Config{Incidents: 100, Attachments: -1})
	w.pass(30 * 24 * time.Hour)
	w.Delete("incident", w.SysIDs("incident")[0])
	w.PruneDeleteAudit("2026-03-20 00:00:00")
	require.ErrorContains(t, w.sync(), client.CodeAuditForgotten)
	require.Equal(t, "100", w.value(`SELECT count(*) FROM servicenow_incidents`))
}

func TestSweepFindsWhatNothingNotes(t *testing.T) {
	w := deletesWorld(t, "sweep", emulator.Config{Incidents: 500, Attachments: 80})
	ids := w.SysIDs("incident")
	withFile := w.value(`SELECT incident_sys_id FROM servicenow_attachments GROUP BY 1 ORDER BY 1 LIMIT 1`)
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == withFile })
	file := w.value(`SELECT sys_id FROM servicenow_attachments WHERE incident_sys_id <> ? ORDER BY sys_id LIMIT 1`, withFile)
	gone := append(slices.Clone(ids[:5]), withFile)
	w.Archive("incident", ids[0])
	w.SetDeleteAudit("incident", false)
	for _, id := range gone[1:] {
		w.Delete("incident", id)
	}
	w.Delete("sys_attachment", file)
	filesGone := []string{file}
	for _, row := range w.rows(`SELECT sys_id FROM servicenow_attachments WHERE incident_sys_id = ?`, withFile) {
		filesGone = append(filesGone, row[0])
	}
	// A change without a new stamp, one with an older stamp, and one that came with no stamp at all.
	before, _ := w.Record("incident", ids[50])
	w.Update("incident", ids[50], map[string]string{"sys_updated_on": before["sys_updated_on"], "short_description": "silent"})
	w.Update("incident", ids[51], map[string]string{"sys_updated_on": "2020-01-01 00:00:00", "short_description": "imported"})
	w.Update("incident", ids[52], map[string]string{"short_description": "an ordinary change"})
	w.mustSync()
	require.Equal(t, "500", w.value(`SELECT count(*) FROM servicenow_incidents`), "swept once a day")
	w.pass(24 * time.Hour)
	w.mustSync()
	w.requireIncidents()
	w.requireDeletedBy("servicenow_incidents", "sweep", gone...)
	w.requireDeletedBy("servicenow_attachments", "sweep", filesGone...)
	w.requireReport("servicenow_incidents", map[string]string{"verdict": "complete", "rows_deleted": "6", "rows_repaired": "2"})
	require.Equal(t, "1", w.value(`SELECT count(*) FROM servicenow_deleted_records WHERE sys_id = ? AND label LIKE 'INC%' AND deleted_on IS NULL`, ids[0]))

	// What comes back is met by the next sweep, whatever its stamp.
	w.Restore(ids[0])
	w.pass(24 * time.Hour)
	w.mustSync()
	w.requireIncidents()
}

func TestSweepEveryFewSyncs(t *testing.T) {
	w := newWarehouse(t, emulator.Config{Incidents: 50, Attachments: -1})
	w.spec["deletes"], w.spec["sweep_every"] = "sweep", "3 syncs"
	w.mustSync()
	w.Archive("incident", w.SysIDs("incident")[0])
	for range 2 {
		w.pass(time.Hour)
		w.mustSync()
		require.Equal(t, "50", w.value(`SELECT count(*) FROM servicenow_incidents`))
	}
	w.pass(time.Hour)
	w.mustSync()
	w.requireIncidents()
}

func TestLostRightsAreNoDeletes(t *testing.T) {
	w := deletesWorld(t, "sweep", emulator.Config{Incidents: 400, Attachments: -1})
	w.spec["sweep_every"] = "1 syncs"
	ids := w.SysIDs("incident")
	hidden := map[string]bool{}
	for i := range 300 {
		hidden[ids[i]] = true
	}
	// Row security hides what the instance goes on to count.
	w.HideRows("incident", func(id string, _ func(string) string) bool { return hidden[id] })
	w.Archive("incident", ids[10])
	w.Archive("incident", ids[390])
	w.mustSync()
	require.Equal(t, "398", w.value(`SELECT count(*) FROM servicenow_incidents`))
	w.requireDeletedBy("servicenow_incidents", "sweep", ids[10], ids[390])
	require.Contains(t, w.reportOn("servicenow_incidents")["reason"], "299 rows of the destination belong to records that are hidden")
	w.HideRows("incident", nil)

	// A table that reads as empty, as on instances whose rules filter before they count, looks like deletes: the guard stops it.
	for _, id := range ids[100:160] {
		w.Archive("incident", id)
	}
	w.pass(time.Hour)
	err := w.sync()
	require.ErrorContains(t, err, client.CodeDeleteGuard)
	require.Equal(t, "398", w.value(`SELECT count(*) FROM servicenow_incidents`), "nothing is removed")
	w.requireReport("servicenow_incidents", map[string]string{"verdict": "failed", "rows_deleted": "0"})
	w.spec["delete_guard"] = "20%"
	w.mustSync()
	w.requireIncidents()
}

func TestRowsThatLeftTheFilterStay(t *testing.T) {
	w := newWarehouse(t, emulator.Config{Incidents: 300, Attachments: 50})
	w.spec["deletes"], w.spec["sweep_every"] = "sweep", "1 syncs"
	w.spec["incidents"] = map[string]any{"query": "active=true"}
	w.mustSync()
	ids := w.rows(`SELECT sys_id FROM servicenow_incidents ORDER BY sys_id`)
	w.pass(time.Hour)
	for _, row := range ids[:20] {
		w.Update("incident", row[0], map[string]string{"state": "7"})
	}
	w.Archive("incident", ids[30][0])
	w.mustSync()
	require.Len(t, w.rows(`SELECT 1 FROM servicenow_incidents`), len(ids)-1)
	w.requireDeletedBy("servicenow_incidents", "sweep", ids[30][0])
	w.requireReport("servicenow_incidents", map[string]string{"verdict": "complete", "rows_deleted": "1"})
}

func TestDeletesWhileTheSyncRuns(t *testing.T) {
	for _, deletes := range []string{"audit", "sweep"} {
		t.Run(deletes, func(t *testing.T) {
			w := deletesWorld(t, deletes, emulator.Config{Incidents: 600, Attachments: 40})
			if deletes == "sweep" {
				w.spec["sweep_every"] = "1 syncs"
			}
			ids := w.SysIDs("incident")
			var back []string
			for _, id := range ids[:20] {
				w.Delete("incident", id)
			}
			var mu sync.Mutex
			w.OnRequest(func(n int, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if n%2 == 1 || n > 30 {
					return
				}
				w.Update("incident", ids[100+n], map[string]string{"short_description": "changed"})
				w.Insert("incident", map[string]string{"short_description": "new"})
				w.Delete("incident", ids[200+n])
				if len(back) < 10 {
					back = append(back, ids[len(back)])
					w.Restore(ids[len(back)-1])
				}
			})
			w.mustSync()
			w.OnRequest(nil)
			for range 2 {
				w.pass(time.Minute)
				w.mustSync()
			}
			w.requireIncidents()
			deleted := w.deleted("servicenow_incidents")
			for _, id := range ids[10:20] {
				require.Contains(t, deleted, id)
			}
		})
	}
}

// A destination that cannot delete single records keeps the rows, and the deleted records are told.
func TestDeletedRowsAreKeptWhereTheyCannotBeRemoved(t *testing.T) {
	w := newWarehouse(t, emulator.Config{Incidents: 100, Attachments: -1})
	w.name, w.spec["deletes"] = "bigquery", "audit"
	w.watch = func(m message.SyncMessage) {
		if _, ok := m.(*message.SyncDeleteRecord); ok {
			t.Error("a message that this destination does not take")
		}
	}
	w.mustSync()
	w.pass(time.Hour)
	id := w.SysIDs("incident")[0]
	w.Delete("incident", id)
	w.mustSync()
	require.Equal(t, "100", w.value(`SELECT count(*) FROM servicenow_incidents`))
	w.requireDeletedBy("servicenow_incidents", "audit", id)
	require.Equal(t, "0", w.value(`SELECT row_removed FROM servicenow_deleted_records`))

	w.tables = []string{"servicenow_incidents"}
	require.Equal(t, client.CodeDeletesNowhere, usererror.CodeOf(w.sync()))
}

func TestDeletesNeedABackend(t *testing.T) {
	for _, change := range []map[string]any{{"deletes": "audit"}, {"deletes": "sweep"}, {"reconcile": true}} {
		w := newWarehouse(t, emulator.Config{Incidents: 10, Attachments: -1})
		w.backend = false
		for key, value := range change {
			w.spec[key] = value
		}
		require.Equal(t, client.CodeDeletesNeedBackend, usererror.CodeOf(w.sync()))
		require.Empty(t, w.Requests(), "before any request")
	}
}

// Deletes are behind the rows and before their cursor.
func TestDeletesComeBeforeTheirCursor(t *testing.T) {
	w := deletesWorld(t, "audit", emulator.Config{Incidents: 50, Attachments: -1})
	w.Delete("incident", w.SysIDs("incident")[0])
	var order []string
	w.watch = func(m message.SyncMessage) {
		switch m := m.(type) {
		case *message.SyncDeleteRecord:
			order = append(order, "delete from "+m.TableName)
		case *message.SyncInsert:
			name, _ := m.Record.Schema().Metadata().GetValue("cq:table_name")
			if name == "cq_state" && strings.Contains(m.Record.Column(0).ValueStr(0), "incidents/audit") {
				order = append(order, "cursor")
			}
			if name == "servicenow_deleted_records" || name == "servicenow_sync_report" {
				order = append(order, name)
			}
		}
	}
	w.mustSync()
	require.Equal(t, []string{"delete from servicenow_incidents", "delete from servicenow_attachments", "servicenow_deleted_records", "cursor", "servicenow_sync_report"}, order)
}

func TestReconcileRepairsWhatWasLost(t *testing.T) {
	w := newWarehouse(t, emulator.Config{Incidents: 5000, Attachments: 60})
	w.spec["reconcile"], w.spec["page_size"] = true, 1000
	w.mustSync()
	w.pass(time.Hour)
	w.ResetRequests()
	w.mustSync()
	w.requireReport("servicenow_incidents", map[string]string{"verdict": "complete", "reason": "NULL", "rows_repaired": "0"})
	counts := 0
	for _, r := range w.Requests() {
		if r.Path == "/api/now/stats/incident" && r.Query.Get("sysparm_sum_fields") != "" {
			counts++
		}
	}
	require.Equal(t, 1, counts, "one request tells that nothing is missing")

	// The destination lost rows, an old one is of another state, and some changed silently.
	ids := w.rows(`SELECT sys_id FROM servicenow_incidents ORDER BY sys_id`)
	w.exec(`DELETE FROM servicenow_incidents WHERE sys_id IN (?, ?)`, ids[10][0], ids[4000][0])
	w.exec(`UPDATE servicenow_incidents SET sys_mod_count = sys_mod_count + 1, short_description = 'wrong' WHERE sys_id = ?`, ids[20][0])
	record, _ := w.Record("incident", ids[30][0])
	w.Update("incident", ids[30][0], map[string]string{"sys_updated_on": record["sys_updated_on"], "short_description": "silent"})
	w.pass(time.Hour)
	w.ResetRequests()
	w.mustSync()
	w.requireIncidents()
	w.requireReport("servicenow_incidents", map[string]string{"verdict": "complete", "rows_repaired": "4",
		"reason": "4 rows were missing in the destination (2) or differed there (2), and were read again"})
	listed := 0
	for _, r := range w.Requests() {
		if r.Table == "incident" {
			listed += r.Rows
		}
	}
	require.Less(t, listed, 1500, "only the ranges that differ are listed")

	// Hidden and deleted records are told apart.
	w.HideRows("incident", func(id string, _ func(string) string) bool { return id == ids[40][0] })
	w.Archive("incident", ids[50][0])
	w.pass(time.Hour)
	w.mustSync()
	w.requireReport("servicenow_incidents", map[string]string{"verdict": "complete", "rows_deleted": "0", "rows_repaired": "0",
		"reason": "1 rows of the destination belong to records that are hidden from the signed-in user; 1 rows of the destination have no record any more"})
	require.Equal(t, "5000", w.value(`SELECT count(*) FROM servicenow_incidents`))
}

// Each of several shards finds the deletes among its own rows, and takes none of the others' for deleted.
func TestShardsFindTheirDeletes(t *testing.T) {
	for key, value := range map[string]any{"deletes": "sweep", "reconcile": true} {
		t.Run(key, func(t *testing.T) {
			w := newWarehouse(t, emulator.Config{Incidents: 300, Attachments: 40})
			w.spec[key] = value
			w.spec["verify_writes"] = "never" // which would read everything again before
			both := func() {
				for n := range 2 {
					w.shard = &plugin.Shard{Num: int32(n + 1), Total: 2}
					w.mustSync()
				}
				w.pass(24 * time.Hour)
			}
			both()
			w.requireIncidents()
			ids := w.SysIDs("incident")
			if key == "deletes" {
				for i := range 10 {
					w.Archive("incident", ids[i*29])
				}
			}
			w.exec(`DELETE FROM servicenow_incidents WHERE sys_id IN (?, ?)`, ids[1], ids[298])
			both()
			w.requireIncidents()
			require.Equal(t, "2", w.value(`SELECT sum(rows_repaired) FROM servicenow_sync_report`))
		})
	}
}

// A full sync has met every record, so its sweep lists none.
func TestAFullSyncSweepsByWhatItMet(t *testing.T) {
	w := newWarehouse(t, emulator.Config{Incidents: 300, Attachments: -1})
	w.mustSync()
	w.spec["deletes"] = "sweep"
	gone := w.SysIDs("incident")[:3]
	for _, id := range gone {
		w.Archive("incident", id)
	}
	w.exec(`DELETE FROM cq_state`)
	w.ResetRequests()
	w.mustSync()
	w.requireIncidents()
	w.requireDeletedBy("servicenow_incidents", "sweep", gone...)
	for _, r := range w.Requests() {
		require.NotEqual(t, "ORDERBYsys_id", r.Query.Get("sysparm_query"), "no list of sys_ids")
	}
}
