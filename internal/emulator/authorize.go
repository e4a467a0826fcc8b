package emulator

import (
	"bytes"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sync"
)

// Names that the Allow/Deny page shows for the two applications.
const (
	applicationName       = "CloudQuery"
	publicApplicationName = "CloudQuery (public client)"
)

const sessionCookie = "JSESSIONID"

// authorizationRequest is what /oauth_auth.do was asked for, checked.
type authorizationRequest struct {
	clientID    string
	application string
	redirectURI string // where the browser is sent
	state       string
	challenge   string // "" for a confidential client that uses no PKCE
}

// serveAuthorize answers /oauth_auth.do: a login page, then an Allow/Deny page, then the way back to the
// application (authorization-workflow.md). Both pages post to the address that they were got from, so
// that every step checks the request anew.
func (x *exchange) serveAuthorize() {
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodPost {
		x.violate("method %s on /oauth_auth.do", x.r.Method)
		x.fail(http.StatusMethodNotAllowed, "Method not supported", "")
		return
	}
	request, ok := x.authorizationRequest()
	if !ok {
		return
	}
	session := ""
	if cookie, err := x.r.Cookie(sessionCookie); err == nil {
		session = cookie.Value
	}
	consent, signedIn := x.e.logins.consent(session)
	switch {
	case x.r.Method == http.MethodPost && !signedIn:
		x.postLogin()
	case !signedIn:
		x.loginPage("")
	case x.r.Method == http.MethodPost:
		x.postConsent(request, consent)
	default:
		x.page(http.StatusOK, authorizePage{Title: "Allow access?", Application: request.application, Consent: consent, User: x.e.cfg.Username})
	}
}

var (
	plainState    = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	s256Challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
)

// authorizationRequest reads the URL's parameters, or answers. Nothing that is wrong with them sends the
// browser anywhere: the address to send it to could be wrong too.
func (x *exchange) authorizationRequest() (authorizationRequest, bool) {
	cfg := x.e.cfg
	p := x.readParams("response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method")
	// oauth-auth-code-flow-state-parm.md: the text, and that a state has no special characters.
	if p.text("state") == "" {
		x.violate("no state on /oauth_auth.do")
		x.begin(http.StatusBadRequest, "text/plain;charset=UTF-8").finish([]byte("Missing State parameter in request."))
		return authorizationRequest{}, false
	}
	if !plainState.MatchString(p.text("state")) {
		p.refuse("state with special characters on /oauth_auth.do")
	}
	if kind := p.text("response_type"); kind != "code" { // the implicit grant fails by default
		p.refuse("response_type=%q on /oauth_auth.do", kind)
	}
	if p.text("redirect_uri") == "" {
		p.refuse("no redirect_uri on /oauth_auth.do")
	}
	challenge, method := p.text("code_challenge"), p.text("code_challenge_method")
	public := p.text("client_id") == cfg.PublicClientID
	switch {
	case challenge == "" && method != "":
		p.refuse("code_challenge_method without a code_challenge on /oauth_auth.do")
	case challenge == "" && public:
		p.refuse("no code_challenge of a public client on /oauth_auth.do")
	case challenge == "":
	case method != "S256":
		p.refuse("code_challenge_method=%q on /oauth_auth.do", method)
	case !s256Challenge.MatchString(challenge):
		p.refuse("code_challenge is no SHA-256 in base64url on /oauth_auth.do")
	}
	if !p.ok() {
		return authorizationRequest{}, false
	}
	request := authorizationRequest{
		clientID: p.text("client_id"), application: applicationName, state: p.text("state"), challenge: challenge,
		redirectURI: cfg.RedirectURIs[0], // when none matches (t_CreateEndpointforExternalClients.md)
	}
	if public {
		request.application = publicApplicationName
	} else if request.clientID != cfg.ClientID {
		x.page(http.StatusBadRequest, authorizePage{Title: "Invalid client", Error: "There is no application with this client_id."})
		return authorizationRequest{}, false
	}
	if slices.Contains(cfg.RedirectURIs, p.text("redirect_uri")) {
		request.redirectURI = p.text("redirect_uri")
	}
	return request, true
}

// location is where the browser goes with the outcome.
func (r authorizationRequest) location(name, value string) string {
	u, err := url.Parse(r.redirectURI)
	if err != nil {
		return r.redirectURI // as registered; the browser will complain
	}
	query := u.Query()
	query.Set(name, value)
	query.Set("state", r.state)
	u.RawQuery = query.Encode()
	return u.String()
}

// postLogin takes user name and password. A decision without a session meets the login page too.
func (x *exchange) postLogin() {
	form, ok := x.pageForm("user_name", "user_password", "decision", "consent")
	if !ok {
		return
	}
	if form.Has("decision") {
		x.loginPage("Your session has ended.")
		return
	}
	if form.Get("user_name") != x.e.cfg.Username || form.Get("user_password") != x.e.cfg.Password {
		x.loginPage("User name or password invalid.")
		return
	}
	// Lax, where the instance says None: a browser takes None over https only.
	x.w.Header().Add("Set-Cookie", sessionCookie+"="+x.e.logins.signIn()+"; Path=/; HttpOnly; SameSite=Lax")
	x.redirect(x.r.URL.RequestURI())
}

