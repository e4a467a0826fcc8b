// Package docs_test holds the documentation to the code: configs parse, links lead somewhere, named files exist.
package docs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/localsync"
)

// pages are all Markdown files of the repository.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	walkRepository(t, func(name string) {
		if filepath.Ext(name) == ".md" {
			text, err := os.ReadFile(filepath.Join(root, name))
			require.NoError(t, err)
			found[name] = string(text)
		}
	})
	require.Contains(t, found, "README.md")
	require.Contains(t, found, "docs/overview.md")
	return found
}

// yamlBlocks returns the YAML of a page, each with the line that it begins on.
func yamlBlocks(page string) map[int]string {
	blocks := map[int]string{}
	var block []string
	start := 0
	for n, line := range strings.Split(page, "\n") {
		switch {
		case start == 0 && strings.HasPrefix(line, "```yaml"):
			start, block = n+2, nil
		case start != 0 && strings.HasPrefix(line, "```"):
			blocks[start] = strings.Join(block, "\n")
			start = 0
		case start != 0:
			block = append(block, line)
		}
	}
	return blocks
}

// Every source in the pages and the examples has a spec that the plugin takes.
func TestConfigsAreValid(t *testing.T) {
	checked := 0
	for name, page := range pages(t) {
		for line, block := range yamlBlocks(page) {
			checked += checkConfig(t, name, line, block)
		}
	}
	require.GreaterOrEqual(t, checked, 10, "sources in the pages")
	checked = 0
	walkRepository(t, func(name string) {
		if strings.HasPrefix(name, "examples/") && slices.Contains([]string{".yml", ".yaml"}, path.Ext(name)) {
			text, err := os.ReadFile(filepath.Join(root, name))
			require.NoError(t, err)
			checked += checkConfig(t, name, 1, string(text))
		}
	})
	require.GreaterOrEqual(t, checked, 2, "sources in the examples")
}

var variable = regexp.MustCompile(`\$\{[^}\n]+\}`)

// checkConfig returns how many sources the YAML holds.
func checkConfig(t *testing.T, name string, line int, text string) int {
	t.Helper()
	sources := 0
	decoder := yaml.NewDecoder(strings.NewReader(variable.ReplaceAllString(text, "dummy")))
	for {
		var document struct {
			Kind string `yaml:"kind"`
			Spec struct {
				Name, Path, Registry string
				Tables, Destinations []string
				Spec                 map[string]any
			} `yaml:"spec"`
		}
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return sources
		}
		if err != nil {
			t.Errorf("%s:%d: not valid YAML: %v", name, line, err)
			return sources
		}
		if document.Kind != "source" {
			continue
		}
		sources++
		for key, value := range map[string]string{"name": document.Spec.Name, "path": document.Spec.Path, "registry": document.Spec.Registry} {
			if value == "" {
				t.Errorf("%s:%d: the source has no %s", name, line, key)
			}
		}
		if len(document.Spec.Tables) == 0 || len(document.Spec.Destinations) == 0 {
			t.Errorf("%s:%d: the source has no tables or no destinations", name, line)
		}
		if auth, ok := document.Spec.Spec["auth"].(map[string]any); ok && auth["private_key_file"] != nil {
			key := filepath.Join(t.TempDir(), "key.pem")
			require.NoError(t, os.WriteFile(key, nil, 0o600))
			auth["private_key_file"] = key
		}
		data, err := json.Marshal(document.Spec.Spec)
		require.NoError(t, err)
		if _, err := spec.Parse(data); err != nil {
			t.Errorf("%s:%d: %v", name, line, err)
		}
	}
}

// The config of the quick start is one that the command sync runs.
func TestEmbeddedExamplesRunWithoutTheCLI(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "examples", "quickstart", "servicenow.yml"))
	require.NoError(t, err)
	require.NoError(t, localsync.ValidateConfig(text, "servicenow.yml"))
}

const repository = "https://github.com/cqservicenow/cq-source-servicenow/blob/main/"

func TestLinksLeadSomewhere(t *testing.T) {
	all := pages(t)
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for name, page := range all {
		for _, m := range link.FindAllStringSubmatch(withoutCode(page), -1) {
			target := m[1]
			if own, ok := strings.CutPrefix(target, repository); ok {
				target = strings.Repeat("../", strings.Count(name, "/")) + own
			}
			u, err := url.Parse(target)
			if err != nil {
				t.Errorf("%s: the link %s is no address", name, target)
				continue
			}
			if u.Scheme != "" {
				continue
			}
			file := name
			if u.Path != "" {
				file = path.Join(path.Dir(name), u.Path)
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, target)
				continue
			}
			if u.Fragment != "" && !slices.Contains(anchors(all[file]), u.Fragment) {
				t.Errorf("%s links to %s, which has no such heading", name, target)
			}
		}
	}
}

// Files and folders that a page names in code font exist.
func TestNamedPathsExist(t *testing.T) {
	named := regexp.MustCompile("`((?:\\.ci|client|docs|e2e|examples|internal|plugin|resources)/[A-Za-z0-9_./*-]*|[A-Z]+\\.md|main\\.go|\\.golangci\\.yml|\\.goreleaser\\.yaml|Makefile)`")
	for name, page := range pages(t) {
		for _, m := range named.FindAllStringSubmatch(page, -1) {
			matches, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(strings.TrimSuffix(m[1], "/"))))
			require.NoError(t, err)
			if len(matches) == 0 {
				t.Errorf("%s names %s, which does not exist", name, m[1])
			}
		}
	}
}

// The hub splices the pages that begin with an underscore into the overview, and renders no HTML.
func TestHubPages(t *testing.T) {
	overview, err := os.ReadFile("overview.md")
	require.NoError(t, err)
	for _, directive := range []string{"\n:configuration\n", "\n:authentication\n"} {
		require.Contains(t, string(overview), directive)
	}
	html := regexp.MustCompile(`</?[a-z][a-z0-9]*[ >]`)
	hub, err := filepath.Glob("*.md")
	require.NoError(t, err)
	for _, name := range hub {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		if tag := html.FindString(withoutCode(string(text))); tag != "" {
			t.Errorf("docs/%s holds HTML: %s", name, tag)
		}
		// Only the pages of this folder are published.
		for _, m := range regexp.MustCompile(`\]\(((?:dev|tables|\.\.)/[^)]*)\)`).FindAllStringSubmatch(string(text), -1) {
			t.Errorf("docs/%s links to %s, which the hub does not have; link to %s… instead", name, m[1], repository)
		}
	}
}

var (
	fence  = regexp.MustCompile("(?ms)^[ \t]*```.*?^[ \t]*```[ \t]*$")
	inline = regexp.MustCompile("`[^`\n]*`")
)

func withoutCode(page string) string {
	return inline.ReplaceAllString(fence.ReplaceAllString(page, ""), "")
}

// anchors returns the names that GitHub gives to the headings of a page.
func anchors(page string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^#{1,6} (.+)$`).FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		var b bytes.Buffer
		for _, r := range strings.ToLower(strings.TrimSpace(m[1])) {
			switch {
			case r == ' ':
				b.WriteByte('-')
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 127:
				b.WriteRune(r)
			}
		}
		names = append(names, b.String())
	}
	return names
}
