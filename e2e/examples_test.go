//go:build unix

package e2e

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

func example(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", "examples"}, path...)...))
	require.NoError(t, err)
	return string(text)
}

// The quick start runs as it is written, but for the emulator's port; so does the SQL over its database.
func TestExampleQuickstart(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 300, Attachments: 60})
	dir := t.TempDir()
	written := example(t, "quickstart", "servicenow.yml")
	config := strings.ReplaceAll(written, "http://127.0.0.1:8080", w.url)
	require.NotEqual(t, written, config)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "servicenow.yml"), []byte(config), 0o600))
	for range 2 {
		out, code := run(t, dir, "sync", "servicenow.yml")
		require.Zero(t, code, out)
	}
	w.database = filepath.Join(dir, "servicenow.db")
	w.requireIncidents(func(string) bool { return true })

	db, err := sql.Open("sqlite", w.database)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(example(t, "rag", "chunks.sqlite.sql"))
	require.NoError(t, err)
	for _, source := range []struct{ name, texts string }{
		{"incident", "SELECT instance, sys_id, text FROM servicenow_incidents WHERE text <> ''"},
		{"attachment", "SELECT instance, sys_id, text FROM servicenow_attachments WHERE text <> '' AND text_status = 'extracted'"},
	} {
		texts := w.rows(source.texts)
		require.NotEmpty(t, texts)
		for _, row := range texts {
			text := ""
			for i, chunk := range w.rows("SELECT position, content FROM rag_chunks WHERE source = ? AND instance = ? AND sys_id = ? ORDER BY position", source.name, row[0], row[1]) {
				require.Equal(t, fmt.Sprint(i+1), chunk[0])
				runes := []rune(chunk[1])
				require.LessOrEqual(t, len(runes), 1200)
				if i > 0 {
					runes = runes[200:]
				}
				text += string(runes)
			}
			require.Equal(t, row[2], text, "the chunks hold the whole text")
		}
	}
}

// copyToPostgreSQL fills PostgreSQL with what was synced into SQLite, in the types of CloudQuery's destination.
func (w *world) copyToPostgreSQL(db *pgxpool.Pool) {
	w.t.Helper()
	types := map[string]string{"integer": "bigint", "real": "double precision", "boolean": "boolean", "timestamp": "timestamp", "date": "date", "blob": "bytea"}
	for _, table := range []string{"servicenow_tables", "servicenow_incidents", "servicenow_attachments"} {
		var names, columns, places []string
		for i, column := range w.rows("SELECT name, lower(type) FROM pragma_table_info(?)", table) {
			kind := types[column[1]]
			if kind == "" {
				kind = "text"
			}
			names = append(names, `"`+column[0]+`"`)
			columns = append(columns, `"`+column[0]+`" `+kind)
			cast := fmt.Sprintf("$%d::text::%s", i+1, kind)
			if kind == "bytea" {
				cast = fmt.Sprintf("decode($%d::text, 'hex')", i+1)
			}
			places = append(places, cast)
		}
		_, err := db.Exec(w.t.Context(), "CREATE TABLE "+table+" ("+strings.Join(columns, ", ")+")")
		require.NoError(w.t, err)
		read := make([]string, len(names))
		for i, name := range names {
			read[i] = "+" + name // without the column's type, from which the driver would make a time
			if strings.HasSuffix(columns[i], " bytea") {
				read[i] = "hex(" + name + ")"
			}
		}
		batch := &pgx.Batch{}
		for _, row := range w.rows("SELECT " + strings.Join(read, ", ") + " FROM " + table) {
			values := make([]any, len(row))
			for i, text := range row {
				if text != "NULL" {
					values[i] = text
				}
			}
			batch.Queue("INSERT INTO "+table+" VALUES ("+strings.Join(places, ", ")+")", values...)
		}
		require.NoError(w.t, db.SendBatch(w.t.Context(), batch).Close())
	}
}

