package emulator

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	defaultRedirect = "http://127.0.0.1:8976/callback"
	verifier        = "a-verifier-of-43-to-128-characters.~_0123456789"
)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// browser keeps cookies and stops at every redirect.
type browser struct {
	*harness
	client *http.Client
}

func (h *harness) browser() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(h.t, err)
	return &browser{h, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// address is the consent page's, with parameters changed; "" leaves one out.
func (h *harness) address(changes ...string) string {
	query := url.Values{
		"response_type": {"code"}, "client_id": {"emulator-client"}, "redirect_uri": {defaultRedirect}, "state": {"state-1"},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		query.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			query.Del(changes[i])
		}
	}
	return h.server.URL + "/oauth_auth.do?" + query.Encode()
}

func (b *browser) send(method, address, contentType, body string) answer {
	b.t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(body))
	require.NoError(b.t, err)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := b.client.Do(r)
	require.NoError(b.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	return answer{Response: response, body: content}
}

func (b *browser) open(address string) answer {
	b.t.Helper()
	return b.send(http.MethodGet, address, "", "")
}

func (b *browser) post(address string, form ...string) answer {
	b.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Add(form[i], form[i+1])
	}
	return b.send(http.MethodPost, address, "application/x-www-form-urlencoded", values.Encode())
}

func (b *browser) logIn(address string) answer {
	b.t.Helper()
	return b.post(address, "user_name", "emulator.user", "user_password", "emulator-password")
}

// element is the text of the element with an id, or the value of an input.
func element(a answer, id string) string {
	match := regexp.MustCompile(`<[^>]* id="` + id + `"([^>]*)>([^<]*)`).FindSubmatch(a.body)
	if match == nil {
		return ""
	}
	if value := regexp.MustCompile(` value="([^"]*)"`).FindSubmatch(match[1]); value != nil {
		return html.UnescapeString(string(value[1]))
	}
	return html.UnescapeString(string(match[2]))
}

func location(t *testing.T, a answer) *url.URL {
	t.Helper()
	require.Equal(t, http.StatusFound, a.StatusCode, string(a.body))
	u, err := a.Location()
	require.NoError(t, err)
	return u
}

// decide goes to the Allow/Deny page, logging in where it has to, and says yes or no.
func (b *browser) decide(decision, address string) *url.URL {
	b.t.Helper()
	page := b.open(address)
	if strings.Contains(string(page.body), `id="login-form"`) {
		require.Equal(b.t, address, location(b.t, b.logIn(address)).String())
		page = b.open(address)
	}
	require.Contains(b.t, string(page.body), `id="consent-form"`)
	return location(b.t, b.post(address, "decision", decision, "consent", element(page, "consent")))
}

func (b *browser) code(changes ...string) string {
	b.t.Helper()
	code := b.decide("allow", b.address(changes...)).Query().Get("code")
	require.NotEmpty(b.t, code)
	return code
}

func TestAuthorizationCode(t *testing.T) {
	h := start(t, Config{Incidents: 3})
	b := h.browser()
	page := b.open(h.address())
	require.Equal(t, 200, page.StatusCode)
	require.Equal(t, "Log in", element(page, "title"))
	require.Equal(t, "false", page.Header.Get("X-Is-Logged-In"))
	require.NotContains(t, string(page.body), `id="allow"`)

	page = b.post(h.address(), "user_name", "emulator.user", "user_password", "wrong")
	require.Equal(t, 200, page.StatusCode)
	require.Equal(t, "User name or password invalid.", element(page, "error"))
	require.Empty(t, page.Cookies())

	require.Equal(t, h.address(), location(t, b.logIn(h.address())).String())
	page = b.open(h.address())
	require.Equal(t, "CloudQuery", element(page, "application"))
	require.Equal(t, "emulator.user", element(page, "user"))

	u := b.decide("allow", h.address())
	code := u.Query().Get("code")
	require.Equal(t, defaultRedirect+"?code="+code+"&state=state-1", u.String())

	a, tokens := h.token("grant_type", "authorization_code", "code", code, "redirect_uri", defaultRedirect, "code_verifier", verifier)
	require.Equal(t, 200, a.StatusCode)
	require.Equal(t, "emulator-refresh", tokens.RefreshToken)
	require.Equal(t, "useraccount", tokens.Scope)
	require.Equal(t, 200, h.bearerStatus(tokens.AccessToken))
	_, refreshed := h.token("grant_type", "refresh_token", "refresh_token", tokens.RefreshToken)
	require.NotEmpty(t, refreshed.AccessToken)

	a, _ = h.token("grant_type", "authorization_code", "code", code, "redirect_uri", defaultRedirect, "code_verifier", verifier)
	h.requireDenied(a) // single use

	require.Equal(t, defaultRedirect+"?error=access_denied&state=state-1", b.decide("deny", h.address()).String())
	require.Empty(t, h.Violations())
	for _, request := range h.Requests() {
		for _, secret := range []string{code, verifier, "emulator-password"} {
			require.NotContains(t, request.Query.Encode(), secret)
		}
	}
}

