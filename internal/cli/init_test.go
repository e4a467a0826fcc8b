package cli

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/auth/login"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/starter"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// runInitCommand returns what the command printed; it runs without a terminal.
func runInitCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, notes bytes.Buffer
	a := &app{stdout: &out, stderr: &notes}
	cmd := a.initialise()
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(""))
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestInitExaminesWhatItWrites(t *testing.T) {
	e := emulator.New(emulator.Config{Incidents: 30, ClientSecret: "canary: #1", TimeZone: "GMT"})
	server := httptest.NewServer(e)
	defer server.Close()
	t.Chdir(t.TempDir())
	args := []string{"--instance", server.URL, "--grant", "client_credentials", "--destination", "embedded"}

	_, err := runInitCommand(t, args...)
	require.Equal(t, codeNotExamined, usererror.CodeOf(err))
	require.ErrorContains(t, err, "SERVICENOW_CLIENT_ID is not set")
	require.FileExists(t, "servicenow.yaml")

	t.Setenv("SERVICENOW_CLIENT_ID", "emulator-client")
	t.Setenv("SERVICENOW_CLIENT_SECRET", "canary: #1")
	out, err := runInitCommand(t, append(args, "--force")...)
	require.NoError(t, err)
	require.Contains(t, out, "ok 22, warning 0, failed 0")
	require.Contains(t, out, "cq-source-servicenow sync servicenow.yaml")
	text, err := os.ReadFile("servicenow.yaml")
	require.NoError(t, err)
	require.NotContains(t, string(text)+out, "canary")
	require.NotContains(t, string(text)+out, "emulator-client")
	if info, err := os.Stat("servicenow.yaml"); runtime.GOOS != "windows" {
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode())
	}

	t.Setenv("SERVICENOW_CLIENT_SECRET", "canary-wrong")
	out, err = runInitCommand(t, append(args, "--force")...)
	require.ErrorContains(t, err, "one check failed")
	require.NotContains(t, out+err.Error(), "canary")
	require.Empty(t, e.Violations())
}

func TestInitWithoutATerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	complete := []string{"--instance", "example", "--grant", "basic", "--destination", "postgresql", "--skip-doctor"}
	for _, flag := range []string{"instance", "grant", "destination"} {
		var args []string
		for i := 0; i < len(complete); i++ {
			if complete[i] == "--"+flag {
				i++
				continue
			}
			args = append(args, complete[i])
		}
		_, err := runInitCommand(t, args...)
		require.Equal(t, codeAnswerMissing, usererror.CodeOf(err))
		require.ErrorContains(t, err, "--"+flag+" is missing")
	}
	for fault, args := range map[string][]string{
		"choose one of client_credentials": {"--grant", "magic"},
		"only the part before":             {"--instance", "exa_mple"},
		"write https":                      {"--instance", "http://itsm.example.com"},
		"one line":                         {"--query", "a=1\nb=2"},
		"lost with it":                     {"--schedule", "kubernetes", "--destination", "sqlite"},
		"divide an hour":                   {"--schedule", "cron", "--every", "7m"},
		"--every needs --schedule":         {"--every", "hourly"},
		"unknown flag":                     {"--client-secret", "x"},
		"at most":                          {"a.yaml", "b.yaml"},
	} {
		_, err := runInitCommand(t, append(complete, args...)...)
		var usage *usageError
		require.True(t, errors.As(err, &usage), fault)
		require.ErrorContains(t, err, fault)
	}
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, entries, "nothing is written unless everything is right")
}

func TestInitReplacesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	args := []string{"config.yaml", "--instance", "example", "--grant", "basic", "--destination", "postgresql", "--schedule", "github-actions", "--skip-doctor"}
	workflow := filepath.Join(".github", "workflows", "servicenow-sync.yml")
	require.NoError(t, os.MkdirAll(filepath.Dir(workflow), 0o700))
	require.NoError(t, os.WriteFile(workflow, []byte("mine"), 0o600))
	_, err := runInitCommand(t, args...)
	require.Equal(t, codeInitUnwritten, usererror.CodeOf(err))
	require.NoFileExists(t, "config.yaml", "neither is written")
	require.NoError(t, os.Remove(workflow))

	require.NoError(t, os.WriteFile("config.yaml", []byte("mine"), 0o600))
	_, err = runInitCommand(t, args...)
	require.Equal(t, codeInitUnwritten, usererror.CodeOf(err))
	require.NoFileExists(t, workflow)
	text, err := os.ReadFile("config.yaml")
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))

	out, err := runInitCommand(t, append(args, "--force")...)
	require.NoError(t, err)
	require.Contains(t, out, "every night, at")
	require.FileExists(t, workflow)

	_, err = runInitCommand(t, append(args, "--force", filepath.Join(t.TempDir(), "far.yaml"))[1:]...)
	require.Equal(t, codeInitUnwritten, usererror.CodeOf(err), "a workflow does not find what lies outside of its repository")
	_, err = runInitCommand(t, append([]string{t.TempDir()}, append(args[1:], "--force")...)...)
	require.Equal(t, codeInitUnwritten, usererror.CodeOf(err), "a folder")
}

func TestReleased(t *testing.T) {
	for version, want := range map[string]string{"v1.2.3": "v1.2.3", "1.2.3": "v1.2.3", "development": "", "v1.2.4-SNAPSHOT-abc": "", "v1.2": ""} {
		require.Equal(t, want, released(version), version)
	}
}

// talk answers init's questions with lines.
func talk(t *testing.T, given map[string]string, lines ...string) (*initOptions, starter.Every, string, error) {
	t.Helper()
	o := &initOptions{every: "daily"}
	o.answers.Attachments, o.answers.Schedule = starter.AttachmentsText, starter.NoSchedule
	o.instance = given["instance"]
	var out bytes.Buffer
	terminal := login.NewTerminal(strings.NewReader(strings.Join(lines, "\n")+"\n"), &out)
	every, err := o.complete(t.Context(), &out, terminal.Ask, func(flag string) bool { return given[flag] != "" })
	return o, every, out.String(), err
}

func TestInitAsks(t *testing.T) {
	o, every, out, err := talk(t, nil, "", "exa mple", "https://Example.service-now.com/", "9", "2", "bigquery", "", "active=true", "airflow", "8m", "hourly")
	require.NoError(t, err)
	require.Equal(t, starter.Config{
		Subdomain: "example", Grant: "jwt_bearer", Destination: "bigquery", Attachments: "text", Query: "active=true", Schedule: "airflow",
	}, o.answers)
	require.Equal(t, starter.Every(60), every)
	for _, text := range []string{"An answer is needed", "2  jwt_bearer", "choose one of", "Attachments [text]: ", "divide an hour"} {
		require.Contains(t, strings.ToLower(out), strings.ToLower(text))
	}

	// What flags say is not asked, and defaults come with enter.
	o, _, out, err = talk(t, map[string]string{"instance": "acme"}, "api_key", "embedded", "", "", "kubernetes", "")
	require.NoError(t, err)
	require.Equal(t, "acme", o.answers.Subdomain)
	require.Equal(t, starter.NoSchedule, o.answers.Schedule)
	require.NotContains(t, out, "Which instance?")
	require.Contains(t, out, "lost with it")

	_, _, _, err = talk(t, nil, "acme")
	require.Equal(t, login.CodeInputEnded, usererror.CodeOf(err))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o = &initOptions{}
	_, err = o.complete(ctx, &bytes.Buffer{}, func(ctx context.Context, _ string) (string, error) { return "", ctx.Err() }, func(string) bool { return false })
	require.ErrorIs(t, err, context.Canceled)
}
