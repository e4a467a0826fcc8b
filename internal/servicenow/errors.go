package servicenow

import (
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Codes of the errors that reading can end with; docs/errors.md explains each.
const (
	CodeTableForbidden   = "SN-READ-001" // a 403 on a table
	CodeTableUnknown     = "SN-READ-002" // a 400 "Invalid table"
	CodeQueryForbidden   = "SN-READ-003" // a 403 because of a field of the query
	CodeURLTooLong       = "SN-READ-004" // 414, or 400 about the length of the query
	CodeOutsideWindow    = "SN-READ-005" // rows that were not asked for: a query term was ignored
	CodeKeyHidden        = "SN-READ-006" // sys_id or sys_updated_on missing in a row
	CodeRecordTooLarge   = "SN-READ-007" // one record alone is over the body limit
	CodeOutOfOrder       = "SN-READ-008" // rows not sorted as asked
	CodeRefused          = "SN-READ-009" // any other 4xx
	CodeNoCounts         = "SN-READ-010" // warning: the instance tells no row counts
	CodeCountUnproven    = "SN-READ-013" // rows counted in a range that holds none
	CodeEndless          = "SN-READ-016" // rows without end
	CodeNotJSON          = "SN-INST-001" // a page for people where JSON was due
	CodeUnavailable      = "SN-INST-002" // unreachable, or 5xx to the end
	CodeRateLimited      = "SN-INST-003" // 429 to the end of the budget
	CodeCutAnswers       = "SN-INST-004" // cut or invalid bodies to the end
	CodeCancelled        = "SN-INST-005" // transaction cancelled at the smallest page
	CodeSessionQueueFull = "SN-INST-006" // 202 to the end
)

// StatusError is an answer other than 200, with ServiceNow's own words where it sent any.
type StatusError struct {
	Status  int
	Path    string // without the query
	Message string
	Detail  string
	// RetryAfter is how long the instance asked to wait; 0 when it did not say.
	RetryAfter time.Duration
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s answered %d %s", e.Path, e.Status, http.StatusText(e.Status))
	for _, words := range []string{e.Message, e.Detail} {
		if words != "" {
			text += ": " + words
		}
	}
	return text
}

// NotJSONError is a page for people under status 200: a hibernating instance, a login or a maintenance page.
type NotJSONError struct {
	Path  string
	Title string
}

func (e *NotJSONError) Error() string {
	return fmt.Sprintf("%s answered with a page instead of JSON, titled %q", e.Path, e.Title)
}

// Hibernating reports whether the page is that of a sleeping developer instance.
func (e *NotJSONError) Hibernating() bool {
	return strings.Contains(strings.ToLower(e.Title), "hibernat")
}

// PartialError is a body under status 200 that is not whole: cut JSON, or a result with an error behind it.
type PartialError struct {
	Path    string
	Message string
}

func (e *PartialError) Error() string {
	return fmt.Sprintf("%s sent a body that is not whole: %s", e.Path, e.Message)
}

// cancelled reports whether the instance gave up on the request because it took too long, so that a smaller page helps.
func cancelled(message string) bool {
	message = strings.ToLower(message)
	return strings.Contains(message, "cancelled") || strings.Contains(message, "canceled") || strings.Contains(message, "maximum execution time")
}

// permanent maps a refusal that trying again cannot change.
func permanent(e *StatusError, table string) error {
	what := "the table " + table
	switch lower := strings.ToLower(e.Message + " " + e.Detail); {
	case e.Status == http.StatusRequestURITooLong || e.Status == http.StatusBadRequest && strings.Contains(lower, "too long"):
		return usererror.Wrap(e, CodeURLTooLong, "the request to read "+what+" is too long for the instance",
			"shorten incidents.query, or name fewer fields")
	case e.Status == http.StatusBadRequest && strings.Contains(lower, "invalid table"):
		return usererror.Wrap(e, CodeTableUnknown, what+" does not exist on this instance",
			"check instance_subdomain, and that the plugin which brings the table is active")
	case e.Status == http.StatusForbidden && strings.Contains(lower, "field"):
		return usererror.Wrap(e, CodeQueryForbidden, "a field that the request filters or sorts by may not be queried in "+what,
			"give the signed-in user read, query_match and query_range access to sys_id, sys_updated_on and the fields of incidents.query")
	case e.Status == http.StatusForbidden:
		return usererror.Wrap(e, CodeTableForbidden, "the signed-in user may not read "+what,
			"give the user a role that reads it (itil for incidents), and check that the table allows access via web services")
	default:
		return usererror.Wrap(e, CodeRefused, "the instance refused to serve "+what, "check the address and the user's access to the REST APIs")
	}
}

// clean makes text of the instance safe and short enough for one log line.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	const most = 300
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return strings.TrimSpace(text)
}
