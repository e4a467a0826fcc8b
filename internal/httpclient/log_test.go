package httpclient

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

func TestLogOneLineWithoutSecrets(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "JSESSIONID=canary")
		_, _ = io.WriteString(w, "canary body")
	})
	var out lockedBuffer
	cfg := config()
	cfg.Logger = zerolog.New(&out).Level(zerolog.TraceLevel)
	cfg.Auth = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			req = req.Clone(req.Context())
			req.Header.Set("Authorization", "Bearer canary")
			return next.RoundTrip(req)
		})
	}
	resp, err := newClient(t, cfg).Get(server.URL + "/api/now/table/incident?sysparm_query=canary")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, resp.Body.Close(), "closing twice is allowed, and still one line")

	lines := out.lines()
	require.Len(t, lines, 1)
	for _, want := range []string{`"level":"debug"`, `"method":"GET"`, `"path":"/api/now/table/incident"`, `"status":200`, `"bytes":11`, `"duration":`} {
		require.Contains(t, lines[0], want)
	}
	require.NotContains(t, lines[0], "canary")
}

func TestLogTransportErrorIsRedacted(t *testing.T) {
	var out lockedBuffer
	cfg := config()
	cfg.Logger = zerolog.New(&out)
	cfg.Base = roundTripper(func(req *http.Request) (*http.Response, error) {
		return nil, &url.Error{Op: "Get", URL: req.URL.String(), Err: errors.New("connection reset")}
	})
	_, err := newClient(t, cfg).Get("http://x.example/p?q=canary") //nolint:bodyclose // it is an error
	require.ErrorContains(t, RedactError(err), "connection reset")
	require.NotContains(t, RedactError(err).Error(), "canary")
	require.Contains(t, out.lines()[0], "connection reset")
	require.NotContains(t, out.lines()[0], "canary")
}

func TestLogIsQuietAboveDebug(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	var out lockedBuffer
	cfg := config()
	cfg.Logger = zerolog.New(&out).Level(zerolog.InfoLevel)
	resp, err := newClient(t, cfg).Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, []string{""}, out.lines())
}
