package login

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

const (
	exchangeTimeout = 30 * time.Second // half of a code's life
	mostAnswer      = 64 << 10
)

// exchange makes the one token request (RFC 6749 section 4.1.3, RFC 7636 section 4.5). It is never repeated: the instance
// may have used the code up whatever came back.
//
// A confidential client sends its secret and the verifier. ServiceNow's page describes the verifier for public clients
// only, where it stands in for the secret; RFC 9700 section 2.1.1 wants it from both.
func (s *signIn) exchange(ctx context.Context, code string) (Tokens, error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {s.cfg.RedirectURI},
		"client_id": {s.cfg.ClientID}, "code_verifier": {s.verifier}}
	if s.cfg.ClientSecret != "" {
		form.Set("client_secret", s.cfg.ClientSecret)
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base.JoinPath(tokenPath).String(), strings.NewReader(form.Encode()))
	if err != nil {
		return Tokens{}, fmt.Errorf("making the token request: %w", err)
	}
	req.GetBody = nil // so that net/http cannot send it a second time either
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")

	started := s.deps.Clock()
	resp, err := noRedirect(s.deps.HTTPClient).Do(req)
	if err != nil {
		return Tokens{}, s.noAnswer(ctx, httpclient.RedactError(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer+1))
	if err != nil {
		return Tokens{}, s.noAnswer(ctx, httpclient.RedactError(err))
	}
	s.deps.Logger.Debug().Int("status", resp.StatusCode).Msg("the token endpoint answered")
	return s.read(resp, body, code, started)
}

// noRedirect does not follow redirects: they lead to a sign-in page, and could carry the request's secrets along.
func noRedirect(client *http.Client) *http.Client {
	if client == nil {
		client = &http.Client{Transport: httpclient.NewTransport()}
	}
	out := *client
	out.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &out
}

func (s *signIn) read(resp *http.Response, body []byte, code string, started time.Time) (Tokens, error) {
	var wire struct {
		AccessToken  string          `json:"access_token"`
		RefreshToken string          `json:"refresh_token"`
		TokenType    string          `json:"token_type"`
		ExpiresIn    json.RawMessage `json:"expires_in"`
		Error        json.RawMessage `json:"error"`
		Description  json.RawMessage `json:"error_description"`
	}
	readable := len(body) <= mostAnswer && json.Unmarshal(body, &wire) == nil
	said, refused := "", len(wire.Error) > 0 && string(wire.Error) != "null"
	if readable && refused {
		said = s.said(text(wire.Error), text(wire.Description), code, url.QueryEscape(code))
	}
	status := resp.StatusCode
	switch {
	case isPage(resp, body) && status < 400:
		return Tokens{}, pageInstead(body)
	case status >= 500 || status == http.StatusTooManyRequests || status == http.StatusAccepted:
		return Tokens{}, s.noAnswer(context.Background(), statusError(status, said))
	case status >= 300 && status < 400:
		return Tokens{}, pageInstead(nil)
	case status == http.StatusNotFound:
		return Tokens{}, pageInstead(nil)
	case refused && text(wire.Error) == "invalid_client":
		return Tokens{}, usererror.Wrap(statusError(status, said), CodeInvalidClient, "the instance does not know this client_id, or not with this client_secret",
			"copy both again from the application's record (System OAuth > Application Registry) of this very instance, and run login again; leave the secret empty only if the record is a Public Client")
	case status >= 400 || refused && wire.AccessToken == "":
		return Tokens{}, s.exchangeRefused(statusError(status, said))
	case !readable || wire.AccessToken == "" || wire.TokenType != "" && !strings.EqualFold(wire.TokenType, "Bearer"):
		return Tokens{}, s.noAnswer(context.Background(), errors.New("the answer is no token that can be read"))
	case wire.RefreshToken == "":
		return Tokens{}, usererror.New(CodeNoRefreshToken, "the sign-in worked, but the instance gave no refresh token, without which a sync ends after 30 minutes",
			"register the application as a confidential client (with a client secret) and give it a Refresh Token Lifespan, or choose the grant client_credentials or jwt_bearer")
	}
	out := Tokens{RefreshToken: wire.RefreshToken, AccessToken: wire.AccessToken, SignedInAt: s.deps.Clock()}
	if seconds, err := strconv.ParseFloat(strings.Trim(string(wire.ExpiresIn), `"`), 64); err == nil && seconds > 0 && seconds < 1e9 {
		out.AccessTokenExpiry = started.Add(time.Duration(seconds * float64(time.Second)))
	}
	return out, nil
}

// text is a JSON string, or the message of the error object of ServiceNow's REST APIs.
func text(raw json.RawMessage) string {
	var plain string
	if json.Unmarshal(raw, &plain) == nil {
		return plain
	}
	var object struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(raw, &object) == nil {
		return object.Message
	}
	return ""
}

func isPage(resp *http.Response, body []byte) bool {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return kind == "text/html" || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

func isHibernating(body []byte) bool {
	return bytes.Contains(bytes.ToLower(body), []byte("hibernat"))
}

func statusError(status int, said string) error {
	text := strings.TrimSpace(fmt.Sprintf("HTTP status %d %s", status, http.StatusText(status)))
	if said != "" {
		text += ", " + said
	}
	return errors.New(text)
}

// noAnswer is also for the caller's own end, which stays what it is.
func (s *signIn) noAnswer(ctx context.Context, cause error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return usererror.Wrap(cause, CodeNoAnswer, "the token endpoint gave no answer that can be used",
		"check that "+s.base.Host+" can be reached from this machine (proxy, certificates), and run login again: a code works once, so this sign-in is lost")
}

func pageInstead(body []byte) error {
	if isHibernating(body) {
		return usererror.New(CodeNoAnswer, "the instance is hibernating",
			"wake it at https://developer.servicenow.com (sign in, then Start Building), wait some minutes and run login again")
	}
	return usererror.New(CodeNoAnswer, "the token endpoint answers with a web page instead of a token",
		"check the instance's address, that the plugin com.snc.platform.security.oauth is active, and that no proxy or single "+
			"sign-on gateway stands before /oauth_token.do; then run login again")
}

func (s *signIn) exchangeRefused(cause error) error {
	return usererror.Wrap(cause, CodeExchangeRefused, "you signed in, but the instance refuses to exchange the code for tokens",
		"check that client_secret is the one of the application's record (and that a record without one is a Public Client), that its "+
			"Redirect URL is "+s.cfg.RedirectURI+" letter by letter, and that the user who signed in is active and not locked out; "+
			"look into the instance's System Log, as the token endpoint gives the same answer for all of these; then run login again, "+
			"and when you paste the address, do it within 60 seconds of choosing Allow")
}
