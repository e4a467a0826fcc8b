package emulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// token posts a form to the token endpoint.
func (h *harness) token(form ...string) (answer, tokenAnswer) {
	h.t.Helper()
	values := url.Values{"client_id": {"emulator-client"}, "client_secret": {"emulator-secret"}}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, h.server.URL+"/oauth_token.do", strings.NewReader(values.Encode()))
	require.NoError(h.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a := h.do(r)
	var decoded tokenAnswer
	if a.err == nil && a.StatusCode == 200 {
		_ = json.Unmarshal(a.body, &decoded)
	}
	return a, decoded
}

func (h *harness) requireDenied(a answer) {
	h.t.Helper()
	require.Equal(h.t, http.StatusUnauthorized, a.StatusCode)
	require.JSONEq(h.t, `{"error_description":"access_denied","error":"server_error"}`, string(a.body))
}

func (h *harness) bearerStatus(token string) int {
	return h.getWith("/api/now/table/incident", http.Header{"X-Sn-Apikey": nil, "Authorization": {"Bearer " + token}}).StatusCode
}

// clock is a server clock that tests move.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return fixedNow().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

func TestGrants(t *testing.T) {
	var c clock
	h := start(t, Config{Incidents: 3, Now: c.now})
	_, first := h.token("grant_type", "client_credentials")
	require.EqualValues(t, 1800, first.ExpiresIn)
	require.Empty(t, first.RefreshToken)
	require.Equal(t, "useraccount", first.Scope)
	require.Equal(t, 200, h.bearerStatus(first.AccessToken))

	c.advance(10 * time.Minute)
	_, again := h.token("grant_type", "client_credentials")
	require.Equal(t, first.AccessToken, again.AccessToken, "a valid token is issued again")
	require.EqualValues(t, 1200, again.ExpiresIn)

	c.advance(20 * time.Minute)
	require.Equal(t, 401, h.bearerStatus(first.AccessToken))
	_, fresh := h.token("grant_type", "client_credentials")
	require.NotEqual(t, first.AccessToken, fresh.AccessToken)

	_, password := h.token("grant_type", "password", "username", "emulator.user", "password", "emulator-password")
	require.Equal(t, "emulator-refresh", password.RefreshToken)
	_, refreshed := h.token("grant_type", "refresh_token", "refresh_token", "emulator-refresh")
	require.Equal(t, "emulator-refresh", refreshed.RefreshToken, "no rotation")
	require.Equal(t, password.AccessToken, refreshed.AccessToken)

	h.RevokeAccessTokens()
	require.Equal(t, 401, h.bearerStatus(refreshed.AccessToken))
	_, refreshed = h.token("grant_type", "refresh_token", "refresh_token", "emulator-refresh")
	require.Equal(t, 200, h.bearerStatus(refreshed.AccessToken))

	r, _ := http.NewRequest(http.MethodGet, h.server.URL+"/oauth_revoke_token.do?token="+refreshed.AccessToken, nil)
	require.Equal(t, 200, h.do(r).StatusCode)
	require.Equal(t, 401, h.bearerStatus(refreshed.AccessToken))

	c.advance(100 * 24 * time.Hour)
	a, _ := h.token("grant_type", "refresh_token", "refresh_token", "emulator-refresh")
	h.requireDenied(a)
	require.Empty(t, h.Violations())
	require.Equal(t, "client_credentials", h.Requests()[0].Query.Get("grant_type"))
}

