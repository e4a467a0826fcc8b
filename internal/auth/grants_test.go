package auth

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

func TestFormOfEachGrant(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  Config
		want url.Values
	}{
		"client_credentials": {clientCredentialsConfig(),
			url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {clientSecret}}},
		"client_credentials with scope": {Config{Grant: GrantClientCredentials, ClientID: clientID, ClientSecret: clientSecret, Scope: "read"},
			url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {clientSecret}, "scope": {"read"}}},
		"refresh_token": {refreshConfig(),
			url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "client_secret": {clientSecret}, "refresh_token": {"canary-refresh-1"}}},
		"refresh_token of a public client": {Config{Grant: GrantRefreshToken, ClientID: clientID, RefreshToken: "r", Scope: "read"},
			url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {"r"}}},
		"authorization_code": {Config{Grant: GrantAuthorizationCode, ClientID: clientID, ClientSecret: clientSecret, RefreshToken: "r"},
			url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "client_secret": {clientSecret}, "refresh_token": {"r"}}},
		"password": {Config{Grant: GrantPassword, ClientID: clientID, ClientSecret: clientSecret, Username: "u", Password: "p&=ä"},
			url.Values{"grant_type": {"password"}, "client_id": {clientID}, "client_secret": {clientSecret}, "username": {"u"}, "password": {"p&=ä"}}},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newFakeInstance(t)
			server := httptest.NewServer(fake) // the wire as it is
			defer server.Close()
			test.cfg.BaseURL = server.URL + "/"
			a, err := New(test.cfg, Deps{HTTPClient: server.Client()})
			require.NoError(t, err)
			for range 3 {
				token, err := a.TokenSource().Token()
				require.NoError(t, err)
				require.Equal(t, "canary-access-1", token.AccessToken)
				require.Equal(t, "Bearer", token.Type())
				require.WithinDuration(t, time.Now().Add(30*time.Minute), token.Expiry, time.Minute)
			}
			require.Equal(t, []url.Values{test.want}, fake.forms)
		})
	}
}

func TestJWTBearer(t *testing.T) {
	rsaKey, rsaPrivate := rsaPEM(t)
	p256, p256Private := ecPEM(t, elliptic.P256())
	p384, p384Private := ecPEM(t, elliptic.P384())
	p521, p521Private := ecPEM(t, elliptic.P521())
	shared := []byte("a shared secret of enough bytes!")
	sec1, err := x509.MarshalECPrivateKey(p256Private)
	require.NoError(t, err)
	sec1PEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})
	for name, test := range map[string]struct {
		key       []byte
		algorithm string
		want      string
		public    any
	}{
		"RSA":               {rsaKey, "", "RS256", rsaPrivate.Public()},
		"RSA on one line":   {[]byte(strings.ReplaceAll(string(rsaKey), "\n", `\n`)), "", "RS256", rsaPrivate.Public()},
		"RS384":             {rsaKey, "RS384", "RS384", rsaPrivate.Public()},
		"RS512":             {rsaKey, "RS512", "RS512", rsaPrivate.Public()},
		"P-256":             {p256, "", "ES256", p256Private.Public()},
		"P-256 SEC 1":       {sec1PEM, "ES256", "ES256", p256Private.Public()},
		"P-384":             {p384, "", "ES384", p384Private.Public()},
		"P-521":             {p521, "", "ES512", p521Private.Public()},
		"HS256":             {shared, "HS256", "HS256", shared},
		"HS384":             {shared, "HS384", "HS384", shared},
		"HS512":             {shared, "HS512", "HS512", shared},
		"EC after a cert":   {append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), p256...), "", "ES256", p256Private.Public()},
		"with a line break": {append([]byte("\n"), rsaKey...), "", "RS256", rsaPrivate.Public()},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newFakeInstance(t)
			a, _ := setup(t, fake, Config{Grant: GrantJWTBearer, ClientID: clientID, ClientSecret: clientSecret, PrivateKey: test.key,
				Algorithm: test.algorithm, KeyID: "key-1", Subject: "ann@example.com"})
			require.NoError(t, a.SignIn(t.Context()))
			form := fake.forms[0]
			require.Equal(t, jwtBearerGrantType, form.Get("grant_type"))
			require.Equal(t, clientID, form.Get("client_id"))
			require.Equal(t, clientSecret, form.Get("client_secret"))

			claims := jwt.MapClaims{}
			token, err := jwt.ParseWithClaims(form.Get("assertion"), claims, func(*jwt.Token) (any, error) { return test.public, nil },
				jwt.WithValidMethods([]string{test.want}), jwt.WithAudience(clientID), jwt.WithIssuer(clientID),
				jwt.WithSubject("ann@example.com"), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
			require.NoError(t, err)
			require.Equal(t, "key-1", token.Header["kid"])
			require.NotEmpty(t, claims["jti"])
			expires, _ := claims.GetExpirationTime()
			issued, _ := claims.GetIssuedAt()
			require.LessOrEqual(t, expires.Sub(issued.Time), 5*time.Minute)
			require.LessOrEqual(t, time.Until(expires.Time), 5*time.Minute)
		})
	}
}

