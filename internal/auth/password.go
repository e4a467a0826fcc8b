package auth

import (
	"net/url"
	"time"
)

// password is RFC 6749 section 4.3; ServiceNow: r_OAuthAPIRequestParameters.md.
type password struct {
	noRefreshToken
	clientID, clientSecret, username, password, scope string
}

func newPassword(cfg Config) *password {
	return &password{clientID: cfg.ClientID, clientSecret: cfg.ClientSecret, username: cfg.Username,
		password: cfg.Password, scope: cfg.Scope}
}

func (g *password) form(time.Time) (url.Values, error) {
	form := url.Values{"grant_type": {"password"}, "client_id": {g.clientID}, "username": {g.username},
		"password": {g.password}}
	setUnlessEmpty(form, "client_secret", g.clientSecret)
	setUnlessEmpty(form, "scope", g.scope)
	return form, nil
}

func (g *password) refusal() advice {
	return advice{CodePasswordRefused,
		"the instance refuses the password grant",
		"check user name and password before the next run, as repeated tries lock the account; then that client_id and " +
			"client_secret are those of the application registry record, that " + accountCauses + ", that the user may " +
			"sign in interactively (Web service access only is not ticked) and has a local password rather than single " +
			"sign-on only, and that the system property glide.oauth.inbound.ropc.grant_type.disabled is not true. " + seeLog}
}
