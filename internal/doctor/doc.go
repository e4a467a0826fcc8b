// Package doctor examines one instance: every precondition of a sync at once, each with a stable code, what was seen, and
// what to do in ServiceNow. The command `doctor` runs all checks; the SDK's connection test runs those that show whether
// a sync could begin.
//
// checks.go lists the checks in their order; check_*.go hold them; observer.go notes what the answers' headers say;
// report.go is the outcome, table.go how it looks on a terminal.
package doctor
