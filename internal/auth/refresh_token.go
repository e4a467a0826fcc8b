package auth

import (
	"context"
	"net/url"
	"time"
)

// refreshToken is RFC 6749 section 6; ServiceNow: r_OAuthAPIRequestParameters.md, which lists no scope here.
//
// ServiceNow is documented to give the same refresh token back, or none, until its fixed end 100 days after the
// sign-in. Should a release rotate it, the new one replaces the old.
type refreshToken struct {
	clientID, clientSecret string
	held                   string
	unsaved                bool // held differs from what the store has
	deps                   Deps
}

func newRefreshToken(cfg Config, deps Deps) *refreshToken {
	return &refreshToken{clientID: cfg.ClientID, clientSecret: cfg.ClientSecret, held: cfg.RefreshToken, deps: deps}
}

func (g *refreshToken) form(time.Time) (url.Values, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {g.clientID}, "refresh_token": {g.held}}
	setUnlessEmpty(form, "client_secret", g.clientSecret)
	return form, nil
}

// keep has a new refresh token saved before anything of the answer is used: after a crash in between, the old one may
// be dead. When saving fails the new one is still held, and saved with the next answer.
func (g *refreshToken) keep(ctx context.Context, token string) error {
	if token != "" && token != g.held {
		g.held, g.unsaved = token, true
	}
	if !g.unsaved {
		return nil
	}
	if err := g.deps.OnRefreshToken(ctx, g.held); err != nil {
		return advice{CodeSavingRefreshToken,
			"the instance gave a new refresh token and it could not be saved",
			"make the token store writable and run again; if the old refresh token is refused then, sign in anew"}.err(err)
	}
	g.unsaved = false
	return nil
}

// reload takes the refresh token that another process has been given in the meantime: where an instance rotates them, its
// renewal ended the one that is held here.
func (g *refreshToken) reload(ctx context.Context) bool {
	if g.deps.LoadRefreshToken == nil {
		return false
	}
	token, err := g.deps.LoadRefreshToken(ctx)
	if err != nil || token == "" || token == g.held {
		return false
	}
	g.held, g.unsaved = token, false
	return true
}

func (g *refreshToken) refusal() advice {
	return advice{CodeRefreshTokenRefused,
		"the instance refuses the refresh token",
		"sign in again (the login command) for a new one: a refresh token ends 100 days after the sign-in by default, " +
			"however often it is used, and earlier when it is revoked or the instance was cloned over. If a new one is " +
			"refused too, check that client_id and client_secret are those it was given to and that " + accountCauses +
			". " + seeLog}
}
