package auth

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// headerTransport adds credentials that do not change. A 401 is not answered with another try: it would only bring
// the account nearer to being locked.
type headerTransport struct {
	sign func(*http.Request)
	next http.RoundTripper
}

func (t *headerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	signed := req.Clone(req.Context())
	t.sign(signed)
	return t.next.RoundTrip(signed)
}

// sameHost keeps the credentials on the instance, whatever URL a caller or a redirect comes with.
type sameHost struct {
	base *url.URL
	next http.RoundTripper
}

func (t *sameHost) RoundTrip(req *http.Request) (*http.Response, error) {
	if origin(req.URL) != origin(t.base) {
		closeBody(req)
		return nil, usererror.New(CodeOtherHost,
			"a request for "+origin(req.URL)+" was stopped, since it would have carried the credentials for "+origin(t.base),
			"set instance_url to the address that the instance itself uses, if it redirects; otherwise please report this")
	}
	return t.next.RoundTrip(req)
}

// origin is scheme, host and port in one spelling.
func origin(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// closeBody keeps RoundTripper's promise to close the request's body on errors too.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
