//go:build unix

package e2e

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	sdk "github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/plugin"
)

// demoInPostgreSQL copies the tables of the demo into a private server, with the types that CloudQuery's postgresql
// destination gives to their columns. It returns nil where no server is installed.
func demoInPostgreSQL(t *testing.T, from *sql.DB) *sql.DB {
	t.Helper()
	if found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); err != nil || len(found) == 0 {
		return nil
	}
	to, err := sql.Open("pgx", "postgres://postgres@"+startPostgreSQL(t)+"/postgres?sslmode=disable")
	require.NoError(t, err)
	t.Cleanup(func() { _ = to.Close() })
	p := plugin.Plugin()
	require.NoError(t, p.Init(t.Context(), nil, sdk.NewClientOptions{NoConnection: true}))
	tables, err := p.Tables(t.Context(), sdk.TableOptions{Tables: []string{"*"}})
	require.NoError(t, err)
	for _, table := range tables {
		columns := map[string]string{}
		for _, c := range table.Columns {
			columns[c.Name] = postgresType(c.Type)
		}
		copyTable(t, from, to, table.Name, columns)
	}
	copyTable(t, from, to, "cq_state_servicenow", map[string]string{"key": "text", "value": "text", "version": "bigint"})
	return to
}

func postgresType(t arrow.DataType) string {
	switch t.ID() {
	case arrow.BOOL:
		return "boolean"
	case arrow.INT64:
		return "bigint"
	case arrow.TIMESTAMP:
		return "timestamp without time zone"
	case arrow.BINARY:
		return "bytea"
	case arrow.EXTENSION:
		return map[string]string{"json": "jsonb", "uuid": "uuid"}[t.String()]
	}
	return "text"
}

// copyTable creates a table and fills it with the rows of one in SQLite.
func copyTable(t *testing.T, from, to *sql.DB, name string, columns map[string]string) {
	t.Helper()
	rows, err := from.QueryContext(t.Context(), "SELECT * FROM "+name)
	require.NoError(t, err)
	defer rows.Close()
	names, err := rows.Columns()
	require.NoError(t, err)
	var definitions, kept, places []string
	var indexes []int
	for i, column := range names {
		if kind := columns[column]; kind != "" {
			definitions = append(definitions, fmt.Sprintf("%q %s", column, kind))
			kept = append(kept, fmt.Sprintf("%q", column))
			places = append(places, fmt.Sprintf("$%d", len(places)+1))
			indexes = append(indexes, i)
		}
	}
	_, err = to.ExecContext(t.Context(), fmt.Sprintf("CREATE TABLE %q (%s)", name, strings.Join(definitions, ", ")))
	require.NoError(t, err)
	tx, err := to.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	insert, err := tx.PrepareContext(t.Context(), fmt.Sprintf("INSERT INTO %q (%s) VALUES (%s)", name, strings.Join(kept, ", "), strings.Join(places, ", ")))
	require.NoError(t, err)
	defer insert.Close()
	for rows.Next() {
		cells := make([]any, len(names))
		for i := range cells {
			cells[i] = new(any)
		}
		require.NoError(t, rows.Scan(cells...))
		values := make([]any, len(indexes))
		for i, index := range indexes {
			values[i] = *cells[index].(*any)
			if flag, ok := values[i].(int64); ok && columns[names[index]] == "boolean" {
				values[i] = flag != 0
			}
		}
		_, err := insert.ExecContext(t.Context(), values...)
		require.NoError(t, err, "%s: %v", name, values)
	}
	require.NoError(t, rows.Err())
	require.NoError(t, tx.Commit())
}
