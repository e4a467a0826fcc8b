package emulator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenAnswer is the token endpoint's success.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
}

// grantRule says whether a grant's form is good, and whether its answer carries a refresh token.
type grantRule func(x *exchange, form url.Values) (granted, refreshable bool)

func grants(grantType string) grantRule {
	switch grantType {
	case "authorization_code":
		return (*exchange).codeGrant
	case "client_credentials":
		return func(*exchange, url.Values) (bool, bool) { return true, false }
	case "password":
		return (*exchange).passwordGrant
	case "refresh_token":
		return (*exchange).refreshGrant
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		return (*exchange).jwtGrant
	}
	return nil
}

var tokenFields = []string{
	"grant_type", "client_id", "client_secret", "scope", "username", "password", "refresh_token", "assertion",
	"code", "redirect_uri", "code_verifier", "state",
}

// serveToken answers POST /oauth_token.do. Whatever is wrong, the caller learns nothing but access_denied.
func (x *exchange) serveToken() {
	if x.r.Method != http.MethodPost {
		x.violate("method %s on /oauth_token.do", x.r.Method)
		x.fail(http.StatusMethodNotAllowed, "Method not supported", "")
		return
	}
	form, ok := x.tokenForm()
	if grantType := form.Get("grant_type"); grantType != "" {
		x.log.Query.Set("grant_type", grantType)
	}
	cfg := x.e.cfg
	if !ok || !x.knowsClient(form) {
		x.accessDenied()
		return
	}
	rule := grants(form.Get("grant_type"))
	if rule == nil {
		x.accessDenied()
		return
	}
	granted, refreshable := rule(x, form)
	if !granted {
		x.accessDenied()
		return
	}
	answer := tokenAnswer{Scope: "useraccount", TokenType: "Bearer"}
	now := x.e.now()
	answer.AccessToken, answer.ExpiresIn = x.e.tokens.access(form.Get("grant_type") == "client_credentials", now)
	if refreshable && !cfg.OmitRefreshToken {
		answer.RefreshToken = x.e.tokens.refreshToken(now)
	}
	encoded, _ := json.Marshal(answer)
	x.begin(http.StatusOK, "application/json;charset=UTF-8").finish(encoded)
}

// tokenForm reads the request's form. Parameters belong in the body and nowhere else, and so does the
// client's secret: a Basic header is refused.
func (x *exchange) tokenForm() (url.Values, bool) {
	if len(x.r.URL.RawQuery) > 0 {
		x.violate("URL parameters on /oauth_token.do")
		return url.Values{}, false
	}
	if x.r.Header.Get("Authorization") != "" {
		x.violate("Authorization header on /oauth_token.do")
		return url.Values{}, false
	}
	if kind, _, _ := mime.ParseMediaType(x.r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		x.violate("Content-Type %q on /oauth_token.do", x.r.Header.Get("Content-Type"))
		return url.Values{}, false
	}
	if err := x.r.ParseForm(); err != nil {
		x.violate("malformed form on /oauth_token.do")
		return url.Values{}, false
	}
	form := x.r.PostForm
	for name := range form {
		if !slices.Contains(tokenFields, name) {
			x.violate("unknown form field %s on /oauth_token.do", name)
			return form, false
		}
	}
	return form, true
}

func (x *exchange) accessDenied() {
	x.begin(http.StatusUnauthorized, "application/json;charset=UTF-8").
		finish([]byte(`{"error_description":"access_denied","error":"server_error"}`))
}

// knowsClient checks the client's secret. The public client has none, and its one grant is
// authorization_code, where the code_verifier stands for the secret: refresh_token is for "private clients
// only" (r_OAuthAPIRequestParameters.md).
func (x *exchange) knowsClient(form url.Values) bool {
	cfg := x.e.cfg
	if form.Get("client_id") == cfg.PublicClientID {
		return form.Get("grant_type") == "authorization_code" && !form.Has("client_secret")
	}
	return form.Get("client_id") == cfg.ClientID && form.Get("client_secret") == cfg.ClientSecret
}