func TestJWTBearerSignsAnewForEachTry(t *testing.T) {
	key, _ := rsaPEM(t)
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeInstance(t)
		fake.answer = func(w http.ResponseWriter, n int, _ url.Values) {
			if n < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			fake.issue(w, 1800, "")
		}
		a, _ := setup(t, fake, Config{Grant: GrantJWTBearer, ClientID: clientID, PrivateKey: key, Subject: "ann"})
		require.NoError(t, a.SignIn(t.Context()))
		seen := map[any]bool{}
		for _, form := range fake.forms {
			require.NotContains(t, form, "client_secret", "a public client has none")
			claims := jwt.MapClaims{}
			token, _, err := jwt.NewParser().ParseUnverified(form.Get("assertion"), claims)
			require.NoError(t, err)
			require.NotContains(t, token.Header, "kid")
			seen[claims["jti"]] = true
		}
		require.Len(t, seen, 3, "the instance refuses a jti it has seen")
	})
}

func TestUnusableKeys(t *testing.T) {
	rsaKey, _ := rsaPEM(t)
	p256, _ := ecPEM(t, elliptic.P256())
	p224, _ := ecPEM(t, elliptic.P224())
	for name, test := range map[string]struct {
		key       []byte
		algorithm string
	}{
		"no PEM":           {[]byte("canary-key"), ""},
		"public key":       {[]byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), ""},
		"encrypted":        {[]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), ""},
		"not what it says": {[]byte("-----BEGIN RSA PRIVATE KEY-----\nY2FuYXJ5LWtleQ==\n-----END RSA PRIVATE KEY-----\n"), ""},
		"RSA with ES":      {rsaKey, "ES256"},
		"EC with RS":       {p256, "RS256"},
		"P-256 for ES512":  {p256, "ES512"},
		"P-224":            {p224, ""},
		"unknown RS":       {rsaKey, "RS1"},
		"none":             {rsaKey, "none"},
		"unknown HS":       {[]byte("canary-key"), "HS1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{BaseURL: instanceURL, Grant: GrantJWTBearer, ClientID: clientID, PrivateKey: test.key,
				Algorithm: test.algorithm, Subject: "s"}, Deps{HTTPClient: http.DefaultClient})
			require.Equal(t, CodePrivateKey, usererror.CodeOf(err))
			require.NotContains(t, err.Error(), "canary")
		})
	}
}

func TestIncompleteConfig(t *testing.T) {
	for name, cfg := range map[string]Config{
		"unknown grant":      {Grant: "implicit"},
		"no grant":           {},
		"client_credentials": {Grant: GrantClientCredentials, ClientID: clientID},
		"refresh_token":      {Grant: GrantRefreshToken, RefreshToken: "r"},
		"password":           {Grant: GrantPassword, ClientID: clientID, Username: "u"},
		"jwt_bearer":         {Grant: GrantJWTBearer, ClientID: clientID},
		"access_token":       {Grant: GrantAccessToken},
		"refresh without id": {Grant: GrantAccessToken, AccessToken: "a", RefreshToken: "r"},
		"authorization_code": {Grant: GrantAuthorizationCode, ClientID: clientID},
		"basic":              {Grant: GrantBasic, Username: "u"},
		"basic with colon":   {Grant: GrantBasic, Username: "u:v", Password: "p"},
		"api_key":            {Grant: GrantAPIKey},
		"line break in key":  {Grant: GrantAPIKey, APIKey: "canary\n"},
		"space in token":     {Grant: GrantAccessToken, AccessToken: "canary token"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.BaseURL = instanceURL
			_, err := New(cfg, Deps{HTTPClient: http.DefaultClient})
			require.Equal(t, CodeIncomplete, usererror.CodeOf(err))
			require.NotContains(t, err.Error(), "canary")
		})
	}
	for _, base := range []string{"", "instance.example", "ftp://instance.example", "https://u:canary@instance.example", "https://x.example/?a=canary", "https://%zz"} {
		_, err := New(Config{BaseURL: base, Grant: GrantBasic, Username: "u", Password: "p"}, Deps{})
		require.Equal(t, CodeIncomplete, usererror.CodeOf(err), base)
		require.NotContains(t, err.Error(), "canary")
	}
	_, err := New(Config{BaseURL: instanceURL, Grant: GrantPassword}, Deps{})
	for _, name := range []string{"client_id", "username", "password"} {
		require.ErrorContains(t, err, name, "all findings come at once")
	}
	cfg := clientCredentialsConfig()
	cfg.BaseURL = instanceURL
	_, err = New(cfg, Deps{})
	require.ErrorContains(t, err, "HTTP client")
}