// postConsent takes the decision of the Allow/Deny page, and of no page but the session's own.
func (x *exchange) postConsent(request authorizationRequest, consent string) {
	form, ok := x.pageForm("decision", "consent")
	if !ok {
		return
	}
	if form.Get("consent") != consent {
		x.page(http.StatusForbidden, authorizePage{Title: "Not allowed", Error: "This decision does not come from this session's page."})
		return
	}
	switch form.Get("decision") {
	case "allow":
		x.redirect(request.location("code", x.e.logins.issue(request, x.e.now().Add(x.e.cfg.AuthCodeLifetime))))
	case "deny":
		x.redirect(request.location("error", "access_denied"))
	default:
		x.violate("decision=%q on /oauth_auth.do", form.Get("decision"))
		x.fail(http.StatusBadRequest, "Invalid request parameters", "")
	}
}

// pageForm reads what a page posted.
func (x *exchange) pageForm(known ...string) (url.Values, bool) {
	complain := func(format string, args ...any) (url.Values, bool) {
		x.violate(format, args...)
		x.fail(http.StatusBadRequest, "Invalid request parameters", "")
		return nil, false
	}
	if kind, _, _ := mime.ParseMediaType(x.r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		return complain("Content-Type %q on /oauth_auth.do", x.r.Header.Get("Content-Type"))
	}
	x.r.Body = http.MaxBytesReader(x.w, x.r.Body, 64<<10)
	if err := x.r.ParseForm(); err != nil {
		return complain("malformed form on /oauth_auth.do")
	}
	for name, values := range x.r.PostForm {
		if !slices.Contains(known, name) {
			return complain("unknown form field %s on /oauth_auth.do", name)
		}
		if len(values) > 1 {
			return complain("form field %s given %d times on /oauth_auth.do", name, len(values))
		}
	}
	return x.r.PostForm, true
}

func (x *exchange) redirect(location string) {
	x.w.Header().Set("Location", location)
	x.begin(http.StatusFound, "text/html;charset=UTF-8").finish(nil)
}

// loginPage asks for user name and password. As on the instance it comes with status 200, whatever was wrong before.
func (x *exchange) loginPage(complaint string) {
	x.w.Header().Set("X-Is-Logged-In", "false")
	x.page(http.StatusOK, authorizePage{Title: "Log in", Login: true, Error: complaint})
}

// authorizePage is one of the pages of /oauth_auth.do.
type authorizePage struct {
	Title, Error               string
	Login                      bool
	Application, User, Consent string // of the Allow/Deny page
	Action                     string
}

// The ids are for tests. Those of the login form are the instance's own.
var authorizeTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("authorize").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}} · ServiceNow emulator</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 24rem; margin: 4rem auto; padding: 0 1rem; }
label, input { display: block; width: 100%; box-sizing: border-box; }
input { font: inherit; margin: 0 0 1rem; padding: .4rem; }
button { font: inherit; padding: .4rem 1.2rem; margin-right: .5rem; }
footer { margin-top: 2rem; font-size: .8rem; opacity: .7; }
</style>
</head>
<body>
<h1 id="title">{{.Title}}</h1>
{{with .Error}}<p id="error" role="alert">{{.}}</p>
{{end}}{{if .Login}}<form id="login-form" method="post" action="{{.Action}}">
<label for="user_name">User name</label><input id="user_name" name="user_name" autocomplete="username" required autofocus>
<label for="user_password">Password</label><input id="user_password" name="user_password" type="password" autocomplete="current-password" required>
<button id="sysverb_login">Log in</button>
</form>
{{end}}{{with .Application}}<p><strong id="application">{{.}}</strong> would like to read this instance as <strong id="user">{{$.User}}</strong>.</p>
<form id="consent-form" method="post" action="{{$.Action}}">
<input type="hidden" id="consent" name="consent" value="{{$.Consent}}">
<button id="allow" name="decision" value="allow">Allow</button><button id="deny" name="decision" value="deny">Deny</button>
</form>
{{end}}<footer>A stand-in for ServiceNow, for tries and tests.</footer>
</body>
</html>
`))
})

func (x *exchange) page(status int, page authorizePage) {
	page.Action = x.r.URL.RequestURI()
	var b bytes.Buffer
	if err := authorizeTemplate().Execute(&b, page); err != nil {
		panic("emulator: " + err.Error())
	}
	// No form-action: browsers hold the redirect that follows a form against it.
	x.w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'")
	x.w.Header().Set("Referrer-Policy", "no-referrer")
	x.begin(status, "text/html;charset=UTF-8").finish(b.Bytes())
}
