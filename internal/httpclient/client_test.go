package httpclient

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"encoding/pem"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// roundTripper makes a function a transport.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// config is a good Config to change.
func config() Config {
	return Config{Logger: zerolog.Nop(), MaxBody: 1 << 20, UserAgent: "cq-source-servicenow/test"}
}

func newClient(t *testing.T, cfg Config) *http.Client {
	t.Helper()
	client, err := New(cfg)
	require.NoError(t, err)
	return client
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func TestNewRefusesBadConfig(t *testing.T) {
	_, err := New(Config{MaxInFlight: -1, MaxPerHour: -1})
	require.Error(t, err)
	for _, name := range []string{"MaxBody", "MaxInFlight", "MaxPerHour", "UserAgent"} {
		require.ErrorContains(t, err, name)
	}
}

func TestOrderOfLayers(t *testing.T) {
	cfg := config()
	cfg.MaxInFlight, cfg.MaxPerHour = 1, 1000
	cfg.Auth = func(next http.RoundTripper) http.RoundTripper {
		require.IsType(t, &wireTransport{}, next)
		return roundTripper(next.RoundTrip)
	}
	client := newClient(t, cfg)
	limiter := client.Transport.(*limiterTransport)
	limit := limiter.next.(*bodyLimitTransport)
	zip := limit.next.(*gzipTransport)
	log := zip.next.(*traceTransport).next.(*logTransport)
	require.IsType(t, roundTripper(nil), log.next)
	require.Nil(t, client.Jar)
	require.Zero(t, client.Timeout, "a timeout here would span every retry")
}

func TestUserAgentAndCounters(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.UserAgent()) })
	counters := &Counters{}
	cfg := config()
	cfg.Counters = counters
	client := newClient(t, cfg)

	resp, err := client.Get(server.URL)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "cq-source-servicenow/test", string(body))

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	req.Header.Set("User-Agent", "own")
	resp, err = client.Do(req)
	require.NoError(t, err)
	own, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "own", string(own))

	require.EqualValues(t, 2, counters.Requests())
	require.EqualValues(t, len(body)+len(own), counters.Bytes())
}

func TestNoCookiesAreSentBack(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if len(r.Cookies()) > 0 {
			t.Error("a cookie came back")
		}
		http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: "x", Path: "/"})
	})
	client := newClient(t, config())
	for range 2 {
		resp, err := client.Get(server.URL)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
}

func TestRedirects(t *testing.T) {
	reached := false
	other := serve(t, func(http.ResponseWriter, *http.Request) { reached = true })
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/inside":
			http.Redirect(w, r, "/end", http.StatusFound)
		case "/outside":
			http.Redirect(w, r, other.URL+"/saml?SAMLRequest=canary", http.StatusTemporaryRedirect)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/end":
			_, _ = io.WriteString(w, "end")
		}
	})
	cfg := config()
	cfg.Auth = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			req = req.Clone(req.Context())
			req.Header.Set("Authorization", "Bearer canary")
			return next.RoundTrip(req)
		})
	}
	client := newClient(t, cfg)

	resp, err := client.Get(server.URL + "/inside")
	require.NoError(t, err)
	body, _ := io.ReadAll(resp.Body)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "end", string(body))

	_, err = client.Get(server.URL + "/outside") //nolint:bodyclose // it is an error
	var redirect *RedirectError
	require.ErrorAs(t, err, &redirect)
	require.False(t, redirect.TooMany)
	require.NotContains(t, redirect.Error(), "canary")
	require.NotContains(t, RedactError(err).Error(), "canary")
	require.False(t, reached, "the other host must see nothing")

	_, err = client.Get(server.URL + "/loop") //nolint:bodyclose // it is an error
	require.ErrorAs(t, err, &redirect)
	require.True(t, redirect.TooMany)
}

func TestOriginSpellings(t *testing.T) {
	parse := func(raw string) string {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		return origin(u)
	}
	require.Equal(t, parse("https://X.example/a"), parse("HTTPS://x.example:443/b?c"))
	for _, other := range []string{"http://x.example", "https://y.x.example", "https://x.example:8443", "https://x.example.evil"} {
		require.NotEqual(t, parse("https://x.example"), parse(other))
	}
}

func TestRedactError(t *testing.T) {
	inner := &url.Error{Op: "Get", URL: "https://user:canary@x.example/p?q=canary", Err: io.ErrUnexpectedEOF}
	for name, err := range map[string]error{
		"plain":  inner,
		"nested": &url.Error{Op: "Get", URL: "https://x.example/?canary", Err: inner},
		"deep":   errors.Join(errors.New("first"), inner),
	} {
		t.Run(name, func(t *testing.T) {
			got := RedactError(err)
			require.NotContains(t, got.Error(), "canary")
			require.ErrorIs(t, got, io.ErrUnexpectedEOF)
		})
	}
	require.Equal(t, io.EOF, RedactError(io.EOF))
	require.NoError(t, RedactError(nil))
}

func TestTransportSettings(t *testing.T) {
	tr := NewTransport()
	require.Equal(t, 330*time.Second, tr.ResponseHeaderTimeout)
	require.NotNil(t, tr.Proxy)
	require.EqualValues(t, 0x0303, tr.TLSClientConfig.MinVersion)
	require.False(t, tr.TLSClientConfig.InsecureSkipVerify)
}

// TestCustomCA runs itself with SSL_CERT_FILE set, since a process reads the system's roots once.
func TestCustomCA(t *testing.T) {
	if target := os.Getenv("HTTPCLIENT_TEST_TARGET"); target != "" {
		resp, err := newClient(t, config()).Get(target)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	server.Config.ErrorLog = nil
	_, err := newClient(t, config()).Get(server.URL) //nolint:bodyclose // it is an error
	require.ErrorContains(t, err, "certificate")

	file := t.TempDir() + "/ca.pem"
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(file, ca, 0o600))
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCustomCA$")
	cmd.Env = append(os.Environ(), "HTTPCLIENT_TEST_TARGET="+server.URL, "SSL_CERT_FILE="+file)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

func TestProxyFromEnvironment(t *testing.T) {
	if os.Getenv("HTTPCLIENT_TEST_PROXY") != "" {
		resp, err := newClient(t, config()).Get("http://instance.invalid/api")
		require.NoError(t, err)
		require.Equal(t, http.StatusTeapot, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
		return
	}
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host == "instance.invalid" {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxyFromEnvironment$")
	cmd.Env = append(os.Environ(), "HTTPCLIENT_TEST_PROXY=1", "HTTP_PROXY="+proxy.URL, "NO_PROXY=", "no_proxy=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

// lockedBuffer is a log sink for many goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Split(strings.TrimSpace(b.b.String()), "\n")
}
