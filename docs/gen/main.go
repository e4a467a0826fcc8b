// Command gen writes the generated parts of the documentation: docs/tables and docs/data-model.svg from the plugin's tables, the
// reference in docs/_configuration.md from the spec's JSON schema, and docs/dev/licences.md from the modules that the
// binary is linked with. Run it from anywhere in the module: go run ./docs/gen. With -licences FILE it writes the texts of their licences
// to a file, for the archives of a release, and nothing else.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run() error {
	licences := flag.String("licences", "", "write only the texts of the licences of what is linked, to this file")
	flag.Parse()
	dir, err := docsDir()
	if err != nil {
		return err
	}
	if *licences != "" {
		return writeLicences(context.Background(), dir, *licences)
	}
	files, err := generate(context.Background(), dir)
	if err != nil {
		return err
	}
	// A page of a table that is gone would stay for ever otherwise.
	old, err := filepath.Glob(filepath.Join(dir, "tables", "*.md"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // documentation is for everybody
			return err
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil { //nolint:gosec // documentation is for everybody
			return err
		}
	}
	return nil
}

// generate returns every generated file by its name below docs.
func generate(ctx context.Context, dir string) (map[string][]byte, error) {
	tables, err := pluginTables(ctx)
	if err != nil {
		return nil, err
	}
	files := tablePages(tables)
	files["data-model.svg"] = dataModel(tables)
	modules, err := linkedModules(ctx, filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	files["dev/licences.md"] = licencesPage(modules)
	const configuration = "_configuration.md"
	page, err := os.ReadFile(filepath.Join(dir, configuration))
	if err != nil {
		return nil, err
	}
	reference, err := specReference()
	if err != nil {
		return nil, err
	}
	if files[configuration], err = splice(page, reference); err != nil {
		return nil, fmt.Errorf("generating %s: %w", configuration, err)
	}
	return files, nil
}

func writeLicences(ctx context.Context, dir, path string) error {
	modules, err := linkedModules(ctx, filepath.Dir(dir))
	if err != nil {
		return err
	}
	if err := checkLicences(modules); err != nil {
		return err
	}
	var texts bytes.Buffer
	if err := writeLicenceTexts(ctx, &texts, modules); err != nil {
		return err
	}
	return os.WriteFile(path, texts.Bytes(), 0o644) //nolint:gosec // licences are for everybody
}

// docsDir finds the folder docs beside this file.
func docsDir() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", fmt.Errorf("finding the folder docs: the program was built without file names; use go run ./docs/gen")
	}
	return filepath.Dir(filepath.Dir(file)), nil
}
