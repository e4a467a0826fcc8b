package e2e

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

func TestFullAndIncrementalSync(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 3000, Attachments: 400})
	w.mustSync()
	w.requireEqualsSource()
	require.Equal(t, "2", w.value(`SELECT count(*) FROM cq_state_servicenow`), "a cursor for the incidents, one for the attachments")
	full := w.requests()

	incidents := w.SysIDs("incident")
	for i := range 50 {
		w.Update("incident", incidents[i*13], map[string]string{"state": "2", "short_description": fmt.Sprintf("changed %d", i)})
	}
	for range 20 {
		w.Insert("incident", map[string]string{"short_description": "new"})
	}
	for i := range 10 {
		w.Attach("incident", incidents[i], fmt.Sprintf("new-%d.txt", i), "text/plain", []byte("text"))
	}
	w.ResetRequests()
	w.mustSync()
	w.requireEqualsSource()
	require.Less(t, w.lists(), 18)
	require.Less(t, w.requests(), full+1)
}

func TestEveryRunIsFullWithoutABackend(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 1500, Attachments: 100})
	w.backend = false
	w.mustSync()
	w.requireEqualsSource()
	gone := w.SysIDs("incident")[:7]
	for _, id := range gone {
		w.Delete("incident", id)
	}
	w.mustSync()
	// The default write mode takes what a complete full sync did not bring for stale.
	w.requireIncidents(func(string) bool { return true })
}

func TestAFailedSyncKeepsOldRowsAndSaysSo(t *testing.T) {
	for _, backend := range []bool{true, false} {
		w := newWorld(t, emulator.Config{Incidents: 3000, Attachments: 100})
		w.backend = backend
		w.mustSync()
		before := w.value(`SELECT count(*) FROM servicenow_incidents`)
		w.SetFaults(emulator.Fault{Kind: emulator.FaultForbidden, Table: "incident", From: 3})
		if backend {
			for _, id := range w.SysIDs("incident")[:2500] {
				w.Update("incident", id, map[string]string{"state": "2"})
			}
		}
		_, err := w.sync()
		require.ErrorContains(t, err, "SN-READ-001")
		require.ErrorContains(t, err, "SN-SYNC-001")
		require.Equal(t, before, w.value(`SELECT count(*) FROM servicenow_incidents`))
		w.SetFaults()
		w.mustSync()
		w.requireEqualsSource()
	}
}

func TestFaults(t *testing.T) {
	for _, kind := range []emulator.FaultKind{
		emulator.FaultPartialResult, emulator.FaultPartialCut, emulator.FaultEmptyWithError, emulator.FaultCutBody, emulator.FaultCutReset,
		emulator.FaultCutGzip, emulator.FaultHibernating, emulator.FaultAccepted, emulator.FaultReset, emulator.FaultRateLimited,
		emulator.FaultQueueFull, emulator.FaultCancelled, emulator.FaultBadGateway, emulator.FaultUnavailable, emulator.FaultGatewayTimeout,
		emulator.FaultTokenExpired, emulator.FaultSlowBody,
	} {
		t.Run(string(kind), func(t *testing.T) {
			incidents := size(t, envIncidents, 2200)
			w := newWorld(t, emulator.Config{Incidents: incidents, Attachments: size(t, envAttachments, 150)})
			if incidents == 2200 {
				t.Parallel()
				w.spec["page_size"] = 100
			}
			fault := emulator.Fault{Kind: kind, Every: 7, Delay: 50 * time.Millisecond}
			w.SetFaults(fault)
			w.mustSync()
			w.requireEqualsSource()
			ids := w.SysIDs("incident")
			for i := range 300 {
				w.Update("incident", ids[i*7], map[string]string{"state": "3"})
			}
			w.Attach("incident", ids[5], "late.txt", "text/plain", []byte("text"))
			w.SetFaults(fault)
			w.mustSync()
			w.requireEqualsSource()
		})
	}
}

