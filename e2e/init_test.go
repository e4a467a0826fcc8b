//go:build unix

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

// initVariables are those that configs of init read, for the emulator and for destinations that are not reached.
func initVariables(t *testing.T) []string {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(key, nil, 0o600))
	return append(os.Environ(),
		"SERVICENOW_CLIENT_ID=emulator-client", "SERVICENOW_CLIENT_SECRET=emulator-secret", "SERVICENOW_USERNAME=u", "SERVICENOW_PASSWORD=p",
		"SERVICENOW_API_KEY=k", "SERVICENOW_REFRESH_TOKEN=r", "SERVICENOW_KEY_ID=k", "SERVICENOW_SUBJECT=s", "SERVICENOW_PRIVATE_KEY_FILE="+key,
		"POSTGRESQL_CONNECTION_STRING=postgresql://u@localhost/d", "SNOWFLAKE_CONNECTION_STRING=u:p@a/d/s", "BIGQUERY_PROJECT_ID=p", "BIGQUERY_DATASET_ID=d",
		"S3_BUCKET=b", "AWS_REGION=eu-central-1")
}

// What init writes for the embedded destination is synced as it is, in full and then from its cursors.
func TestInitThenSync(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 200, Attachments: 20})
	dir := t.TempDir()
	runWith := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary, args...)
		cmd.Dir, cmd.Env = dir, initVariables(t)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	out := runWith("init", "--instance", w.url, "--grant", "client_credentials", "--destination", "embedded", "--attachments", "files", "--query", "active=true")
	require.Contains(t, out, "failed 0")
	runWith("sync", "servicenow.yaml")
	w.database = filepath.Join(dir, "servicenow.db")
	w.requireIncidents(func(id string) bool { r, _ := w.Record("incident", id); return r["active"] == "true" })
	require.NotEqual(t, "0", w.value("SELECT count(*) FROM servicenow_attachments WHERE content_status = 'stored' AND text_status = 'extracted'"))
	w.ResetRequests()
	runWith("sync", "servicenow.yaml")
	require.Less(t, w.lists(), 25, "the second sync is an incremental one")
}

// The CloudQuery CLI takes what init writes, and so do the destinations that are at hand.
func TestRealCLIValidatesInit(t *testing.T) {
	cli := tool(t, envCLI)
	env := append(initVariables(t), "CQ_TELEMETRY_LEVEL=none")
	for destination, path := range map[string]string{
		"sqlite": os.Getenv(envSQLite), "postgresql": os.Getenv(envPostgreSQL), "duckdb": os.Getenv(envDuckDB), "file": os.Getenv(envFile),
	} {
		if path == "" {
			continue
		}
		for _, grant := range []string{"client_credentials", "jwt_bearer", "authorization_code", "refresh_token", "password", "basic", "api_key"} {
			dir := t.TempDir()
			for _, args := range [][]string{
				{binary, "init", "--instance", "example", "--grant", grant, "--destination", destination, "--plugin", binary, "--skip-doctor"},
				{cli, "validate-config", "servicenow.yaml", "--no-log-file"},
			} {
				cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
				cmd.Dir, cmd.Env = dir, env
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s, %s: %s", destination, grant, out)
				localDestination(t, filepath.Join(dir, "servicenow.yaml"), destination, path)
			}
		}
	}
}

// localDestination makes a config take a destination's binary in place of the hub's release.
func localDestination(t *testing.T, config, destination, path string) {
	t.Helper()
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if line == "  path: cloudquery/"+destination {
			lines[i-1], lines[i] = "  registry: local", "  path: "+path
		}
	}
	require.NoError(t, os.WriteFile(config, []byte(strings.Join(lines, "\n")), 0o600))
}
