package e2e

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/localsync"
)

// update accepts what the syncs of the goldens wrote.
var update = flag.Bool("update", false, "rewrite the golden files")

// binary is the built plugin, made once for all tests.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "cq-source-servicenow-e2e")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "cq-source-servicenow")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("building the plugin: %v\n%s", err, out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// world is an instance and a database that it is synced into.
type world struct {
	*emulator.Emulator
	t        *testing.T
	url      string
	database string
	spec     map[string]any // the plugin's spec, beside address and sign-in
	auth     map[string]any
	tables   []string
	backend  bool
	shard    localsync.Shard
}

func newWorld(t *testing.T, cfg emulator.Config) *world {
	t.Helper()
	e := emulator.New(cfg)
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	t.Cleanup(func() { require.Empty(t, e.Violations(), "requests that ServiceNow would refuse") })
	return &world{
		Emulator: e, t: t, url: server.URL, database: filepath.Join(t.TempDir(), "sync.db"), tables: []string{"*"}, backend: true,
		spec: map[string]any{"attachments": map[string]any{"ocr": "off"}}, // whatever the machine has
		auth: map[string]any{"grant_type": "client_credentials", "client_id": "emulator-client", "client_secret": "emulator-secret"},
	}
}

// config writes the CloudQuery config. JSON is YAML too.
func (w *world) config(registry, path string) []byte {
	spec := map[string]any{"instance_url": w.url, "auth": w.auth}
	for key, value := range w.spec {
		spec[key] = value
	}
	source := map[string]any{
		"name": "servicenow", "registry": "local", "path": binary, "version": "v0.0.1", "tables": w.tables, "destinations": []string{"sqlite"}, "spec": spec,
	}
	if w.backend {
		source["backend_options"] = map[string]any{"table_name": "cq_state_servicenow", "connection": "@@plugins.sqlite.connection"}
	}
	destination := map[string]any{
		"name": "sqlite", "registry": registry, "path": path, "spec": map[string]any{"connection_string": w.database},
	}
	if registry != "embedded" {
		destination["version"] = "v0.0.1"
	}
	var documents []string
	for _, d := range []map[string]any{{"kind": "source", "spec": source}, {"kind": "destination", "spec": destination}} {
		text, err := json.MarshalIndent(d, "", "  ")
		require.NoError(w.t, err)
		documents = append(documents, string(text))
	}
	return []byte(strings.Join(documents, "\n---\n") + "\n")
}

// sync runs the built binary into the embedded destination.
func (w *world) sync() (localsync.Summary, error) {
	w.t.Helper()
	return w.syncContext(w.t.Context())
}

func (w *world) syncContext(ctx context.Context) (localsync.Summary, error) {
	w.t.Helper()
	return localsync.RunConfig(ctx, w.config("embedded", "sqlite"), localsync.Options{
		ConfigPath: "test", Source: []string{binary, "serve"}, Shard: w.shard, Stdout: io.Discard, Stderr: io.Discard, NoProgress: true,
	})
}

func (w *world) mustSync() localsync.Summary {
	w.t.Helper()
	summary, err := w.sync()
	require.NoError(w.t, err)
	return summary
}

// rows runs a query and returns its rows as texts, NULL as "NULL".
func (w *world) rows(query string, args ...any) [][]string {
	w.t.Helper()
	db, err := sql.Open("sqlite", w.database)
	require.NoError(w.t, err)
	defer db.Close()
	rows, err := db.Query(query, args...)
	require.NoError(w.t, err)
	defer rows.Close()
	names, err := rows.Columns()
	require.NoError(w.t, err)
	var all [][]string
	for rows.Next() {
		cells := make([]any, len(names))
		for i := range cells {
			cells[i] = new(sql.NullString)
		}
		require.NoError(w.t, rows.Scan(cells...))
		row := make([]string, len(cells))
		for i, cell := range cells {
			row[i] = "NULL"
			if text := cell.(*sql.NullString); text.Valid {
				row[i] = text.String
			}
		}
		all = append(all, row)
	}
	require.NoError(w.t, rows.Err())
	return all
}

// exec changes the database behind the destination's back.
func (w *world) exec(statement string) {
	w.t.Helper()
	db, err := sql.Open("sqlite", w.database)
	require.NoError(w.t, err)
	_, err = db.Exec(statement)
	require.NoError(w.t, err)
	require.NoError(w.t, db.Close())
}

func (w *world) value(query string, args ...any) string {
	w.t.Helper()
	rows := w.rows(query, args...)
	require.Len(w.t, rows, 1, query)
	return rows[0][0]
}

// requests counts what the instance was asked since the last reset, token requests included.
func (w *world) requests() int { return len(w.Requests()) }

// lists counts the requests since the last reset that did not fetch a file.
func (w *world) lists() int {
	n := 0
	for _, r := range w.Requests() {
		if !strings.HasSuffix(r.Path, "/file") {
			n++
		}
	}
	return n
}

// requireEqualsSource compares every incident and attachment with the source's truth, value by value.
func (w *world) requireEqualsSource() {
	w.t.Helper()
	w.requireIncidents(func(string) bool { return true })
	w.requireAttachments(func(parent string) bool { _, ok := w.Record("incident", parent); return ok })
}

