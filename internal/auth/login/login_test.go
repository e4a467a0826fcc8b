package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

func TestSignIn(t *testing.T) {
	for name, clientSecret := range map[string]string{"confidential": secret, "public": ""} {
		for _, scope := range []string{"", "useraccount read"} {
			t.Run(name+"/"+scope, func(t *testing.T) {
				fake := newFake(t, clientSecret)
				fake.scope = scope
				a := fake.attempt()
				var kept []Tokens
				a.deps.Keep = func(_ context.Context, tokens Tokens) error {
					kept = append(kept, tokens)
					return nil
				}
				tokens, err := a.run(t.Context(), func(address string) {
					status, page := a.visit(fake.consent(address, true))
					require.Equal(t, http.StatusOK, status)
					require.Contains(t, page, "You are signed in")
				})
				require.NoError(t, err)
				require.Equal(t, refresh, tokens.RefreshToken)
				require.Equal(t, access, tokens.AccessToken)
				require.WithinDuration(t, time.Now().Add(30*time.Minute), tokens.AccessTokenExpiry, time.Minute)
				require.WithinDuration(t, time.Now(), tokens.SignedInAt, time.Minute)
				require.Equal(t, []Tokens{tokens}, kept)
				require.Contains(t, a.out.String(), fake.url+"/oauth_auth.do?", "the address is printed as well")
				a.requireNothingLeaked(t)
			})
		}
	}
}

func TestEachSignInHasItsOwnStateAndVerifier(t *testing.T) {
	seen := map[string]bool{}
	for range 20 {
		s, err := newSignIn(Config{BaseURL: "https://i.example", ClientID: clientID}, Deps{})
		require.NoError(t, err)
		seen[s.state], seen[s.verifier] = true, true
		require.NotContains(t, s.address(), s.verifier)
	}
	require.Len(t, seen, 40)
}

func TestDenied(t *testing.T) {
	for name, change := range map[string]func(url.Values){
		"error with state":    func(url.Values) {},
		"error without state": func(q url.Values) { q.Del("state") },
		"no code":             func(q url.Values) { q.Del("error") },
	} {
		t.Run(name, func(t *testing.T) {
			fake := newFake(t, secret)
			a := fake.attempt()
			_, err := a.run(t.Context(), func(address string) {
				status, page := a.visit(changed(fake.consent(address, false), change))
				require.Equal(t, http.StatusBadRequest, status)
				require.Contains(t, page, "Access was denied")
				require.Contains(t, page, CodeDenied)
				require.Contains(t, page, "choose Allow")
			})
			require.Equal(t, CodeDenied, usererror.CodeOf(err))
			require.Zero(t, fake.exchanges.Load())
			a.requireNothingLeaked(t)
		})
	}
}

func TestAuthorizationError(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	_, err := a.run(t.Context(), func(address string) {
		_, page := a.visit(changed(fake.consent(address, true), func(q url.Values) {
			q.Del("code")
			q.Set("error", "invalid_scope")
			q.Set("error_description", "<script>alert(1)</script> "+secret+" \x1b[31m"+q.Get("state"))
		}))
		require.Contains(t, page, CodeAuthorizationError)
		require.NotContains(t, page, "<script")
	})
	require.Equal(t, CodeAuthorizationError, usererror.CodeOf(err))
	require.ErrorContains(t, err, "invalid_scope")
	require.NotContains(t, err.Error(), "\x1b")
	a.requireNothingLeaked(t)
}

func changed(address string, change func(url.Values)) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	q := u.Query()
	change(q)
	u.RawQuery = q.Encode()
	return u.String()
}

// A page that the person has open can make the browser come with a code of somebody else's.
func TestAnswerOfAnotherSignInIsIgnored(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	_, err := a.run(t.Context(), func(address string) {
		good := fake.consent(address, true)
		for _, change := range []func(url.Values){
			func(q url.Values) { q.Set("state", "0"+q.Get("state")[1:]+"x") },
			func(q url.Values) { q.Set("state", strings.Repeat("0", 64)) },
			func(q url.Values) { q.Set("state", "") },
			func(q url.Values) { q.Del("state") },
			func(q url.Values) { q.Del("state"); q.Del("code"); q.Set("x", "y") },
			func(q url.Values) { q.Set("state", "wrong"); q.Set("error", "access_denied") },
		} {
			status, page := a.visit(changed(good, change))
			require.Equal(t, http.StatusBadRequest, status)
			require.Contains(t, page, CodeOtherSignIn)
			require.Zero(t, fake.exchanges.Load())
		}
		status, _ := a.visit(good)
		require.Equal(t, http.StatusOK, status)
	})
	require.NoError(t, err)
	a.requireNothingLeaked(t)
}

