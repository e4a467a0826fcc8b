package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every code in the sources has an entry in errors.md, and every entry a code in the sources.
func TestEveryErrorCodeIsExplained(t *testing.T) {
	code := regexp.MustCompile(`SN-[A-Z]+-\d{3}`)
	used := map[string]string{}
	walkRepository(t, func(path string) {
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return
		}
		source, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		for _, c := range code.FindAllString(string(source), -1) {
			used[c] = path
		}
	})
	require.NotEmpty(t, used)

	page, err := os.ReadFile("errors.md")
	require.NoError(t, err)
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### (SN-[A-Z]+-\d{3})$`).FindAllStringSubmatch(string(page), -1) {
		if explained[m[1]] {
			t.Errorf("docs/errors.md explains %s twice", m[1])
		}
		explained[m[1]] = true
	}
	for c, path := range used {
		if !explained[c] {
			t.Errorf("docs/errors.md does not explain %s of %s", c, path)
		}
	}
	for c := range explained {
		if used[c] == "" {
			t.Errorf("docs/errors.md explains %s, which no source uses", c)
		}
	}
}

// root is the repository, seen from this folder.
const root = ".."

// walkRepository visits every file of the repository by its path with slashes, hidden folders and testdata left out.
func walkRepository(t *testing.T, visit func(path string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "dist"):
			return fs.SkipDir
		case !d.IsDir():
			visit(path)
		}
		return nil
	})
	require.NoError(t, err)
}