// requireIncidents checks that exactly the wanted incidents arrived, each equal to the source.
func (w *world) requireIncidents(want func(id string) bool) {
	w.t.Helper()
	expected := map[string]bool{}
	for _, id := range w.SysIDs("incident") {
		if want(id) {
			expected[id] = true
		}
	}
	rows := w.rows(`SELECT sys_id, record, number, state, sys_updated_on, short_description, caller_id, caller_id_display FROM servicenow_incidents`)
	require.Len(w.t, rows, len(expected), "number of incidents")
	for _, row := range rows {
		id := row[0]
		require.True(w.t, expected[id], "an incident that is not in the source, or twice: %s", id)
		delete(expected, id)
		stored, ok := w.Record("incident", id)
		require.True(w.t, ok)
		shown := w.DisplayRecord("incident", id)
		var record map[string]struct {
			Value   string `json:"value"`
			Display string `json:"display_value"`
		}
		require.NoError(w.t, json.Unmarshal([]byte(row[1]), &record), id)
		w.addWalked(stored, shown)
		for field, value := range record {
			if value.Value != stored[field] || value.Display != shown[field] {
				require.Equal(w.t, stored[field], value.Value, "%s.%s", id, field)
				require.Equal(w.t, shown[field], value.Display, "display of %s.%s", id, field)
			}
		}
		for i, field := range []string{"number", "state"} {
			require.Equal(w.t, null(stored[field]), row[2+i], "%s.%s", id, field)
		}
		require.Equal(w.t, null(stored["short_description"]), row[5], id)
		require.Equal(w.t, null(stored["caller_id"]), row[6], id)
		require.Equal(w.t, null(shown["caller_id"]), row[7], id)
	}
	require.Empty(w.t, expected, "incidents that did not arrive")
}

// addWalked adds the field of another record that the emulator's form shows.
func (w *world) addWalked(incident ...map[string]string) {
	caller, _ := w.Record("sys_user", incident[0]["caller_id"])
	for _, values := range incident {
		values["caller_id.email"] = caller["email"]
	}
}

func (w *world) requireAttachments(ofCovered func(parent string) bool) {
	w.t.Helper()
	expected := map[string]bool{}
	for _, id := range w.SysIDs("sys_attachment") {
		a, ok := w.Record("sys_attachment", id)
		require.True(w.t, ok)
		table := strings.TrimPrefix(a["table_name"], "ZZ_YY")
		if (table == "incident" || table == "task") && ofCovered(a["table_sys_id"]) {
			expected[id] = true
		}
	}
	rows := w.rows(`SELECT sys_id, incident_sys_id, file_name, size_bytes, hash, content_type, table_name, content_status, hex(content), content_sha256, text_status, text FROM servicenow_attachments`)
	for _, row := range rows {
		require.True(w.t, expected[row[0]], "an attachment that should not be there, or twice: %v", row)
		delete(expected, row[0])
		a, _ := w.Record("sys_attachment", row[0])
		require.Equal(w.t, []string{null(a["table_sys_id"]), null(a["file_name"]), null(a["size_bytes"]), null(a["hash"]), null(a["content_type"]), null(a["table_name"])}, row[1:7])
		w.requireContent(a, row[7], row[8], row[9], row[10], row[11])
	}
	require.Empty(w.t, expected, "attachments that did not arrive")
}

// requireContent checks what became of a file, with the default spec: documents arrive byte by byte.
func (w *world) requireContent(a map[string]string, status, content, sum, textStatus, text string) {
	w.t.Helper()
	stored, _ := w.Content(a["sys_id"])
	switch {
	case a["content_type"] == "image/png" || a["content_type"] == "application/x-msdownload":
		require.Equal(w.t, []string{"skipped", "", "NULL", "unsupported"}, []string{status, content, sum, textStatus}, a["file_name"])
	case a["state"] == "pending" || a["state"] == "not_available":
		require.Equal(w.t, []string{"unavailable", "", "NULL", "unavailable"}, []string{status, content, sum, textStatus}, a["file_name"])
	default:
		want := sha256.Sum256(stored)
		require.Equal(w.t, []string{"stored", hex.EncodeToString(want[:])}, []string{status, sum}, a["file_name"])
		require.Equal(w.t, strings.ToUpper(hex.EncodeToString(stored)), content, a["file_name"])
		if seededDocument.MatchString(a["file_name"]) {
			require.Equal(w.t, "extracted", textStatus, a["file_name"])
			require.Contains(w.t, text, "marker-", a["file_name"])
		}
	}
}

// seededDocument matches the names of the emulator's own documents, each of which says "marker-".
var seededDocument = regexp.MustCompile(`^(notes-\d+\.txt|Report \d+\.pdf|Manual \d+\.docx|export \d+\.csv|Figures \d+\.xlsx|page-\d+\.html|payload-\d+\.json|wide-\d+\.txt|mail \d+\.eml|feed-\d+\.xml|README-\d+\.md)$`)

func null(text string) string {
	if text == "" {
		return "NULL"
	}
	return text
}
