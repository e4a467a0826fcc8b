package auth

import (
	"net/url"
	"time"
)

// clientCredentials is RFC 6749 section 4.4; ServiceNow: platform-security/authentication/client-credentials.md.
type clientCredentials struct {
	noRefreshToken
	clientID, clientSecret, scope string
}

func newClientCredentials(cfg Config) *clientCredentials {
	return &clientCredentials{clientID: cfg.ClientID, clientSecret: cfg.ClientSecret, scope: cfg.Scope}
}

func (g *clientCredentials) form(time.Time) (url.Values, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {g.clientID}, "client_secret": {g.clientSecret}}
	setUnlessEmpty(form, "scope", g.scope)
	return form, nil
}

func (g *clientCredentials) refusal() advice {
	return advice{CodeClientCredentialsRefused,
		"the instance refuses the client_credentials grant",
		"check that client_id and client_secret are those of the application registry record, that the system property " +
			"glide.oauth.inbound.client.credential.grant_type.enabled exists and is true, that the record has an OAuth " +
			"Application User (a field hidden from the form by default), that " + accountCauses +
			", and that the scope, if you set one, is assigned to the record. " + seeLog}
}
