package plugin

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/serve"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

// userAgents serves an emulator and notes what its clients call themselves.
type userAgents struct {
	http.Handler
	mu   sync.Mutex
	seen map[string]int
}

func (u *userAgents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.seen[r.UserAgent()]++
	u.mu.Unlock()
	u.Handler.ServeHTTP(w, r)
}

func serveUserAgents(t *testing.T) (*userAgents, string) {
	t.Helper()
	u := &userAgents{Handler: emulator.New(emulator.Config{Incidents: 20, Attachments: 5}), seen: map[string]int{}}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	return u, server.URL
}

// An instance's transaction log tells which version of the plugin asked, for tokens and files, too.
func TestEveryRequestNamesTheVersion(t *testing.T) {
	u, address := serveUserAgents(t)
	p := Plugin()
	data := specFor(t, address, func(s map[string]any) {
		s["attachments"] = map[string]any{"content": "column", "extract_text": false}
	})
	require.NoError(t, p.Init(t.Context(), data, plugin.NewClientOptions{}))
	_, err := p.SyncAll(t.Context(), plugin.SyncOptions{Tables: []string{"*"}})
	require.NoError(t, err)
	require.Len(t, u.seen, 1, "%v", u.seen)
	require.Greater(t, u.seen["cq-source-servicenow/"+Version], 5, "a token, three tables and a file each")
}

// TestPackage makes what CloudQuery's hub is given, for this platform alone, and looks into it as the hub and the CLI do.
func TestPackage(t *testing.T) {
	if os.Getenv("TEST_PACKAGE") == "" {
		t.Skip("TEST_PACKAGE is not set, so the package for the hub is not made")
	}
	const version = "v0.0.1-test"
	dist := t.TempDir()
	p := Plugin()
	here := func(target plugin.BuildTarget) bool {
		return target.OS == runtime.GOOS && target.Arch == runtime.GOARCH
	}
	i := slices.IndexFunc(p.Targets(), here)
	if i < 0 {
		t.Skip("the hub is given no binary for this platform")
	}
	plugin.WithBuildTargets(p.Targets()[i : i+1])(p)
	require.NoError(t, serve.Plugin(p, serve.WithArgs("package", "-m", "a test", "-D", dist, version, "..")).Serve(t.Context()))

	var manifest serve.PackageJSON
	readJSON(t, filepath.Join(dist, "package.json"), &manifest)
	require.Equal(t, []string{"cqservicenow", "source", "servicenow", version, "a test"},
		[]string{manifest.Team, string(manifest.Kind), manifest.Name, manifest.Version, manifest.Message})
	require.Equal(t, []int{3}, manifest.Protocols)
	require.Len(t, manifest.SupportedTargets, 1)
	archive := filepath.Join(dist, manifest.SupportedTargets[0].Path)
	data, err := os.ReadFile(archive)
	require.NoError(t, err)
	sum := sha256.Sum256(data)
	require.Equal(t, manifest.SupportedTargets[0].Checksum, "sha256:"+hex.EncodeToString(sum[:]))

	requireTablesJSON(t, p, filepath.Join(dist, "tables.json"))
	schema, err := os.ReadFile(filepath.Join(dist, "spec_json_schema.json"))
	require.NoError(t, err)
	require.JSONEq(t, spec.JSONSchema, string(schema))
	for _, page := range []string{"overview.md", "_configuration.md", "_authentication.md", "errors.md"} {
		want, err := os.ReadFile(filepath.Join("..", "docs", page))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(dist, "docs", page))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), page)
	}

	binary := unzipOne(t, archive)
	for _, args := range [][]string{{"--version"}, {"info"}, {"list", "--version"}} {
		out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), version, "%v", args)
	}
	u, address := serveUserAgents(t)
	config := filepath.Join(t.TempDir(), "config.yml")
	source := map[string]any{"kind": "source", "spec": map[string]any{
		"name": "servicenow", "registry": "local", "path": binary, "version": "v0.0.0", "tables": []string{"*"}, "destinations": []string{"sqlite"},
		"spec": json.RawMessage(specFor(t, address, nil)),
	}}
	text, err := json.Marshal(source)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(config, text, 0o600))
	out, err := exec.CommandContext(t.Context(), binary, "list", config, "incidents").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Len(t, u.seen, 1, "%v", u.seen)
	require.Positive(t, u.seen["cq-source-servicenow/"+version])
}

// requireTablesJSON checks that the hub is told every table and column, each with a description.
func requireTablesJSON(t *testing.T, p *plugin.Plugin, path string) {
	t.Helper()
	var told []struct {
		Name, Title, Description string
		IsIncremental            bool `json:"is_incremental"`
		Columns                  []struct {
			Name, Type, Description string
			PrimaryKey              bool `json:"primary_key"`
		}
	}
	readJSON(t, path, &told)
	tables, err := p.Tables(t.Context(), plugin.TableOptions{Tables: []string{"*"}})
	require.NoError(t, err)
	require.Len(t, told, len(tables))
	for i, table := range tables {
		require.Equal(t, table.Name, told[i].Name)
		require.NotEmpty(t, told[i].Title, table.Name)
		require.NotEmpty(t, told[i].Description, table.Name)
		require.Equal(t, table.IsIncremental, told[i].IsIncremental)
		require.Len(t, told[i].Columns, len(table.Columns))
		var keys []string
		for _, c := range told[i].Columns {
			require.NotEmpty(t, c.Description, "%s.%s", table.Name, c.Name)
			if c.PrimaryKey {
				keys = append(keys, c.Name)
			}
		}
		require.Equal(t, table.PrimaryKeys(), keys, table.Name)
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into), path)
}

// unzipOne unpacks the only file of an archive, the plugin's binary, as the CLI does.
func unzipOne(t *testing.T, archive string) string {
	t.Helper()
	reader, err := zip.OpenReader(archive)
	require.NoError(t, err)
	defer reader.Close()
	require.Len(t, reader.File, 1)
	require.Equal(t, strings.TrimSuffix(filepath.Base(archive), ".zip"), reader.File[0].Name)
	packed, err := reader.File[0].Open()
	require.NoError(t, err)
	defer packed.Close()
	path := filepath.Join(t.TempDir(), "plugin.exe")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o700)
	require.NoError(t, err)
	_, err = io.Copy(file, packed)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return path
}
