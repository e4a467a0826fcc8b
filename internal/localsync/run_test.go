package localsync_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/localsync"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// rig is one database and the syncs into it.
type rig struct {
	t       *testing.T
	db      string
	log     string
	temp    string
	extra   string // lines of the source
	destKey string // lines of the destination
	stdout  buffer
	stderr  buffer
}

// buffer is written by the driver and read by the test at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newRig(t *testing.T) *rig {
	temp, err := os.MkdirTemp("", "ls")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(temp)) })
	dir := t.TempDir()
	t.Setenv("TMPDIR", temp)
	return &rig{t: t, temp: temp, db: filepath.Join(dir, "x.db"), log: filepath.Join(dir, "x.log")}
}

func (r *rig) withBackend() *rig {
	r.extra = "  backend_options: {table_name: cq_state, connection: \"@@plugins.sqlite.connection\"}\n"
	return r
}

func (r *rig) config(mode string, from, rows int) []byte {
	return fmt.Appendf(nil, `kind: source
spec:
  name: servicenow
  registry: local
  path: ./servicenow
  tables: ["*"]
  destinations: [sqlite]
%s  spec: {mode: %s, from: %d, rows: %d}
---
kind: destination
spec:
  name: sqlite
  registry: embedded
  path: sqlite
%s  spec: {connection_string: %q}
`, r.extra, mode, from, rows, r.destKey, r.db)
}

func (r *rig) run(ctx context.Context, mode string, from, rows int) (localsync.Summary, error) {
	exe, err := os.Executable()
	require.NoError(r.t, err)
	sum, err := localsync.RunConfig(ctx, r.config(mode, from, rows), localsync.Options{
		Source: []string{exe, "serve"}, Stdout: &r.stdout, Stderr: &r.stderr, LogPath: r.log,
	})
	r.noLeftovers()
	return sum, err
}

// noLeftovers checks that neither a socket nor a child outlived the run.
func (r *rig) noLeftovers() {
	entries, err := filepath.Glob(filepath.Join(r.temp, "cq-servicenow-*"))
	require.NoError(r.t, err)
	require.Empty(r.t, entries)
	log, err := os.ReadFile(r.log)
	require.NoError(r.t, err)
	for _, m := range regexp.MustCompile(`"pid":(\d+)`).FindAllSubmatch(log, -1) {
		pid, err := strconv.Atoi(string(m[1]))
		require.NoError(r.t, err)
		require.NoFileExists(r.t, fmt.Sprintf("/proc/%d/exe", pid))
	}
}

func (r *rig) query(query string) string {
	db, err := sql.Open("sqlite", r.db)
	require.NoError(r.t, err)
	defer db.Close()
	var s string
	require.NoError(r.t, db.QueryRow(query).Scan(&s))
	return s
}

func (r *rig) count() string { return r.query(`SELECT count(*) FROM servicenow_items`) }