// codeGrant exchanges a code of /oauth_auth.do. A code that was shown once is used up, right or wrong. The
// verifier is checked whenever a challenge was given, and there must be none without (RFC 9700 section 2.1.1).
func (x *exchange) codeGrant(form url.Values) (granted, refreshable bool) {
	request, ok := x.e.logins.use(form.Get("code"), x.e.now())
	if !ok || form.Get("client_id") != request.clientID || form.Get("redirect_uri") != request.redirectURI {
		return false, false
	}
	if request.challenge == "" {
		return !form.Has("code_verifier"), true
	}
	verifier := form.Get("code_verifier")
	sum := sha256.Sum256([]byte(verifier))
	return codeVerifier.MatchString(verifier) && base64.RawURLEncoding.EncodeToString(sum[:]) == request.challenge, true
}

// codeVerifier is RFC 7636 section 4.1.
var codeVerifier = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

func (x *exchange) passwordGrant(form url.Values) (granted, refreshable bool) {
	return form.Get("username") == x.e.cfg.Username && form.Get("password") == x.e.cfg.Password, true
}

func (x *exchange) refreshGrant(form url.Values) (granted, refreshable bool) {
	return x.e.tokens.refresh(form.Get("refresh_token"), x.e.now()), true
}

// jwtGrant checks an assertion as the platform does: aud and iss are the client, sub the user, exp is
// there, and a jti is used once. The clock skew is that of the older form, 300 s.
func (x *exchange) jwtGrant(form url.Values) (granted, refreshable bool) {
	cfg := x.e.cfg
	if cfg.JWTKey == nil {
		return false, false
	}
	claims := jwt.RegisteredClaims{}
	_, err := jwt.ParseWithClaims(form.Get("assertion"), &claims, func(*jwt.Token) (any, error) { return cfg.JWTKey, nil },
		jwt.WithValidMethods(methodsFor(cfg.JWTKey)), jwt.WithAudience(cfg.ClientID), jwt.WithIssuer(cfg.ClientID),
		jwt.WithSubject(cfg.Username), jwt.WithExpirationRequired(), jwt.WithLeeway(300*time.Second), jwt.WithTimeFunc(x.e.now))
	return err == nil && claims.ID != "" && x.e.tokens.useOnce(claims.ID), false
}

func methodsFor(key crypto.PublicKey) []string {
	switch key.(type) {
	case *rsa.PublicKey:
		return []string{"RS256", "RS384", "RS512"}
	case *ecdsa.PublicKey:
		return []string{"ES256", "ES384", "ES512"}
	default:
		return []string{"HS256", "HS384", "HS512"}
	}
}

// serveRevoke answers GET /oauth_revoke_token.do?token=…, which needs no sign-in.
func (x *exchange) serveRevoke() {
	for name := range x.params {
		if name != "token" {
			x.violate("unknown parameter %s on /oauth_revoke_token.do", name)
			x.fail(http.StatusBadRequest, "Invalid request parameters", "")
			return
		}
	}
	if x.r.Method != http.MethodGet || x.params.Get("token") == "" {
		x.violate("%s /oauth_revoke_token.do without a token", x.r.Method)
		x.fail(http.StatusBadRequest, "Invalid request parameters", "")
		return
	}
	x.e.tokens.revoke(x.params.Get("token"))
	x.begin(http.StatusOK, "text/html;charset=UTF-8").finish(nil)
}

// signedIn checks a bearer token, Basic credentials or an API key.
func (x *exchange) signedIn() bool {
	if key := x.r.Header.Get("x-sn-apikey"); key != "" {
		return key == x.e.cfg.APIKey
	}
	if user, password, ok := x.r.BasicAuth(); ok {
		return user == x.e.cfg.Username && password == x.e.cfg.Password
	}
	return x.e.tokens.valid(bearer(x.r), x.e.now())
}

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}
