//go:build unix

package e2e

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

// The real CLI and real destinations are named by the environment; without them these tests say that they are skipped.
const (
	envCLI        = "CQ_CLI"
	envSQLite     = "CQ_DEST_SQLITE"
	envPostgreSQL = "CQ_DEST_POSTGRESQL"
	envDuckDB     = "CQ_DEST_DUCKDB"
	envFile       = "CQ_DEST_FILE"
)

func tool(t *testing.T, env string) string {
	t.Helper()
	path := os.Getenv(env)
	if path == "" {
		t.Skipf("%s does not name a program, so this is not tried", env)
	}
	return path
}

// cli runs the CloudQuery CLI and returns what it printed.
func (w *world) cli(config []byte, command string, flags ...string) (string, error) {
	w.t.Helper()
	dir := w.t.TempDir()
	file := filepath.Join(dir, "config.yml")
	require.NoError(w.t, os.WriteFile(file, config, 0o600))
	cmd := exec.CommandContext(w.t.Context(), tool(w.t, envCLI), append([]string{command, file, "--telemetry-level", "none", "--no-log-file", "--cq-dir", dir}, flags...)...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.ReplaceAll(out.String(), "\r", "\n"), err
}

func (w *world) mustCLI(config []byte, command string, flags ...string) string {
	w.t.Helper()
	out, err := w.cli(config, command, flags...)
	require.NoError(w.t, err, out)
	return out
}

// embeddedDestination builds the embedded destination as a plugin of its own.
func embeddedDestination(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sqlitedestination")
	out, err := exec.Command("go", "build", "-o", path, "./sqlitedestination").CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

func TestRealCLICommands(t *testing.T) {
	tool(t, envCLI)
	destination := embeddedDestination(t)
	w := newWorld(t, emulator.Config{})
	sourceOnly := func() []byte { return bytes.Split(w.config("local", destination), []byte("\n---\n"))[0] }
	w.mustCLI(w.config("local", destination), "validate-config")
	config := sourceOnly()
	require.Contains(t, w.mustCLI(config, "test-connection"), "Success")
	docs := t.TempDir()
	w.mustCLI(config, "tables", "--format", "json", "--output-dir", docs)
	found := false
	require.NoError(t, filepath.Walk(docs, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			found = found || bytes.Contains(data, []byte("servicenow_incidents"))
		}
		return err
	}))
	require.True(t, found, "the tables are documented")

	w.spec["pagesize"] = 3
	out, err := w.cli(w.config("local", destination), "validate-config")
	require.Error(t, err)
	require.Contains(t, out, "pagesize")
	delete(w.spec, "pagesize")
	w.auth["client_secret"] = "canary-wrong"
	out, err = w.cli(sourceOnly(), "test-connection")
	require.Error(t, err)
	require.Contains(t, out, "UNAUTHORIZED")
	require.NotContains(t, out, "canary")
}

// changes is what happens to an instance between two syncs.
func (w *world) changes() {
	incidents := w.SysIDs("incident")
	for i := range 300 {
		w.Update("incident", incidents[i*3], map[string]string{"state": "2", "short_description": "changed"})
	}
	for range 20 {
		w.Insert("incident", map[string]string{"short_description": "new"})
	}
	for i := range 10 {
		w.Attach("incident", incidents[i], fmt.Sprintf("new-%d.txt", i), "text/plain", []byte("text"))
	}
}

func TestRealCLIIntoSQLite(t *testing.T) {
	tool(t, envCLI)
	own := embeddedDestination(t)
	for name, destination := range map[string]func(*testing.T) string{
		"the embedded destination":     func(*testing.T) string { return own },
		"CloudQuery's own destination": func(t *testing.T) string { return tool(t, envSQLite) },
	} {
		t.Run(name, func(t *testing.T) {
			path := destination(t)
			w := newWorld(t, emulator.Config{Incidents: 3000, Attachments: 300})
			w.mustCLI(w.config("local", path), "sync")
			w.requireEqualsSource()
			w.changes()
			w.ResetRequests()
			w.mustCLI(w.config("local", path), "sync")
			w.requireEqualsSource()
			require.Less(t, w.lists(), 20)
			// Over gRPC, as a plugin that runs elsewhere.
			w.changes()
			address := w.serveOverTCP()
			config := bytes.Replace(w.config("local", path), []byte(`"registry": "local"`), []byte(`"registry": "grpc"`), 1)
			config = bytes.Replace(config, []byte(fmt.Sprintf("%q", binary)), []byte(fmt.Sprintf("%q", address)), 1)
			w.mustCLI(config, "sync")
			w.requireEqualsSource()
			// A sync that fails keeps what is there and does not move the cursor.
			w.changes()
			w.SetFaults(emulator.Fault{Kind: emulator.FaultForbidden, Table: "incident", From: 2})
			out, err := w.cli(w.config("local", path), "sync")
			require.Error(t, err)
			require.Contains(t, out, "SN-READ-001")
			w.SetFaults()
			w.mustCLI(w.config("local", path), "sync")
			w.requireEqualsSource()
		})
	}
}

