package sqlitedest

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLastSynced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd name %20?.db")
	read := func(values ...string) (map[string]time.Time, error) {
		return LastSynced(t.Context(), path, "servicenow_incidents", "example", "sys_id", values)
	}
	_, err := read("a")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoFileExists(t, path)

	dsn, err := dataSourceName(path)
	require.NoError(t, err)
	db, err := sql.Open("sqlite", dsn)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(`CREATE TABLE other (a)`)
	require.NoError(t, err)
	_, err = read("a")
	require.ErrorContains(t, err, "no such table")

	at := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	_, err = db.Exec(`CREATE TABLE servicenow_incidents (instance text, sys_id text, _cq_sync_time timestamp)`)
	require.NoError(t, err)
	for _, row := range [][]any{
		{"example", "a", formatTimestamp(at.Add(-time.Hour), false)}, {"example", "a", formatTimestamp(at, false)},
		{"other", "b", formatTimestamp(at, false)}, {"example", "c", nil}, {"example", "d", "not a time"},
	} {
		_, err = db.Exec(`INSERT INTO servicenow_incidents VALUES (?, ?, ?)`, row...)
		require.NoError(t, err)
	}
	found, err := read("a", "b", "c", "d", "x'; DROP TABLE other; --")
	require.NoError(t, err)
	require.Equal(t, map[string]time.Time{"a": at}, found, "while the writer has the file open")

	many := []string{"a"}
	for n := range 1200 {
		many = append(many, fmt.Sprint("none", n))
	}
	found, err = read(many...)
	require.NoError(t, err)
	require.Len(t, found, 1)

	for _, conn := range []string{":memory:", "file:x.db"} {
		_, err := LastSynced(t.Context(), conn, "t", "i", "k", []string{"a"})
		require.Error(t, err)
	}
}