func TestRefreshTokenIsKept(t *testing.T) {
	for name, test := range map[string]struct {
		answers []string // refresh tokens of the answers
		want    []string // refresh tokens sent
		saved   []string
	}{
		"none in the answer": {[]string{"", ""}, []string{"canary-refresh-1", "canary-refresh-1"}, nil},
		"the same":           {[]string{"canary-refresh-1", "canary-refresh-1"}, []string{"canary-refresh-1", "canary-refresh-1"}, nil},
		"rotated":            {[]string{"r2", "r3"}, []string{"canary-refresh-1", "r2"}, []string{"r2", "r3"}},
		"rotated once":       {[]string{"r2", ""}, []string{"canary-refresh-1", "r2"}, []string{"r2"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := newFakeInstance(t)
				fake.answer = func(w http.ResponseWriter, n int, _ url.Values) { fake.issue(w, 1800, test.answers[n-1]) }
				var saved []string
				_, client := setup(t, fake, refreshConfig(), func(d *Deps) {
					d.OnRefreshToken = func(_ context.Context, token string) error {
						if fake.apiRequests() > len(saved) {
							t.Error("the new access token was used before the refresh token was saved")
						}
						saved = append(saved, token)
						return nil
					}
				})
				for range 2 {
					resp, err := get(t, client)
					require.NoError(t, err)
					require.Equal(t, http.StatusOK, resp.StatusCode)
					time.Sleep(time.Hour)
				}
				var sent []string
				for _, form := range fake.forms {
					sent = append(sent, form.Get("refresh_token"))
				}
				require.Equal(t, test.want, sent)
				require.Equal(t, test.saved, saved)
			})
		})
	}
}

func TestSavingTheRefreshTokenFails(t *testing.T) {
	fake := newFakeInstance(t)
	fake.answer = func(w http.ResponseWriter, n int, _ url.Values) {
		refresh := ""
		if n == 1 {
			refresh = "canary-refresh-2"
		}
		fake.issue(w, 1800, refresh)
	}
	full := errors.New("disk full")
	var saved []string
	_, client := setup(t, fake, refreshConfig(), func(d *Deps) {
		d.OnRefreshToken = func(_ context.Context, token string) error {
			saved = append(saved, token)
			if len(saved) == 1 {
				return full
			}
			return nil
		}
	})
	_, err := get(t, client)
	require.Equal(t, CodeSavingRefreshToken, usererror.CodeOf(err))
	require.ErrorIs(t, err, full)
	require.NotContains(t, err.Error(), "canary-refresh")
	require.Zero(t, fake.apiRequests(), "nothing of the answer is used")

	_, err = get(t, client) // the new one is still held, and saved before use
	require.NoError(t, err)
	require.Equal(t, "canary-refresh-2", fake.forms[1].Get("refresh_token"))
	require.Equal(t, []string{"canary-refresh-2", "canary-refresh-2"}, saved)
}

