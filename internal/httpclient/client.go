package httpclient

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
)

// Config holds validated values; the zero value of a field means what its comment says.
type Config struct {
	// Logger gets one debug line a request.
	Logger zerolog.Logger
	// MaxBody is the most bytes of a decompressed response body; required.
	MaxBody int64
	// MaxInFlight is the most requests in flight; 0 is no cap.
	MaxInFlight int
	// Adaptive finds the number of requests in flight by itself, at most MaxInFlight, which is then required; keeps all
	// requests back while a 429 or 503 asks for it; and spreads requests over the hour when answers announce a limit.
	Adaptive bool
	// MaxPerHour is the most requests sent in any 60 minutes; 0 is no budget.
	MaxPerHour int
	// Auth wraps the transport that adds the credentials; nil sends none.
	Auth func(http.RoundTripper) http.RoundTripper
	// UserAgent is sent with each request that sets none, for example cq-source-servicenow/1.2.3; required.
	UserAgent string
	// Counters are added to as requests run; nil counts nowhere.
	Counters *Counters
	// Tracer makes the spans of requests; nil is CloudQuery's, which exports what the config's otel_endpoint asks for.
	Tracer trace.Tracer
	// Base is the innermost transport; nil is NewTransport().
	Base http.RoundTripper
}

// New assembles the chain. The order is meaning, outermost first:
//
//	limiter     an in-flight slot, the pauses and the hourly budget, before a token is chosen that could expire while waiting
//	body limit  counts what gzip unpacked, so a small bomb is caught
//	gzip        asks for it and unpacks it
//	trace, log  outside auth, so they never see a token
//	auth        adds the credentials; may send a request twice after a 401
//	wire        User-Agent and counters, and a replay's share of the budget
//	base        connections, proxy, TLS
func New(cfg Config) (*http.Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("building the HTTP client: %w", err)
	}
	counters := cfg.Counters
	if counters == nil {
		counters = &Counters{}
	}
	budget := newBudget(cfg, counters)

	next := cfg.Base
	if next == nil {
		next = NewTransport()
	}
	next = &wireTransport{next: next, userAgent: cfg.UserAgent, budget: budget, counters: counters}
	if cfg.Auth != nil {
		next = cfg.Auth(next)
	}
	next = &logTransport{next: next, logger: cfg.Logger}
	tracer := cfg.Tracer
	if tracer == nil {
		tracer = otel.Tracer("io.cloudquery")
	}
	next = &traceTransport{next: next, tracer: tracer}
	next = newGzipTransport(next)
	next = &bodyLimitTransport{next: next, limit: cfg.MaxBody}
	next = &limiterTransport{next: next, gate: newGate(cfg, counters), budget: budget}

	return &http.Client{Transport: next, CheckRedirect: checkRedirect}, nil // no Jar: see NewTransport
}

func (c Config) validate() error {
	var errs []error
	if c.MaxBody <= 0 {
		errs = append(errs, errors.New("MaxBody must be above 0"))
	}
	if c.MaxInFlight < 0 {
		errs = append(errs, errors.New("MaxInFlight must not be negative"))
	}
	if c.Adaptive && c.MaxInFlight == 0 {
		errs = append(errs, errors.New("MaxInFlight must be above 0 with Adaptive"))
	}
	if c.MaxPerHour < 0 {
		errs = append(errs, errors.New("MaxPerHour must not be negative"))
	}
	if c.UserAgent == "" {
		errs = append(errs, errors.New("UserAgent must be set"))
	}
	return errors.Join(errs...)
}