func TestAnInterruptedLoadGoesOn(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 45000, Attachments: -1})
	w.tables = []string{"servicenow_incidents"}
	w.spec["page_size"] = 1000
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var pages atomic.Int64
	w.OnRequest(func(_ int, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/table/incident") && r.URL.Query().Get("sysparm_limit") == "1000" && pages.Add(1) == 35 {
			cancel()
		}
	})
	_, err := w.syncContext(ctx)
	require.True(t, errors.Is(err, context.Canceled), "%v", err)
	w.OnRequest(nil)
	w.ResetRequests()
	w.mustSync()
	rows := 0
	for _, r := range w.Requests() {
		rows += r.Rows
	}
	require.Less(t, rows, 27000, "the second sync goes on behind the last stored position, at 20,000 rows")
	w.requireIncidents(func(string) bool { return true })
}

func TestRowsCommittedLateAreMet(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 1200, Attachments: -1})
	w.mustSync()
	late := w.Insert("incident", map[string]string{"short_description": "committed late"})
	w.Update("incident", late, map[string]string{"sys_updated_on": time.Now().UTC().Add(-3 * time.Minute).Format(time.DateTime)})
	w.mustSync()
	w.requireEqualsSource()
}

func TestStrayRowsAreMetByEverySync(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 1200, Attachments: 50})
	ids := w.SysIDs("incident")
	w.Update("incident", ids[3], map[string]string{"sys_updated_on": ""})
	w.Update("incident", ids[4], map[string]string{"sys_updated_on": "2099-01-01 00:00:00"})
	w.mustSync()
	w.requireEqualsSource()
	w.Update("incident", ids[3], map[string]string{"sys_updated_on": "", "state": "3"})
	w.Update("incident", ids[4], map[string]string{"sys_updated_on": "2099-01-01 00:00:00", "state": "3"})
	w.mustSync()
	w.requireEqualsSource()
}

func TestRowsThatChangeDuringASync(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 3000, Attachments: 200})
	w.spec["page_size"] = 100
	ids := w.SysIDs("incident")
	w.OnRequest(func(n int, _ *http.Request) {
		for i := range 5 {
			w.Update("incident", ids[(n*31+i*577)%len(ids)], map[string]string{"short_description": fmt.Sprintf("change %d", n)})
		}
		w.Insert("incident", map[string]string{"short_description": "opened during the sync"})
		w.Attach("incident", ids[n%len(ids)], "during.txt", "text/plain", []byte("text"))
	})
	w.mustSync()
	w.mustSync()
	w.OnRequest(nil)
	w.mustSync()
	w.requireEqualsSource()
}

// skewed returns a clock for the emulator and what moves it.
func skewed() (func() time.Time, *atomic.Int64) {
	var skew atomic.Int64
	return func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }, &skew
}

// Without a cursor the destination deletes what a sync did not bring: a row that leaves the window must be brought all the same.
func TestARowThatChangesLateInALongSyncIsNotTakenForStale(t *testing.T) {
	clock, skew := skewed()
	w := newWorld(t, emulator.Config{Incidents: 3000, Attachments: -1, Now: clock})
	w.backend, w.tables = false, []string{"servicenow_incidents"}
	w.spec["page_size"] = 100
	w.mustSync()
	id := w.value(`SELECT sys_id FROM servicenow_incidents ORDER BY sys_updated_on DESC, sys_id DESC LIMIT 1`)
	var pages atomic.Int64
	w.OnRequest(func(_ int, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/table/incident") && pages.Add(1) == 8 {
			skew.Store(int64(10 * time.Minute))
			w.Update("incident", id, map[string]string{"state": "2"})
		}
	})
	w.mustSync()
	w.OnRequest(nil)
	w.requireIncidents(func(string) bool { return true })
}

