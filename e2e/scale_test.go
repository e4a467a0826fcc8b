package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

// envIncidents and envAttachments size the load. docs/dev/benchmarks.md tells what larger ones take.
const (
	envIncidents   = "E2E_INCIDENTS"
	envAttachments = "E2E_ATTACHMENTS"
)

func size(t *testing.T, env string, otherwise int) int {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// A full sync with a quarter of the rows in one second, then one of 500 changes, 20 new incidents and 50 new files.
func TestLoad(t *testing.T) {
	w := newWorld(t, emulator.Config{
		Incidents: size(t, envIncidents, 10000), Attachments: size(t, envAttachments, 1000), TiedShare: 0.25,
	})
	w.report("full sync", func() { w.mustSync() })
	w.requireEqualsSource()

	incidents := w.SysIDs("incident")
	for i := range 500 {
		w.Update("incident", incidents[i*(len(incidents)/500)], map[string]string{"state": "2"})
	}
	for range 20 {
		w.Insert("incident", map[string]string{"short_description": "new"})
	}
	for i := range 50 {
		w.Attach("incident", incidents[i*7], fmt.Sprintf("new-%d.txt", i), "text/plain", []byte("text"))
	}
	w.report("incremental sync", func() {
		summary := w.mustSync()
		for _, table := range summary.Sources[0].Tables {
			if table.Name == "servicenow_incidents" {
				require.GreaterOrEqual(t, table.Rows, int64(520))
			}
		}
	})
	require.Less(t, w.lists(), 20)
	w.requireEqualsSource()
}

// What a sync asks besides its pages does not grow, neither with the table nor with what changes.
func TestRequestsOfAnIncrementalSync(t *testing.T) {
	const page = 1000
	w := newWorld(t, emulator.Config{Incidents: 3000, Attachments: -1})
	w.spec["page_size"] = page
	w.auth = map[string]any{"grant_type": "api_key", "api_key": "emulator-key"}
	w.mustSync()
	incidents := w.SysIDs("incident")
	for _, changed := range []int{0, 1, page, 2*page + 1} {
		for _, id := range incidents[:changed] {
			w.Update("incident", id, map[string]string{"short_description": "changed"})
		}
		w.ResetRequests()
		w.mustSync()
		require.LessOrEqual(t, w.requests(), (changed+page-1)/page+10, "%d changed", changed)
	}
	require.Equal(t, "3000,3000", w.value(`SELECT row_count || ',' || selected_row_count FROM servicenow_tables WHERE name = 'incident'`))
}

// report runs a sync and logs what it took: time, rows, requests, and the most memory that the plugin's process held.
func (w *world) report(name string, run func()) {
	w.t.Helper()
	w.ResetRequests()
	peak := watchMemory(w.t)
	began := time.Now()
	run()
	took := time.Since(began)
	rows, bytesSent := 0, 0
	for _, r := range w.Requests() {
		rows += r.Rows
		bytesSent += r.Bytes
	}
	w.t.Logf("%s: %d rows in %.2f s (%.0f rows/s), %d requests, %.1f MB of answers, plugin's peak memory %d MiB",
		name, rows, took.Seconds(), float64(rows)/took.Seconds(), w.requests(), float64(bytesSent)/1e6, peak()>>20)
}

// watchMemory follows the plugin's process and returns a function that tells the peak of its resident memory, or 0 where
// the system does not say.
func watchMemory(t *testing.T) func() int64 {
	t.Helper()
	stop, done := make(chan struct{}), make(chan int64, 1)
	go func() {
		var peak int64
		for {
			peak = max(peak, residentPeak())
			select {
			case <-stop:
				done <- peak
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(stop); return <-done }
}

// residentPeak looks for processes of the binary in /proc.
func residentPeak() int64 {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var peak int64
	for _, file := range files {
		cmdline, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(cmdline, []byte(binary+"\x00serve")) {
			continue
		}
		status, err := os.ReadFile(filepath.Join(filepath.Dir(file), "status"))
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(status), "\n") {
			if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
				kib, _ := strconv.ParseInt(fields[1], 10, 64)
				peak = max(peak, kib<<10)
			}
		}
	}
	return peak
}
