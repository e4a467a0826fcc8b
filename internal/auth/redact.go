package auth

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// scrubber makes text from the other side fit to be shown: without our secrets, control characters and length.
type scrubber struct{ secrets []string }

const mostShown = 200 // characters of an answer's text

func newScrubber(secrets []string) scrubber {
	var all []string
	for _, secret := range secrets {
		if secret != "" {
			all = append(all, secret, url.QueryEscape(secret))
		}
	}
	// The longest first, so that a secret which is part of another does not leave the other's rest behind.
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return scrubber{secrets: all}
}

// with returns a scrubber that knows more secrets.
func (s scrubber) with(secrets ...string) scrubber {
	return newScrubber(append(slices.Clone(s.secrets), secrets...))
}

// clean removes secrets before it shortens: a cut secret would no longer be found.
func (s scrubber) clean(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "(redacted)")
	}
	return shorten(text, mostShown)
}

// shorten makes text one line of at most so many characters.
func shorten(text string, most int) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// redactedURL drops what may be secret in a URL.
func redactedURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(unreadable URL)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
