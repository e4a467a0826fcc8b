package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// specFields asks of the names in the spec what a sync asks before its first row.
func (e *examination) specFields(ctx context.Context) outcome {
	inQuery := e.cfg.Query.Fields()
	if len(inQuery)+len(e.cfg.Fields) == 0 {
		return ok("the spec names no fields")
	}
	var doubts []string
	d := dictionary.New(e.client, func(code, message string) {
		if code == dictionary.CodeUnproven {
			doubts = append(doubts, message)
		}
	})
	if err := d.Load(ctx, "incident"); err != nil {
		return outcome{state: Warning, seen: "the names cannot be checked: " + told(err), next: advised(err), err: err}
	}
	var exact []string
	for _, field := range e.cfg.Fields {
		if !strings.Contains(field, "*") {
			exact = append(exact, field)
		}
	}
	err := errors.Join(
		d.CheckFields(ctx, "incident", "spec.incidents.query", inQuery),
		d.CheckFields(ctx, "incident", "spec.incidents.fields", exact),
	)
	switch {
	case usererror.CodeOf(err) == dictionary.CodeUnknownField:
		return failed(err, told(err), advised(err))
	case err != nil:
		return outcome{state: Warning, seen: "the names cannot be checked: " + told(err), next: advised(err), err: err}
	case len(doubts) > 0:
		return warning(strings.Join(doubts, "; "), "as for "+CodeDictionary)
	}
	return ok(fmt.Sprintf("incident has all fields that the spec names, %d in the query and %d as columns", len(inQuery), len(exact)))
}