func TestAClockThatIsSetBackLosesNothing(t *testing.T) {
	clock, skew := skewed()
	skew.Store(int64(2 * time.Hour))
	w := newWorld(t, emulator.Config{Incidents: 1200, Attachments: -1, Now: clock})
	w.tables = []string{"servicenow_incidents"}
	w.mustSync()
	skew.Store(int64(20 * time.Minute))
	w.Update("incident", w.SysIDs("incident")[7], map[string]string{"short_description": "changed after"})
	skew.Store(int64(time.Hour))
	w.mustSync()
	skew.Store(int64(3 * time.Hour))
	w.mustSync()
	w.requireIncidents(func(string) bool { return true })
}

func TestAttachmentsOfPickedIncidentsUnderAnyTableName(t *testing.T) {
	w := newWorld(t, emulator.Config{Attachments: 100})
	w.DenyTable("sys_db_object", emulator.DenyForbidden)
	id := w.SysIDs("incident")[7]
	a := w.Attach("incident", id, "x.txt", "text/plain", []byte("x"))
	w.Update("sys_attachment", a, map[string]string{"table_name": "u_incident_ext"})
	w.spec["incidents"] = map[string]any{"sys_ids": []string{id}}
	w.mustSync()
	require.Equal(t, "1", w.value(`SELECT count(*) FROM servicenow_attachments WHERE sys_id = ?`, a))
}

func TestAttachmentsWithoutAParentFieldAreAnError(t *testing.T) {
	w := newWorld(t, emulator.Config{})
	w.HideFields("sys_attachment", "table_sys_id")
	_, err := w.sync()
	require.ErrorContains(t, err, "SN-READ-006")
}

func TestOneInstanceDownLeavesTheCursorsOfTheOthers(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 3000, Attachments: -1})
	other := newWorld(t, emulator.Config{Seed: 9})
	url := w.url
	w.url = ""
	w.tables = []string{"servicenow_incidents"}
	w.spec["page_size"] = 100
	w.spec["instances"] = []map[string]any{
		{"name": "one", "instance_url": url},
		{"name": "two", "instance_url": other.url, "incidents": map[string]any{"fields": []string{"*"}}},
	}
	w.mustSync()
	other.DenyTable("incident", emulator.DenyForbidden)
	w.ResetRequests()
	_, err := w.sync()
	require.ErrorContains(t, err, "two")
	require.Less(t, w.requests(), 10)
	other.DenyTable("incident", emulator.DenyNone)
	w.ResetRequests()
	w.mustSync()
	require.Less(t, w.requests(), 10)
}

func TestChangedSelectionStartsAFullSync(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 1500, Attachments: 300})
	w.spec["incidents"] = map[string]any{"query": "priority=1"}
	priority := func(want ...string) func(string) bool {
		return func(id string) bool {
			r, ok := w.Record("incident", id)
			for _, p := range want {
				if ok && r["priority"] == p {
					return true
				}
			}
			return false
		}
	}
	w.mustSync()
	w.requireIncidents(priority("1"))
	w.requireAttachments(priority("1"))

	w.spec["incidents"] = map[string]any{"query": "priority=1^ORpriority=2"}
	w.mustSync()
	w.requireIncidents(priority("1", "2"))
	w.requireAttachments(priority("1", "2"))

	// A change that lets an incident in brings the attachments that it has had all along.
	for _, id := range w.SysIDs("incident") {
		if r, _ := w.Record("incident", id); r["priority"] == "4" {
			w.Update("incident", id, map[string]string{"priority": "2"})
		}
	}
	w.ResetRequests()
	w.mustSync()
	w.requireIncidents(priority("1", "2"))
	w.requireAttachments(priority("1", "2"))
}

func TestPickedIncidents(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 1200, Attachments: 300})
	ids := w.SysIDs("incident")
	picked := map[string]bool{}
	var sysIDs, numbers []string
	for i := range 150 {
		sysIDs = append(sysIDs, ids[i*3])
		picked[ids[i*3]] = true
	}
	for i := range 20 {
		r, _ := w.Record("incident", ids[600+i])
		numbers = append(numbers, r["number"])
		picked[ids[600+i]] = true
	}
	w.spec["incidents"] = map[string]any{"sys_ids": sysIDs, "numbers": numbers}
	w.mustSync()
	w.requireIncidents(func(id string) bool { return picked[id] })
	w.requireAttachments(func(id string) bool { return picked[id] })
	w.ResetRequests()
	w.Attach("incident", ids[3], "new.txt", "text/plain", []byte("text"))
	w.mustSync()
	w.requireAttachments(func(id string) bool { return picked[id] })
	require.Less(t, w.lists(), 24)
	require.Equal(t, 1, w.requests()-w.lists(), "one new file")
}