// postgreSQL returns a database with what the world's instance has.
func (w *world) postgreSQL() *pgxpool.Pool {
	w.t.Helper()
	db, err := pgxpool.New(w.t.Context(), "postgres://postgres@"+startPostgreSQL(w.t)+"/postgres?sslmode=disable&timezone=UTC&default_query_exec_mode=exec")
	require.NoError(w.t, err)
	w.t.Cleanup(db.Close)
	w.mustSync()
	w.copyToPostgreSQL(db)
	return db
}

func texts(t *testing.T, db *pgxpool.Pool, query string, args ...any) [][]string {
	t.Helper()
	rows, err := db.Query(t.Context(), query, args...)
	require.NoError(t, err, query)
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]string, error) {
		values, err := row.Values()
		cells := make([]string, len(values))
		for i, v := range values {
			cells[i] = fmt.Sprint(v)
		}
		return cells, err
	})
	require.NoError(t, err, query)
	return all
}

// script runs a file of SQL, as psql would.
func script(t *testing.T, db *pgxpool.Pool, text string) {
	t.Helper()
	conn, err := db.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Conn().PgConn().Exec(t.Context(), text).ReadAll()
	require.NoError(t, err)
}

func TestExampleRAG(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 200, Attachments: 60})
	db := w.postgreSQL()
	// Long words, many lines, no text at all.
	var long strings.Builder
	for i := range 900 {
		fmt.Fprintf(&long, "%d. Satz über Drucker\n\n", i)
	}
	for i := range 900 {
		fmt.Fprintf(&long, "%d", 100000+i) // a word of 5,400 characters
	}
	first := w.SysIDs("incident")[0]
	_, err := db.Exec(t.Context(), "UPDATE servicenow_incidents SET text = $1 WHERE sys_id = $2", long.String(), first)
	require.NoError(t, err)
	script(t, db, example(t, "rag", "chunks.sql"))
	chunks := func() map[string][]string {
		t.Helper()
		found := map[string][]string{}
		for _, row := range texts(t, db, "SELECT sys_id, position, content, content_md5, xmin::text FROM rag_chunks ORDER BY instance, source, sys_id, position") {
			require.Equal(t, fmt.Sprint(len(found[row[0]])+1), row[1])
			require.LessOrEqual(t, len([]rune(row[2])), 1450, "about 1,200 characters")
			found[row[0]] = append(found[row[0]], row[2])
		}
		return found
	}
	bySysID := chunks()
	spaces := regexp.MustCompile(`\s+`)
	documents := texts(t, db, `SELECT sys_id, text FROM servicenow_incidents WHERE text <> ''
		UNION ALL SELECT sys_id, text FROM servicenow_attachments WHERE text <> '' AND text_status = 'extracted'`)
	require.Greater(t, len(documents), 220)
	repetitive := 0
	for _, document := range documents {
		whole := spaces.ReplaceAllString(document[1], "")
		covered := 0
		for _, chunk := range bySysID[document[0]] {
			chunk = spaces.ReplaceAllString(chunk, "")
			if strings.Count(whole, chunk) > 1 {
				covered = len(whole) // where it stands cannot be told
				repetitive++
				break
			}
			at := strings.Index(whole, chunk)
			require.GreaterOrEqual(t, at, 0, document[0])
			require.LessOrEqual(t, at, covered, "a chunk begins where the one before it ends, or earlier")
			covered = at + len(chunk)
		}
		require.Equal(t, len(whole), covered, "the chunks hold the whole text of %s", document[0])
	}
	require.Less(t, repetitive, 10)
	require.Greater(t, len(bySysID[first]), 20)

	// Nothing changed: nothing is written. One text changed, and one is gone.
	before := texts(t, db, "SELECT instance, source, sys_id, position, xmin::text FROM rag_chunks ORDER BY 1, 2, 3, 4")
	script(t, db, example(t, "rag", "chunks.sql"))
	require.Equal(t, before, texts(t, db, "SELECT instance, source, sys_id, position, xmin::text FROM rag_chunks ORDER BY 1, 2, 3, 4"))
	second := w.SysIDs("incident")[1]
	_, err = db.Exec(t.Context(), "UPDATE servicenow_incidents SET text = 'short' WHERE sys_id = $1", first)
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), "DELETE FROM servicenow_incidents WHERE sys_id = $1", second)
	require.NoError(t, err)
	script(t, db, example(t, "rag", "chunks.sql"))
	after := chunks()
	require.Equal(t, []string{"short"}, after[first])
	require.NotContains(t, after, second)
	require.Len(t, after, len(bySysID)-1)

	require.NotEmpty(t, texts(t, db, strings.Replace(example(t, "rag", "search.sql"), "printer labels", "reader OR printer OR label", 1)))
	if len(texts(t, db, "SELECT 1 FROM pg_available_extensions WHERE name = 'vector' AND string_to_array(default_version, '.')::integer[] >= '{0,5}'")) == 0 {
		t.Log("pgvector 0.5 or later is not installed, so pgvector.sql is not tried")
		return
	}
	script(t, db, example(t, "rag", "pgvector.sql"))
	require.Equal(t, "0", texts(t, db, "SELECT count(*) FROM rag_chunks c JOIN rag_embeddings e USING (content_md5)")[0][0])
}

// Every query of the dashboard runs and finds something.
func TestExampleGrafana(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 250, Attachments: 60})
	db := w.postgreSQL()
	var dashboard struct {
		Templating struct {
			List []struct{ Name, Type, Query string }
		}
		Panels []struct {
			ID      int
			Title   string
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct {
				Format string
				SQL    string `json:"rawSql"`
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(example(t, "grafana", "dashboard.json")), &dashboard))
	var instance string
	for _, variable := range dashboard.Templating.List {
		if variable.Type == "query" {
			instance = texts(t, db, variable.Query)[0][0]
		}
	}
	require.NotEmpty(t, instance)
	// As Grafana writes them.
	from, to := "'2000-01-01T00:00:00Z'", "'2030-01-01T00:00:00Z'"
	filter := regexp.MustCompile(`\$__timeFilter\(([^)]+)\)`)
	seen := map[string]bool{}
	ids := map[int]bool{}
	for _, panel := range dashboard.Panels {
		require.False(t, ids[panel.ID], "panels have ids of their own")
		ids[panel.ID] = true
		require.LessOrEqual(t, panel.GridPos.X+panel.GridPos.W, 24)
		require.Len(t, panel.Targets, 1)
		query := filter.ReplaceAllString(panel.Targets[0].SQL, "$1 BETWEEN "+from+" AND "+to)
		query = strings.NewReplacer("$__timeFrom()", from, "$__timeTo()", to, "${instance:sqlstring}", "'"+instance+"'").Replace(query)
		require.NotContains(t, query, "$", panel.Title)
		rows := texts(t, db, query)
		require.NotEmpty(t, rows, panel.Title)
		require.NotEqual(t, "<nil>", rows[0][0], panel.Title)
		seen[panel.Title] = true
		if panel.Title == "Backlog" {
			require.Equal(t, texts(t, db, "SELECT count(*) FROM servicenow_incidents WHERE active AND opened_at IS NOT NULL")[0][0], rows[len(rows)-1][1], "what is open today")
		}
	}
	for _, title := range []string{"Open incidents by group", "Median time to resolve", "Backlog", "Newest attachments"} {
		require.True(t, seen[title], title)
	}
}