func TestOnlyAnswersOfAnotherSignIn(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	a.cfg.Timeout = 300 * time.Millisecond
	_, err := a.run(t.Context(), func(address string) {
		a.visit(changed(fake.consent(address, true), func(q url.Values) { q.Set("state", "wrong") }))
	})
	require.Equal(t, CodeOtherSignIn, usererror.CodeOf(err))
	a.requireNothingLeaked(t)
}

func TestRepeatedParameters(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	_, err := a.run(t.Context(), func(address string) {
		a.visit(changed(fake.consent(address, true), func(q url.Values) { q.Add("code", "canary-other") }))
	})
	require.Equal(t, CodeAuthorizationError, usererror.CodeOf(err))
	require.Zero(t, fake.exchanges.Load())
	a.requireNothingLeaked(t)
}

func TestExchangeRefused(t *testing.T) {
	echo := func(status int, kind string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			said := ""
			for _, values := range r.Form {
				said += values[0] + " " + url.QueryEscape(values[0]) + " "
			}
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"error":%q,"error_description":%q}`, said, said)
		}
	}
	plain := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "/login.do?canary")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	const json = "application/json"
	for name, test := range map[string]struct {
		token http.HandlerFunc
		code  string
		says  string
	}{
		"opaque":         {func(w http.ResponseWriter, _ *http.Request) { opaque(w) }, CodeExchangeRefused, "server_error"},
		"invalid_grant":  {plain(400, json, `{"error":"invalid_grant"}`), CodeExchangeRefused, "invalid_grant"},
		"invalid_client": {plain(401, json, `{"error":"invalid_client","error_description":"Invalid client_id or client_secret."}`), CodeInvalidClient, "client_secret"},
		"error object":   {plain(401, json, `{"error":{"message":"User Not Authenticated"},"status":"failure"}`), CodeExchangeRefused, "User Not"},
		"echo 401":       {echo(401, json), CodeExchangeRefused, "redacted"},
		"echo 200":       {echo(200, json), CodeExchangeRefused, "redacted"},
		"echo 500":       {echo(500, json), CodeNoAnswer, "500"},
		"echo page":      {echo(200, "text/html"), CodeNoAnswer, "web page"},
		"hibernating":    {plain(200, "text/html", `<title>Instance Hibernating page</title> canary`), CodeNoAnswer, "hibernating"},
		"redirect":       {plain(302, json, ""), CodeNoAnswer, "web page"},
		"307":            {plain(307, json, ""), CodeNoAnswer, "web page"},
		"404":            {plain(404, "text/html", "canary"), CodeNoAnswer, "web page"},
		"202":            {plain(202, json, ""), CodeNoAnswer, "202"},
		"429":            {plain(429, json, ""), CodeNoAnswer, "429"},
		"cut":            {plain(200, json, `{"access_token":"canary-acc`), CodeNoAnswer, "no token"},
		"mac token":      {plain(200, json, `{"access_token":"canary","refresh_token":"canary","token_type":"mac"}`), CodeNoAnswer, "no token"},
		"huge":           {plain(200, json, `{"access_token":"canary`+strings.Repeat(" ", 70<<10)+`","refresh_token":"canary"}`), CodeNoAnswer, "no token"},
		"no refresh":     {plain(200, json, `{"access_token":"canary","token_type":"Bearer","expires_in":1799}`), CodeNoRefreshToken, "no refresh token"},
		"hang up": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.Close()
		}, CodeNoAnswer, "cannot be reached|no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newFake(t, secret)
			fake.token = test.token
			a := fake.attempt()
			a.deps.Keep = func(context.Context, Tokens) error { t.Error("kept"); return nil }
			_, err := a.run(t.Context(), func(address string) {
				status, page := a.visit(fake.consent(address, true))
				require.Equal(t, http.StatusBadRequest, status)
				require.Contains(t, page, test.code)
				require.NotContains(t, page, "You are signed in")
			})
			require.Equal(t, test.code, usererror.CodeOf(err))
			require.Regexp(t, test.says, err.Error())
			require.EqualValues(t, 1, fake.exchanges.Load(), "a code is sent once")
			a.requireNothingLeaked(t)
		})
	}
}

