package login

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
)

const (
	clientID = "the-client-id"
	secret   = "canary-client-secret/+="
	refresh  = "canary-refresh-token"
	access   = "canary-access-token"
)

// fakeInstance is an authorization server that insists on what the vendor's pages and RFC 7636 describe, and fails the
// test otherwise.
type fakeInstance struct {
	t        *testing.T
	url      string
	secret   string // "": a public client
	redirect string
	scope    string

	mu        sync.Mutex
	codes     map[string]*grantedCode
	exchanges atomic.Int32
	revoked   []string
	skew      time.Duration // how much older codes are than they look

	// token replaces the good answer of the token endpoint.
	token http.HandlerFunc
	// refuseBad: answer a bad code with ServiceNow's opaque refusal instead of failing the test.
	refuseBad bool
}

type grantedCode struct {
	challenge string
	at        time.Time
	used      bool
}

func newFake(t *testing.T, clientSecret string) *fakeInstance {
	f := &fakeInstance{t: t, secret: clientSecret, redirect: freeRedirect(t), codes: map[string]*grantedCode{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// freeRedirect is a redirect URI whose port nobody uses.
func freeRedirect(t *testing.T) string {
	// Below the ports that the system gives to those who name none, so that nobody takes it between here and its use.
	for range 100 {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err != nil {
			continue
		}
		defer listener.Close()
		return fmt.Sprintf("http://%s/callback", listener.Addr())
	}
	t.Fatal("no free port")
	return ""
}

func (f *fakeInstance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/oauth_token.do":
		f.serveToken(w, r)
	case "/oauth_revoke_token.do":
		f.mu.Lock()
		defer f.mu.Unlock()
		if r.Method != http.MethodGet || len(r.URL.Query()) != 1 {
			f.t.Error("not the documented way to revoke:", r.Method)
		}
		f.revoked = append(f.revoked, r.URL.Query().Get("token"))
	default:
		f.t.Error("unknown path", r.URL.Path)
		w.WriteHeader(http.StatusNotFound)
	}
}

// consent does what a person does on the consent page: it returns the address that the browser is sent to.
func (f *fakeInstance) consent(address string, allow bool) string {
	u, err := url.Parse(address)
	require.NoError(f.t, err)
	q := u.Query()
	known := []string{"response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method", "scope"}
	for name, values := range q {
		if !slices.Contains(known, name) || len(values) != 1 || values[0] == "" {
			f.t.Error("unknown, repeated or empty parameter", name)
		}
	}
	for name, want := range map[string]string{"response_type": "code", "client_id": clientID, "redirect_uri": f.redirect, "code_challenge_method": "S256", "scope": f.scope} {
		if q.Get(name) != want {
			f.t.Errorf("%s is %q and not %q", name, q.Get(name), want)
		}
	}
	if u.Scheme+"://"+u.Host+u.Path != f.url+"/oauth_auth.do" {
		f.t.Error("not the consent page:", u.Path)
	}
	if !regexp.MustCompile(`^[0-9a-zA-Z]{32,}$`).MatchString(q.Get("state")) {
		f.t.Error("a state with special characters, or a short one")
	}
	if !regexp.MustCompile(`^[0-9A-Za-z_-]{43}$`).MatchString(q.Get("code_challenge")) {
		f.t.Error("no S256 challenge")
	}
	back := url.Values{"state": {q.Get("state")}}
	if allow {
		f.mu.Lock()
		code := fmt.Sprintf("canary-code-%d/+=", len(f.codes)+1)
		f.codes[code] = &grantedCode{challenge: q.Get("code_challenge"), at: time.Now()}
		f.mu.Unlock()
		back.Set("code", code)
	} else {
		back.Set("error", "access_denied")
	}
	return f.redirect + "?" + back.Encode()
}

func (f *fakeInstance) serveToken(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(body))
	if r.Method != http.MethodPost || r.URL.RawQuery != "" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || err != nil {
		f.t.Error("not a form with everything in its body")
	}
	if r.Header.Get("Authorization") != "" {
		f.t.Error("client authentication in a header")
	}
	want := []string{"grant_type", "code", "redirect_uri", "client_id", "code_verifier"}
	if f.secret != "" {
		want = append(want, "client_secret")
	}
	for name, values := range form {
		if !slices.Contains(want, name) || len(values) != 1 || values[0] == "" {
			f.t.Error("unknown, repeated or empty parameter", name)
		}
	}
	f.mu.Lock()
	exchanges := f.exchanges.Add(1)
	code, known := f.codes[form.Get("code")]
	if exchanges > 1 {
		f.t.Error("a second token request")
	}
	skew, answer := f.skew, f.token
	f.mu.Unlock()
	if answer != nil {
		r.Form = form
		answer(w, r)
		return
	}
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	var fault string
	switch {
	case !known:
		fault = "an unknown code"
	case code.used:
		fault = "a used code"
	case time.Since(code.at)+skew > time.Minute:
		fault = "a code older than a minute"
	case base64.RawURLEncoding.EncodeToString(sum[:]) != code.challenge:
		fault = "a verifier that does not fit"
	case form.Get("redirect_uri") != f.redirect:
		fault = "another redirect URI"
	case form.Get("client_id") != clientID:
		fault = "another client"
	case form.Get("client_secret") != f.secret:
		fault = "a wrong secret"
	case form.Get("grant_type") != "authorization_code":
		fault = "another grant"
	}
	if fault != "" {
		if !f.refuseBad {
			f.t.Error(fault)
		}
		opaque(w)
		return
	}
	code.used = true
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"access_token":%q,"refresh_token":%q,"scope":"useraccount","token_type":"Bearer","expires_in":1799}`, access, refresh)
}

// opaque is what ServiceNow answers to practically every failure.
func opaque(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, `{"error_description":"access_denied","error":"server_error"}`)
}

// attempt is a sign-in and everything that it showed.
type attempt struct {
	fake  *fakeInstance
	cfg   Config
	deps  Deps
	out   *sink  // terminal and trace log
	pages *sink  // what the browser got
	done  func() // ends what the person does
}

func (f *fakeInstance) attempt() *attempt {
	a := &attempt{fake: f, out: &sink{}, pages: &sink{}}
	logger := zerolog.New(a.out).Level(zerolog.TraceLevel)
	client, err := httpclient.New(httpclient.Config{Logger: logger, MaxBody: 1 << 20, UserAgent: "test/1"})
	require.NoError(f.t, err)
	a.cfg = Config{BaseURL: f.url, ClientID: clientID, ClientSecret: f.secret, RedirectURI: f.redirect, Timeout: 20 * time.Second, Scope: f.scope}
	a.deps = Deps{HTTPClient: client, Logger: logger, Out: a.out}
	return a
}

// run signs in, with a browser that does what browser says as soon as it is opened.
func (a *attempt) run(ctx context.Context, browser func(address string)) (Tokens, error) {
	var wait sync.WaitGroup
	ready := make(chan string, 1)
	a.deps.OpenBrowser = func(string) error { return nil }
	a.deps.Ready = func(address string) { ready <- address }
	done := make(chan struct{})
	wait.Go(func() {
		select {
		case address := <-ready:
			if browser != nil {
				browser(address)
			}
		case <-done:
		}
	})
	tokens, err := Run(ctx, a.cfg, a.deps)
	close(done)
	if a.done != nil {
		a.done() // or a test that fails would hang
	}
	wait.Wait()
	fmt.Fprintf(a.out, "%v %+v %#v %v %+v", err, err, err, tokens, a.cfg)
	if err != nil {
		fmt.Fprint(a.out, err.Error())
	}
	return tokens, err
}

// visit is the browser going somewhere.
func (a *attempt) visit(address string) (int, string) {
	status, header, body := a.fetch(http.MethodGet, address, "")
	if status != 0 {
		require.Equal(a.fake.t, "no-store", header.Get("Cache-Control"))
		require.Equal(a.fake.t, "no-referrer", header.Get("Referrer-Policy"))
		require.Contains(a.fake.t, header.Get("Content-Security-Policy"), "default-src 'none'")
	}
	return status, body
}

func (a *attempt) fetch(method, address, host string) (int, http.Header, string) {
	req, err := http.NewRequest(method, address, nil)
	require.NoError(a.fake.t, err)
	req.Host = host
	resp, err := new(http.Client).Do(req)
	if err != nil {
		return 0, nil, ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Fprint(a.pages, resp.Header, string(body))
	return resp.StatusCode, resp.Header, string(body)
}

// requireNothingLeaked looks at everything that was shown, logged or said.
func (a *attempt) requireNothingLeaked(t *testing.T) {
	t.Helper()
	for _, text := range []string{a.out.String(), a.pages.String()} {
		require.NotContains(t, text, "canary")
	}
}

// portIsFree tells whether the redirect URI can be listened on.
func portIsFree(t *testing.T, redirect string) bool {
	u, err := url.Parse(redirect)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", u.Host)
	if err != nil {
		return false
	}
	_ = listener.Close()
	return true
}

// sink is written to by many goroutines.
type sink struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