func TestFullRun(t *testing.T) {
	r := newRig(t)
	sum, err := r.run(t.Context(), "full", 0, 10)
	require.NoError(t, err)
	require.Len(t, sum.Sources, 1)
	require.Equal(t, "servicenow", sum.Sources[0].Name)
	require.Equal(t, []localsync.TableSummary{{Name: "servicenow_items", Rows: 10}}, sum.Sources[0].Tables)
	require.Equal(t, "servicenow: servicenow_items: 10 rows\n", r.stdout.String())
	require.Empty(t, r.stderr.String())

	require.Equal(t, "10|servicenow|2024-01-01 00:00:09.000001|2024-01-01 00:00:09|<b>|36", r.query(`SELECT count(*)||'|'||
		max(_cq_source_name)||'|'||max(at)||'|'||max(datetime(at))||'|'||max(json_extract(data,'$.a'))||'|'||
		max(length(json_extract(uids,'$[0]'))) FROM servicenow_items`))
	require.Equal(t, "0", r.query(`SELECT count(*) FROM servicenow_items WHERE _cq_id IS NULL OR length(_cq_id) <> 36
		OR julianday('now') - julianday(_cq_sync_time) NOT BETWEEN 0 AND 0.1`))

	for _, path := range []string{r.db, r.log} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

func TestDeleteStaleAfterSuccess(t *testing.T) {
	r := newRig(t)
	_, err := r.run(t.Context(), "full", 0, 10)
	require.NoError(t, err)
	sum, err := r.run(t.Context(), "full", 4, 10)
	require.NoError(t, err)
	require.Equal(t, "10", r.count())
	require.Equal(t, "id0004", r.query(`SELECT min(id) FROM servicenow_items`))
	require.Equal(t, int64(4), sum.Sources[0].Tables[0].Deleted)
	require.Contains(t, r.stdout.String(), "10 rows, 4 deleted\n")
}

func TestWriteModes(t *testing.T) {
	for mode, want := range map[string]string{"overwrite": "14", "append": "20"} {
		t.Run(mode, func(t *testing.T) {
			r := newRig(t)
			r.destKey = "  write_mode: " + mode + "\n"
			for _, from := range []int{0, 4} {
				_, err := r.run(t.Context(), "full", from, 10)
				require.NoError(t, err)
			}
			require.Equal(t, want, r.count())
		})
	}
}

func TestCqIDOnly(t *testing.T) {
	r := newRig(t)
	_, err := r.run(t.Context(), "full", 0, 10)
	require.NoError(t, err)
	r.destKey = "  pk_mode: cq-id-only\n"
	_, err = r.run(t.Context(), "full", 0, 10)
	require.NoError(t, err)
	require.Equal(t, "_cq_id", r.query(`SELECT group_concat(name) FROM pragma_table_info('servicenow_items') WHERE pk > 0`))
	require.Equal(t, "10", r.count())
}

func TestState(t *testing.T) {
	for _, mode := range []string{"state", "stream"} {
		for _, write := range []string{"overwrite-delete-stale", "append"} {
			t.Run(mode+"/"+write, func(t *testing.T) {
				r := newRig(t).withBackend()
				r.destKey = "  write_mode: " + write + "\n"
				for i := range 3 {
					sum, err := r.run(t.Context(), mode, 0, 5)
					require.NoError(t, err)
					require.Equal(t, []localsync.TableSummary{{Name: "servicenow_items", Rows: 5}}, sum.Sources[0].Tables)
					require.Equal(t, strconv.Itoa(5*(i+1)), r.query(`SELECT value FROM cq_state WHERE key = 'cursor'`))
				}
				require.Equal(t, "15", r.count())
			})
		}
	}
}

// A source says that this pass was complete by migrating the table once more as not incremental.
func TestDeleteStaleFollowsLastMigrate(t *testing.T) {
	r := newRig(t).withBackend()
	_, err := r.run(t.Context(), "complete", 0, 10)
	require.NoError(t, err)
	_, err = r.run(t.Context(), "state", 0, 2)
	require.NoError(t, err)
	require.Equal(t, "10", r.count())
	_, err = r.run(t.Context(), "complete", 8, 4)
	require.NoError(t, err)
	require.Equal(t, "4", r.count())
	require.Equal(t, "2", r.query(`SELECT value FROM cq_state`))
}

func TestDeleteRecords(t *testing.T) {
	r := newRig(t)
	sum, err := r.run(t.Context(), "delete", 0, 10)
	require.NoError(t, err)
	require.Equal(t, "2", r.count())
	require.Equal(t, int64(8), sum.Sources[0].Tables[0].Deleted)
}

func TestSyncErrorKeepsStaleRows(t *testing.T) {
	r := newRig(t)
	_, err := r.run(t.Context(), "full", 0, 10)
	require.NoError(t, err)
	sum, err := r.run(t.Context(), "sync-error", 0, 3)
	require.Equal(t, "SN-LOCAL-007", usererror.CodeOf(err))
	require.ErrorContains(t, err, "servicenow_items: page 2 cannot be read")
	require.Equal(t, "10", r.count())
	require.Equal(t, 1, sum.Sources[0].Errors)
	require.Equal(t, int64(1), sum.Sources[0].Tables[0].Errors)
	require.Equal(t, "error: page 2 cannot be read table=servicenow_items\n", r.stderr.String())
}

func TestSyncFails(t *testing.T) {
	r := newRig(t)
	_, err := r.run(t.Context(), "full", 0, 10)
	require.NoError(t, err)
	sum, err := r.run(t.Context(), "error", 10, 3)
	require.Equal(t, "SN-LOCAL-008", usererror.CodeOf(err))
	require.ErrorContains(t, err, "the instance went away")
	require.Equal(t, "13", r.count(), "the rows before the error are kept, and so are the stale ones")
	require.Equal(t, 1, sum.Sources[0].Warnings)
	require.Equal(t, "warn: this will not end well\n", r.stderr.String())
}

func TestSourceRefusesSpec(t *testing.T) {
	r := newRig(t)
	_, err := r.run(t.Context(), "refuse", 0, 0)
	var user *usererror.Error
	require.ErrorAs(t, err, &user)
	require.Equal(t, usererror.New("SN-SPEC-001", "mode is wrong", "choose another one"), user)
}

func TestChildCrashes(t *testing.T) {
	r := newRig(t)
	_, err := r.run(t.Context(), "crash", 0, 3)
	require.Equal(t, "SN-LOCAL-005", usererror.CodeOf(err))
	require.ErrorContains(t, err, "info: about to crash")
	require.ErrorContains(t, err, "panic: plain words")
	require.ErrorContains(t, err, "exit status 3")
	require.Equal(t, "3", r.count())
}

func TestCancel(t *testing.T) {
	for name, end := range map[string]func(cancel func()) error{
		"context": func(cancel func()) error { cancel(); return nil },
		"Ctrl-C": func(func()) error {
			p, err := os.FindProcess(os.Getpid())
			return errors.Join(err, p.Signal(os.Interrupt))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				for !strings.Contains(r.stderr.String(), "hanging") && ctx.Err() == nil {
					time.Sleep(10 * time.Millisecond)
				}
				time.Sleep(500 * time.Millisecond) // the log is faster than the rows before it
				ended <- end(cancel)
			}()
			start := time.Now()
			_, err := r.run(ctx, "hang", 0, 3)
			require.ErrorIs(t, err, context.Canceled)
			require.NoError(t, <-ended)
			require.Less(t, time.Since(start), 10*time.Second)
			require.Equal(t, "3", r.count(), "what arrived is written")
		})
	}
}

