package auth

import (
	"crypto/rand"
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// jwtBearer is RFC 7523 section 2.1; ServiceNow: create-jwt-endpoint.md. golang.org/x/oauth2/jwt posts only
// grant_type and assertion, while ServiceNow wants client_id and client_secret of a confidential client as well.
type jwtBearer struct {
	noRefreshToken
	clientID, clientSecret, subject, keyID string
	method                                 jwt.SigningMethod
	key                                    any
}

const jwtBearerGrantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"

const (
	// ServiceNow accepts at most 5 minutes; a minute less keeps an instance whose clock is behind from refusing.
	assertionLifetime = 4 * time.Minute
	// New registry records allow no clock skew: an assertion must not come from the future of the instance's clock.
	assertionBackdate = 10 * time.Second
)

func newJWTBearer(cfg Config) (*jwtBearer, error) {
	method, key, err := signingKey(cfg.PrivateKey, cfg.Algorithm)
	if err != nil {
		return nil, advice{CodePrivateKey, "the private key of jwt_bearer cannot be used",
			"give an unencrypted PEM private key, RSA of 2048 bits or more or EC on P-256, P-384 or P-521, and an " +
				"algorithm that fits it, or none"}.err(err)
	}
	return &jwtBearer{clientID: cfg.ClientID, clientSecret: cfg.ClientSecret, subject: cfg.Subject, keyID: cfg.KeyID,
		method: method, key: key}, nil
}

// form signs a new assertion for each try: the instance verifies that a jti is used once, so one that reached it in a
// failed try would be refused in the next.
func (g *jwtBearer) form(now time.Time) (url.Values, error) {
	token := jwt.NewWithClaims(g.method, jwt.MapClaims{ // RFC 7523 section 3; aud is the client id with ServiceNow
		"iss": g.clientID, "aud": g.clientID, "sub": g.subject, "jti": rand.Text(),
		"iat": now.Add(-assertionBackdate).Unix(), "exp": now.Add(assertionLifetime).Unix(),
	})
	if g.keyID != "" {
		token.Header["kid"] = g.keyID
	}
	assertion, err := token.SignedString(g.key)
	if err != nil {
		return nil, &finalError{advice{CodePrivateKey, "signing the assertion of jwt_bearer with the private key went wrong",
			"give a key that fits the algorithm"}.err(err)}
	}
	form := url.Values{"grant_type": {jwtBearerGrantType}, "assertion": {assertion}, "client_id": {g.clientID}}
	setUnlessEmpty(form, "client_secret", g.clientSecret)
	return form, nil
}

func (g *jwtBearer) refusal() advice {
	return advice{CodeJWTBearerRefused,
		"the instance refuses the signed assertion",
		"check that client_id and client_secret are those of the JWT API endpoint record, that its verifier map holds the " +
			"certificate of this private key under this key_id, that subject is the value of the user field which the " +
			"record names, that " + accountCauses + ", and that this machine's clock is right, since new records allow " +
			"no skew. " + seeLog}
}