// serveOverTCP starts the built binary as a gRPC server.
func (w *world) serveOverTCP() string {
	w.t.Helper()
	address := freePort(w.t)
	cmd := exec.CommandContext(w.t.Context(), binary, "serve", "--address", address)
	require.NoError(w.t, cmd.Start())
	w.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.Eventually(w.t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 10*time.Second, 20*time.Millisecond)
	return address
}

func TestRealCLIIntoPostgreSQL(t *testing.T) {
	tool(t, envCLI)
	destination := tool(t, envPostgreSQL)
	address := startPostgreSQL(t)
	for _, mode := range []string{"overwrite-delete-stale", "overwrite", "append"} {
		t.Run(mode, func(t *testing.T) {
			database := strings.ReplaceAll(mode, "-", "_")
			db, err := sql.Open("pgx", "postgres://postgres@"+address+"/postgres?sslmode=disable")
			require.NoError(t, err)
			_, err = db.Exec("CREATE DATABASE " + database)
			require.NoError(t, err)
			require.NoError(t, db.Close())
			db, err = sql.Open("pgx", "postgres://postgres@"+address+"/"+database+"?sslmode=disable")
			require.NoError(t, err)
			defer db.Close()

			w := newWorld(t, emulator.Config{Incidents: 3000, Attachments: 300})
			w.database = "postgres://postgres@" + address + "/" + database + "?sslmode=disable"
			config := bytes.Replace(w.config("local", destination), []byte(`"name": "sqlite",`), []byte(`"name": "sqlite", "write_mode": "`+mode+`",`), 1)
			w.mustCLI(config, "sync")
			w.requirePostgreSQL(db)
			w.changes()
			w.ResetRequests()
			out := w.mustCLI(config, "sync")
			require.Less(t, w.lists(), 20, out)
			w.requirePostgreSQL(db)

			// The destination refuses the rows: the sync fails, and the next one reads them again.
			_, err = db.Exec(`ALTER TABLE servicenow_incidents ADD CONSTRAINT refuse CHECK (short_description <> 'refused')`)
			require.NoError(t, err)
			refused := w.SysIDs("incident")[100:110]
			for _, id := range refused {
				w.Update("incident", id, map[string]string{"short_description": "refused"})
			}
			_, err = w.cli(config, "sync")
			require.Error(t, err)
			_, err = db.Exec(`ALTER TABLE servicenow_incidents DROP CONSTRAINT refuse`)
			require.NoError(t, err)
			w.mustCLI(config, "sync")
			w.requirePostgreSQL(db)
		})
	}
}

// A destination that logs a failed write, and goes on: the sync is a success without the rows. The next one finds out.
func TestRealCLILostWritesAreFound(t *testing.T) {
	tool(t, envCLI)
	w := newWorld(t, emulator.Config{Incidents: 3000, Attachments: -1})
	w.tables = []string{"servicenow_incidents"}
	config := w.config("local", tool(t, envSQLite))
	w.mustCLI(config, "sync")
	w.requireIncidents(func(string) bool { return true })
	w.exec(`CREATE TRIGGER refuse BEFORE INSERT ON servicenow_incidents WHEN NEW.short_description = 'refused' BEGIN SELECT RAISE(ABORT, 'refused'); END`)
	for _, id := range w.SysIDs("incident")[100:110] {
		w.Update("incident", id, map[string]string{"short_description": "refused"})
	}
	require.Contains(t, w.mustCLI(config, "sync"), "Sync completed successfully")
	require.Equal(t, "0", w.value(`SELECT count(*) FROM servicenow_incidents WHERE short_description = 'refused'`), "the rows are lost")
	w.exec(`DROP TRIGGER refuse`)
	w.mustCLI(config, "sync")
	w.requireIncidents(func(string) bool { return true })
}

