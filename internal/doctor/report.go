package doctor

import (
	"strings"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// State is how a check ended.
type State string

// The states of a check. A warning does not keep a sync from running.
const (
	OK      State = "ok"
	Warning State = "warning"
	Failed  State = "failed"
	Skipped State = "skipped"
)

// Result is one check's outcome. Its texts never hold a secret or the value of a query.
type Result struct {
	// Code and Check name the check for good; Title names it to people.
	Code  string `json:"code"`
	Check string `json:"check"`
	Title string `json:"title"`
	State State  `json:"state"`
	// Seen says what was found, or why the check was skipped.
	Seen string `json:"seen"`
	// NextStep says what to do; "" when there is nothing.
	NextStep string `json:"next_step,omitempty"`
	// Cause is the code that a sync would end with, such as SN-AUTH-004; "" when there is none.
	Cause string `json:"cause,omitempty"`
	// Facts are what was measured, for machines.
	Facts map[string]any `json:"facts,omitempty"`

	err error
}

// Err is the failed check as the error that a sync would give, or nil.
func (r *Result) Err() error {
	if r.State != Failed {
		return nil
	}
	if usererror.CodeOf(r.err) != "" {
		return r.err
	}
	return usererror.Wrap(r.err, r.Code, r.Seen, r.NextStep)
}

// Report is the outcome of all checks on one instance.
type Report struct {
	// Source is the name of the source in the config, Instance that of the item of `instances` or of the instance.
	Source   string `json:"source,omitempty"`
	Instance string `json:"instance"`
	Address  string `json:"address"`
	OK       bool   `json:"ok"`
	// Requests is how many requests the checks sent, those for a token aside.
	Requests int      `json:"requests"`
	Seconds  float64  `json:"seconds"`
	Checks   []Result `json:"checks"`
}

// Count returns how many checks ended in a state.
func (r *Report) Count(state State) int {
	n := 0
	for i := range r.Checks {
		if r.Checks[i].State == state {
			n++
		}
	}
	return n
}

// Err returns the first failed check's error, or nil.
func (r *Report) Err() error {
	for i := range r.Checks {
		if err := r.Checks[i].Err(); err != nil {
			return err
		}
	}
	return nil
}

// outcome is what a check returns.
type outcome struct {
	state State
	seen  string
	next  string
	err   error
	facts map[string]any
}

func ok(seen string) outcome { return outcome{state: OK, seen: seen} }

func warning(seen, next string) outcome { return outcome{state: Warning, seen: seen, next: next} }

func failed(err error, seen, next string) outcome {
	return outcome{state: Failed, seen: seen, next: next, err: err}
}

func skipped(why string) outcome { return outcome{state: Skipped, seen: why} }

// with adds facts.
func (o outcome) with(facts map[string]any) outcome {
	o.facts = facts
	return o
}

// brief writes a duration for people.
func brief(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return "less than 1ms"
}
