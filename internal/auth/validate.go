package auth

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// validate is the last guard, all findings at once; the spec's own validation speaks of YAML paths and comes first.
// It returns the parsed BaseURL.
func (c Config) validate() (*url.URL, error) {
	var findings []string
	need := func(name, value string) {
		if value == "" {
			findings = append(findings, fmt.Sprintf("%s needs %s", c.Grant, name))
		}
	}
	switch c.Grant {
	case GrantAuthorizationCode:
		if c.AccessToken == "" && c.RefreshToken == "" {
			findings = append(findings, "authorization_code needs the tokens of a sign-in")
		}
	case GrantAccessToken:
		need("access_token", c.AccessToken)
	case GrantRefreshToken:
		need("refresh_token", c.RefreshToken)
	case GrantClientCredentials:
		need("client_id", c.ClientID)
		need("client_secret", c.ClientSecret)
	case GrantPassword:
		need("client_id", c.ClientID)
		need("username", c.Username)
		need("password", c.Password)
	case GrantJWTBearer:
		need("client_id", c.ClientID)
		need("private_key", string(c.PrivateKey))
		need("subject", c.Subject)
	case GrantBasic:
		need("username", c.Username)
		need("password", c.Password)
		if strings.Contains(c.Username, ":") {
			findings = append(findings, "the user name of basic holds a colon, which RFC 7617 section 2 cannot carry")
		}
	case GrantAPIKey:
		need("api_key", c.APIKey)
	default:
		findings = append(findings, fmt.Sprintf("the grant %q is not known", shorten(c.Grant, 40)))
	}
	switch c.Grant {
	case GrantAuthorizationCode, GrantAccessToken, GrantRefreshToken:
		if c.RefreshToken != "" && c.ClientID == "" {
			findings = append(findings, "a refresh_token needs the client_id it was given to")
		}
	}
	// A secret read from a file often ends with its line break, which no HTTP header can carry.
	for _, item := range []struct{ name, value string }{{"access_token", c.AccessToken}, {"api_key", c.APIKey}} {
		if !headerSafe(item.value) {
			findings = append(findings, item.name+" holds a space, a line break or another character that a header cannot carry")
		}
	}
	base, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http"):
		findings = append(findings, "the instance's URL must look like https://example.service-now.com")
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		findings = append(findings, "the instance's URL must hold no user name, query or fragment")
	}
	if len(findings) > 0 {
		return nil, usererror.New(CodeIncomplete, "the auth block cannot work: "+strings.Join(findings, "; "),
			"set the values that the grant needs in the spec's auth block")
	}
	return base, nil
}

// headerSafe reports whether value is visible ASCII only, as RFC 6750 section 2.1 has it for tokens.
func headerSafe(value string) bool {
	for i := range len(value) {
		if value[i] <= ' ' || value[i] > '~' {
			return false
		}
	}
	return true
}
