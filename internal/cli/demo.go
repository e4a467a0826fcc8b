package cli

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"
	_ "modernc.org/sqlite" // the database that the demo prints from

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/localsync"
)

// The size of the demo, and what it changes between its two syncs.
const (
	demoIncidents   = 5000
	demoFiles       = 250
	demoUpdates     = 40
	demoInserts     = 5
	demoAttachments = 3
)

// demo syncs an emulator twice, with changes in between, and prints what arrived.
func (a *app) demo() *cobra.Command {
	var database string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Sync a ServiceNow stand-in into demo.db, change some records, and sync again",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runDemo(cmd.Context(), database)
		},
	}
	cmd.Flags().StringVar(&database, "db", "demo.db", "SQLite file to write; one left by an earlier demo is replaced")
	return cmd
}

func (a *app) runDemo(ctx context.Context, database string) error {
	if err := removeOldDemo(ctx, database); err != nil {
		return err
	}
	running, err := startEmulator("127.0.0.1:0", emulator.Config{Incidents: demoIncidents, Attachments: demoFiles})
	if err != nil {
		return err
	}
	defer running.stop()
	fmt.Fprintf(a.stdout, "A ServiceNow stand-in with %d incidents and %d attachments runs on %s.\n\n",
		len(running.SysIDs("incident")), len(running.SysIDs("sys_attachment")), running.url)

	fmt.Fprintln(a.stdout, "First sync: everything.")
	full, err := a.demoSync(ctx, running, database)
	if err != nil {
		return err
	}
	changeRecords(running.Emulator)
	fmt.Fprintf(a.stdout, "\nThe instance changes: %d incidents updated, %d opened, %d files attached.\n\nSecond sync: what changed, and the overlap before the cursor.\n",
		demoUpdates, demoInserts, demoAttachments)
	incremental, err := a.demoSync(ctx, running, database)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "\nThe first sync took %d requests, the second %d.\n\n", full, incremental)
	return a.printDemo(ctx, database)
}

// demoSync runs one sync and returns how many requests the instance answered.
func (a *app) demoSync(ctx context.Context, running *runningEmulator, database string) (int, error) {
	source, err := self()
	if err != nil {
		return 0, err
	}
	running.ResetRequests()
	_, err = localsync.RunConfig(ctx, []byte(emulatorConfig(running.url, database)), localsync.Options{
		ConfigPath: "demo", Source: source, Stdout: a.stdout, Stderr: a.stderr,
	})
	return len(running.Requests()), err
}

// changeRecords does what a morning at a service desk does.
func changeRecords(e *emulator.Emulator) {
	incidents := e.SysIDs("incident")
	for i := range demoUpdates {
		e.Update("incident", incidents[i*7%len(incidents)], map[string]string{"state": "2", "short_description": "Updated by the demo"})
	}
	for range demoInserts {
		e.Insert("incident", map[string]string{"short_description": "Opened by the demo", "impact": "2", "urgency": "2"})
	}
	for i := range demoAttachments {
		e.Attach("incident", incidents[i], fmt.Sprintf("demo-%d.txt", i+1), "text/plain", []byte("written by the demo\n"))
	}
}

// printDemo shows some of what arrived.
func (a *app) printDemo(ctx context.Context, database string) error {
	db, err := sql.Open("sqlite", database)
	if err != nil {
		return fmt.Errorf("opening %s: %w", database, err)
	}
	defer db.Close()
	for _, q := range []struct{ title, sql string }{
		{"Tables", `SELECT name, label, row_count, last_synced_at FROM servicenow_tables ORDER BY name`},
		{"Open incidents by priority", `SELECT priority_display AS priority, count(*) AS incidents FROM servicenow_incidents WHERE active GROUP BY priority, priority_display ORDER BY priority`},
		{"The incidents that changed last", `SELECT number, substr(short_description, 1, 40) AS short_description, state_display AS state, assigned_to_display AS assigned_to, sys_updated_on FROM servicenow_incidents ORDER BY sys_updated_on DESC, number DESC LIMIT 5`},
		{"What is in some documents", `SELECT file_name, content_status, text_status, substr(replace(replace(text, char(10), ' '), char(9), ' '), 1, 40) AS text FROM servicenow_attachments WHERE file_name GLOB '*[0-9].pdf' OR file_name GLOB '*.docx' OR file_name GLOB '*.xlsx' OR file_name GLOB '*.eml' GROUP BY content_type ORDER BY content_type`},
		{"The newest attachments", `SELECT a.file_name, a.content_type, a.size_bytes, i.number AS incident FROM servicenow_attachments a JOIN servicenow_incidents i ON i.sys_id = a.incident_sys_id ORDER BY a.sys_updated_on DESC, a.file_name LIMIT 3`},
	} {
		if err := a.printQuery(ctx, db, q.title, q.sql); err != nil {
			return err
		}
	}
	absolute, err := filepath.Abs(database)
	if err != nil {
		absolute = database
	}
	fmt.Fprintf(a.stdout, "The rows are in %s.\n", absolute)
	return nil
}

func (a *app) printQuery(ctx context.Context, db *sql.DB, title, query string) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("querying the demo's rows: %w", err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return fmt.Errorf("querying the demo's rows: %w", err)
	}
	fmt.Fprintf(a.stdout, "%s:\n", title)
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, name := range names {
		fmt.Fprintf(table, "  %s\t", name)
	}
	fmt.Fprintln(table)
	for rows.Next() {
		cells := make([]any, len(names))
		for i := range cells {
			cells[i] = new(sql.NullString)
		}
		if err := rows.Scan(cells...); err != nil {
			return fmt.Errorf("querying the demo's rows: %w", err)
		}
		for _, cell := range cells {
			fmt.Fprintf(table, "  %s\t", cell.(*sql.NullString).String)
		}
		fmt.Fprintln(table)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("querying the demo's rows: %w", err)
	}
	fmt.Fprintln(table)
	return table.Flush()
}

// removeOldDemo removes the file of an earlier demo, and refuses to touch any other.
func removeOldDemo(ctx context.Context, database string) error {
	if _, err := os.Stat(database); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	db, err := sql.Open("sqlite", database)
	if err != nil {
		return fmt.Errorf("opening %s: %w", database, err)
	}
	var instance string
	err = db.QueryRowContext(ctx, `SELECT instance FROM servicenow_tables WHERE instance LIKE '127.0.0.1:%' LIMIT 1`).Scan(&instance)
	if closing := db.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("%s was not written by a demo; move it away, or name another file with --db", database)
	}
	for _, file := range []string{database, database + "-wal", database + "-shm"} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing the old demo: %w", err)
		}
	}
	return nil
}
