package emulator

import (
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Request is one request as it was served.
type Request struct {
	Method string
	Path   string
	Table  string        // the table asked for; "" for the token endpoints
	Query  url.Values    // URL parameters; of a token request only grant_type
	Status int           // 0: the connection was reset before a status was sent
	Rows   int           // records in the answer
	Bytes  int           // body bytes as sent, compressed or not
	Fault  FaultKind     // the planned failure that hit it, "" for none
	Took   time.Duration // from its turn to the end of its answer
}

// trafficLog keeps what clients did, in order of completion.
type trafficLog struct {
	mu           sync.Mutex
	requests     []Request
	violations   []string
	invalidTerms []string
	hook         requestHook
}

// Requests returns the requests served since New or ResetRequests, token requests included.
func (e *Emulator) Requests() []Request {
	e.traffic.mu.Lock()
	defer e.traffic.mu.Unlock()
	return slices.Clone(e.traffic.requests)
}

// ResetRequests forgets the requests served so far. Violations stay.
func (e *Emulator) ResetRequests() {
	e.traffic.mu.Lock()
	defer e.traffic.mu.Unlock()
	e.traffic.requests = nil
}

// Violations returns everything clients did that ServiceNow does not know or documents as wrong:
// unknown paths and parameters, malformed parameter values, a missing Accept header.
func (e *Emulator) Violations() []string {
	e.traffic.mu.Lock()
	defer e.traffic.mu.Unlock()
	return slices.Clone(e.traffic.violations)
}

// InvalidTerms returns the query terms that could not be evaluated. They are not violations, because a
// user's own query may hold them; a test of a client that builds queries wants this empty.
func (e *Emulator) InvalidTerms() []string {
	e.traffic.mu.Lock()
	defer e.traffic.mu.Unlock()
	return slices.Clone(e.traffic.invalidTerms)
}

func (t *trafficLog) add(r Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.requests = append(t.requests, r)
}

func (t *trafficLog) violate(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.violations = append(t.violations, fmt.Sprintf(format, args...))
}

func (t *trafficLog) noteInvalidTerms(terms []string) {
	if len(terms) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.invalidTerms = append(t.invalidTerms, terms...)
}
