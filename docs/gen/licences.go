package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// permissive are the licences that everybody may take code under who passes their texts on. The last four are in the file
// of Arrow alone, which also holds those of its C++ library.
func permissive() []string {
	return []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "Zlib", "BSL-1.0", "HPND", "NCSA", "OpenSSL"}
}

// weakCopyleft are the modules whose own files stay under a licence that asks for changes to them. They are used unchanged.
func weakCopyleft() map[string]string {
	return map[string]string{
		"github.com/cloudquery/cloudquery-api-go": "MPL-2.0",
		"github.com/cloudquery/codegen":           "MPL-2.0",
		"github.com/cloudquery/plugin-pb-go":      "MPL-2.0",
		"github.com/cloudquery/plugin-sdk/v2":     "MPL-2.0",
		"github.com/cloudquery/plugin-sdk/v4":     "MPL-2.0",
		"github.com/hashicorp/go-cleanhttp":       "MPL-2.0",
		"github.com/hashicorp/go-retryablehttp":   "MPL-2.0",
	}
}

// platforms are those of a release; some modules are linked on one of them only.
func platforms() []string {
	return []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}
}

// module is a module that the binary is linked with.
type module struct {
	path, version, dir string
	licences           []string // SPDX identifiers, sorted
	files              []string // names of the files with their texts
}

// linkedModules are the modules of the binary on any platform of a release, this one left out.
func linkedModules(ctx context.Context, root string) ([]module, error) {
	found := map[string]module{}
	for _, platform := range platforms() {
		system, architecture, _ := strings.Cut(platform, "/")
		// A replaced module is the one that stands in for it.
		list := exec.CommandContext(ctx, "go", "list", "-deps", "-f",
			`{{with .Module}}{{if not .Main}}{{.Path}} {{with .Replace}}{{.Path}}@{{.Version}} {{.Dir}}{{else}}{{.Path}}@{{.Version}} {{.Dir}}{{end}}{{end}}{{end}}`, ".")
		list.Dir, list.Stderr = root, os.Stderr
		list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture)
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("listing what is linked on %s: %w", platform, err)
		}
		for line := range strings.Lines(string(out)) {
			fields := strings.SplitN(strings.TrimSpace(line), " ", 3)
			if len(fields) != 3 {
				continue
			}
			path, version, _ := strings.Cut(fields[1], "@")
			found[fields[0]] = module{path: path, version: version, dir: fields[2]}
		}
	}
	modules := slices.SortedFunc(maps.Values(found), func(a, b module) int { return cmp.Compare(a.path, b.path) })
	for i := range modules {
		if err := modules[i].readLicences(); err != nil {
			return nil, err
		}
	}
	return modules, nil
}

var (
	// passedOn matches the files at the top of a module whose texts go with every copy of it.
	passedOn = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)
	// states matches those of them that say what the module is under. Lists of other people's code also name what is only
	// in a module's tests.
	states = regexp.MustCompile(`(?i)^(licen[cs]e|copying)(\.[a-z]+)?$`)
)

func (m *module) readLicences() error {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return fmt.Errorf("looking for the licence of %s: %w", m.path, err)
	}
	for _, entry := range entries {
		if entry.IsDir() || !passedOn.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.dir, entry.Name()))
		if err != nil {
			return fmt.Errorf("reading the licence of %s: %w", m.path, err)
		}
		m.files = append(m.files, entry.Name())
		if !states.MatchString(entry.Name()) {
			continue
		}
		for _, match := range licensecheck.Scan(text).Match {
			// A mention by address is in the headers that a licence shows how to write.
			if !match.IsURL && !slices.Contains(m.licences, match.ID) {
				m.licences = append(m.licences, match.ID)
			}
		}
	}
	slices.Sort(m.licences)
	return nil
}

// checkLicences says what is wrong with the licences of the modules.
func checkLicences(modules []module) error {
	var errs []error
	copyleft := weakCopyleft()
	for _, m := range modules {
		if len(m.licences) == 0 {
			errs = append(errs, fmt.Errorf("%s has no licence that is known", m.path))
		}
		for _, id := range m.licences {
			if !slices.Contains(permissive(), id) && copyleft[m.path] != id {
				errs = append(errs, fmt.Errorf("%s is under %s, which is not permissive", m.path, id))
			}
		}
		delete(copyleft, m.path)
	}
	for _, path := range slices.Sorted(maps.Keys(copyleft)) {
		errs = append(errs, fmt.Errorf("%s is listed as weak copyleft and not linked any more", path))
	}
	return errors.Join(errs...)
}

// licencesPage is dev/licences.md.
func licencesPage(modules []module) []byte {
	var b bytes.Buffer
	b.WriteString("# Licences\n\n[//]: # (generated by go run ./docs/gen)\n\n" +
		"The modules that are linked into the binary, on any platform, and their licences as their own files state them. " +
		"The archives of a release hold the texts in `THIRD_PARTY_LICENSES.txt`. " +
		"A module whose licence is neither permissive nor in the list of weak copyleft fails the tests.\n\n" +
		"## Weak copyleft\n\nUnder the MPL-2.0, changes to a module's own files have to be passed on under it. These modules are used unchanged:\n\n")
	for _, m := range modules {
		if id := weakCopyleft()[m.path]; id != "" {
			fmt.Fprintf(&b, "- %s (%s)\n", m.path, id)
		}
	}
	b.WriteString("\n## Inside modules\n\n" +
		"- Go's runtime and standard library (BSD-3-Clause), which every program of Go holds.\n" +
		"- SQLite (public domain), translated to Go in modernc.org/sqlite.\n" +
		"- PDFium (BSD-3-Clause and Apache-2.0) and the libraries that it is built with, in WebAssembly in github.com/klippa-app/go-pdfium.\n")
	b.WriteString("\n## All modules\n\n| Module | Version | Licences |\n| ------ | ------- | -------- |\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "|%s|%s|%s|\n", m.path, m.version, strings.Join(m.licences, ", "))
	}
	return b.Bytes()
}

// writeLicenceTexts writes what has to be passed on with a binary: each text once, behind the modules that it is of.
func writeLicenceTexts(ctx context.Context, w io.Writer, modules []module) error {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("looking for the licence of Go: %w", err)
	}
	golang := module{path: "Go", dir: strings.TrimSpace(string(root)), version: "and its standard library"}
	if err := golang.readLicences(); err != nil {
		return err
	}
	var texts []string
	owners := map[string][]string{}
	for _, m := range append([]module{golang}, modules...) {
		for _, name := range m.files {
			text, err := os.ReadFile(filepath.Join(m.dir, name))
			if err != nil {
				return fmt.Errorf("reading the licence of %s: %w", m.path, err)
			}
			key := strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n"))
			if owners[key] == nil {
				texts = append(texts, key)
			}
			owners[key] = append(owners[key], m.path+" "+m.version+" ("+name+")")
		}
	}
	for _, text := range texts {
		if _, err := fmt.Fprintf(w, "%s\n\n%s\n\n%s\n", strings.Join(owners[text], "\n"), text, strings.Repeat("=", 80)); err != nil {
			return fmt.Errorf("writing the licences: %w", err)
		}
	}
	return nil
}
