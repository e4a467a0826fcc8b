package auth

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
)

// The grants, as written in the spec's grant_type.
const (
	// GrantAuthorizationCode goes on from what a sign-in left: AccessToken, RefreshToken or both.
	GrantAuthorizationCode = "authorization_code"
	// GrantAccessToken uses AccessToken as it is, and RefreshToken, if any, when it is refused or expired.
	GrantAccessToken = "access_token"
	// GrantRefreshToken is RFC 6749 section 6.
	GrantRefreshToken = "refresh_token"
	// GrantClientCredentials is RFC 6749 section 4.4.
	GrantClientCredentials = "client_credentials"
	// GrantPassword is RFC 6749 section 4.3.
	GrantPassword = "password"
	// GrantJWTBearer is RFC 7523 section 2.1.
	GrantJWTBearer = "jwt_bearer"
	// GrantBasic sends user name and password with each request.
	GrantBasic = "basic"
	// GrantAPIKey sends the header x-sn-apikey with each request.
	GrantAPIKey = "api_key"
)

// Config holds plain values that the spec has validated. However it is printed, logged or marshalled, it shows which
// values are set and never the secret ones.
type Config struct {
	// BaseURL is the instance, for example https://example.service-now.com.
	BaseURL string
	// Grant is one of the Grant constants.
	Grant string

	ClientID     string
	ClientSecret string // empty for a public client
	// Scope is sent with client_credentials and password, the grants whose documentation lists it.
	Scope string

	AccessToken string
	// AccessTokenExpiry may be zero: the token is then used until it is refused.
	AccessTokenExpiry time.Time
	RefreshToken      string

	Username string
	Password string

	// PrivateKey is a PEM RSA or EC private key, or the shared secret when Algorithm is HS256, HS384 or HS512.
	PrivateKey []byte
	// Algorithm signs the assertion; empty: RS256, or the ES algorithm of the key's curve.
	Algorithm string
	// KeyID becomes the assertion's kid header.
	KeyID string
	// Subject is the value of the user field that the registry record names, often the user's email or user_name.
	Subject string

	APIKey string
}

// visible is the one view of a Config that may be shown.
func (c Config) visible() map[string]string {
	set := func(secret string) string {
		if secret == "" {
			return ""
		}
		return "(set)"
	}
	return map[string]string{
		"base_url": redactedURL(c.BaseURL), "grant": c.Grant, "client_id": c.ClientID, "scope": c.Scope,
		"algorithm": c.Algorithm, "key_id": c.KeyID, "subject": c.Subject, "username": c.Username,
		"client_secret": set(c.ClientSecret), "access_token": set(c.AccessToken), "refresh_token": set(c.RefreshToken),
		"password": set(c.Password), "private_key": set(string(c.PrivateKey)), "api_key": set(c.APIKey),
	}
}

// String shows the Config without its secrets.
func (c Config) String() string {
	text, err := json.Marshal(c.visible())
	if err != nil {
		return "auth.Config"
	}
	return "auth.Config" + string(text)
}

// GoString is String, for %#v.
func (c Config) GoString() string { return c.String() }

// Format is String for every verb: %d, for one, would go round String and print the fields.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// MarshalJSON shows the Config without its secrets.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.visible()) }

// MarshalZerologObject logs the Config without its secrets.
func (c Config) MarshalZerologObject(e *zerolog.Event) {
	for key, value := range c.visible() {
		if value != "" {
			e.Str(key, value)
		}
	}
}

// secrets are the values that must not be shown even when the instance repeats them in an answer.
func (c Config) secrets() []string {
	return []string{c.ClientSecret, c.AccessToken, c.RefreshToken, c.Password, string(c.PrivateKey), c.APIKey}
}
