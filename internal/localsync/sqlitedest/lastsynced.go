package sqlitedest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// syncedPerQuery bounds a statement's parameters.
const syncedPerQuery = 500

// LastSynced returns when rows of a table were last written, by the value of their column key. It opens the file read-only
// and creates nothing: a file, table or column that is not there is an error.
func LastSynced(ctx context.Context, conn, table, instance, key string, values []string) (map[string]time.Time, error) {
	db, err := openReadOnly(conn)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", table, err)
	}
	defer db.Close()
	found := map[string]time.Time{}
	for some := range slices.Chunk(values, syncedPerQuery) {
		if err := lastSynced(ctx, db, table, instance, key, some, found); err != nil {
			return nil, fmt.Errorf("reading %s: %w", table, err)
		}
	}
	return found, nil
}

// openReadOnly opens a file that is there.
func openReadOnly(conn string) (*sql.DB, error) {
	if conn == memoryPath || strings.HasPrefix(conn, "file:") {
		return nil, errors.New("only a plain path is read")
	}
	path, err := filepath.Abs(conn)
	if err != nil {
		return nil, fmt.Errorf("resolving the path: %w", err)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a Windows drive
	}
	options := "?mode=ro&_pragma=busy_timeout(2000)&_pragma=query_only(1)"
	if _, err := os.Stat(path + "-wal"); errors.Is(err, os.ErrNotExist) {
		options += "&immutable=1" // nobody writes; without this, files would be made beside it, and stay
	}
	db, err := sql.Open("sqlite", "file://"+(&url.URL{Path: slashed}).EscapedPath()+options)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	return db, nil
}

func lastSynced(ctx context.Context, db *sql.DB, table, instance, key string, values []string, found map[string]time.Time) error {
	query := fmt.Sprintf(`SELECT %[2]s, max("_cq_sync_time") FROM %[1]s WHERE "instance" = ? AND %[2]s IN (?%[3]s) GROUP BY %[2]s`,
		quote(table), quote(key), strings.Repeat(", ?", len(values)-1))
	args := []any{instance}
	for _, value := range values {
		args = append(args, value)
	}
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var value string
		var at any
		if err := rows.Scan(&value, &at); err != nil {
			return err
		}
		switch at := at.(type) {
		case time.Time:
			found[value] = at.UTC()
		case string:
			// As formatTimestamp writes it.
			if t, err := time.Parse("2006-01-02 15:04:05.999999999", at); err == nil {
				found[value] = t
			}
		}
	}
	return rows.Err()
}
