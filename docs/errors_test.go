package docs_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every code that the program can print has an entry in errors.md, or in doctor.md if it is a check's, and every entry a
// code in its sources.
func TestEveryErrorCodeIsExplained(t *testing.T) {
	code := regexp.MustCompile(`SN-[A-Z]+-\d{3}`)
	used := map[string]string{}
	for _, path := range programSources(t) {
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, c := range code.FindAllString(string(source), -1) {
			used[c] = path
		}
	}
	require.NotEmpty(t, used)

	var page []byte
	for _, name := range []string{"errors.md", "doctor.md"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		page = append(page, text...)
	}
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### (SN-[A-Z]+-\d{3})$`).FindAllStringSubmatch(string(page), -1) {
		if explained[m[1]] {
			t.Errorf("docs explain %s twice", m[1])
		}
		explained[m[1]] = true
	}
	for c, path := range used {
		if !explained[c] {
			t.Errorf("docs/errors.md and docs/doctor.md do not explain %s of %s", c, path)
		}
	}
	for c := range explained {
		if used[c] == "" {
			t.Errorf("docs explain %s, which no source uses", c)
		}
	}
}

// programSources are the files of this module that the binary is built of, on any platform.
func programSources(t *testing.T) []string {
	t.Helper()
	const module = "github.com/cqservicenow/cq-source-servicenow"
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{.ImportPath}}", module)
	list.Stderr = os.Stderr
	packages, err := list.Output()
	require.NoError(t, err)
	var sources []string
	for _, name := range strings.Fields(string(packages)) {
		folder, ok := strings.CutPrefix(name, module)
		if !ok {
			continue
		}
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(folder), "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				sources = append(sources, file)
			}
		}
	}
	return sources
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