func TestTokenRequestsThatAreDenied(t *testing.T) {
	h := start(t, Config{Incidents: 3})
	for _, form := range [][]string{
		{"grant_type", "client_credentials", "client_secret", "wrong"},
		{"grant_type", "client_credentials", "client_id", "other"},
		{"grant_type", "password", "username", "emulator.user", "password", "wrong"},
		{"grant_type", "refresh_token", "refresh_token", "wrong"},
		{"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", "x.y.z"},
		{"grant_type", "implicit"},
		{},
	} {
		a, _ := h.token(form...)
		h.requireDenied(a)
	}
	require.Empty(t, h.Violations())

	send := func(target, contentType, body string, basic bool) answer {
		r, err := http.NewRequest(http.MethodPost, h.server.URL+target, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", contentType)
		if basic {
			r.SetBasicAuth("emulator-client", "emulator-secret")
		}
		return h.do(r)
	}
	const form = "application/x-www-form-urlencoded"
	const credentials = "client_id=emulator-client&client_secret=emulator-secret"
	h.requireDenied(send("/oauth_token.do", form, "grant_type=client_credentials", true))
	h.requireDenied(send("/oauth_token.do?grant_type=client_credentials", form, credentials, false))
	h.requireDenied(send("/oauth_token.do", "application/json", `{"grant_type":"client_credentials"}`, false))
	h.requireDenied(send("/oauth_token.do", form, credentials+"&grant_type=client_credentials&audience=x", false))
	require.Len(t, h.Violations(), 4)
}

func TestRefreshSwitches(t *testing.T) {
	rotating := start(t, Config{Incidents: 3, RotateRefreshTokens: true})
	_, first := rotating.token("grant_type", "refresh_token", "refresh_token", "emulator-refresh")
	require.NotEqual(t, "emulator-refresh", first.RefreshToken)
	a, _ := rotating.token("grant_type", "refresh_token", "refresh_token", "emulator-refresh")
	rotating.requireDenied(a)
	_, second := rotating.token("grant_type", "refresh_token", "refresh_token", first.RefreshToken)
	require.NotEmpty(t, second.AccessToken)

	omitting := start(t, Config{Incidents: 3, OmitRefreshToken: true})
	a, answer := omitting.token("grant_type", "refresh_token", "refresh_token", "emulator-refresh")
	require.NotEmpty(t, answer.AccessToken)
	require.NotContains(t, string(a.body), "refresh_token")
}

func TestJWTBearer(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	h := start(t, Config{Incidents: 3, JWTKey: key.Public()})
	assertion := func(change func(*jwt.RegisteredClaims)) string {
		claims := jwt.RegisteredClaims{
			Issuer: "emulator-client", Audience: jwt.ClaimStrings{"emulator-client"}, Subject: "emulator.user",
			ExpiresAt: jwt.NewNumericDate(fixedNow().Add(time.Minute)), ID: rand.Text(),
		}
		if change != nil {
			change(&claims)
		}
		signed, err := jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(key)
		require.NoError(t, err)
		return signed
	}
	post := func(assertion string) answer {
		a, _ := h.token("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", assertion)
		return a
	}
	good := assertion(nil)
	a := post(good)
	require.Equal(t, 200, a.StatusCode, string(a.body))
	require.NotContains(t, string(a.body), "refresh_token")
	h.requireDenied(post(good)) // its jti was used
	for _, change := range []func(*jwt.RegisteredClaims){
		func(c *jwt.RegisteredClaims) { c.Issuer = "other" },
		func(c *jwt.RegisteredClaims) { c.Audience = jwt.ClaimStrings{"https://instance"} },
		func(c *jwt.RegisteredClaims) { c.Subject = "nobody" },
		func(c *jwt.RegisteredClaims) { c.ExpiresAt = jwt.NewNumericDate(fixedNow().Add(-time.Hour)) },
		func(c *jwt.RegisteredClaims) { c.ExpiresAt = nil },
		func(c *jwt.RegisteredClaims) { c.ID = "" },
	} {
		h.requireDenied(post(assertion(change)))
	}
}

func TestAPISignIn(t *testing.T) {
	h := start(t, Config{Incidents: 3})
	basic := func(user, password string) http.Header {
		r := &http.Request{Header: http.Header{"X-Sn-Apikey": nil}}
		r.SetBasicAuth(user, password)
		return r.Header
	}
	require.Equal(t, 200, h.getWith("/api/now/table/incident", basic("emulator.user", "emulator-password")).StatusCode)
	for _, header := range []http.Header{
		basic("emulator.user", "wrong"), {"X-Sn-Apikey": nil}, {"X-Sn-Apikey": {"wrong"}}, {"X-Sn-Apikey": nil, "Authorization": {"Bearer x"}},
	} {
		a := h.getWith("/api/now/table/incident", header)
		require.Equal(t, 401, a.StatusCode)
		require.Equal(t, "false", a.Header.Get("X-Is-Logged-In"))
		require.JSONEq(t, `{"error":{"message":"User Not Authenticated","detail":"Required to provide Auth information"},"status":"failure"}`, string(a.body))
	}
}
