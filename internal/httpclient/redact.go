package httpclient

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// RedactError returns err without the query strings and user names that its *url.Error holds in their URLs: a query
// carries the values of the user's encoded query. errors.Is and errors.As see through the result.
func RedactError(err error) error {
	var found *url.Error
	if !errors.As(err, &found) {
		return err
	}
	cut := &url.Error{Op: found.Op, URL: redactURL(found.URL), Err: RedactError(found.Err)}
	if err == error(found) { //nolint:errorlint // asks whether err is that very value, not whether it wraps it
		return cut
	}
	// The *url.Error sits deeper: the text around it has its words already, so they are replaced in the whole text.
	text := strings.ReplaceAll(err.Error(), found.Error(), cut.Error())
	text = strings.ReplaceAll(text, found.URL, cut.URL)
	text = strings.ReplaceAll(text, strings.Trim(strconv.Quote(found.URL), `"`), cut.URL)
	return &redactedError{text: text, err: err}
}

type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }

func (e *redactedError) Unwrap() error { return e.err }

func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(unreadable URL)"
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String()
}
