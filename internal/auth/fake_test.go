package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

const (
	clientID     = "the-client-id"
	clientSecret = "canary-client-secret/+="
	instanceURL  = "https://instance.example"
)

// params are the fields that each grant may send, as the vendor's page lists them.
var params = map[string][]string{
	"client_credentials": {"grant_type", "client_id", "client_secret", "scope"},
	"refresh_token":      {"grant_type", "client_id", "client_secret", "refresh_token"},
	"password":           {"grant_type", "client_id", "client_secret", "username", "password", "scope"},
	jwtBearerGrantType:   {"grant_type", "client_id", "client_secret", "assertion"},
}

// fakeInstance has a strict token endpoint and one API. It fails the test on a token request that the vendor's page
// does not describe.
type fakeInstance struct {
	t *testing.T

	mu       sync.Mutex
	forms    []url.Values
	times    []time.Time
	requests int             // of the API
	valid    map[string]bool // access tokens that the API takes
	bodies   []string        // of the API
	issued   int

	// answer replaces the good answer; the number counts token requests from 1.
	answer func(w http.ResponseWriter, n int, form url.Values)
	// delay is how long a token request takes.
	delay time.Duration
	// apiDelay is how long an API request takes, ten times that with the header X-Slow.
	apiDelay time.Duration
	// api replaces the API.
	api http.HandlerFunc
}

func newFakeInstance(t *testing.T) *fakeInstance {
	return &fakeInstance{t: t, valid: map[string]bool{}}
}

func (f *fakeInstance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/oauth_token.do" {
		f.serveToken(w, r)
		return
	}
	if f.api != nil {
		f.api(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.requests++
	f.bodies = append(f.bodies, string(body))
	good := f.valid[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	f.mu.Unlock()
	if r.Header.Get("X-Slow") != "" {
		time.Sleep(9 * f.apiDelay)
	}
	time.Sleep(f.apiDelay)
	if !good {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":{"message":"User Not Authenticated","detail":"Required to provide Auth information"},"status":"failure"}`)
		return
	}
	_, _ = io.WriteString(w, `{"result":[]}`)
}

func (f *fakeInstance) serveToken(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(body))
	switch {
	case r.Method != http.MethodPost, r.URL.RawQuery != "":
		f.t.Error("not a POST with everything in its body:", r.Method, r.URL)
	case r.Header.Get("Content-Type") != "application/x-www-form-urlencoded":
		f.t.Error("not a form:", r.Header.Get("Content-Type"))
	case r.Header.Get("Authorization") != "":
		f.t.Error("the token request carries an Authorization header")
	case err != nil:
		f.t.Error("unreadable form:", err)
	}
	allowed, known := params[form.Get("grant_type")]
	if !known {
		f.t.Error("unknown grant_type", form.Get("grant_type"))
	}
	for name, values := range form {
		if !slices.Contains(allowed, name) || len(values) != 1 || values[0] == "" {
			f.t.Error("unknown, repeated or empty parameter", name)
		}
	}
	f.mu.Lock()
	f.forms = append(f.forms, form)
	f.times = append(f.times, time.Now())
	n := len(f.forms)
	f.mu.Unlock()
	time.Sleep(f.delay)
	if f.answer != nil {
		f.answer(w, n, form)
		return
	}
	f.issue(w, 1800, "")
}

// issue answers with a new access token that the API takes, the only one.
func (f *fakeInstance) issue(w http.ResponseWriter, expiresIn int, refreshToken string) {
	f.mu.Lock()
	f.issued++
	token := fmt.Sprintf("canary-access-%d", f.issued)
	f.valid = map[string]bool{token: true}
	f.mu.Unlock()
	send(w, token, expiresIn, refreshToken)
}

func send(w http.ResponseWriter, token string, expiresIn int, refreshToken string) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	out := map[string]any{"access_token": token, "scope": "useraccount", "token_type": "Bearer", "expires_in": expiresIn}
	if refreshToken != "" {
		out["refresh_token"] = refreshToken
	}
	_ = json.NewEncoder(w).Encode(out)
}

func sendError(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

const accessDenied = `{"error_description":"access_denied","error":"server_error"}`

func (f *fakeInstance) tokenRequests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.forms)
}

func (f *fakeInstance) apiRequests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

func (f *fakeInstance) revoke() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.valid = map[string]bool{}
}

// direct serves requests without a network, which a synctest bubble needs.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	in := req.Clone(req.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer func() { _ = in.Body.Close() }()
	recorder := httptest.NewRecorder()
	d.handler.ServeHTTP(recorder, in)
	return recorder.Result(), nil
}

// setup returns an Authenticator and an API client for fake, without a network.
func setup(t *testing.T, fake *fakeInstance, cfg Config, change ...func(*Deps)) (*Authenticator, *http.Client) {
	t.Helper()
	cfg.BaseURL = instanceURL
	deps := Deps{HTTPClient: &http.Client{Transport: direct{fake}}, Logger: zerolog.Nop()}
	for _, c := range change {
		c(&deps)
	}
	a, err := New(cfg, deps)
	require.NoError(t, err)
	return a, &http.Client{Transport: a.Transport(direct{fake})}
}

func get(t *testing.T, client *http.Client) (*http.Response, error) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, instanceURL+"/api/now/table/incident?q=canary-query", nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	return resp, err
}

func clientCredentialsConfig() Config {
	return Config{Grant: GrantClientCredentials, ClientID: clientID, ClientSecret: clientSecret}
}

func refreshConfig() Config {
	return Config{Grant: GrantRefreshToken, ClientID: clientID, ClientSecret: clientSecret, RefreshToken: "canary-refresh-1"}
}

func rsaPEM(t *testing.T) ([]byte, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), key
}

func ecPEM(t *testing.T, curve elliptic.Curve) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), key
}

// logSink is a log that many goroutines write to.
type logSink struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *logSink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *logSink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