func TestStrictServerRefuses(t *testing.T) {
	for name, change := range map[string]func(*fakeInstance, *attempt){
		"wrong secret": func(_ *fakeInstance, a *attempt) { a.cfg.ClientSecret = "canary-wrong" },
		"old code":     func(f *fakeInstance, _ *attempt) { f.skew = 2 * time.Minute },
	} {
		t.Run(name, func(t *testing.T) {
			fake := newFake(t, secret)
			fake.refuseBad = true
			a := fake.attempt()
			change(fake, a)
			_, err := a.run(t.Context(), func(address string) { a.visit(fake.consent(address, true)) })
			require.Equal(t, CodeExchangeRefused, usererror.CodeOf(err))
			a.requireNothingLeaked(t)
		})
	}
}

func TestKeepingFails(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	full := usererror.New("SN-STORE-005", "the disk is full", "make room")
	a.deps.Keep = func(context.Context, Tokens) error { return full }
	_, err := a.run(t.Context(), func(address string) {
		status, page := a.visit(fake.consent(address, true))
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, page, "SN-STORE-005")
		require.Contains(t, page, "Make room.")
	})
	require.ErrorIs(t, err, full)
	a.requireNothingLeaked(t)
}

func TestNoise(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	root := strings.TrimSuffix(fake.redirect, "/callback")
	_, err := a.run(t.Context(), func(address string) {
		good := fake.consent(address, true)
		query := good[strings.Index(good, "?"):]
		for _, other := range []string{"/favicon.ico", "/", "/callback/", "/callback/x", "/Callback", "/call%62ack", "//callback"} {
			status, _ := a.visit(root + other + query)
			require.Equal(t, http.StatusNotFound, status, other)
		}
		for _, host := range []string{"evil.example", "localhost:" + portOf(root), "127.0.0.1", "127.0.0.1:1"} {
			status, _, _ := a.fetch(http.MethodGet, good, host)
			require.Equal(t, http.StatusNotFound, status, host)
		}
		for _, method := range []string{http.MethodPost, http.MethodHead, http.MethodPut, http.MethodOptions} {
			status, _, _ := a.fetch(method, good, "")
			require.Equal(t, http.StatusMethodNotAllowed, status, method)
		}
		for _, bad := range []string{"", "?", "?a=%zz"} {
			status, _ := a.visit(fake.redirect + bad)
			require.Equal(t, http.StatusBadRequest, status, bad)
		}
		require.Zero(t, fake.exchanges.Load())
		a.visit(good)
	})
	require.NoError(t, err)
	a.requireNothingLeaked(t)
}

func portOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return u.Port()
}

func TestSecondCallbackSeesTheFirstOnesOutcome(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	came, goOn := make(chan struct{}), make(chan struct{})
	a.deps.Keep = func(context.Context, Tokens) error {
		close(came)
		<-goOn
		return nil
	}
	_, err := a.run(t.Context(), func(address string) {
		good := fake.consent(address, true)
		var all sync.WaitGroup
		call := func() {
			all.Go(func() {
				status, page := a.visit(good)
				require.Equal(t, http.StatusOK, status)
				require.Contains(t, page, "You are signed in")
			})
		}
		call()
		select {
		case <-came:
		case <-time.After(5 * time.Second):
			t.Error("the first callback was not exchanged")
		}
		for range 3 {
			call()
		}
		time.Sleep(50 * time.Millisecond)
		close(goOn)
		all.Wait()
	})
	require.NoError(t, err)
	require.EqualValues(t, 1, fake.exchanges.Load())
}

