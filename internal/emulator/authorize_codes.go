package emulator

import (
	"crypto/rand"
	"sync"
	"time"
)

// authorizations holds the sessions of browsers and the codes that were issued in them.
type authorizations struct {
	mu       sync.Mutex
	sessions map[string]string // cookie of a signed-in browser → what its Allow/Deny page has to send back
	codes    map[string]issuedCode
}

// issuedCode is a code with all that it is bound to.
type issuedCode struct {
	authorizationRequest
	end time.Time
}

func newAuthorizations() *authorizations {
	return &authorizations{sessions: map[string]string{}, codes: map[string]issuedCode{}}
}

// signIn starts a session and returns its cookie.
func (a *authorizations) signIn() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	session := rand.Text()
	a.sessions[session] = rand.Text()
	return session
}

func (a *authorizations) consent(session string) (consent string, signedIn bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	consent, signedIn = a.sessions[session]
	return consent, signedIn
}

func (a *authorizations) issue(request authorizationRequest, end time.Time) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	code := rand.Text()
	a.codes[code] = issuedCode{request, end}
	return code
}

// use ends a code, whatever it was shown for, and returns what it is bound to.
func (a *authorizations) use(code string, now time.Time) (authorizationRequest, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	issued, ok := a.codes[code]
	delete(a.codes, code)
	return issued.authorizationRequest, ok && now.Before(issued.end)
}
