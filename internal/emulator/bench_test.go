package emulator

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"testing"
)

// discard is a response nobody reads.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// benchIncidents is how many incidents the benchmarks run over; EMULATOR_BENCH_INCIDENTS=1000000 for the
// large one.
func benchIncidents() int {
	if n, err := strconv.Atoi(os.Getenv("EMULATOR_BENCH_INCIDENTS")); err == nil {
		return n
	}
	return 20_000
}

func keysetPage(since, after, until string) *http.Request {
	query := fmt.Sprintf("sys_updated_on>=%s^sys_updated_on>%s^ORsys_id>%s^sys_updated_on<=%s^ORDERBYsys_updated_on^ORDERBYsys_id", since, since, after, until)
	r := httptest.NewRequest(http.MethodGet, "/api/now/table/incident?"+url.Values{
		"sysparm_query": {query}, "sysparm_limit": {"1000"}, "sysparm_display_value": {"all"}, "sysparm_exclude_reference_link": {"true"},
	}.Encode(), nil)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("x-sn-apikey", "emulator-key")
	return r
}

func BenchmarkKeysetPage(b *testing.B) {
	e := New(Config{Now: fixedNow, Incidents: benchIncidents()})
	starts := map[string]string{
		"spread": "2025-01-01 00:00:00",
		"tied":   string(appendDateTime(nil, fixedNow().Unix()-181*day)), // in the middle of a quarter of the table
	}
	for name, since := range starts {
		b.Run(name, func(b *testing.B) {
			r := keysetPage(since, "7fffffffffffffffffffffffffffffff", "2026-02-28 00:00:00")
			e.ResetRequests()
			for b.Loop() {
				e.ServeHTTP(&discard{http.Header{}}, r)
			}
			served := e.Requests()
			b.ReportMetric(float64(served[0].Rows*b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(served[0].Bytes)/float64(served[0].Rows), "B/row")
		})
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New(Config{Now: fixedNow, Incidents: benchIncidents()})
	}
}
