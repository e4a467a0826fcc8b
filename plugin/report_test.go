package plugin

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

func TestReportOfACompleteSync(t *testing.T) {
	w := newWarehouse(t, emulator.Config{Incidents: 500, Attachments: 40})
	w.mustSync()
	w.requireReport("servicenow_incidents", map[string]string{
		"verdict": "complete", "reason": "NULL", "mode": "full", "window_start": "NULL", "source_count_before": "500", "source_count_after": "500",
		"rows_counted": "500", "rows_shown": "500", "rows_hidden": "0", "rows_sent": "500", "rows_distinct": "500", "rows_duplicate": "0",
		"rows_new": "NULL", "rows_deleted": "0", "pages_short": "0", "fields_hidden": "NULL", "values_null": "NULL", "warnings": "NULL", "retries": "0",
	})
	w.requireReport("servicenow_tables", map[string]string{"verdict": "complete", "rows_sent": "2", "mode": "NULL"})
	require.Equal(t, "3", w.value(`SELECT count(*) FROM servicenow_sync_report`))
	report := w.reportOn("servicenow_incidents")
	require.NotEqual(t, "0", report["requests"])
	require.NotEqual(t, "0", report["bytes"])
	require.Equal(t, 3, strings.Count(w.log.String(), `"message":"sync summary"`))

	w.pass(time.Hour)
	ids := w.SysIDs("incident")
	for i := range 30 {
		w.Update("incident", ids[i*7], map[string]string{"state": "2"})
	}
	for range 20 {
		w.Insert("incident", map[string]string{"short_description": "new"})
	}
	w.pass(time.Minute)
	w.ResetRequests()
	w.mustSync()
	w.requireReport("servicenow_incidents", map[string]string{
		"verdict": "complete", "mode": "incremental", "source_count_before": "NULL", "rows_sent": "50", "rows_new": "20", "rows_changed": "30",
		"rows_hidden": "0", "rows_duplicate": "0", "window_start": "2026-03-04T05:01:07Z", "window_end": "2026-03-04T06:12:07Z",
	})
	counts := 0
	for _, r := range w.Requests() {
		if strings.HasPrefix(r.Path, "/api/now/stats/") {
			counts++
		}
	}
	require.Equal(t, 1, counts, "that of servicenow_tables: the report on an incremental sync counts nothing")
	require.Equal(t, "6", w.value(`SELECT count(*) FROM servicenow_sync_report`), "earlier reports stay")
	require.Equal(t, "2", w.value(`SELECT count(DISTINCT run_id) FROM servicenow_sync_report`))
}

func TestReportNamesWhatIsHidden(t *testing.T) {
	w := newWarehouse(t, emulator.Config{Incidents: 600, Attachments: -1})
	w.tables = []string{"servicenow_incidents", "servicenow_sync_report"}
	ids := w.SysIDs("incident")
	hidden := map[string]bool{}
	for i := range 250 { // pages short and empty
		hidden[ids[i]] = true
	}
	w.HideRows("incident", func(id string, _ func(string) string) bool { return hidden[id] })
	w.HideFields("incident", "close_notes", "description")
	w.Update("incident", ids[400], map[string]string{"priority": "no number"})
	w.mustSync()
	w.requireReport("servicenow_incidents", map[string]string{
		"verdict": "incomplete", "rows_counted": "600", "rows_shown": "350", "rows_hidden": "250", "rows_distinct": "350",
		"source_count_before": "600", "source_count_after": "600", "fields_hidden": `["close_notes","description"]`, "values_null": `{"priority":1}`,
		"warnings": `{"SN-READ-011":1,"SN-READ-012":1}`,
	})
	report := w.reportOn("servicenow_incidents")
	require.Contains(t, report["reason"], "250 rows were counted, but not shown")
	require.NotEqual(t, "0", report["pages_short"])
	require.Equal(t, "1", w.value(`SELECT count(*) FROM servicenow_sync_report`))
}

// Rows that change behind the reading come twice; rows that are deleted before it gets to them are no loss.
func TestReportCountsRowsThatComeTwice(t *testing.T) {
	w := newWarehouse(t, emulator.Config{Incidents: 1000, Attachments: -1})
	w.tables = []string{"servicenow_incidents", "servicenow_sync_report"}
	ids := w.SysIDs("incident")
	stamps := map[string]string{}
	for _, id := range ids {
		record, _ := w.Record("incident", id)
		stamps[id] = record["sys_updated_on"] + id
	}
	slices.SortFunc(ids, func(a, b string) int { return strings.Compare(stamps[a], stamps[b]) })
	w.spec["concurrency"] = 1 // in order, so that what is read when the fifth page is asked for is known
	var pages atomic.Int64
	w.OnRequest(func(_ int, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/table/incident") || !strings.Contains(r.URL.RawQuery, "ORDERBYsys_updated_on") {
			return
		}
		if pages.Add(1) == 5 {
			for _, id := range ids[:17] {
				w.Update("incident", id, map[string]string{"state": "2"})
			}
			for _, id := range ids[900:902] {
				w.Delete("incident", id)
			}
		}
	})
	w.mustSync()
	w.OnRequest(nil)
	w.requireReport("servicenow_incidents", map[string]string{"rows_sent": "1015", "verdict": "complete", "source_count_after": "998"})
	report := w.reportOn("servicenow_incidents")
	duplicate, err := strconv.Atoi(report["rows_duplicate"])
	require.NoError(t, err)
	require.InDelta(t, 18, duplicate, 1, "the filter takes a row in a thousand for one that came before")
	require.Equal(t, strconv.Itoa(1015-duplicate), report["rows_distinct"])
	w.requireIncidents()
}

func TestReportIsWrittenWhenATableFails(t *testing.T) {
	w := newWarehouse(t, emulator.Config{Incidents: 900, Attachments: -1})
	w.tables = []string{"servicenow_incidents", "servicenow_sync_report"}
	w.SetFaults(emulator.Fault{Kind: emulator.FaultForbidden, Table: "incident", From: 7})
	require.ErrorContains(t, w.sync(), CodeIncomplete)
	w.requireReport("servicenow_incidents", map[string]string{"verdict": "failed", "mode": "full"})
	report := w.reportOn("servicenow_incidents")
	require.Contains(t, report["reason"], "SN-READ-001")
	require.NotEqual(t, "0", report["rows_sent"])
	w.SetFaults()
	w.mustSync()
	w.requireReport("servicenow_incidents", map[string]string{"verdict": "complete"})
}

func TestNoReportUnlessTheConfigNamesIt(t *testing.T) {
	w := newWarehouse(t, emulator.Config{Incidents: 100, Attachments: -1})
	w.tables = []string{"servicenow_incidents"}
	w.mustSync()
	require.Empty(t, w.rows(`SELECT 1 FROM sqlite_master WHERE name = 'servicenow_sync_report'`))
	for _, r := range w.Requests() {
		require.NotEqual(t, "/api/now/stats/incident", r.Path, "nobody asked for the counts")
	}
}
