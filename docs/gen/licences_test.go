package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryLicenceIsKnownAndPermissive(t *testing.T) {
	modules, err := linkedModules(t.Context(), "../..")
	require.NoError(t, err)
	require.NoError(t, checkLicences(modules))
	byPath := map[string]module{}
	for _, m := range modules {
		byPath[m.path] = m
		require.NotContains(t, m.path, "cqservicenow", "this module is not its own dependency")
	}
	// One that is linked on Windows only, one of two licences, and one that replaces another.
	require.Equal(t, []string{"MIT"}, byPath["github.com/danieljoos/wincred"].licences)
	require.Equal(t, []string{"Apache-2.0", "MIT"}, byPath["go.yaml.in/yaml/v3"].licences)
	require.Contains(t, byPath, "github.com/cloudquery/jsonschema")
	require.NotContains(t, byPath, "github.com/invopop/jsonschema")

	var texts bytes.Buffer
	require.NoError(t, writeLicenceTexts(t.Context(), &texts, modules))
	for _, m := range modules {
		require.Contains(t, texts.String(), m.path+" "+m.version+" (")
	}
	require.Contains(t, texts.String(), "Go and its standard library (LICENSE)")
	require.Contains(t, texts.String(), "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION")
}

func TestOtherLicencesAreRefused(t *testing.T) {
	var modules []module
	for path, id := range weakCopyleft() {
		modules = append(modules, module{path: path, licences: []string{id}})
	}
	require.NoError(t, checkLicences(modules))
	for what, m := range map[string]module{
		"not permissive": {path: "example.com/a", licences: []string{"GPL-3.0", "MIT"}},
		"is under MPL":   {path: "example.com/a", licences: []string{"MPL-2.0"}},
		"no licence":     {path: "example.com/a"},
	} {
		require.ErrorContains(t, checkLicences(append(modules, m)), what)
	}
	require.ErrorContains(t, checkLicences(modules[1:]), "not linked any more")
}
