// Package usererror holds the one shape of error that a person who runs a sync reads: what happened in a sentence, a
// stable code to look up in docs/errors.md, and what to do next.
package usererror

import (
	"errors"
	"strings"
)

// Error is a fault explained to the user. Message, NextStep and Err never hold a secret or the value of a query.
type Error struct {
	// Code is stable across releases, for example SN-AUTH-002. Every code has an entry in docs/errors.md.
	Code string
	// Message says what was seen, as a sentence without its full stop.
	Message string
	// NextStep says what to do, as a sentence without its full stop.
	NextStep string
	// Err is the cause; it may be nil.
	Err error
}

// New returns an error without a cause.
func New(code, message, nextStep string) *Error {
	return &Error{Code: code, Message: message, NextStep: nextStep}
}

// Wrap returns an error with a cause.
func Wrap(err error, code, message, nextStep string) *Error {
	return &Error{Code: code, Message: message, NextStep: nextStep, Err: err}
}

// Error puts the code first, since log viewers cut long lines at their end.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Code)
	b.WriteString(": ")
	b.WriteString(e.Message)
	separator := ". "
	if strings.Contains(e.Message, "\n") {
		separator = "\n"
	}
	if e.Err != nil {
		switch cause := e.Err.Error(); {
		case strings.Contains(cause, "\n"): // a list
			b.WriteString(":\n" + cause)
			separator = "\n"
		default:
			b.WriteString(" (" + cause + ")")
		}
	}
	b.WriteString(separator + "Next step: ")
	b.WriteString(e.NextStep)
	b.WriteString(".")
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the outermost user error in err's chain, or "" when there is none.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
