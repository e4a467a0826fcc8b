package doctor

import (
	"bytes"
	"encoding/json"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/auth"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const canary = "canary-secret-"

// instance is an emulator, and what stands before it.
type instance struct {
	*emulator.Emulator
	cfg  Config
	auth auth.Config
	// wrap stands between the doctor and the emulator.
	wrap func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

func newInstance(t *testing.T, cfg emulator.Config) *instance {
	t.Helper()
	if cfg.TimeZone == "" {
		cfg.TimeZone = "GMT"
	}
	cfg.Incidents, cfg.Attachments, cfg.Seed = 400, 30, 1
	cfg.ClientSecret, cfg.Password, cfg.APIKey, cfg.RefreshToken = canary+"client", canary+"password", canary+"key", canary+"refresh"
	i := &instance{Emulator: emulator.New(cfg)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i.wrap != nil {
			i.wrap(w, r, i.Emulator)
			return
		}
		i.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	i.auth = auth.Config{BaseURL: server.URL, Grant: auth.GrantClientCredentials, ClientID: "emulator-client", ClientSecret: canary + "client"}
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	i.cfg = Config{
		Name: "emulator", BaseURL: base, Picked: -1, Concurrency: 4, UserAgent: "test", Logger: zerolog.Nop(),
		Retry:     servicenow.Retry{Tries: 2, First: time.Millisecond, Longest: 5 * time.Millisecond, Budget: 10 * time.Second},
		slowRange: 10 * time.Second, // a busy machine is not a missing index
	}
	return i
}

// examine runs the doctor and greps what it printed for secrets.
func (i *instance) examine(t *testing.T) *Report {
	t.Helper()
	i.cfg.Grant = i.auth.Grant
	if i.cfg.Auth == nil && i.cfg.AuthErr == nil {
		i.cfg.Auth, i.cfg.AuthErr = auth.New(i.auth, auth.Deps{HTTPClient: &http.Client{}, Logger: zerolog.Nop()})
		if i.cfg.AuthErr != nil {
			i.cfg.Auth = nil
		}
	}
	report, err := Run(t.Context(), i.cfg)
	require.NoError(t, err)
	for _, text := range []string{printed(t, report, Style{}), asJSON(t, report)} {
		require.NotContains(t, text, canary)
		require.NotContains(t, text, "Bearer")
	}
	require.Len(t, report.Checks, len(checks()))
	for _, c := range report.Checks {
		require.NotEmpty(t, c.Seen, c.Code)
		require.Equal(t, c.State == Failed || c.State == Warning, c.NextStep != "", "%s: %s", c.Code, c.Seen)
	}
	require.LessOrEqual(t, report.Requests, 33)
	require.Empty(t, i.Violations())
	return report
}

func printed(t *testing.T, r *Report, style Style) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Write(&b, r, style))
	return b.String()
}

func asJSON(t *testing.T, r *Report) string {
	t.Helper()
	data, err := json.MarshalIndent(r, "", "  ")
	require.NoError(t, err)
	return string(data) + "\n"
}

func (r *Report) result(code string) Result {
	for _, c := range r.Checks {
		if c.Code == code {
			return c
		}
	}
	return Result{}
}

// notOK returns the states other than ok.
func notOK(r *Report) map[string]State {
	states := map[string]State{}
	for _, c := range r.Checks {
		if c.State != OK {
			states[c.Code] = c.State
		}
	}
	return states
}

// without returns the states when all checks from one on are skipped for a failed one.
func without(failed string, from string, but ...string) map[string]State {
	states := map[string]State{failed: Failed}
	for _, c := range checks() {
		if c.code >= from && !strings.Contains(strings.Join(but, " "), c.code) {
			states[c.code] = Skipped
		}
	}
	return states
}

func TestNothingIsWrong(t *testing.T) {
	i := newInstance(t, emulator.Config{})
	i.cfg.PageSize = 200
	r := i.examine(t)
	require.Empty(t, notOK(r), printed(t, r, Style{}))
	require.True(t, r.OK)
	require.NoError(t, r.Err())
	require.Equal(t, []string{unknownName + "=1"}, i.InvalidTerms())
	require.Equal(t, "ignored", r.result(CodeUnknownField).Facts["mode"])
	load := r.result(CodeFirstLoad)
	require.Equal(t, 400, load.Facts["incidents"])
	require.EqualValues(t, 13, load.Facts["requests"])
	golden(t, "all_ok.json", asJSON(t, r))
	for n := range r.Checks { // times change where lines break
		r.Checks[n].Seen = timeless(r.Checks[n].Seen)
	}
	golden(t, "all_ok.txt", printed(t, r, Style{Width: 120}))
}

func timeless(text string) string {
	return regexp.MustCompile(`less than 1ms|\b\d+(\.\d+)?m?s\b`).ReplaceAllString(text, "0s")
}

// golden compares a text, times and the port aside, with a file.
func golden(t *testing.T, name, text string) {
	t.Helper()
	text = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(text, "127.0.0.1:0")
	text = regexp.MustCompile(`("\w*(_ms|seconds)": )-?[\d.]+`).ReplaceAllString(text, "${1}0")
	text = timeless(text)
	text = regexp.MustCompile(`in \d+\.\d s\.`).ReplaceAllString(text, "in 0.0 s.")
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), text)
}

