package auth

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

func TestTransientFailuresAreTriedAgain(t *testing.T) {
	for name, fail := range map[string]func(http.ResponseWriter){
		"429": func(w http.ResponseWriter) { sendError(w, 429, `{"error":{"message":"Rate limit exceeded"}}`) },
		"500": func(w http.ResponseWriter) { w.WriteHeader(500) },
		"503 with HTML": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(503)
			_, _ = io.WriteString(w, "<html>upgrade</html>")
		},
		"202 of a busy session": func(w http.ResponseWriter) { w.WriteHeader(202) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := newFakeInstance(t)
				fake.answer = func(w http.ResponseWriter, n int, _ url.Values) {
					if n < 5 {
						fail(w)
						return
					}
					fake.issue(w, 1800, "")
				}
				a, _ := setup(t, fake, clientCredentialsConfig())
				require.NoError(t, a.SignIn(t.Context()))
				require.Equal(t, 5, fake.tokenRequests())
				for i, low := range []time.Duration{500, 1000, 2000, 4000} {
					gap := fake.times[i+1].Sub(fake.times[i])
					require.GreaterOrEqual(t, gap, low*time.Millisecond)
					require.LessOrEqual(t, gap, 2*low*time.Millisecond)
				}
			})
		})
	}
}

func TestTriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeInstance(t)
		fake.answer = func(w http.ResponseWriter, _ int, _ url.Values) { w.WriteHeader(503) }
		a, _ := setup(t, fake, clientCredentialsConfig())
		err := a.SignIn(t.Context())
		require.Equal(t, CodeTokenEndpointUnavailable, usererror.CodeOf(err))
		require.ErrorContains(t, err, "503")
		require.Equal(t, 5, fake.tokenRequests())

		fake.answer = nil
		require.NoError(t, a.SignIn(t.Context()), "this kind is not remembered")
	})
}

func TestHangingEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		hang := transportFunc(func(req *http.Request) (*http.Response, error) {
			tries++
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		a, _ := setup(t, newFakeInstance(t), clientCredentialsConfig(), func(d *Deps) { d.HTTPClient = &http.Client{Transport: hang} })
		start := time.Now()
		require.Equal(t, CodeTokenEndpointUnavailable, usererror.CodeOf(a.SignIn(t.Context())))
		require.LessOrEqual(t, time.Since(start), 2*time.Minute)
		require.Greater(t, tries, 1)
	})
}

func TestRetryAfter(t *testing.T) {
	for name, test := range map[string]struct {
		header func() string
		wait   time.Duration // 0: beyond what we wait
	}{
		"seconds":         {func() string { return "20" }, 20 * time.Second},
		"date":            {func() string { return time.Now().Add(45 * time.Second).UTC().Format(http.TimeFormat) }, 45 * time.Second},
		"shorter than us": {func() string { return "0" }, time.Second},
		"past date":       {func() string { return "Fri, 01 Jan 1999 15:04:05 GMT" }, time.Second},
		"nonsense":        {func() string { return "soon" }, time.Second},
		"an hour":         {func() string { return "3600" }, 0},
		"overflow":        {func() string { return "99999999999" }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := newFakeInstance(t)
				fake.answer = func(w http.ResponseWriter, n int, _ url.Values) {
					if n == 1 {
						w.Header().Set("Retry-After", test.header())
						w.WriteHeader(429)
						return
					}
					fake.issue(w, 1800, "")
				}
				a, _ := setup(t, fake, clientCredentialsConfig())
				start := time.Now()
				err := a.SignIn(t.Context())
				if test.wait == 0 {
					require.Equal(t, CodeTokenEndpointUnavailable, usererror.CodeOf(err))
					require.ErrorContains(t, err, "as the instance asks")
					require.Zero(t, time.Since(start), "a wait that is too long is not begun")
					return
				}
				require.NoError(t, err)
				require.InDelta(t, test.wait.Seconds(), time.Since(start).Seconds(), 1)
			})
		})
	}
}

