package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

const (
	tokenPath     = "oauth_token.do"
	tryTimeout    = 30 * time.Second
	mostTokenBody = 64 << 10 // a JWT access token has a few KiB
)

// endpoint is the instance's token endpoint (RFC 6749 section 3.2).
type endpoint struct {
	url    string
	client *http.Client
	now    func() time.Time
	logger zerolog.Logger
	scrub  scrubber
}

func newEndpoint(base *url.URL, cfg Config, deps Deps) *endpoint {
	client := *deps.HTTPClient
	// A redirect leads to a sign-in page, and following it could carry the form's secrets along.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &endpoint{url: base.JoinPath(tokenPath).String(), client: &client, now: deps.Clock, logger: deps.Logger,
		scrub: newScrubber(cfg.secrets())}
}

// post makes one try. The answer is a good one, or the error says whether another try can help.
func (e *endpoint) post(ctx context.Context, form url.Values, g grant) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	// A form, and never JSON: "results in an unspecified error" (r_OAuthAPIRequestParameters.md).
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("making the token request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")

	scrub := e.scrub.with(form.Get("assertion"), form.Get("refresh_token"))
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, networkError(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostTokenBody+1))
	if err != nil {
		return nil, networkError(err)
	}
	return e.judge(resp, body, g, scrub)
}

// judge sorts the answers of the token endpoint. Statuses and shapes count, texts do not: they change by release.
func (e *endpoint) judge(resp *http.Response, body []byte, g grant, scrub scrubber) (*answer, error) {
	status := resp.StatusCode
	switch {
	case status == http.StatusTooManyRequests, status >= 500, status == http.StatusAccepted:
		// 202: the request waited in a session's queue and was not carried out (KB0657578).
		return nil, &transientError{err: statusError(status), retryAfter: retryAfter(resp, e.now())}
	case status >= 300 && status < 400:
		return nil, pageAdvice("", scrub).err(statusError(status))
	case status >= 400:
		return nil, refusal(status, body, g, scrub)
	case len(body) > mostTokenBody:
		return nil, unreadableAdvice().err(fmt.Errorf("the answer is larger than %d bytes", mostTokenBody))
	case isPage(resp, body):
		return nil, pageAdvice(string(body), scrub).err(statusError(status))
	}
	got, err := readAnswer(body)
	if errors.Is(err, errIsRefusal) {
		return nil, refusal(status, body, g, scrub)
	}
	if err != nil {
		return nil, unreadableAdvice().err(err)
	}
	return got, nil
}

func statusError(status int) error {
	return errors.New(strings.TrimSpace(fmt.Sprintf("HTTP status %d %s", status, http.StatusText(status))))
}

func isPage(resp *http.Response, body []byte) bool {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return kind == "text/html" || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// pageAdvice is for a web page under a good status: the hibernation page of a personal developer instance comes for
// every URL, the token endpoint included.
func pageAdvice(page string, scrub scrubber) advice {
	if strings.Contains(strings.ToLower(page), "hibernat") {
		return advice{CodeHibernating, "the instance is hibernating",
			"wake it at https://developer.servicenow.com (sign in, then Start Building), wait some minutes and run again"}
	}
	message := "the token endpoint answers with a web page instead of a token"
	if title := pageTitle(page); title != "" {
		message += fmt.Sprintf(", titled %q", shorten(scrub.clean(title), 80))
	}
	return advice{CodePageInsteadOfToken, message,
		"open the instance's URL in a browser: it may be under maintenance, not be a ServiceNow instance, or sit behind a " +
			"proxy or single sign-on gateway that must let /oauth_token.do pass; check that the OAuth 2.0 plugin is active"}
}

func pageTitle(page string) string {
	lower := strings.ToLower(page)
	start := strings.Index(lower, "<title>")
	if start < 0 || len(lower) != len(page) { // lower-casing moved the bytes: leave it
		return ""
	}
	title, _, found := strings.Cut(page[start+len("<title>"):], "<")
	if !found {
		return ""
	}
	return title
}

func unreadableAdvice() advice {
	return advice{CodeUnreadableAnswer, "the token endpoint answers without an error but with no token that can be read",
		"check that the instance's URL is that of a ServiceNow instance and that nothing in between changes its answers"}
}
