package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/auth/login"
	"github.com/cqservicenow/cq-source-servicenow/internal/auth/tokenstore"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

const pastedRedirect = "https://signin.example.com/servicenow"

// signInServer takes any code and remembers what it was asked.
type signInServer struct {
	*httptest.Server
	mu      sync.Mutex
	forms   []url.Values
	revoked []string
	refuse  bool
}

func newSignInServer(t *testing.T) *signInServer {
	s := &signInServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case s.refuse:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/oauth_token.do":
			_ = r.ParseForm()
			s.forms = append(s.forms, r.PostForm)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"canary-access","refresh_token":"canary-refresh","token_type":"Bearer","expires_in":1799}`)
		case r.URL.Path == "/oauth_revoke_token.do":
			s.revoked = append(s.revoked, r.URL.Query().Get("token"))
		default:
			t.Error("unknown path", r.URL.Path)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// person reads the address that a command prints, and pastes where the browser would have been sent.
type person struct {
	mu     sync.Mutex
	text   bytes.Buffer
	paste  *io.PipeWriter
	pasted bool
}

func (p *person) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(b)
	if match := regexp.MustCompile(`state=([0-9a-f]+)`).FindStringSubmatch(p.text.String()); match != nil && !p.pasted && p.paste != nil {
		p.pasted = true
		go func() { _, _ = fmt.Fprintf(p.paste, "%s?code=canary-code&state=%s\n", pastedRedirect, match[1]) }()
	}
	return len(b), nil
}

type outcome struct {
	stdout, stderr string
	err            error
}

func runSignInCommand(t *testing.T, stdin io.Reader, args ...string) outcome {
	t.Helper()
	var stdout bytes.Buffer
	stderr := &person{}
	if stdin == nil {
		stdin, stderr.paste = io.Pipe()
	}
	a := &app{stdout: &stdout, stderr: stderr}
	root := &cobra.Command{Use: "x", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(a.login(), a.logout())
	root.SetIn(stdin)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	out := outcome{stdout.String(), stderr.text.String(), err}
	require.NotContains(t, out.stderr+fmt.Sprintf("%v %+v", err, err), "canary")
	if args[0] != "login" || !strings.Contains(strings.Join(args, " "), "--print") {
		require.NotContains(t, out.stdout, "canary")
	}
	return out
}

func secretFile(t *testing.T, content string) string {
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestLoginAndLogout(t *testing.T) {
	server := newSignInServer(t)
	store := filepath.Join(t.TempDir(), "tokens.json")
	where := []string{"--instance-url", server.URL, "--client-id", "c", "--token-store", store}
	with := func(command string, more ...string) []string {
		return append(append([]string{command}, where...), more...)
	}

	out := runSignInCommand(t, nil, with("logout")...)
	require.NoError(t, out.err)
	require.Contains(t, out.stdout, "There is no sign-in")

	out = runSignInCommand(t, nil, with("login", "--client-secret-file", secretFile(t, "canary-secret\n"), "--redirect-uri", pastedRedirect, "--no-browser")...)
	require.NoError(t, out.err)
	require.Contains(t, out.stdout, "Signed in to "+server.URL)
	require.Equal(t, "canary-secret", server.forms[0].Get("client_secret"))
	require.Equal(t, pastedRedirect, server.forms[0].Get("redirect_uri"))

	opened, err := tokenstore.Open(store)
	require.NoError(t, err)
	entry, err := opened.Load(t.Context(), tokenstore.NewKey(server.URL, "c"))
	require.NoError(t, err)
	require.Equal(t, "canary-refresh", entry.RefreshToken)

	server.refuse = true
	out = runSignInCommand(t, nil, with("logout")...)
	require.Equal(t, login.CodeNotRevoked, usererror.CodeOf(out.err))
	server.refuse = false
	out = runSignInCommand(t, nil, with("logout")...)
	require.NoError(t, out.err)
	require.Equal(t, []string{"canary-refresh"}, server.revoked)
	_, err = opened.Load(t.Context(), tokenstore.NewKey(server.URL, "c"))
	require.Equal(t, tokenstore.CodeNoSignIn, usererror.CodeOf(err))

	out = runSignInCommand(t, nil, with("logout", "--local")...)
	require.NoError(t, out.err)
	require.Len(t, server.revoked, 1)
}

func TestLoginPrints(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	server := newSignInServer(t)
	out := runSignInCommand(t, nil, "login", "--instance-url", server.URL, "--client-id", "c", "--public", "--redirect-uri", pastedRedirect, "--no-browser", "--print")
	require.NoError(t, out.err)
	require.Equal(t, "canary-refresh\n", out.stdout)
	require.NotContains(t, server.forms[0], "client_secret")
	entries, err := os.ReadDir(os.Getenv("XDG_CONFIG_HOME"))
	require.NoError(t, err)
	require.Empty(t, entries, "it is kept nowhere")
}

const loginConfig = `# ${UNSET_IN_A_COMMENT}
kind: source
spec:
  name: my-servicenow
  path: cqservicenow/servicenow
  tables: [${UNSET_TABLES}]
  spec:
    instance_url: ${TEST_INSTANCE}
    auth: &auth
      grant_type: authorization_code
      client_id: "${TEST_CLIENT}"
      client_secret: ${TEST_SECRET}
      redirect_uri: https://signin.example.com/servicenow
      token_store: ${TEST_STORE}