type brokenTransport struct{ err error }

func (b brokenTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }

func TestAddressCannotBeReached(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for name, test := range map[string]struct {
		address    string
		err        error
		seen, next string
	}{
		"no such name":   {"https://nosuch.service-now.com", &net.DNSError{IsNotFound: true}, "does not exist", "instance_subdomain"},
		"no DNS":         {"https://x.service-now.com", &net.DNSError{Err: "server misbehaving", IsTemporary: true}, "cannot be looked up", "DNS"},
		"timeout":        {"https://x.service-now.com", &net.DNSError{IsTimeout: true, Err: "i/o timeout"}, "looked up", "HTTPS_PROXY"},
		"refused":        {closed.URL, nil, "refuses the connection", "firewall"},
		"not trusted":    {secure.URL, nil, "not signed by an authority", "SSL_CERT_FILE"},
		"does not do so": {strings.Replace(plain.URL, "http:", "https:", 1), nil, "does not speak TLS", "port"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInstance(t, emulator.Config{})
			base, err := url.Parse(test.address)
			require.NoError(t, err)
			i.cfg.BaseURL = base
			if test.err != nil {
				i.cfg.Transport = brokenTransport{test.err}
			}
			r := i.examine(t)
			want := without(CodeAddress, CodeInstance)
			require.Equal(t, want, notOK(r))
			require.Contains(t, r.result(CodeAddress).Seen, test.seen)
			require.Contains(t, r.result(CodeAddress).NextStep, test.next)
		})
	}
}

func TestTLSIsTold(t *testing.T) {
	i := newInstance(t, emulator.Config{})
	server := httptest.NewTLSServer(i.Emulator)
	defer server.Close()
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	i.cfg.BaseURL, i.cfg.Transport, i.auth.BaseURL = base, server.Client().Transport, server.URL
	i.cfg.Auth, err = auth.New(i.auth, auth.Deps{HTTPClient: server.Client(), Logger: zerolog.Nop()})
	require.NoError(t, err)
	r := i.examine(t)
	require.Empty(t, notOK(r))
	require.Contains(t, r.result(CodeAddress).Seen, "TLS 1.3; its certificate is valid until ")
}

func TestBudgetsEnterTheEstimate(t *testing.T) {
	i := newInstance(t, emulator.Config{})
	i.cfg.PageSize, i.cfg.MaxRequestsPerHour, i.cfg.Concurrency = 10, 60, 1
	query, err := servicenow.ParseQuery("active=true")
	require.NoError(t, err)
	i.cfg.Query = query
	r := i.examine(t)
	require.Empty(t, notOK(r))
	load := r.result(CodeFirstLoad)
	require.Less(t, load.Facts["incidents"], 400)
	require.Equal(t, 60, load.Facts["requests_per_hour"])
	require.Greater(t, load.Facts["seconds_within_limit"], load.Facts["seconds"])
	require.Contains(t, load.Seen, "within 60 requests an hour, about")
}

func TestConnectionTestRunsAFew(t *testing.T) {
	i := newInstance(t, emulator.Config{})
	var err error
	i.cfg.Auth, err = auth.New(i.auth, auth.Deps{HTTPClient: &http.Client{}, Logger: zerolog.Nop()})
	require.NoError(t, err)
	r, err := Test(t.Context(), i.cfg)
	require.NoError(t, err)
	require.Empty(t, notOK(r))
	require.Len(t, r.Checks, 5)
	require.LessOrEqual(t, r.Requests, 4)
}

func TestTableFitsTheTerminal(t *testing.T) {
	r := &Report{Instance: "x", Address: "https://x.example", Checks: []Result{
		{Code: "SN-DOC-001", Title: "Short", State: OK, Seen: "all is well"},
		{Code: "SN-DOC-002", Title: "A longer title", State: Failed, Seen: strings.Repeat("word ", 30), NextStep: strings.Repeat("step ", 20), Cause: "SN-AUTH-004"},
	}}
	text := printed(t, r, Style{Width: 100})
	for line := range strings.SplitSeq(text, "\n") {
		require.LessOrEqual(t, len([]rune(line)), 100)
	}
	require.Contains(t, text, "→ Step step")
	require.NotContains(t, text, "\x1b")
	colored := printed(t, r, Style{Width: 100, Color: true})
	require.Contains(t, colored, "\x1b[1;31mfailed\x1b[0m")
	require.Equal(t, text, regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(colored, ""))
}