func TestPickedIncidentsThatDoNotExist(t *testing.T) {
	w := newWorld(t, emulator.Config{})
	w.spec["incidents"] = map[string]any{"numbers": []string{"INC9999999"}}
	summary := w.mustSync()
	require.NotZero(t, summary.Sources[0].Warnings)
	require.Equal(t, "0", w.value(`SELECT count(*) FROM servicenow_incidents`), "nothing, not everything")
	require.Equal(t, "0", w.value(`SELECT count(*) FROM servicenow_attachments`))
}

func TestUnknownFieldsAreRefused(t *testing.T) {
	w := newWorld(t, emulator.Config{})
	for _, incidents := range []map[string]any{
		{"query": "priorty=1"}, {"query": "caller_id.departmant=x"}, {"fields": []string{"number", "shortdescription"}}, {"query": "active=true^ORDERBYnumber"},
	} {
		w.spec["incidents"] = incidents
		_, err := w.sync()
		require.Error(t, err)
		require.True(t, strings.Contains(err.Error(), "SN-DICT-002") || strings.Contains(err.Error(), "SN-SPEC-001"), "%v", err)
	}
}

func TestCustomFields(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 1200})
	w.tables = []string{"servicenow_incidents"}
	w.spec["incidents"] = map[string]any{"fields": []string{"*"}}
	w.mustSync()
	w.requireIncidents(func(string) bool { return true })
	for _, row := range w.rows(`SELECT sys_id, u_region, u_region_display, u_score, u_vendor, u_vendor_display FROM servicenow_incidents`) {
		stored, _ := w.Record("incident", row[0])
		shown := w.DisplayRecord("incident", row[0])
		require.Equal(t, []string{null(stored["u_region"]), null(shown["u_region"]), null(stored["u_score"]), null(stored["u_vendor"]), null(shown["u_vendor"])}, row[1:])
	}
}

func TestChosenFields(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 1200})
	w.tables = []string{"servicenow_incidents"}
	w.spec["incidents"] = map[string]any{"fields": []string{"number", "state", "short_description", "caller_id", "u_*"}}
	w.mustSync()
	w.requireIncidents(func(string) bool { return true })
	require.Len(t, w.rows(`SELECT name FROM pragma_table_info('servicenow_incidents') WHERE name IN ('description', 'priority')`), 0)
	require.Len(t, w.rows(`SELECT name FROM pragma_table_info('servicenow_incidents') WHERE name IN ('u_score', 'caller_id_display', 'sys_updated_on')`), 3)
	for _, request := range w.Requests() {
		if request.Table == "incident" && request.Rows > 100 {
			require.Contains(t, request.Query.Get("sysparm_fields"), "short_description")
		}
	}
}

func TestHiddenDictionary(t *testing.T) {
	for _, mode := range []emulator.DenyMode{emulator.DenyForbidden, emulator.DenyEmpty} {
		w := newWorld(t, emulator.Config{Incidents: 1200})
		w.DenyTable("sys_dictionary", mode)
		w.DenyTable("sys_db_object", mode)
		summary := w.mustSync()
		w.requireEqualsSource()
		require.NotZero(t, summary.Sources[0].Warnings)
		require.Equal(t, "incident", w.value(`SELECT sys_id FROM servicenow_tables WHERE name = 'incident'`))
	}
}