func TestSessionsAreTheirBrowsersOwn(t *testing.T) {
	h := start(t, Config{Incidents: 3})
	one, two := h.browser(), h.browser()
	one.logIn(h.address())
	page := one.open(h.address())
	require.NotEmpty(t, element(page, "consent"))
	require.Contains(t, string(two.open(h.address()).body), `id="login-form"`)

	lost := two.post(h.address(), "decision", "allow", "consent", element(page, "consent"))
	require.Equal(t, "Your session has ended.", element(lost, "error"), "a decision needs a session")
	two.logIn(h.address())
	require.NotEqual(t, element(page, "consent"), element(two.open(h.address()), "consent"))
	for _, consent := range []string{"", "x", element(page, "consent")} {
		foreign := two.post(h.address(), "decision", "allow", "consent", consent)
		require.Equal(t, http.StatusForbidden, foreign.StatusCode)
		require.Empty(t, foreign.Header.Get("Location"))
	}
	require.Empty(t, h.Violations())

	for i, form := range [][]string{
		{"decision", "perhaps", "consent", element(two.open(h.address()), "consent")}, {"decision", "allow", "user_name", "x"},
		{"decision", "deny", "decision", "allow"},
	} {
		require.Equal(t, 400, two.post(h.address(), form...).StatusCode)
		require.Len(t, h.Violations(), i+1)
	}
	require.Equal(t, 400, two.send(http.MethodPost, h.address(), "application/json", "{}").StatusCode)
	require.Equal(t, 400, h.browser().post(h.address(), "user_name", "x", "password", "y").StatusCode)
	require.Equal(t, 405, two.send(http.MethodPut, h.address(), "", "").StatusCode)
	require.Len(t, h.Violations(), 6)
}

func TestAuthorizationRequestsThatAreRefused(t *testing.T) {
	h := start(t, Config{Incidents: 3})
	for name, changes := range map[string][]string{
		"other response type":       {"response_type", "token"},
		"no response type":          {"response_type", ""},
		"state with special signs":  {"state", "a=b"},
		"no redirect URI":           {"redirect_uri", ""},
		"plain challenge":           {"code_challenge_method", "plain"},
		"challenge without method":  {"code_challenge_method", ""},
		"method without challenge":  {"code_challenge", ""},
		"challenge of wrong length": {"code_challenge", "short"},
		"public without challenge":  {"client_id", "emulator-public", "code_challenge", "", "code_challenge_method", ""},
		"unknown parameter":         {"prompt", "consent"},
		"client secret in the URL":  {"client_secret", "emulator-secret"},
	} {
		before := len(h.Violations())
		b := h.browser()
		for _, a := range []answer{b.open(h.address(changes...)), b.logIn(h.address(changes...))} {
			require.Equal(t, 400, a.StatusCode, name)
			require.Empty(t, a.Header.Get("Location"), name)
			require.Empty(t, a.Cookies(), name)
		}
		require.Len(t, h.Violations(), before+2, name)
	}
	before := len(h.Violations())
	require.Equal(t, 400, h.browser().open(h.address()+"&state=again").StatusCode)
	a := h.browser().open(h.address("state", ""))
	require.Equal(t, 400, a.StatusCode)
	require.Equal(t, "Missing State parameter in request.", string(a.body))
	require.Equal(t, "text/plain;charset=UTF-8", a.Header.Get("Content-Type"))
	require.Len(t, h.Violations(), before+2)

	a = h.browser().open(h.address("client_id", "other"))
	require.Equal(t, 400, a.StatusCode)
	require.NotEmpty(t, element(a, "error"))
	require.Len(t, h.Violations(), before+2, "a client id may be mistyped")
	require.Equal(t, 200, h.browser().open(h.address("scope", "useraccount offline")).StatusCode)
}

func TestRedirectURIs(t *testing.T) {
	const first, second = "https://signin.example.com/servicenow?kept=1", "http://127.0.0.1:9999/callback"
	h := start(t, Config{Incidents: 3, RedirectURIs: []string{first, second}})
	b := h.browser()
	u := b.decide("allow", h.address("redirect_uri", second))
	require.True(t, strings.HasPrefix(u.String(), second+"?code="), u.String())

	for _, unregistered := range []string{"http://127.0.0.1:9998/callback", second + "/", second + "?x=1", "http://localhost:9999/callback", "https://evil.example/"} {
		u = b.decide("allow", h.address("redirect_uri", unregistered))
		require.Equal(t, "https://signin.example.com/servicenow", u.Scheme+"://"+u.Host+u.Path, "the first, when none matches")
		require.Equal(t, "1", u.Query().Get("kept"))
		a, _ := h.token("grant_type", "authorization_code", "code", u.Query().Get("code"), "redirect_uri", unregistered, "code_verifier", verifier)
		h.requireDenied(a)
	}
	a, _ := h.token("grant_type", "authorization_code", "code", b.code("redirect_uri", first), "redirect_uri", first, "code_verifier", verifier)
	require.Equal(t, 200, a.StatusCode)
	require.Empty(t, h.Violations())
}

