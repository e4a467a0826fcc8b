package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/oauth2"
)

// Deps are what the grants work with.
type Deps struct {
	// HTTPClient sends token requests: a chain without Auth and without limits. The token grants need it.
	HTTPClient *http.Client
	// Logger gets no line above debug, apart from one at info for each wait on a failing token endpoint.
	Logger zerolog.Logger
	// Clock is time.Now when nil.
	Clock func() time.Time
	// OnRefreshToken is called before anything of an answer is used whose refresh token differs from the held one.
	// When it fails, no access token is given out, and it is called again with the next answer. It may be nil.
	OnRefreshToken func(ctx context.Context, newToken string) error
	// LoadRefreshToken is asked for the stored refresh token when the held one is refused, since another process may
	// have been given a new one. It may be nil.
	LoadRefreshToken func(ctx context.Context) (string, error)
}

// Authenticator signs requests in by one grant. Its methods may be called from many goroutines.
type Authenticator struct {
	cfg    Config
	base   *url.URL
	grant  grant                            // nil for basic and api_key
	source *tokenSource                     // nil for basic and api_key
	header func(*http.Request)              // nil for the token grants; a closure, so that %+v shows no secret
	wrong  func(resp *http.Response) advice // what a final 401 of an API means
}

// Renews reports whether the grant gets new access tokens.
func (a *Authenticator) Renews() bool { return a.source != nil }

// New makes the Authenticator of cfg's grant. It sends no request.
func New(cfg Config, deps Deps) (*Authenticator, error) {
	base, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.OnRefreshToken == nil {
		deps.OnRefreshToken = func(context.Context, string) error { return nil }
	}
	a := &Authenticator{cfg: cfg, base: base, wrong: tokenRefused}
	var first *oauth2.Token
	switch cfg.Grant {
	case GrantBasic:
		a.header, a.wrong = basicHeader(cfg.Username, cfg.Password), basicRefused
		return a, nil
	case GrantAPIKey:
		a.header, a.wrong = apiKeyHeader(cfg.APIKey), apiKeyRefused
		return a, nil
	case GrantClientCredentials:
		a.grant = newClientCredentials(cfg)
	case GrantPassword:
		a.grant = newPassword(cfg)
	case GrantJWTBearer:
		if a.grant, err = newJWTBearer(cfg); err != nil {
			return nil, err
		}
	case GrantRefreshToken:
		a.grant = newRefreshToken(cfg, deps)
	case GrantAccessToken, GrantAuthorizationCode:
		a.grant, first = newAccessToken(cfg, deps)
	}
	if deps.HTTPClient == nil {
		return nil, errors.New("making the token source: no HTTP client for token requests")
	}
	a.source = newTokenSource(a.grant, first, newEndpoint(base, cfg, deps), deps)
	return a, nil
}

// Transport returns a transport that signs requests in and hands them to base. It refuses requests for another host
// than the instance. For a token grant it answers a 401 by renewing the token and sending the request once more; a
// 401 that it returns is final.
func (a *Authenticator) Transport(base http.RoundTripper) http.RoundTripper {
	if a.source != nil {
		return &sameHost{base: a.base, next: &bearerTransport{source: a.source, next: base}}
	}
	return &sameHost{base: a.base, next: &headerTransport{sign: a.header, next: base}}
}

// TokenSource returns the tokens that Transport uses, or nil for basic and api_key, which have none.
func (a *Authenticator) TokenSource() oauth2.TokenSource {
	if a.source == nil {
		return nil
	}
	return a.source
}

// SignIn gets a token now, unless a good one is held. For basic and api_key, and for a given access token that may
// have been revoked, only a request to an API tells whether they are right.
func (a *Authenticator) SignIn(ctx context.Context) error {
	if a.source == nil {
		return nil
	}
	_, err := a.source.get(ctx)
	return err
}

// Refused explains a final 401 of an API. It looks at the headers of resp, which may be nil, and leaves the body alone.
func (a *Authenticator) Refused(resp *http.Response) error {
	return a.wrong(resp).err(nil)
}

// String shows the configuration without its secrets.
func (a *Authenticator) String() string { return "auth.Authenticator{" + a.cfg.String() + "}" }

// Format is String for every verb, as fmt would print unexported fields otherwise.
func (a *Authenticator) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }
