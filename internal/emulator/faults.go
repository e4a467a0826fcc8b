package emulator

import (
	"net/http"
	"sync"
	"time"
)

// FaultKind names a planned failure.
type FaultKind string

const (
	// Bodies under status 200.
	FaultPartialResult    FaultKind = "partial_result"    // some rows, then a well-formed error
	FaultPartialCut       FaultKind = "partial_cut"       // some rows, one cut in the middle, then the error: not JSON
	FaultEmptyWithError   FaultKind = "empty_with_error"  // {"result":[],"error":{…}}
	FaultCutBody          FaultKind = "cut_body"          // the body ends early, the connection ends normally
	FaultCutReset         FaultKind = "cut_reset"         // the body ends early by a connection reset
	FaultCutGzip          FaultKind = "cut_gzip"          // the gzip stream ends early (plain when gzip was not asked for)
	FaultSlowBody         FaultKind = "slow_body"         // the body trickles, over Fault.Delay
	FaultHibernating      FaultKind = "hibernating"       // 200 and an HTML page
	FaultDroppedWindow    FaultKind = "dropped_window"    // the query's sys_updated_on and sys_id terms are ignored
	FaultWrongOrder       FaultKind = "wrong_order"       // the page's rows in another order
	FaultCorruptFile      FaultKind = "corrupt_file"      // right length, wrong bytes
	FaultAccepted         FaultKind = "accepted"          // 202, empty: not executed
	FaultReset            FaultKind = "reset"             // connection reset before any byte; Go repeats such a GET itself on a reused connection
	FaultTokenExpired     FaultKind = "token_expired"     // 401, and the access token used is revoked
	FaultForbidden        FaultKind = "forbidden"         // 403
	FaultNotFound         FaultKind = "not_found"         // 404
	FaultPaginationURL    FaultKind = "pagination_url"    // 400, query too long for the Link header
	FaultURITooLong       FaultKind = "uri_too_long"      // 414
	FaultRateLimited      FaultKind = "rate_limited"      // 429 with X-RateLimit-* and Retry-After
	FaultQueueFull        FaultKind = "queue_full"        // 429 without any of them
	FaultCancelled        FaultKind = "cancelled"         // 500 cancelled transaction
	FaultBadGateway       FaultKind = "bad_gateway"       // 502 HTML
	FaultUnavailable      FaultKind = "unavailable"       // 503 HTML
	FaultGatewayTimeout   FaultKind = "gateway_timeout"   // 504 HTML
	FaultTokenHibernating FaultKind = "token_hibernating" // the token endpoint answers 200 and an HTML page
	FaultTokenUnavailable FaultKind = "token_unavailable" // the token endpoint answers 503 HTML
	FaultTokenReset       FaultKind = "token_reset"       // the token endpoint resets the connection
)

// Fault is a planned failure. It counts the API requests it could hit (those for its Table; the token
// kinds count token requests) from 1 since SetFaults, and a retry is a new count.
type Fault struct {
	Kind       FaultKind
	Every      int           // hits counts divisible by it; 0: every count
	From       int           // the first count it may hit
	Times      int           // how often it hits at most; 0: no limit
	Table      string        // only requests for this table; "" any
	Files      bool          // only requests for the content of files
	RetryAfter int           // seconds, for the answers that carry Retry-After; 0: 1 for rate_limited, else no header
	Share      float64       // how much of the rows or bytes is served before the failure; 0: half
	Delay      time.Duration // how long slow_body takes; 0: 1 s
}

type requestHook struct {
	fn func(n int, r *http.Request)
	n  int
}

// OnRequest sets a hook that runs before each API request is served; n counts them from 1 since this
// call. It may change the data. nil removes it.
func (e *Emulator) OnRequest(fn func(n int, r *http.Request)) {
	e.traffic.mu.Lock()
	defer e.traffic.mu.Unlock()
	e.traffic.hook = requestHook{fn: fn}
}

func (e *Emulator) runHook(r *http.Request) {
	e.traffic.mu.Lock()
	e.traffic.hook.n++
	hook := e.traffic.hook
	e.traffic.mu.Unlock()
	if hook.fn != nil {
		hook.fn(hook.n, r)
	}
}

// faultPlan holds the planned failures and their counts.
type faultPlan struct {
	mu    sync.Mutex
	items []plannedFault
}

type plannedFault struct {
	Fault
	seen, hits int
}

// SetFaults replaces the planned failures and starts their counts anew. Where several would hit the
// same request the first one does; the others count it as seen.
func (e *Emulator) SetFaults(faults ...Fault) {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	e.faults.items = nil
	for _, f := range faults {
		e.faults.items = append(e.faults.items, plannedFault{Fault: f})
	}
}

func (k FaultKind) atTokenEndpoint() bool {
	return k == FaultTokenHibernating || k == FaultTokenUnavailable || k == FaultTokenReset
}

// next returns the fault that hits this request, if any.
func (p *faultPlan) next(tokenEndpoint bool, to route) (Fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hit := -1
	for i := range p.items {
		f := &p.items[i]
		if f.Kind.atTokenEndpoint() != tokenEndpoint || (f.Table != "" && f.Table != to.table) || (f.Files && !to.file) {
			continue
		}
		f.seen++
		due := f.seen >= f.From && f.seen%max(f.Every, 1) == 0 && (f.Times == 0 || f.hits < f.Times)
		if due && hit < 0 {
			f.hits++
			hit = i
		}
	}
	if hit < 0 {
		return Fault{}, false
	}
	return p.items[hit].Fault, true
}
