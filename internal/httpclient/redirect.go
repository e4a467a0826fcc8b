package httpclient

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const maxRedirects = 5

// RedirectError says that an answer pointed somewhere requests must not follow to. It holds no path and no query,
// since a redirect to a sign-in page may carry secrets in either.
type RedirectError struct {
	// From and To are scheme and host.
	From, To string
	// TooMany is set when the host is right and the number of redirects is not.
	TooMany bool
}

func (e *RedirectError) Error() string {
	if e.TooMany {
		return fmt.Sprintf("more than %d redirects within %s", maxRedirects, e.From)
	}
	return fmt.Sprintf("refusing a redirect from %s to %s", e.From, e.To)
}

// checkRedirect keeps requests on the scheme and host they were meant for. The auth layer adds credentials to every
// request that passes it, so following a redirect elsewhere would hand them over; net/http's own rule only looks at
// headers set by the caller, and lets subdomains pass.
func checkRedirect(req *http.Request, via []*http.Request) error {
	from, to := origin(via[0].URL), origin(req.URL)
	if from != to {
		return &RedirectError{From: from, To: to}
	}
	if len(via) > maxRedirects {
		return &RedirectError{From: from, To: to, TooMany: true}
	}
	return nil
}

// origin is scheme, host and port in one spelling.
func origin(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
