package auth

import (
	"net/url"
	"time"

	"golang.org/x/oauth2"
)

// newAccessToken is a pair that somebody else got: the access token is used first, and the refresh token, if there
// is one, when the access token is refused or over.
func newAccessToken(cfg Config, deps Deps) (grant, *oauth2.Token) {
	var first *oauth2.Token
	if cfg.AccessToken != "" {
		first = &oauth2.Token{AccessToken: cfg.AccessToken, TokenType: "Bearer", Expiry: cfg.AccessTokenExpiry}
	}
	if cfg.RefreshToken == "" {
		return &accessTokenOnly{grant: cfg.Grant}, first
	}
	return newRefreshToken(cfg, deps), first
}

// accessTokenOnly has nothing to ask the token endpoint with.
type accessTokenOnly struct {
	noRefreshToken
	grant string
}

func (g *accessTokenOnly) form(time.Time) (url.Values, error) {
	return nil, &finalError{g.refusal().err(nil)}
}

func (g *accessTokenOnly) refusal() advice {
	next := "put a new access token into the spec, or add the refresh_token, client_id and client_secret that belong to " +
		"it; an access token lasts 30 minutes by default, so a longer sync needs the refresh token or another grant"
	if g.grant == GrantAuthorizationCode {
		next = "sign in again (the login command); the sign-in left no refresh token, which a sync longer than 30 minutes needs"
	}
	return advice{CodeAccessTokenExpired, "the access token is expired, revoked or not admitted by this API, and there is no refresh token to get another", next}
}