func TestRowSecurity(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 5000, TiedShare: 0.6})
	hidden := func(id string) bool { return id[0] != '3' }
	w.HideRows("incident", func(id string, _ func(string) string) bool { return hidden(id) })
	summary := w.mustSync()
	w.requireIncidents(func(id string) bool { return !hidden(id) })
	require.NotZero(t, summary.Sources[0].Warnings, "hidden rows are said")

	w = newWorld(t, emulator.Config{Incidents: 1300})
	w.HideRows("incident", func(string, func(string) string) bool { return true })
	summary = w.mustSync()
	require.Equal(t, "0", w.value(`SELECT count(*) FROM servicenow_incidents`))
	require.NotZero(t, summary.Sources[0].Warnings, "hidden rows are said, all of them too")
}

func TestStableIDs(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 1200, Attachments: 100})
	w.mustSync()
	query := `SELECT _cq_id, sys_id FROM servicenow_incidents UNION ALL SELECT _cq_id, sys_id FROM servicenow_attachments UNION ALL SELECT _cq_id, sys_id FROM servicenow_tables ORDER BY 2, 1`
	before := w.rows(query)
	for _, id := range w.SysIDs("incident")[:100] {
		w.Update("incident", id, map[string]string{"state": "3"})
	}
	w.mustSync()
	require.Equal(t, before, w.rows(query))
}

func TestManyInstancesOneFails(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 1200, Attachments: 50})
	other := newWorld(t, emulator.Config{Incidents: 1300, Seed: 9, Attachments: 50})
	url := w.url
	w.url = ""
	w.spec["instances"] = []map[string]any{
		{"name": "one", "instance_url": url},
		{"name": "two", "instance_url": other.url},
		{"name": "broken", "instance_url": "http://127.0.0.1:1", "auth": map[string]any{"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}},
	}
	_, err := w.sync()
	require.ErrorContains(t, err, "broken")
	counts := w.rows(`SELECT instance, count(*) FROM servicenow_incidents GROUP BY instance ORDER BY 2`)
	require.Equal(t, [][]string{{strings.TrimPrefix(url, "http://"), "1200"}, {strings.TrimPrefix(other.url, "http://"), "1300"}}, counts)
}

func TestGrants(t *testing.T) {
	for name, auth := range map[string]map[string]any{
		"password":      {"grant_type": "password", "client_id": "emulator-client", "client_secret": "emulator-secret", "username": "emulator.user", "password": "emulator-password"},
		"refresh_token": {"grant_type": "refresh_token", "client_id": "emulator-client", "client_secret": "emulator-secret", "refresh_token": "emulator-refresh"},
		"basic":         {"grant_type": "basic", "username": "emulator.user", "password": "emulator-password"},
		"api_key":       {"grant_type": "api_key", "api_key": "emulator-key"},
		"token pair": {"grant_type": "refresh_token", "client_id": "emulator-client", "client_secret": "emulator-secret", "refresh_token": "emulator-refresh",
			"access_token": "an-access-token-that-has-expired"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, emulator.Config{Attachments: 20})
			w.auth = auth
			w.mustSync()
			w.requireEqualsSource()
		})
	}
}

func TestJWTBearer(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600))
	w := newWorld(t, emulator.Config{Attachments: 20, JWTKey: &key.PublicKey})
	w.auth = map[string]any{
		"grant_type": "jwt_bearer", "client_id": "emulator-client", "client_secret": "emulator-secret", "subject": "emulator.user", "key_id": "k1", "private_key_file": file,
	}
	w.mustSync()
	w.requireEqualsSource()
}

func TestRefusedSignInNamesTheCauses(t *testing.T) {
	w := newWorld(t, emulator.Config{})
	w.auth["client_secret"] = "canary-wrong-secret"
	_, err := w.sync()
	require.ErrorContains(t, err, "SN-AUTH-")
	require.NotContains(t, err.Error(), "canary")
	require.Less(t, w.requests(), 5, "a wrong secret is not tried again and again")
}

func TestExpiringTokens(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 3000, Attachments: 50, TokenLifetime: 2 * time.Second, RequestLatency: 40 * time.Millisecond})
	w.spec["page_size"] = 100
	w.mustSync()
	w.requireEqualsSource()
}