// Each pod of the indexed job asks for a shard of its own, and together they are the whole.
func TestExampleIndexedJob(t *testing.T) {
	var job struct {
		Kind string
		Spec struct {
			Mode        string `yaml:"completionMode"`
			Completions int
			Parallelism int
			Template    struct {
				Spec struct {
					Containers []struct {
						Command, Args []string
						Env           []struct{ Name, Value string }
					}
				}
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(example(t, "kubernetes", "indexed-job.yaml")), &job))
	require.Equal(t, []string{"Job", "Indexed"}, []string{job.Kind, job.Spec.Mode})
	require.Equal(t, job.Spec.Completions, job.Spec.Parallelism)
	container := job.Spec.Template.Spec.Containers[0]
	require.Equal(t, []string{"/bin/sh", "-c"}, container.Command)
	for index := range job.Spec.Completions {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", strings.Replace(container.Args[0], "exec /app/cloudquery", "echo", 1))
		cmd.Env = []string{fmt.Sprintf("JOB_COMPLETION_INDEX=%d", index)}
		for _, variable := range container.Env {
			cmd.Env = append(cmd.Env, variable.Name+"="+variable.Value)
		}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("sync /config/servicenow.yaml --log-console --shard %d/%d\n", index+1, job.Spec.Completions), string(out))
	}
}

// The examples of databases are synced by the real CLI and destinations as they are written, but for where the programs
// and the instance are.
func TestRealCLIExamples(t *testing.T) {
	cli := tool(t, envCLI)
	for folder, destination := range map[string]struct{ name, env string }{
		"postgresql": {"postgresql", envPostgreSQL}, "rag": {"postgresql", envPostgreSQL}, "grafana": {"postgresql", envPostgreSQL}, "duckdb": {"duckdb", envDuckDB},
	} {
		t.Run(folder, func(t *testing.T) {
			path := tool(t, destination.env)
			w := newWorld(t, emulator.Config{Incidents: 300, Attachments: 40})
			dir := t.TempDir()
			config := example(t, folder, "servicenow.yml")
			for pattern, text := range map[string]string{
				`(?m)^    instance_subdomain: .*$`:                             "    instance_url: " + w.url,
				`(?m)^  path: '?\./cq-source-servicenow'?$`:                    "  path: " + binary,
				`registry: cloudquery\n  path: cloudquery/(postgresql|duckdb)`: "registry: local\n  path: " + path,
			} {
				expression := regexp.MustCompile(pattern)
				require.Regexp(t, expression, config)
				config = expression.ReplaceAllString(config, text)
			}
			file := filepath.Join(dir, "servicenow.yml")
			require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
			env := append(initVariables(t), "CQ_TELEMETRY_LEVEL=none")
			var address string
			if destination.name == "postgresql" {
				address = "postgres://postgres@" + startPostgreSQL(t) + "/postgres?sslmode=disable"
				env = append(env, "POSTGRESQL_CONNECTION_STRING="+address)
			}
			for n := range 2 {
				w.ResetRequests()
				cmd := exec.CommandContext(t.Context(), cli, "sync", file, "--no-log-file")
				cmd.Dir, cmd.Env = dir, env
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &out
				err := cmd.Run()
				if strings.Contains(out.String(), "Failed to download extension") {
					t.Skip("DuckDB cannot download its JSON extension here, so this is not tried")
				}
				require.NoError(t, err, out.String())
				require.Contains(t, out.String(), "Errors: 0")
				if n > 0 {
					require.Less(t, w.lists(), 25, "the second sync is an incremental one")
				}
			}
			if address == "" {
				require.FileExists(t, filepath.Join(dir, "servicenow.duckdb"))
				return
			}
			db, err := pgxpool.New(t.Context(), address)
			require.NoError(t, err)
			defer db.Close()
			require.Equal(t, "300", texts(t, db, "SELECT count(*) FROM servicenow_incidents")[0][0])
			if folder == "rag" {
				script(t, db, example(t, "rag", "chunks.sql"))
				require.NotEqual(t, "0", texts(t, db, "SELECT count(*) FROM rag_chunks WHERE source = 'attachment'")[0][0])
			}
		})
	}
}
