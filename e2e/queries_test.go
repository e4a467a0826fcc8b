package e2e

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// engine is a database that the documentation has queries for.
type engine struct {
	name string // as the first line of a query says it
	db   *sql.DB
}

// query is a block of SQL in a page, with the block of its answer when one follows.
type query struct {
	sql        string
	answer     string
	shown      bool
	begin, end int // of the answer's lines in the page
	line       int
	comment    string
}

var comment = regexp.MustCompile(`^-- (SQLite|PostgreSQL)$`)

// queries finds the SQL of a page.
func queries(lines []string) []query {
	var found []query
	for i := 0; i < len(lines); i++ {
		if !strings.HasPrefix(lines[i], "```sql") {
			continue
		}
		q := query{line: i + 1}
		end := i + 1 + slices.Index(lines[i+1:], "```")
		q.sql = strings.Join(lines[i+1:end], "\n")
		if m := comment.FindStringSubmatch(lines[i+1]); m != nil {
			q.comment = m[1]
		}
		if end+2 < len(lines) && lines[end+1] == "" && lines[end+2] == "```text" {
			q.shown, q.begin = true, end+3
			q.end = q.begin + slices.Index(lines[q.begin:], "```")
			q.answer = strings.Join(lines[q.begin:q.end], "\n")
		}
		found = append(found, q)
		i = end
	}
	return found
}

// Every query of the documentation runs on the rows of the demo, and answers what its page shows. Without a PostgreSQL
// server on the machine, those for SQLite do.
func TestQueriesOfTheDocumentation(t *testing.T) {
	dir := t.TempDir()
	demo := exec.CommandContext(t.Context(), binary, "demo")
	demo.Dir, demo.Env = dir, append(os.Environ(), "PATH=") // without OCR, whatever the machine has
	out, err := demo.CombinedOutput()
	require.NoError(t, err, string(out))
	sqlite, err := sql.Open("sqlite", filepath.Join(dir, "demo.db"))
	require.NoError(t, err)
	defer sqlite.Close()
	engines := []engine{{"SQLite", sqlite}}
	if postgres := demoInPostgreSQL(t, sqlite); postgres != nil {
		engines = append(engines, engine{"PostgreSQL", postgres})
	} else {
		t.Log("PostgreSQL's server is not installed, so its queries are not tried")
	}

	pages, err := filepath.Glob(filepath.Join("..", "docs", "*.md"))
	require.NoError(t, err)
	// The other examples need tables or databases of their own, which their own tests bring.
	pages = append(pages, filepath.Join("..", "README.md"), filepath.Join("..", "examples", "postgresql", "README.md"))
	ran, compared := map[string]int{}, 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		lines := strings.Split(string(text), "\n")
		found := queries(lines)
		for _, q := range slices.Backward(found) { // so that an update moves no line that is still looked at
			for _, e := range engines {
				if q.comment != "" && q.comment != e.name {
					continue
				}
				answer, err := ask(t, e.db, q.sql)
				if err != nil {
					t.Errorf("%s:%d: %s: %v", page, q.line, e.name, err)
					continue
				}
				ran[e.name]++
				if !q.shown || answer == q.answer {
					continue
				}
				if *update {
					lines = slices.Replace(lines, q.begin, q.end, strings.Split(answer, "\n")...)
					q.answer, q.end = answer, q.begin+strings.Count(answer, "\n")+1
					continue
				}
				t.Errorf("%s:%d: %s answers\n%s\nand not\n%s\nTo accept it: go test ./e2e -run Queries -update", page, q.line, e.name, answer, q.answer)
			}
			if q.shown {
				compared++
			}
		}
		if *update {
			require.NoError(t, os.WriteFile(page, []byte(strings.Join(lines, "\n")), 0o600))
		}
	}
	require.GreaterOrEqual(t, ran["SQLite"], 8)
	require.GreaterOrEqual(t, compared, 8)
}

// ask runs a query, and writes its answer as the pages show it.
func ask(t *testing.T, db *sql.DB, query string) (string, error) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil) // what a query changes is undone
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	rows, err := tx.QueryContext(t.Context(), query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return "", err
	}
	table := [][]string{names}
	for rows.Next() {
		cells := make([]any, len(names))
		for i := range cells {
			cells[i] = new(any)
		}
		if err := rows.Scan(cells...); err != nil {
			return "", err
		}
		row := make([]string, len(cells))
		for i, cell := range cells {
			switch value := (*cell.(*any)).(type) {
			case nil:
			case []byte:
				row[i] = string(value)
			default:
				row[i] = fmt.Sprint(value)
			}
		}
		table = append(table, row)
	}
	return aligned(table), rows.Err()
}

// aligned writes a table with its columns below each other.
func aligned(table [][]string) string {
	widths := make([]int, len(table[0]))
	for _, row := range table {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range table {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		if n == 0 {
			line.Reset()
			for _, width := range widths {
				line.WriteString(strings.Repeat("-", width) + "  ")
			}
			b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		}
	}
	return strings.TrimRight(b.String(), "\n")
}