// BenchmarkRun is a whole sync, child process included, of rows with 100 columns.
func BenchmarkRun(b *testing.B) {
	const rows = 40_000
	exe, err := os.Executable()
	require.NoError(b, err)
	for b.Loop() {
		r := &rig{db: filepath.Join(b.TempDir(), "x.db")}
		_, err := localsync.RunConfig(b.Context(), r.config("wide", 0, rows), localsync.Options{Source: []string{exe, "serve"}})
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
}

func TestMigrateNeedsForce(t *testing.T) {
	r := newRig(t)
	_, err := r.run(t.Context(), "full", 0, 3)
	require.NoError(t, err)
	_, err = r.run(t.Context(), "old-column", 0, 0)
	require.Equal(t, "SN-LOCAL-011", usererror.CodeOf(err))
	require.ErrorContains(t, err, "column n changes from integer to text")
	require.Equal(t, "3", r.count())
	r.destKey = "  migrate_mode: forced\n"
	_, err = r.run(t.Context(), "old-column", 0, 0)
	require.NoError(t, err)
	require.Equal(t, "0", r.count())
}

func TestWriteFails(t *testing.T) {
	r := newRig(t)
	_, err := r.run(t.Context(), "full", 0, 3)
	require.NoError(t, err)
	db, err := sql.Open("sqlite", r.db)
	require.NoError(t, err)
	_, err = db.Exec(`CREATE TRIGGER no BEFORE INSERT ON servicenow_items BEGIN SELECT raise(ABORT, 'no more'); END`)
	require.NoError(t, errors.Join(err, db.Close()))
	_, err = r.run(t.Context(), "full", 3, 3)
	require.Equal(t, "SN-LOCAL-010", usererror.CodeOf(err))
	require.ErrorContains(t, err, "no more")
	require.Equal(t, "3", r.count())
}

func TestCannotStart(t *testing.T) {
	r := newRig(t)
	for name, command := range map[string][]string{
		"no such file": {filepath.Join(t.TempDir(), "missing"), "serve"},
		"ends at once": {"/bin/sh", "-c", "echo not a plugin; exit 4", "serve"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := localsync.RunConfig(t.Context(), r.config("full", 0, 1), localsync.Options{Source: command, LogPath: r.log})
			require.Equal(t, "SN-LOCAL-004", usererror.CodeOf(err))
			r.noLeftovers()
		})
	}
	r.db = filepath.Join(t.TempDir(), "missing", "x.db")
	_, err := r.run(t.Context(), "full", 0, 1)
	require.Equal(t, "SN-LOCAL-009", usererror.CodeOf(err))
}