---
kind: destination
spec:
  name: x
  spec:
    connection_string: ${UNSET_PASSWORD}
`

func TestLoginWithConfig(t *testing.T) {
	server := newSignInServer(t)
	t.Setenv("TEST_INSTANCE", server.URL)
	t.Setenv("TEST_CLIENT", "from-env")
	t.Setenv("TEST_SECRET", "canary: secret #1")
	t.Setenv("TEST_STORE", filepath.Join(t.TempDir(), "tokens.json"))
	config := filepath.Join(t.TempDir(), "config.yml")
	require.NoError(t, os.WriteFile(config, []byte(loginConfig), 0o600))
	out := runSignInCommand(t, nil, "login", config, "--no-browser")
	require.NoError(t, out.err)
	require.Equal(t, "canary: secret #1", server.forms[0].Get("client_secret"))
	require.Equal(t, "from-env", server.forms[0].Get("client_id"))
	require.FileExists(t, os.Getenv("TEST_STORE"))

	out = runSignInCommand(t, nil, "login", config, "--no-browser", "--client-id", "from-flag", "--public")
	require.NoError(t, out.err)
	require.Equal(t, "from-flag", server.forms[1].Get("client_id"))

	out = runSignInCommand(t, nil, "logout", config)
	require.NoError(t, out.err)
	require.Len(t, server.revoked, 1)

	require.NoError(t, os.Unsetenv("TEST_SECRET"))
	out = runSignInCommand(t, nil, "login", config)
	require.Equal(t, login.CodeIncomplete, usererror.CodeOf(out.err))
	require.ErrorContains(t, out.err, "TEST_SECRET is not set")
}

func TestReadConfig(t *testing.T) {
	t.Setenv("LOGIN_DIGITS", "0012")
	const source = "kind: source\nspec:\n  name: servicenow\n  spec:\n"
	for name, test := range map[string]struct {
		yaml, name, want, fault string
	}{
		"subdomain":      {yaml: source + "    instance_subdomain: example\n    auth: {client_id: c}\n", want: "example c  "},
		"public":         {yaml: source + "    instance_subdomain: example\n    auth: {client_id: c, redirect_uri: http://localhost:1/x}\n", want: "example c  http://localhost:1/x"},
		"one instance":   {yaml: source + "    auth: {client_id: c, client_secret: s}\n    instances:\n      - {name: a, instance_subdomain: aa, auth: {client_id: d}}\n", want: "aa d s "},
		"by name":        {yaml: source + "    auth: {client_id: c}\n    instances:\n      - {name: a, instance_subdomain: aa}\n      - {name: b, instance_subdomain: bb}\n", name: "b", want: "bb c  "},
		"several":        {yaml: source + "    auth: {client_id: c}\n    instances:\n      - {name: a, instance_subdomain: aa}\n      - {name: b, instance_subdomain: bb}\n", fault: "--name: a, b"},
		"unknown name":   {yaml: source + "    auth: {client_id: c}\n", name: "z", fault: `named "z"`},
		"no source":      {yaml: "kind: destination\nspec: {name: servicenow}\n", fault: "no document with kind: source"},
		"other source":   {yaml: "kind: source\nspec: {name: aws, path: cloudquery/aws}\n", fault: "no document with kind: source"},
		"other grant":    {yaml: source + "    auth: {grant_type: client_credentials}\n", fault: "needs no sign-in"},
		"number":         {yaml: source + "    auth: {client_secret: 12345678}\n", fault: "put it in quotes"},
		"no YAML":        {yaml: source + "    auth: {client_secret: 'canary\n", fault: "not valid YAML"},
		"no YAML at all": {yaml: "canary", fault: "no document with kind: source"},
		"empty":          {yaml: "", fault: "no document with kind: source"},
		"digits":         {yaml: source + "    auth: {client_id: c, client_secret: ${LOGIN_DIGITS}}\n", want: " c 0012 "},
		"no anchor":      {yaml: source + "    auth: *lost\n", fault: "line 5 is not valid YAML"},
		"unset store":    {yaml: source + "    auth: {token_store: '${UNSET_STORE}'}\n", fault: "UNSET_STORE is not set"},
	} {
		t.Run(name, func(t *testing.T) {
			path := secretFile(t, test.yaml)
			c, address, err := readConfig(path, test.name)
			if test.fault != "" {
				require.Equal(t, login.CodeConfigFile, usererror.CodeOf(err))
				require.ErrorContains(t, err, test.fault)
				require.NotContains(t, err.Error(), "canary")
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, strings.Join([]string{address, c.clientID, c.clientSecret, c.redirectURI}, " "))
		})
	}
	_, _, err := readConfig(filepath.Join(t.TempDir(), "none.yml"), "")
	require.Equal(t, login.CodeConfigFile, usererror.CodeOf(err))
}

func TestLoginFaults(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	empty := func() io.Reader { return strings.NewReader("") }
	for name, test := range map[string]struct {
		args  []string
		code  string
		usage bool
	}{
		"nothing":         {nil, login.CodeIncomplete, false},
		"no client":       {[]string{"--instance", "example"}, login.CodeIncomplete, false},
		"no secret":       {[]string{"--instance", "example", "--client-id", "c"}, login.CodeIncomplete, false},
		"plain http":      {[]string{"--instance-url", "http://x.example", "--client-id", "c", "--public"}, login.CodeIncomplete, false},
		"two instances":   {[]string{"--instance", "a", "--instance-url", "b"}, "", true},
		"two configs":     {[]string{"a", "b"}, "", true},
		"public, secret":  {[]string{"--public", "--client-secret-file", "x"}, "", true},
		"empty secret":    {[]string{"--instance", "e", "--client-id", "c", "--client-secret-file", "-"}, "", true},
		"negative":        {[]string{"--timeout", "-1s"}, "", true},
		"no secret file":  {[]string{"--instance", "e", "--client-id", "c", "--client-secret-file", "/nonexistent"}, "", false},
		"nothing pasted":  {[]string{"--instance", "e", "--client-id", "c", "--public", "--redirect-uri", pastedRedirect, "--no-browser"}, login.CodeInputEnded, false},
		"no store folder": {[]string{"--instance", "e", "--client-id", "c", "--public", "--token-store", "/dev/null/x"}, tokenstore.CodeFile, false},
	} {
		t.Run(name, func(t *testing.T) {
			out := runSignInCommand(t, empty(), append([]string{"login"}, test.args...)...)
			require.Error(t, out.err)
			require.Equal(t, test.code, usererror.CodeOf(out.err))
			var usage *usageError
			require.Equal(t, test.usage, errors.As(out.err, &usage))
			require.Empty(t, out.stdout)
		})
	}
}

func TestBaseURL(t *testing.T) {
	for in, want := range map[string]string{
		"example": "https://example.service-now.com", "Example.service-now.com/": "https://example.service-now.com",
		"https://x.example/": "https://x.example", "": "", "itsm.example.com": "https://itsm.example.com",
	} {
		require.Equal(t, want, baseURL(in))
	}
}

func TestLoginIsInterrupted(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	a := &app{stdout: io.Discard, stderr: io.Discard}
	cmd := a.login()
	in, _ := io.Pipe()
	cmd.SetIn(in)
	cmd.SetArgs([]string{"--instance", "e", "--client-id", "c", "--public", "--redirect-uri", pastedRedirect, "--no-browser"})
	cancel()
	require.ErrorIs(t, cmd.ExecuteContext(ctx), context.Canceled)
}