func TestCodesAreBound(t *testing.T) {
	var c clock
	h := start(t, Config{Incidents: 3, Now: c.now})
	b := h.browser()
	exchange := func(code string, changes ...string) answer {
		form := append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", defaultRedirect, "code_verifier", verifier}, changes...)
		a, _ := h.token(form...)
		return a
	}
	for name, changes := range map[string][]string{
		"other redirect URI":   {"redirect_uri", defaultRedirect + "/"},
		"no redirect URI":      {"redirect_uri", ""},
		"other verifier":       {"code_verifier", strings.ToUpper(verifier)},
		"empty verifier":       {"code_verifier", ""},
		"challenge for itself": {"code_verifier", challengeOf(verifier)},
	} {
		code := b.code()
		h.requireDenied(exchange(code, changes...))
		require.Equal(t, 401, exchange(code).StatusCode, "%s: used up by the first try", name)
	}
	h.requireDenied(exchange(b.code("code_challenge", challengeOf("short")), "code_verifier", "short")) // RFC 7636 section 4.1
	h.requireDenied(exchange("unknown"))
	h.requireDenied(exchange(""))

	code := b.code()
	h.requireDenied(exchange(code, "client_secret", "wrong"))
	require.Equal(t, 200, exchange(code).StatusCode, "a stranger does not use it up")

	code = b.code()
	c.advance(59 * time.Second)
	require.Equal(t, 200, exchange(code).StatusCode)
	code = b.code()
	c.advance(60 * time.Second)
	h.requireDenied(exchange(code))

	// A confidential client may do without PKCE, but not half of it.
	without := []string{"code_challenge", "", "code_challenge_method", ""}
	h.requireDenied(exchange(b.code(without...)))
	a, _ := h.token("grant_type", "authorization_code", "code", b.code(without...), "redirect_uri", defaultRedirect)
	require.Equal(t, 200, a.StatusCode)
	require.Empty(t, h.Violations())
}

func TestAuthCodeLifetimeIsConfigured(t *testing.T) {
	var c clock
	h := start(t, Config{Incidents: 3, Now: c.now, AuthCodeLifetime: time.Hour})
	code := h.browser().code()
	c.advance(59 * time.Minute)
	a, _ := h.token("grant_type", "authorization_code", "code", code, "redirect_uri", defaultRedirect, "code_verifier", verifier)
	require.Equal(t, 200, a.StatusCode)
}

func TestPublicClient(t *testing.T) {
	h := start(t, Config{Incidents: 3, PublicClientID: "app"})
	b := h.browser()
	post := func(changes ...string) answer {
		form := url.Values{
			"grant_type": {"authorization_code"}, "client_id": {"app"}, "redirect_uri": {defaultRedirect}, "code_verifier": {verifier},
		}
		for i := 0; i < len(changes); i += 2 {
			form.Set(changes[i], changes[i+1])
		}
		return b.send(http.MethodPost, h.server.URL+"/oauth_token.do", "application/x-www-form-urlencoded", form.Encode())
	}
	page := b.open(h.address("client_id", "app"))
	require.Equal(t, "Log in", element(page, "title"))
	a := post("code", b.code("client_id", "app"))
	require.Equal(t, 200, a.StatusCode, string(a.body))
	require.Contains(t, string(a.body), `"refresh_token":"emulator-refresh"`)
	require.Equal(t, "CloudQuery (public client)", element(b.open(h.address("client_id", "app")), "application"))

	h.requireDenied(post("code", b.code("client_id", "app"), "code_verifier", ""))
	h.requireDenied(post("code", b.code("client_id", "app"), "client_secret", ""))
	h.requireDenied(post("code", b.code("client_id", "app"), "client_secret", "emulator-secret"))
	h.requireDenied(post("code", b.code())) // of the other client
	for _, grant := range []string{"refresh_token", "client_credentials", "password"} {
		h.requireDenied(post("grant_type", grant, "refresh_token", "emulator-refresh", "username", "emulator.user", "password", "emulator-password"))
	}
	other, _ := h.token("grant_type", "authorization_code", "code", b.code("client_id", "app"), "redirect_uri", defaultRedirect, "code_verifier", verifier)
	h.requireDenied(other)
	require.Empty(t, h.Violations())

	basic, err := http.NewRequest(http.MethodPost, h.server.URL+"/oauth_token.do", strings.NewReader("grant_type=authorization_code"))
	require.NoError(t, err)
	basic.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	basic.SetBasicAuth("app", "")
	h.requireDenied(h.do(basic))
	require.Len(t, h.Violations(), 1, "the body only")
}