func TestAccessTokenPair(t *testing.T) {
	t.Run("used as it is", func(t *testing.T) {
		fake := newFakeInstance(t)
		fake.valid["given"] = true
		_, client := setup(t, fake, Config{Grant: GrantAccessToken, AccessToken: "given"})
		resp, err := get(t, client)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Zero(t, fake.tokenRequests())
	})
	t.Run("goes on with the refresh token when refused", func(t *testing.T) {
		fake := newFakeInstance(t)
		_, client := setup(t, fake, Config{Grant: GrantAccessToken, AccessToken: "stale", RefreshToken: "r", ClientID: clientID})
		resp, err := get(t, client)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Equal(t, 1, fake.tokenRequests())
	})
	t.Run("goes on with the refresh token when expired", func(t *testing.T) {
		fake := newFakeInstance(t)
		_, client := setup(t, fake, Config{Grant: GrantAuthorizationCode, AccessToken: "stale", RefreshToken: "r", ClientID: clientID,
			AccessTokenExpiry: time.Now().Add(10 * time.Second)})
		resp, err := get(t, client)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Equal(t, 1, fake.apiRequests(), "the old one is not even tried")
	})
	t.Run("refused without refresh token", func(t *testing.T) {
		for _, grant := range []string{GrantAccessToken, GrantAuthorizationCode} {
			fake := newFakeInstance(t)
			_, client := setup(t, fake, Config{Grant: grant, AccessToken: "canary-stale"})
			for range 3 {
				_, err := get(t, client)
				require.Equal(t, CodeAccessTokenExpired, usererror.CodeOf(err))
				require.NotContains(t, err.Error(), "canary-stale")
			}
			require.Equal(t, 1, fake.apiRequests())
			require.Zero(t, fake.tokenRequests())
		}
	})
}

func TestBasicAndAPIKey(t *testing.T) {
	for _, cfg := range []Config{{Grant: GrantBasic, Username: "u", Password: "p"}, {Grant: GrantAPIKey, APIKey: "k"}} {
		fake := newFakeInstance(t)
		requests := 0
		fake.api = func(w http.ResponseWriter, r *http.Request) {
			requests++
			user, pass, basic := r.BasicAuth()
			if basic != (cfg.Grant == GrantBasic) || user != cfg.Username || pass != cfg.Password || r.Header.Get("x-sn-apikey") != cfg.APIKey {
				t.Error("wrong credentials", r.Header)
			}
			w.WriteHeader(http.StatusUnauthorized)
		}
		a, client := setup(t, fake, cfg, func(d *Deps) { d.HTTPClient = nil })
		require.Nil(t, a.TokenSource())
		require.NoError(t, a.SignIn(t.Context()))
		req, _ := http.NewRequest(http.MethodGet, instanceURL+"/api", nil)
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
		require.Equal(t, 1, requests, "a 401 must not be repeated: it would lock the account")
		require.Empty(t, req.Header, "the caller's request stays as it was")
	}
}

func TestOtherHostsGetNoCredentials(t *testing.T) {
	for _, cfg := range []Config{clientCredentialsConfig(), {Grant: GrantBasic, Username: "u", Password: "p"}, {Grant: GrantAPIKey, APIKey: "k"}} {
		fake := newFakeInstance(t)
		fake.api = func(http.ResponseWriter, *http.Request) { t.Error("a request came through") }
		_, client := setup(t, fake, cfg)
		for _, target := range []string{"https://evil.example/", "http://instance.example/", "https://x.instance.example/", "https://instance.example:8443/"} {
			_, err := client.Get(target) //nolint:bodyclose // it is an error
			require.Equal(t, CodeOtherHost, usererror.CodeOf(err))
		}
		require.Zero(t, fake.tokenRequests())
	}
}

func TestRefused(t *testing.T) {
	for grant, test := range map[string]struct {
		cfg        Config
		code, word string
	}{
		"token":   {clientCredentialsConfig(), CodeTokenRefused, "access policy"},
		"basic":   {Config{Grant: GrantBasic, Username: "u", Password: "p"}, CodeBasicRefused, "snc_basic_auth_api_access"},
		"api_key": {Config{Grant: GrantAPIKey, APIKey: "k"}, CodeAPIKeyRefused, "REST API Access Policy"},
	} {
		t.Run(grant, func(t *testing.T) {
			a, _ := setup(t, newFakeInstance(t), test.cfg)
			for _, resp := range []*http.Response{nil, {StatusCode: 401, Header: http.Header{}}} {
				err := a.Refused(resp)
				require.Equal(t, test.code, usererror.CodeOf(err))
				require.ErrorContains(t, err, test.word)
			}
		})
	}
	a, _ := setup(t, newFakeInstance(t), Config{Grant: GrantBasic, Username: "u", Password: "p"})
	header := http.Header{}
	header.Set("X-MFA_TOKEN", "invalid")
	require.ErrorContains(t, a.Refused(&http.Response{Header: header}), "second factor")
}