func TestClosedTabDoesNotLoseTheCode(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	ctx, closeTab := context.WithCancel(t.Context())
	fake.token = func(w http.ResponseWriter, r *http.Request) {
		closeTab()
		time.Sleep(50 * time.Millisecond)
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"refresh_token":%q}`, access, refresh)
	}
	tokens, err := a.run(t.Context(), func(address string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fake.consent(address, true), nil)
		require.NoError(t, err)
		_, err = new(http.Client).Do(req)
		require.ErrorIs(t, err, context.Canceled)
	})
	require.NoError(t, err)
	require.Equal(t, refresh, tokens.RefreshToken)
	require.Zero(t, tokens.AccessTokenExpiry)
}

func TestTimeoutAndCancelFreeThePort(t *testing.T) {
	fake := newFake(t, secret)
	for name, test := range map[string]struct {
		timeout time.Duration
		cancel  bool
		code    string
	}{"timeout": {timeout: 150 * time.Millisecond, code: CodeTimeout}, "cancel": {timeout: time.Minute, cancel: true}} {
		t.Run(name, func(t *testing.T) {
			a := fake.attempt()
			a.cfg.Timeout = test.timeout
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var ended time.Time
			_, err := a.run(ctx, func(string) {
				require.False(t, portIsFree(t, fake.redirect))
				// A connection that the browser keeps open, and one that asks slowly, must not hold the port.
				for _, start := range []string{"", "GET /callback?"} {
					conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(fake.redirect, "http://"), "/callback"))
					require.NoError(t, err)
					t.Cleanup(func() { _ = conn.Close() })
					_, _ = io.WriteString(conn, start)
				}
				ended = time.Now().Add(150 * time.Millisecond)
				if test.cancel {
					ended = time.Now()
					cancel()
				}
			})
			require.Less(t, time.Since(ended), 500*time.Millisecond)
			require.True(t, portIsFree(t, fake.redirect))
			if test.cancel {
				require.ErrorIs(t, err, context.Canceled)
			}
			require.Equal(t, test.code, usererror.CodeOf(err))
			a.requireNothingLeaked(t)
		})
	}
}

func TestPortIsFreeAfterSuccess(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	_, err := a.run(t.Context(), func(address string) { a.visit(fake.consent(address, true)) })
	require.NoError(t, err)
	require.True(t, portIsFree(t, fake.redirect))
}

func TestCancelDuringTheExchange(t *testing.T) {
	fake := newFake(t, secret)
	ctx, cancel := context.WithCancel(t.Context())
	fake.token = func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}
	a := fake.attempt()
	_, err := a.run(ctx, func(address string) { a.visit(fake.consent(address, true)) })
	require.ErrorIs(t, err, context.Canceled)
	require.EqualValues(t, 1, fake.exchanges.Load())
	a.requireNothingLeaked(t)
}

// The person's time is not counted any more once the code is there.
func TestTimeoutDuringTheExchange(t *testing.T) {
	fake := newFake(t, secret)
	fake.token = func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(400 * time.Millisecond)
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"refresh_token":%q}`, access, refresh)
	}
	a := fake.attempt()
	a.cfg.Timeout = 200 * time.Millisecond
	_, err := a.run(t.Context(), func(address string) {
		status, _ := a.visit(fake.consent(address, true))
		require.Equal(t, http.StatusOK, status)
	})
	require.NoError(t, err)
}

func TestBusyPort(t *testing.T) {
	fake := newFake(t, secret)
	listener, err := net.Listen("tcp", strings.TrimSuffix(strings.TrimPrefix(fake.redirect, "http://"), "/callback"))
	require.NoError(t, err)
	defer listener.Close()
	a := fake.attempt()
	opened := false
	a.deps.OpenBrowser = func(string) error { opened = true; return nil }
	_, err = Run(t.Context(), a.cfg, a.deps)
	require.Equal(t, CodePortBusy, usererror.CodeOf(err))
	require.ErrorContains(t, err, listener.Addr().String())
	require.False(t, opened, "nobody should consent to something that cannot be answered")
}

func TestLocalhostIsBothLoopbackAddresses(t *testing.T) {
	fake := newFake(t, secret)
	fake.redirect = strings.Replace(fake.redirect, "127.0.0.1", "localhost", 1)
	port := portOf(fake.redirect)
	a := fake.attempt()
	_, err := a.run(t.Context(), func(address string) {
		good := fake.consent(address, true)
		if hasIPv6(t.Context()) {
			six := strings.Replace(good, "localhost", "[::1]", 1)
			status, _, _ := a.fetch(http.MethodGet, changed(six, func(q url.Values) { q.Set("state", "x") }), "localhost:"+port)
			require.Equal(t, http.StatusBadRequest, status)
		}
		status, _, _ := a.fetch(http.MethodGet, strings.Replace(good, "localhost", "127.0.0.1", 1), "localhost:"+port)
		require.Equal(t, http.StatusOK, status)
	})
	require.NoError(t, err)
	if !hasIPv6(t.Context()) {
		return
	}
	listener, err := net.Listen("tcp", "[::1]:"+port)
	require.NoError(t, err)
	defer listener.Close()
	_, err = a.run(t.Context(), nil)
	require.Equal(t, CodePortBusy, usererror.CodeOf(err), "somebody else would get the code")
	require.True(t, portIsFree(t, "http://127.0.0.1:"+port))
}

