package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryTableAndColumnIsDescribed(t *testing.T) {
	tables, err := pluginTables(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	for _, table := range tables {
		if table.Title == "" || table.Description == "" {
			t.Errorf("%s has no title or no description", table.Name)
		}
		for _, c := range table.Columns {
			if strings.TrimSpace(c.Description) == "" {
				t.Errorf("%s.%s has no description", table.Name, c.Name)
			}
		}
	}
}

func TestGeneratedPagesAreCurrent(t *testing.T) {
	dir, err := docsDir()
	if err != nil {
		t.Skip(err)
	}
	files, err := generate(t.Context(), dir)
	require.NoError(t, err)
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		if string(got) != string(want) {
			t.Errorf("docs/%s is not current: run go run ./docs/gen", name)
		}
	}
	pages, err := filepath.Glob(filepath.Join(dir, "tables", "*.md"))
	require.NoError(t, err)
	for _, page := range pages {
		if _, ok := files["tables/"+filepath.Base(page)]; !ok {
			t.Errorf("docs/tables/%s is of a table that is gone: run go run ./docs/gen", filepath.Base(page))
		}
	}
}

func TestSpliceRefusesAPageWithoutMarks(t *testing.T) {
	_, err := splice([]byte("# Configuration\n"), []byte("generated"))
	require.ErrorContains(t, err, "marks are gone")
}