func TestRefusalsAreFinal(t *testing.T) {
	key, _ := rsaPEM(t)
	grants := map[string]struct {
		cfg        Config
		code, hint string
	}{
		"client_credentials": {clientCredentialsConfig(), CodeClientCredentialsRefused, "glide.oauth.inbound.client.credential.grant_type.enabled"},
		"refresh_token":      {refreshConfig(), CodeRefreshTokenRefused, "100 days"},
		"password":           {Config{Grant: GrantPassword, ClientID: clientID, Username: "ann", Password: "a password"}, CodePasswordRefused, "glide.oauth.inbound.ropc.grant_type.disabled"},
		"jwt_bearer":         {Config{Grant: GrantJWTBearer, ClientID: clientID, PrivateKey: key, Subject: "s"}, CodeJWTBearerRefused, "verifier map"},
	}
	answers := map[string]struct {
		status int
		body   string
		code   string // "": that of the grant
		shown  string
	}{
		"access_denied":    {401, accessDenied, "", "server_error: access_denied"},
		"invalid_grant":    {400, `{"error":"invalid_grant","error_description":"expired"}`, "", "invalid_grant: expired"},
		"error as object":  {401, `{"error":{"message":"User Not Authenticated","detail":"Required"},"status":"failure"}`, "", "User Not Authenticated: Required"},
		"object, no text":  {401, `{"error":{"message":1},"error_description":["x"]}`, "", "401"},
		"invalid_client":   {401, `{"error":"invalid_client","error_description":"Invalid client_id or client_secret."}`, CodeInvalidClient, "invalid_client"},
		"error under 200":  {200, accessDenied, "", "access_denied"},
		"HTML":             {403, `<html>denied</html>`, "", "403"},
		"empty":            {400, ``, "", "400"},
		"no such endpoint": {404, `{}`, CodePageInsteadOfToken, "404"},
		"control and long": {401, `{"error":"a\u001b[31m\nb\u202e","error_description":"` + strings.Repeat("long ", 1000) + `"}`, "", "a [31m b: long"},
	}
	for grantName, g := range grants {
		for answerName, answer := range answers {
			t.Run(grantName+"/"+answerName, func(t *testing.T) {
				fake := newFakeInstance(t)
				fake.answer = func(w http.ResponseWriter, _ int, _ url.Values) { sendError(w, answer.status, answer.body) }
				a, _ := setup(t, fake, g.cfg)
				err := a.SignIn(t.Context())
				if answer.code == "" {
					require.Equal(t, g.code, usererror.CodeOf(err))
					require.ErrorContains(t, err, g.hint)
				} else {
					require.Equal(t, answer.code, usererror.CodeOf(err))
				}
				require.ErrorContains(t, err, answer.shown)
				require.NotContains(t, err.Error(), "\n")
				require.NotContains(t, err.Error(), "\x1b")
				require.NotContains(t, err.Error(), "\u202e")
				require.Less(t, len(err.Error()), 1600)
				require.Equal(t, err, a.SignIn(t.Context()))
				require.Equal(t, 1, fake.tokenRequests())
			})
		}
	}
}

func TestPagesAndUnreadableAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		kind, body, code, shown string
	}{
		"hibernating": {"text/html", "<html><title>Instance Hibernating page</title></html>", CodeHibernating, "hibernating"},
		"login": {"text/html;charset=UTF-8", "<html><TITLE>Log in | \nServiceNow canary-client-secret/+=</TITLE>", CodePageInsteadOfToken,
			`titled "Log in | ServiceNow (redacted)"`},
		"HTML as JSON":     {"application/json", "  <!DOCTYPE html>", CodePageInsteadOfToken, "web page"},
		"empty":            {"application/json", "", CodeUnreadableAnswer, "not a JSON object"},
		"cut":              {"application/json", `{"access_token":"canary`, CodeUnreadableAnswer, "not a JSON object"},
		"no token":         {"application/json", `{"result":{}}`, CodeUnreadableAnswer, "no access_token"},
		"wrong type":       {"application/json", `{"access_token":{"canary":1}}`, CodeUnreadableAnswer, "not a JSON object"},
		"MAC token":        {"application/json", `{"access_token":"canary","token_type":"mac"}`, CodeUnreadableAnswer, "mac"},
		"bad characters":   {"application/json", `{"access_token":"canary\r\nX: y"}`, CodeUnreadableAnswer, "header"},
		"expires_in":       {"application/json", `{"access_token":"canary","expires_in":"soon"}`, CodeUnreadableAnswer, "expires_in"},
		"expires_in below": {"application/json", `{"access_token":"canary","expires_in":-5}`, CodeUnreadableAnswer, "expires_in"},
		"too large":        {"application/json", `{"access_token":"` + strings.Repeat("canary", 20000) + `"}`, CodeUnreadableAnswer, "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newFakeInstance(t)
			fake.answer = func(w http.ResponseWriter, _ int, _ url.Values) {
				w.Header().Set("Content-Type", test.kind)
				_, _ = io.WriteString(w, test.body)
			}
			a, _ := setup(t, fake, clientCredentialsConfig())
			err := a.SignIn(t.Context())
			require.Equal(t, test.code, usererror.CodeOf(err))
			require.ErrorContains(t, err, test.shown)
			require.NotContains(t, err.Error(), "canary")
			require.Equal(t, 1, fake.tokenRequests(), "not tried again soon")

			fake.answer = nil
			require.NoError(t, a.SignIn(t.Context()), "but not held against the instance for good")
		})
	}
}

func TestTokenEndpointRedirectIsNotFollowed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("followed") }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/saml?canary", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	cfg := clientCredentialsConfig()
	cfg.BaseURL = server.URL
	a, err := New(cfg, Deps{HTTPClient: server.Client(), Logger: zerolog.Nop()})
	require.NoError(t, err)
	err = a.SignIn(t.Context())
	require.Equal(t, CodePageInsteadOfToken, usererror.CodeOf(err))
	require.NotContains(t, err.Error(), "canary")
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestNetworkErrors(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		code  string
		tries int
	}{
		"reset":       {errors.New("connection reset by peer"), CodeTokenEndpointUnavailable, 5},
		"DNS server":  {&net.DNSError{Err: "server misbehaving", IsTemporary: true}, CodeTokenEndpointUnavailable, 5},
		"no host":     {&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}, CodeUnreachable, 1},
		"certificate": {&tls.CertificateVerificationError{Err: errors.New("unknown authority")}, CodeUnreachable, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				transport := transportFunc(func(req *http.Request) (*http.Response, error) {
					tries++
					return nil, test.err
				})
				a, _ := setup(t, newFakeInstance(t), clientCredentialsConfig(), func(d *Deps) { d.HTTPClient = &http.Client{Transport: transport} })
				err := a.SignIn(t.Context())
				require.Equal(t, test.code, usererror.CodeOf(err))
				require.ErrorIs(t, err, test.err)
				require.Equal(t, test.tries, tries)
			})
		})
	}
}