func TestBrowserThatCannotBeOpened(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	a.deps.OpenBrowser = func(string) error { return errors.New("no screen") }
	a.deps.Ready = func(address string) { go a.visit(fake.consent(address, true)) }
	_, err := Run(t.Context(), a.cfg, a.deps)
	require.NoError(t, err)
	require.Contains(t, a.out.String(), "Open the address above yourself")
}

func TestIncompleteConfig(t *testing.T) {
	good := Config{BaseURL: "https://i.example", ClientID: clientID, ClientSecret: secret}
	for name, change := range map[string]func(*Config){
		"no instance":       func(c *Config) { c.BaseURL = "" },
		"no scheme":         func(c *Config) { c.BaseURL = "i.example" },
		"plain http":        func(c *Config) { c.BaseURL = "http://i.example" },
		"password in url":   func(c *Config) { c.BaseURL = "https://u:canary@i.example" },
		"no client":         func(c *Config) { c.ClientID = "" },
		"redirect":          func(c *Config) { c.RedirectURI = "callback" },
		"redirect fragment": func(c *Config) { c.RedirectURI = "https://x.example/#canary" },
		"redirect query":    func(c *Config) { c.RedirectURI = "https://x.example/?canary=1" },
		"redirect http":     func(c *Config) { c.RedirectURI = "http://x.example/" },
		"random port":       func(c *Config) { c.RedirectURI = "http://127.0.0.1:0/callback" },
		"timeout":           func(c *Config) { c.Timeout = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			change(&cfg)
			_, err := Run(t.Context(), cfg, Deps{})
			require.Equal(t, CodeIncomplete, usererror.CodeOf(err))
			require.NotContains(t, err.Error(), "canary")
		})
	}
	_, err := Run(t.Context(), Config{}, Deps{})
	require.ErrorContains(t, err, "instance is missing")
	require.ErrorContains(t, err, "client_id is missing")
}

func TestNothingPrintsSecrets(t *testing.T) {
	cfg := Config{BaseURL: "https://u:canary@i.example/?canary", ClientID: clientID, ClientSecret: secret, RedirectURI: "https://x/?canary"}
	tokens := Tokens{RefreshToken: refresh, AccessToken: access}
	text := ""
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		text += fmt.Sprintf(verb+verb+verb+verb, cfg, &cfg, tokens, &tokens) + fmt.Sprintf(verb, struct{ A, B any }{cfg, tokens})
	}
	require.NotContains(t, text, "canary")
}

func TestRevoke(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	require.NoError(t, Revoke(t.Context(), a.deps.HTTPClient, fake.url, refresh+"&+ä"))
	require.Equal(t, []string{refresh + "&+ä"}, fake.revoked)
	a.requireNothingLeaked(t)

	for name, answer := range map[string]http.HandlerFunc{
		"401": func(w http.ResponseWriter, r *http.Request) { http.Error(w, r.URL.String(), http.StatusUnauthorized) },
		"202": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/login.do?"+r.URL.RawQuery, http.StatusFound)
		},
		"hibernating": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<title>Hibernating</title>") },
		"hang up": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			server := &http.Server{Handler: answer}
			go func() { _ = server.Serve(listener) }()
			defer server.Close()
			a := newFake(t, secret).attempt()
			err = Revoke(t.Context(), a.deps.HTTPClient, "http://"+listener.Addr().String(), refresh)
			require.Equal(t, CodeNotRevoked, usererror.CodeOf(err))
			fmt.Fprintf(a.out, "%v %+v %#v", err, err, err)
			a.requireNothingLeaked(t)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, Revoke(ctx, a.deps.HTTPClient, fake.url, refresh), context.Canceled)
	require.Equal(t, CodeIncomplete, usererror.CodeOf(Revoke(t.Context(), a.deps.HTTPClient, "", refresh)))
}

// A Keep that breaks must not look like a success: net/http survives a panic of its handler.
func TestKeepPanics(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	a.deps.Keep = func(context.Context, Tokens) error { panic(http.ErrAbortHandler) }
	_, err := a.run(t.Context(), func(address string) {
		status, _ := a.visit(fake.consent(address, true))
		require.Zero(t, status)
	})
	require.Error(t, err)
}
