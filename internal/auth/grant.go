package auth

import (
	"context"
	"net/url"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// grant is one way to ask the token endpoint for a token. Its methods are only called by the one request under way.
type grant interface {
	// form returns the fields of one try.
	form(now time.Time) (url.Values, error)
	// refusal says what a refusal of this grant usually means.
	refusal() advice
	// keep is given the answer's refresh token, which is "" when it has none, before the access token is used.
	keep(ctx context.Context, refreshToken string) error
	// reload looks, after a refusal, for another refresh token to ask with once more.
	reload(ctx context.Context) bool
}

// noRefreshToken is for the grants that ask anew each time. The password grant's answer has a refresh token, but with
// the password at hand it would only be one more secret with an end date.
type noRefreshToken struct{}

func (noRefreshToken) keep(context.Context, string) error { return nil }

func (noRefreshToken) reload(context.Context) bool { return false }

// advice is a user error before its cause is known.
type advice struct {
	code, message, nextStep string
}

func (a advice) err(cause error) *usererror.Error {
	return usererror.Wrap(cause, a.code, a.message, a.nextStep)
}

// finalError marks an error that asking again cannot mend; the token source remembers it.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }

func (e *finalError) Unwrap() error { return e.err }

// setUnlessEmpty leaves out what is not given: a public client sends no client_secret, rather than an empty one.
func setUnlessEmpty(form url.Values, name, value string) {
	if value != "" {
		form.Set(name, value)
	}
}

const accountCauses = "the user is active, not locked out and needs no password reset"

const seeLog = "The token endpoint gives the same answer for all of these; the reason stands in the instance's System Log"