// Everything is killed at some page of a load: the next sync goes on from what reached the database.
func TestRealCLIKilled(t *testing.T) {
	tool(t, envCLI)
	destination := tool(t, envPostgreSQL)
	address := startPostgreSQL(t)
	w := newWorld(t, emulator.Config{Incidents: 50000, Attachments: -1})
	w.spec["page_size"] = 1000
	w.database = "postgres://postgres@" + address + "/postgres?sslmode=disable"
	w.tables = []string{"servicenow_incidents"}
	db, err := sql.Open("pgx", w.database)
	require.NoError(t, err)
	defer db.Close()

	file := filepath.Join(t.TempDir(), "config.yml")
	require.NoError(t, os.WriteFile(file, w.config("local", destination), 0o600))
	cmd := exec.Command(tool(t, envCLI), "sync", file, "--telemetry-level", "none", "--no-log-file", "--cq-dir", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var pages atomic.Int64
	w.OnRequest(func(_ int, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/table/incident") && pages.Add(1) == 45 {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	require.NoError(t, cmd.Start())
	require.Error(t, cmd.Wait())
	w.OnRequest(nil)
	for _, name := range []string{binary, destination} {
		_ = exec.Command("pkill", "-KILL", "-f", name).Run() // plugins that ran in groups of their own
	}
	before := len(w.Requests())
	w.mustCLI(w.config("local", destination), "sync")
	w.requirePostgreSQL(db)
	require.Less(t, len(w.Requests())-before, 60, "the second sync goes on behind the last stored position")
}

// Two machines share the tables.
func TestRealCLIShards(t *testing.T) {
	tool(t, envCLI)
	w := newWorld(t, emulator.Config{Incidents: 2000, Attachments: 100})
	config := w.config("local", embeddedDestination(t))
	w.mustCLI(config, "sync", "--shard", "1/2")
	w.mustCLI(config, "sync", "--shard", "2/2")
	w.requireEqualsSource()
	require.Equal(t, "2", w.value("SELECT count(*) FROM servicenow_tables"))
}

// requirePostgreSQL compares the newest version of every incident with the source, column by column and as JSON.
func (w *world) requirePostgreSQL(db *sql.DB) {
	w.t.Helper()
	rows, err := db.Query(`SELECT DISTINCT ON (sys_id) sys_id, record::text, number, state, to_char(sys_updated_on, 'YYYY-MM-DD HH24:MI:SS'), active, calendar_duration
		FROM servicenow_incidents ORDER BY sys_id, sys_mod_count DESC, _cq_sync_time DESC`)
	require.NoError(w.t, err)
	defer rows.Close()
	seen := 0
	for rows.Next() {
		var id, record, number, updated string
		var state, duration sql.NullInt64
		var active sql.NullBool
		require.NoError(w.t, rows.Scan(&id, &record, &number, &state, &updated, &active, &duration))
		stored, ok := w.Record("incident", id)
		require.True(w.t, ok, id)
		w.addWalked(stored)
		seen++
		require.Equal(w.t, stored["number"], number)
		require.Equal(w.t, stored["sys_updated_on"], updated)
		require.Equal(w.t, stored["state"], fmt.Sprint(state.Int64))
		require.Equal(w.t, stored["active"], fmt.Sprint(active.Bool))
		if stored["calendar_duration"] != "" {
			at, err := time.Parse(time.DateTime, stored["calendar_duration"])
			require.NoError(w.t, err)
			require.Equal(w.t, at.Unix(), duration.Int64)
		}
		var fields map[string]struct {
			Value string `json:"value"`
		}
		require.NoError(w.t, json.Unmarshal([]byte(record), &fields))
		for field, value := range fields {
			require.Equal(w.t, stored[field], value.Value, "%s.%s", id, field)
		}
	}
	require.NoError(w.t, rows.Err())
	require.Equal(w.t, len(w.SysIDs("incident")), seen)
	if slices.Contains(w.tables, "*") {
		w.requireFilesIn(db)
	}
}

// requireFilesIn compares the bytes of every file that was stored.
func (w *world) requireFilesIn(db *sql.DB) {
	w.t.Helper()
	rows, err := db.Query(`SELECT DISTINCT ON (sys_id) sys_id, content FROM servicenow_attachments WHERE content_status = 'stored' ORDER BY sys_id, _cq_sync_time DESC`)
	require.NoError(w.t, err)
	defer rows.Close()
	seen := 0
	for rows.Next() {
		var id string
		var content []byte
		require.NoError(w.t, rows.Scan(&id, &content))
		want, ok := w.Content(id)
		require.True(w.t, ok, id)
		require.True(w.t, bytes.Equal(want, content), id)
		seen++
	}
	require.NoError(w.t, rows.Err())
	require.Positive(w.t, seen)
}

// startPostgreSQL starts a private server on a loopback port, as another user where the tests run as root.
func startPostgreSQL(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	require.NoError(t, err)
	if len(found) == 0 {
		t.Skip("PostgreSQL's server is not installed, so this is not tried")
	}
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("", "e2e-pg")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	run := func(name string, args ...string) {
		t.Helper()
		args = append([]string{filepath.Join(bin, name)}, args...)
		if os.Getuid() == 0 {
			args = append([]string{"setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"}, args...)
		}
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		log, err := os.CreateTemp(t.TempDir(), "log") // a pipe would wait for the server to end
		require.NoError(t, err)
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			text, _ := os.ReadFile(log.Name())
			require.NoError(t, err, string(text))
		}
	}
	if os.Getuid() == 0 {
		out, err := exec.Command("chown", "postgres:", dir).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	address := freePort(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	data := filepath.Join(dir, "data")
	run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	run("pg_ctl", "-D", data, "-w", "-t", "60", "-l", filepath.Join(dir, "log"), "start", "-o",
		"-p "+port+" -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off")
	t.Cleanup(func() { run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop") })
	return address
}

// Deleted records go, and lost rows come back, in CloudQuery's own destinations: what they hold is read back from them.
func TestRealCLIDeletes(t *testing.T) {
	tool(t, envCLI)
	for _, destination := range []string{"sqlite", "postgresql"} {
		for _, deletes := range []string{"audit", "sweep"} {
			t.Run(destination+" "+deletes, func(t *testing.T) {
				clock, skew := skewed()
				w := newWorld(t, emulator.Config{Incidents: 1500, Attachments: 100, Now: clock})
				w.spec["deletes"], w.spec["reconcile"] = deletes, true
				w.spec["verify_writes"] = "never" // which would read everything again before
				if deletes == "sweep" {
					w.spec["sweep_every"] = "1 syncs"
				}
				var path string
				var db *sql.DB
				var err error
				if destination == "sqlite" {
					path = tool(t, envSQLite)
					db, err = sql.Open("sqlite", w.database)
				} else {
					path = tool(t, envPostgreSQL)
					w.database = "postgres://postgres@" + startPostgreSQL(t) + "/postgres?sslmode=disable"
					db, err = sql.Open("pgx", w.database)
				}
				require.NoError(t, err)
				defer db.Close()
				w.mustCLI(w.config("local", path), "sync")
				skew.Add(int64(time.Hour))
				ids := w.SysIDs("incident")
				for _, id := range ids[:40] {
					w.Delete("incident", id)
				}
				w.Restore(ids[5])
				lost := ids[700]
				_, err = db.Exec(`DELETE FROM servicenow_incidents WHERE sys_id = '` + lost + `'`)
				require.NoError(t, err)
				out := w.mustCLI(w.config("local", path), "sync")
				var rows, files, noted, repaired int
				for query, to := range map[string]*int{
					`SELECT count(*) FROM servicenow_incidents`: &rows,
					`SELECT count(*) FROM servicenow_attachments WHERE incident_sys_id NOT IN (SELECT sys_id FROM servicenow_incidents)`:         &files,
					`SELECT count(*) FROM servicenow_deleted_records WHERE table_name = 'servicenow_incidents' AND found_by = '` + deletes + `'`: &noted,
					`SELECT sum(rows_repaired) FROM servicenow_sync_report WHERE table_name = 'servicenow_incidents'`:                            &repaired,
				} {
					require.NoError(t, db.QueryRow(query).Scan(to), query)
				}
				require.Equal(t, []int{1461, 0, 39, 1}, []int{rows, files, noted, repaired}, out)
			})
		}
	}
}
