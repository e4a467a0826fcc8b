package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

const (
	// DefaultRedirectURI is what the docs have registered. A random port would not do: ServiceNow compares whole URLs.
	DefaultRedirectURI = "http://127.0.0.1:8976/callback"
	// DefaultTimeout is how long a person has.
	DefaultTimeout = 5 * time.Minute

	authorizePath = "oauth_auth.do"
	tokenPath     = "oauth_token.do"
	revokePath    = "oauth_revoke_token.do"
)

// Config says whom to sign in where. However it is printed, it does not show the client secret.
type Config struct {
	// BaseURL is the instance, for example https://example.service-now.com.
	BaseURL  string
	ClientID string
	// ClientSecret is empty for a public client.
	ClientSecret string
	// RedirectURI is one of the application's Redirect URLs, letter by letter; empty is DefaultRedirectURI.
	RedirectURI string
	// Scope is left out when empty, as most instances need none.
	Scope string
	// NoBrowser opens no browser, and takes the redirected address pasted at the terminal.
	NoBrowser bool
	// Timeout bounds the wait for the person; 0 is DefaultTimeout.
	Timeout time.Duration
}

// String shows the Config without its secret.
func (c Config) String() string {
	secret := "no client secret"
	if c.ClientSecret != "" {
		secret = "client secret (set)"
	}
	return fmt.Sprintf("login.Config{%s, client %s, %s, redirect %s}", bare(c.BaseURL), c.ClientID, secret, bare(c.RedirectURI))
}

// Format is String for every verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// bare is a URL without what may be secret in it.
func bare(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(unreadable URL)"
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// Deps are what a sign-in works with.
type Deps struct {
	// HTTPClient sends the one token request: a chain without Auth. nil is a plain one.
	HTTPClient *http.Client
	// Logger gets debug lines only.
	Logger zerolog.Logger
	// In is where a redirected address is pasted; nil: nowhere.
	In io.Reader
	// Out is where the person reads what to do; nil: nowhere.
	Out io.Writer
	// OpenBrowser opens an address; nil is the system's browser.
	OpenBrowser func(address string) error
	// Ready is called with the consent page's address once an answer can be received; nil: not at all.
	Ready func(address string)
	// Keep saves the tokens before the page says that the sign-in worked; nil: the caller does. When it fails, so does
	// the sign-in.
	Keep func(context.Context, Tokens) error
	// Page renders what the browser shows at the end; nil is the built-in page. It can hold styles, and
	// images as data: addresses; the browser is told to load and run nothing else.
	Page func(Page) []byte
	// Clock is time.Now when nil.
	Clock func() time.Time
}

// Tokens are what a sign-in gave. However they are printed, they are not shown.
type Tokens struct {
	RefreshToken string
	AccessToken  string
	// AccessTokenExpiry is zero when the instance did not say.
	AccessTokenExpiry time.Time
	// SignedInAt is when the code was exchanged; the refresh token's life counts from here.
	SignedInAt time.Time
}

// String does not show the tokens.
func (t Tokens) String() string { return "login.Tokens{signed in at " + t.SignedInAt.String() + "}" }

// Format is String for every verb.
func (t Tokens) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// MarshalJSON does not show the tokens.
func (t Tokens) MarshalJSON() ([]byte, error) {
	return []byte(`{"signed_in_at":"` + t.SignedInAt.UTC().Format(time.RFC3339) + `"}`), nil
}

// endpoints are the addresses of one sign-in, checked.
type endpoints struct {
	base, redirect *url.URL
}

// check returns everything that is wrong at once.
func (c Config) check() (endpoints, error) {
	var findings []string
	base, err := parseBase(c.BaseURL)
	if err != nil {
		findings = append(findings, err.Error())
	}
	if c.ClientID == "" {
		findings = append(findings, "client_id is missing")
	}
	redirect, err := parseRedirect(c.RedirectURI)
	if err != nil {
		findings = append(findings, err.Error())
	}
	if c.Timeout < 0 {
		findings = append(findings, "the timeout is negative")
	}
	if len(findings) > 0 {
		return endpoints{}, usererror.New(CodeIncomplete, "the sign-in cannot start: "+strings.Join(findings, "; "),
			"correct the config or the flags; `cq-source-servicenow login --help` lists them")
	}
	return endpoints{base: base, redirect: redirect}, nil
}

func parseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return nil, errors.New("the instance is missing")
	case err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, errors.New("the instance's address must look like https://example.service-now.com")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the instance's address must hold no user name, query or fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, errors.New("plain http would show the sign-in to everybody on the way; write https (http is for loopback addresses)")
	}
	return u, nil
}

func parseRedirect(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, fmt.Errorf("redirect_uri must look like %s", DefaultRedirectURI)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("redirect_uri must hold no user name, query or fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, errors.New("redirect_uri must begin with https:// (http is for loopback addresses)")
	case isLoopback(u.Hostname()) && u.Port() == "0":
		return nil, errors.New("redirect_uri needs a fixed port, as ServiceNow compares it with the registered one letter by letter")
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// listensOn tells whether this program can answer the redirect URI by itself. For https it would need a certificate.
func listensOn(redirect *url.URL) bool {
	return redirect.Scheme == "http" && isLoopback(redirect.Hostname())
}
