package login

import (
	"crypto/subtle"
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// answer is what the instance sent the browser back with (RFC 6749 sections 4.1.2 and 4.1.2.1).
type answer struct {
	code string
	err  error // the sign-in failed
}

// judge reads an answer. Its error says that the answer is none of this sign-in, which goes on waiting: any page that the
// person has open could make the browser come here.
func (s *signIn) judge(query url.Values) (answer, error) {
	state, code, refusal := query.Get("state"), query.Get("code"), query.Get("error")
	ours := subtle.ConstantTimeCompare([]byte(state), []byte(s.state)) == 1
	switch {
	case !ours && refusal != "" && state == "":
		// Not every server repeats the state in a refusal, and all that a forger could do with one is end this sign-in.
	case !ours:
		s.mu.Lock()
		s.misfit = true
		s.mu.Unlock()
		return answer{}, otherSignIn()
	}
	switch {
	case len(query["code"]) > 1 || len(query["state"]) > 1 || len(query["error"]) > 1: // RFC 6749 section 3.1
		return answer{err: authorizationError("a parameter stands twice in the answer")}, nil
	case refusal == "access_denied", refusal == "" && code == "":
		return answer{err: denied()}, nil
	case refusal != "":
		return answer{err: authorizationError(s.said(refusal, query.Get("error_description")))}, nil
	}
	return answer{code: code}, nil
}

// said makes one line of what the other side sent, without anything of ours that it may repeat.
func (s *signIn) said(code, description string, secrets ...string) string {
	text := strings.Trim(code+": "+description, ": ")
	for _, secret := range append(secrets, s.cfg.ClientSecret, s.verifier, s.state) {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "(redacted)")
			text = strings.ReplaceAll(text, url.QueryEscape(secret), "(redacted)")
		}
	}
	return oneLine(text, 200)
}

func oneLine(text string, most int) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

func otherSignIn() error {
	return usererror.New(CodeOtherSignIn, "the browser brought the answer of another sign-in (its state does not fit)",
		"close the other ServiceNow tabs, and open the address that the terminal shows now; run login again if it has ended")
}

func denied() error {
	return usererror.New(CodeDenied, "the instance sent the browser back without a code: access was denied",
		"run login again and choose Allow; if the page offers no Allow, the user who signs in must be able to sign in interactively "+
			"(Web service access only must not be ticked)")
}

func authorizationError(said string) error {
	return usererror.New(CodeAuthorizationError, fmt.Sprintf("the instance refuses to start the sign-in (it says %q)", said),
		"check the application's record (System OAuth > Application Registry): active, client_id as given, Redirect URL letter "+
			"by letter that of the config, and the scope, if you set one, listed")
}
