package auth

import (
	"io"
	"net/http"
)

// bearerTransport adds the access token (RFC 6750 section 2.1). On a 401 it has the token renewed, unless that
// happened already, and sends the request once more; a second 401 is the caller's.
type bearerTransport struct {
	source *tokenSource
	next   http.RoundTripper
}

func (t *bearerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	first, err := t.source.get(req.Context())
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp, err := t.next.RoundTrip(signed(req, first))
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	if !t.source.refuse(first) {
		return resp, nil
	}
	again, ok := rewound(req)
	if !ok { // the refusal is noted, so the caller's own next try has a fresh token
		return resp, nil
	}
	discard(resp)
	second, err := t.source.get(req.Context())
	if err != nil {
		closeBody(again)
		return nil, err
	}
	return t.next.RoundTrip(signed(again, second))
}

// signed returns a copy: a RoundTripper must not change the caller's request.
func signed(req *http.Request, token held) *http.Request {
	out := req.Clone(req.Context())
	out.Header.Set("Authorization", "Bearer "+token.AccessToken)
	return out
}

// rewound returns req with its body from the start, or false when the body cannot be had again.
func rewound(req *http.Request) (*http.Request, bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, false
	}
	out := req.Clone(req.Context())
	out.Body = body
	return out, true
}

// discard reads the little that a 401 carries, so that the connection can be used again.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	_ = resp.Body.Close()
}
