package emulator

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// exchange is one request being served.
type exchange struct {
	e       *Emulator
	w       http.ResponseWriter
	r       *http.Request
	route   route
	params  url.Values
	fault   Fault
	log     Request
	flushed bool
	due     time.Time // when the answer may be sent, by the configured latencies
}

// api is one of the instance's REST APIs.
type api int

const (
	unknownAPI api = iota
	tableAPI
	attachmentAPI
	aggregateAPI
)

// route is an API path taken apart.
type route struct {
	api     api
	version string // "", "/v1" or "/v2"
	table   string
	sysID   string
	file    bool
}

// parseRoute recognises /api/now[/v1|/v2]/{table|attachment|stats}/…
func parseRoute(path string) route {
	rest, ok := strings.CutPrefix(path, "/api/now/")
	if !ok {
		return route{}
	}
	parts := strings.Split(rest, "/")
	var rt route
	if parts[0] == "v1" || parts[0] == "v2" {
		rt.version = "/" + parts[0]
		parts = parts[1:]
	}
	if len(parts) == 0 || slices.Contains(parts, "") {
		return route{}
	}
	switch {
	case parts[0] == "table" && (len(parts) == 2 || len(parts) == 3):
		rt.api, rt.table = tableAPI, parts[1]
		if len(parts) == 3 {
			rt.sysID = parts[2]
		}
	case parts[0] == "stats" && len(parts) == 2:
		rt.api, rt.table = aggregateAPI, parts[1]
	case parts[0] == "attachment" && (len(parts) <= 2 || len(parts) == 3 && parts[2] == "file"):
		rt.api, rt.table, rt.file = attachmentAPI, "sys_attachment", len(parts) == 3
		if len(parts) > 1 {
			rt.sysID = parts[1]
		}
	}
	return rt
}

// ServeHTTP serves one request.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{e: e, r: r}
	var err error
	if x.params, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		x.violate("malformed URL parameters on %s: %v", r.URL.Path, err)
	}
	x.log = Request{Method: r.Method, Path: r.URL.Path, Query: x.params}
	x.w = &countingWriter{ResponseWriter: w, log: &x.log}
	defer func() { e.traffic.add(x.log) }()
	if !e.turns.take(r.Context()) {
		return
	}
	began := time.Now()
	defer func() { x.log.Took = time.Since(began); e.turns.giveBack() }()
	x.due = began
	x.takes(e.cfg.RequestLatency)
	switch r.URL.Path {
	case "/oauth_token.do":
		x.log.Query = url.Values{}
		if !x.planFault(true) {
			x.serveToken()
		}
	case "/oauth_auth.do":
		x.serveAuthorize()
	case "/oauth_revoke_token.do":
		x.log.Query = url.Values{}
		x.serveRevoke()
	default:
		x.serveAPI()
	}
}

// serveAPI goes through what every API request meets before its own handler.
func (x *exchange) serveAPI() {
	x.route = parseRoute(x.r.URL.Path)
	x.log.Table = x.route.table
	if x.route.api == unknownAPI {
		x.violate("unknown path %s", x.r.URL.Path)
		x.fail(http.StatusNotFound, "Requested URI does not represent any resource", "Requested URI does not represent any resource")
		return
	}
	x.e.runHook(x.r)
	if x.planFault(false) || x.overLimit() {
		return
	}
	session, busy := x.e.sessions.enter(x.r)
	defer x.e.sessions.leave(session)
	if busy {
		x.w.WriteHeader(http.StatusAccepted)
		return
	}
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		x.violate("method %s on %s", x.r.Method, x.r.URL.Path)
		x.fail(http.StatusMethodNotAllowed, "Method not supported", "")
		return
	}
	if len(x.r.URL.RequestURI()) > x.e.cfg.URLLimit {
		x.html(http.StatusRequestURITooLong, "Request-URI Too Large")
		return
	}
	if !x.signedIn() {
		x.unauthorized()
		return
	}
	x.sessionCookies(session)
	if !x.acceptable() {
		return
	}
	switch x.route.api {
	case tableAPI:
		x.serveTable()
	case attachmentAPI:
		x.serveAttachment()
	case aggregateAPI:
		x.serveAggregate()
	}
}

// acceptable checks the Accept header, which the instance insists on.
func (x *exchange) acceptable() bool {
	accept := x.r.Header.Get("Accept")
	switch {
	case accept == "":
		x.violate("no Accept header on %s", x.r.URL.Path)
		x.fail(http.StatusBadRequest, "Accept header is missing", "")
	case x.route.file, strings.Contains(accept, "*/*"), strings.Contains(accept, "application/json"), strings.Contains(accept, "application/*"):
		return true
	default:
		x.violate("Accept: %s on %s", accept, x.r.URL.Path)
		x.fail(http.StatusNotAcceptable, "Accept type not supported", "")
	}
	return false
}

func (x *exchange) violate(format string, args ...any) {
	x.e.traffic.violate(format, args...)
}

// fail answers with ServiceNow's error shape. An empty detail is null.
func (x *exchange) fail(status int, message, detail string) {
	x.begin(status, "application/json;charset=UTF-8").finish(appendFailure(nil, message, detail))
}

func appendFailure(buf []byte, message, detail string) []byte {
	return append(appendError(append(buf, '{'), message, detail), '}')
}

// appendError appends the members "error" and "status".
func appendError(buf []byte, message, detail string) []byte {
	buf = append(buf, `"error":{"message":`...)
	buf = appendText(buf, message)
	buf = append(buf, `,"detail":`...)
	if detail == "" {
		buf = append(buf, "null"...)
	} else {
		buf = appendText(buf, detail)
	}
	return append(buf, `},"status":"failure"`...)
}

func (x *exchange) unauthorized() {
	x.w.Header().Set("X-Is-Logged-In", "false")
	x.fail(http.StatusUnauthorized, "User Not Authenticated", "Required to provide Auth information")
}

func (x *exchange) html(status int, title string) {
	page := fmt.Sprintf("<!DOCTYPE html>\n<html><head><title>%s</title></head><body><h1>%s</h1></body></html>\n", title, title)
	x.begin(status, "text/html;charset=UTF-8").finish([]byte(page))
}

// linkBase is what the links to records begin with; they repeat the version asked for.
func (x *exchange) linkBase() string {
	return x.origin() + "/api/now" + x.route.version + "/table/"
}

func (x *exchange) origin() string {
	if x.e.cfg.LinkBase != "" {
		return strings.TrimSuffix(x.e.cfg.LinkBase, "/")
	}
	scheme := "http"
	if x.r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + x.r.Host
}

// takes makes the request take so much longer, its work so far included.
func (x *exchange) takes(longer time.Duration) {
	x.due = x.due.Add(longer)
	sleep(x.r.Context(), time.Until(x.due))
}

// turns are the requests that are served side by side; nil is without end.
type turns chan struct{}

func newTurns(n int) turns {
	if n <= 0 {
		return nil
	}
	return make(turns, n)
}

// take waits for a turn; it is false when the client has gone.
func (t turns) take(ctx context.Context) bool {
	if t == nil {
		return true
	}
	select {
	case t <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t turns) giveBack() {
	if t != nil {
		<-t
	}
}

func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
