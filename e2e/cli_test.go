package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

// run runs the built binary in a directory and returns its output and exit code.
func run(t *testing.T, dir string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		require.NotNil(t, cmd.ProcessState, "%v", err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestDemo(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the second replaces the database of the first
		out, code := run(t, dir, "demo")
		require.Zero(t, code, out)
		for _, text := range []string{"servicenow_incidents: 5,000 rows", "Opened by the demo", "demo-1.txt", "The first sync took"} {
			require.Contains(t, out, text)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mine.db"), []byte("precious"), 0o600))
	out, code := run(t, dir, "demo", "--db", "mine.db")
	require.NotZero(t, code)
	require.Contains(t, out, "mine.db")
	kept, err := os.ReadFile(filepath.Join(dir, "mine.db"))
	require.NoError(t, err)
	require.Equal(t, "precious", string(kept))
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, left, 2, "demo.db and mine.db, no sockets and logs: %v", left)
}

func TestSyncCommand(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, emulator.Config{})
	config := filepath.Join(dir, "config.yml")
	require.NoError(t, os.WriteFile(config, w.config("embedded", "sqlite"), 0o600))
	out, code := run(t, dir, "sync", config, "--log-file", "sync.log", "--log-level", "debug")
	require.Zero(t, code, out)
	w.requireEqualsSource()
	log, err := os.ReadFile(filepath.Join(dir, "sync.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "table read to its end")

	require.NoError(t, os.WriteFile(config, w.config("cloudquery", "cloudquery/postgresql"), 0o600))
	out, code = run(t, dir, "sync", config)
	require.NotZero(t, code)
	require.Contains(t, out, "cloudquery sync")
	for _, args := range [][]string{{"sync"}, {"sync", "a", "b"}, {"sync", "--nope", "x"}, {"emulator", "--address", "0.0.0.0:1"}} {
		out, code = run(t, dir, args...)
		require.Equal(t, 2, code, "%v: %s", args, out)
	}
	out, code = run(t, dir, "sync", "missing.yml")
	require.Equal(t, 1, code)
	require.Contains(t, out, "missing.yml")
}

// No secret in anything the binary prints or writes, at the most talkative level, over every grant, right and wrong.
func TestSecretsStayInside(t *testing.T) {
	const canary = "canary-7f3b"
	for name, auth := range map[string]map[string]any{
		"client_credentials": {"grant_type": "client_credentials", "client_id": "emulator-client", "client_secret": canary},
		"password":           {"grant_type": "password", "client_id": "emulator-client", "client_secret": canary, "username": "emulator.user", "password": canary},
		"refresh_token":      {"grant_type": "refresh_token", "client_id": "emulator-client", "client_secret": canary, "refresh_token": canary, "access_token": canary},
		"basic":              {"grant_type": "basic", "username": "emulator.user", "password": canary},
		"api_key":            {"grant_type": "api_key", "api_key": canary},
	} {
		for _, right := range []bool{true, false} {
			for _, fault := range []emulator.FaultKind{"", emulator.FaultReset, emulator.FaultTokenExpired, emulator.FaultForbidden} {
				cfg := emulator.Config{Incidents: 50, Attachments: 5}
				if right {
					cfg.ClientSecret, cfg.Password, cfg.APIKey, cfg.RefreshToken = canary, canary, canary, canary
				}
				w := newWorld(t, cfg)
				w.auth = auth
				w.spec["incidents"] = map[string]any{"query": "short_description!=" + canary}
				w.spec["attachments"] = map[string]any{"ocr": "off", "transcription_url": "http://127.0.0.1:1", "transcription_key": canary}
				w.Attach("incident", w.SysIDs("incident")[0], "a.mp3", "audio/mpeg", []byte("ID3\x03\x00\x00\x00\x00\x00\x00 sound"))
				if fault != "" {
					w.SetFaults(emulator.Fault{Kind: fault, Every: 3})
				}
				dir := t.TempDir()
				config := filepath.Join(dir, "config.yml")
				require.NoError(t, os.WriteFile(config, w.config("embedded", "sqlite"), 0o600))
				out, _ := run(t, dir, "sync", config, "--log-file", "sync.log", "--log-level", "trace")
				require.NotContains(t, out, canary, name)
				log, err := os.ReadFile(filepath.Join(dir, "sync.log"))
				require.NoError(t, err)
				if i := bytes.Index(log, []byte(canary)); i >= 0 {
					start := bytes.LastIndexByte(log[:i], '\n') + 1
					t.Fatalf("%s: in the log: %s", name, strings.SplitN(string(log[start:]), "\n", 2)[0])
				}
			}
		}
	}
}
