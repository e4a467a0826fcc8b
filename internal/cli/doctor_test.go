package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// runDoctorCommand returns what the command printed.
func runDoctorCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, log bytes.Buffer
	a := &app{stdout: &out, stderr: &log}
	cmd := a.doctor()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&log)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	err := cmd.ExecuteContext(t.Context())
	require.NotContains(t, out.String()+log.String(), "canary")
	if err != nil {
		require.NotContains(t, err.Error(), "canary")
	}
	return out.String(), err
}

const doctorConfig = `# ${UNSET_IN_A_COMMENT}
kind: source
spec:
  name: first
  path: cqservicenow/servicenow
  tables: ["*"]
  destinations: [pg]
  spec:
    page_size: ${DOCTOR_PAGE}
    auth: &auth
      grant_type: client_credentials
      client_id: emulator-client
      client_secret: ${DOCTOR_SECRET}
    instances:
      - name: production
        instance_url: ${DOCTOR_INSTANCE}
      - {name: test, instance_url: "${DOCTOR_INSTANCE}", incidents: {query: active=true}}
---
kind: source
spec:
  name: my-servicenow
  path: cqservicenow/whatever
  spec:
    instance_url: ${DOCTOR_INSTANCE}
    auth: {grant_type: api_key, api_key: "${DOCTOR_KEY}"}
---
kind: destination
spec:
  name: pg
  path: cloudquery/postgresql
  spec:
    connection_string: ${UNSET_PASSWORD}
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestDoctorExaminesEverySource(t *testing.T) {
	e := emulator.New(emulator.Config{Incidents: 50, ClientSecret: "canary: secret #1", APIKey: "12345678", TimeZone: "GMT"})
	server := httptest.NewServer(e)
	defer server.Close()
	t.Setenv("DOCTOR_INSTANCE", server.URL)
	t.Setenv("DOCTOR_SECRET", "canary: secret #1")
	t.Setenv("DOCTOR_PAGE", "250")
	t.Setenv("DOCTOR_KEY", "12345678")
	config := writeConfig(t, doctorConfig)

	out, err := runDoctorCommand(t, config)
	require.NoError(t, err)
	require.Contains(t, out, "first, production ("+server.URL+")")
	require.Contains(t, out, "first, test (")
	require.Contains(t, out, "my-servicenow, ")
	require.Contains(t, out, "ok 22, warning 0, failed 0, skipped 0")
	require.NotContains(t, out, "\x1b")
	require.NotContains(t, out, "12345678")

	out, err = runDoctorCommand(t, config, "--name", "my-servicenow", "--json")
	require.NoError(t, err)
	var answer struct {
		OK      bool `json:"ok"`
		Reports []struct {
			Source, Instance, Address string
			OK                        bool `json:"ok"`
			Checks                    []struct{ Code, Check, State string }
		} `json:"reports"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &answer))
	require.True(t, answer.OK)
	require.Len(t, answer.Reports, 1)
	require.Equal(t, "my-servicenow", answer.Reports[0].Source)
	require.Len(t, answer.Reports[0].Checks, 22)

	t.Setenv("DOCTOR_KEY", "canary-wrong")
	out, err = runDoctorCommand(t, config, "--json")
	require.ErrorContains(t, err, "one check failed")
	var usage *usageError
	require.False(t, errors.As(err, &usage), "exit code 1")
	require.NoError(t, json.Unmarshal([]byte(out), &answer))
	require.False(t, answer.OK)
	require.Len(t, answer.Reports, 3)
	require.Equal(t, "failed", answer.Reports[2].Checks[2].State)

	t.Setenv("DOCTOR_KEY", "12345678")
	t.Setenv("DOCTOR_PAGE", "many") // a spec that cannot be used
	out, err = runDoctorCommand(t, config)
	require.Equal(t, spec.CodeInvalid, usererror.CodeOf(err))
	require.ErrorContains(t, err, "page_size")
	require.Contains(t, out, "my-servicenow, ", "the other source is examined all the same")

	require.NoError(t, os.Unsetenv("DOCTOR_KEY"))
	_, err = runDoctorCommand(t, config)
	require.Equal(t, codeConfig, usererror.CodeOf(err))
	require.ErrorContains(t, err, "DOCTOR_KEY is not set")
	require.NotContains(t, err.Error(), "UNSET")
	require.Empty(t, e.Violations())
}

func TestDoctorUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"a.yml", "b.yml"}, {"--unknown"}} {
		_, err := runDoctorCommand(t, args...)
		var usage *usageError
		require.True(t, errors.As(err, &usage), args)
	}
}

func TestReadSources(t *testing.T) {
	t.Setenv("TEXT", "a: b #c")
	t.Setenv("NUMBER", "12")
	t.Setenv("LIST", "[a, b]")
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("from a file\n"), 0o600))
	const source = "kind: source\nspec:\n  name: servicenow\n  spec:\n"
	for name, test := range map[string]struct{ yaml, name, want, fault string }{
		"texts":          {yaml: source + "    a: ${TEXT}\n    b: x-${NUMBER}-${TEXT}\n", want: `{"a":"a: b #c","b":"x-12-a: b #c"}`},
		"numbers":        {yaml: source + "    a: ${NUMBER}\n    b: \"${NUMBER}\"\n    c: '${NUMBER}'\n", want: `{"a":12,"b":"12","c":"12"}`},
		"lists":          {yaml: source + "    a: ${LIST}\n    b: [\"${LIST}\"]\n", want: `{"a":["a","b"],"b":["[a, b]"]}`},
		"a file":         {yaml: source + "    a: ${file:" + secret + "}\n", want: `{"a":"from a file"}`},
		"no file":        {yaml: source + "    a: ${file:/does/not/exist}\n", fault: "cannot be read"},
		"merged":         {yaml: source + "    a: &a {x: 1}\n    b: {<<: *a, y: 2}\n", want: `{"a":{"x":1},"b":{"x":1,"y":2}}`},
		"no anchor":      {yaml: source + "    a: 1\nother: *lost\n", fault: "line 6 is not valid YAML"},
		"unset outside":  {yaml: "x: &x {a: '${UNSET_X}'}\ny: ${UNSET_Y}\n" + source + "    <<: {a: 1}\n", want: `{"a":1}`},
		"unset by alias": {yaml: "x: &x {a: '${UNSET_X}'}\n" + source + "    b: *x\n", fault: "UNSET_X is not set"},
		"no spec":        {yaml: "kind: source\nspec:\n  name: servicenow\n", want: `null`},
		"unset":          {yaml: source + "    a: ${UNSET_A}\n    b: ${UNSET_B}\n", fault: "UNSET_A is not set; the environment variable UNSET_B"},
		"unknown name":   {yaml: source, name: "x", fault: `named "x"`},
		"another source": {yaml: "kind: source\nspec: {name: aws, path: cloudquery/aws}\n", fault: "no document with kind: source"},
		"no YAML":        {yaml: source + "    a: 'canary\n", fault: "not valid YAML"},
		"a bare text":    {yaml: "canary", fault: "not valid YAML"},
		"empty":          {yaml: "", fault: "no document with kind: source"},
	} {
		t.Run(name, func(t *testing.T) {
			sources, err := readSources(writeConfig(t, test.yaml), test.name)
			if test.fault != "" {
				require.Equal(t, codeConfig, usererror.CodeOf(err))
				require.ErrorContains(t, err, test.fault)
				require.NotContains(t, err.Error(), "canary")
				return
			}
			require.NoError(t, err)
			require.Len(t, sources, 1)
			require.JSONEq(t, test.want, string(sources[0].spec))
		})
	}
	_, err := readSources(filepath.Join(t.TempDir(), "none.yml"), "")
	require.Equal(t, codeConfig, usererror.CodeOf(err))
}
