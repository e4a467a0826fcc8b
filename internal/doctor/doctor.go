package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/internal/auth"
	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Config is one instance and what a sync would do with it.
type Config struct {
	// Name names the instance to people.
	Name    string
	BaseURL *url.URL
	// Grant is the spec's auth.grant_type. Auth signs in; when it could not be made, AuthErr says why.
	Grant   string
	Auth    *auth.Authenticator
	AuthErr error
	// Query is the spec's incidents.query; Picked is how many single incidents the spec names, -1 without such a choice.
	Query  servicenow.Query
	Picked int
	// Fields is the spec's incidents.fields, patterns included.
	Fields []string
	// PageSize, Concurrency and MaxRequestsPerHour are those of the spec; a page size of 0 is the default.
	PageSize, Concurrency, MaxRequestsPerHour int

	UserAgent string
	Logger    zerolog.Logger
	// Transport is the innermost one; nil is httpclient.NewTransport().
	Transport http.RoundTripper
	// Retry bounds how long each request is tried; the zero value is a few tries within half a minute.
	Retry servicenow.Retry

	slowRange time.Duration // tests do not wait
}

const (
	// checkTimeout bounds one check. ServiceNow's own limit for a request to the Table API is 60 s.
	checkTimeout = 90 * time.Second
	// sampleSize and testSampleSize are how many incidents are looked at.
	sampleSize     = 200
	testSampleSize = 20
	// maxBody bounds an answer: a sample of records with long texts.
	maxBody = 64 << 20
)

// examination is a running doctor.
type examination struct {
	cfg      Config
	observer *observer
	// plain sends requests without credentials.
	plain *http.Client
	// client tries a request a few times, once exactly one time.
	client, once *servicenow.Client
	results      map[string]Result

	first      *http.Response // of the request without credentials
	firstBody  []byte
	firstTook  time.Duration
	sampleSize int
	sample     *servicenow.List
	sampleTook time.Duration
	// single is how long a request for one row took.
	single time.Duration
	// attachmentRows is how many attachments of incidents were counted; -1: not told.
	attachmentRows int
}

// Run runs every check.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	return run(ctx, cfg, sampleSize, func(check) bool { return true })
}

// Test runs the checks that show whether a sync could begin.
func Test(ctx context.Context, cfg Config) (*Report, error) {
	return run(ctx, cfg, testSampleSize, func(c check) bool { return c.connects })
}

func run(ctx context.Context, cfg Config, sample int, wanted func(check) bool) (*Report, error) {
	began := time.Now()
	e, err := newExamination(cfg)
	if err != nil {
		return nil, err
	}
	e.sampleSize = sample
	report := &Report{Instance: cfg.Name, Address: cfg.BaseURL.String(), OK: true}
	for _, c := range checks() {
		if !wanted(c) {
			continue
		}
		if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
			return nil, context.Cause(ctx)
		}
		result := e.examine(ctx, c)
		e.results[c.code] = result
		report.Checks = append(report.Checks, result)
		report.OK = report.OK && result.State != Failed
	}
	report.Requests = e.observer.notes().requests
	report.Seconds = float64(time.Since(began).Milliseconds()) / 1000
	return report, nil
}

func newExamination(cfg Config) (*examination, error) {
	if cfg.Transport == nil {
		cfg.Transport = httpclient.NewTransport()
	}
	if cfg.Retry == (servicenow.Retry{}) {
		cfg.Retry = servicenow.Retry{Tries: 3, First: 500 * time.Millisecond, Longest: 5 * time.Second, Budget: 30 * time.Second}
	}
	cfg.slowRange = cmp.Or(cfg.slowRange, slowRange)
	e := &examination{cfg: cfg, observer: &observer{next: cfg.Transport}, results: map[string]Result{}, attachmentRows: -1}
	chain := httpclient.Config{Logger: cfg.Logger, MaxBody: maxBody, UserAgent: cfg.UserAgent, Base: e.observer}
	var err error
	if e.plain, err = httpclient.New(chain); err != nil {
		return nil, err
	}
	e.plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	sn := servicenow.Config{BaseURL: cfg.BaseURL, Logger: cfg.Logger, Retry: cfg.Retry}
	if cfg.Auth != nil {
		chain.Auth = cfg.Auth.Transport
		sn.Refused = func(resp *http.Response) error { return cfg.Auth.Refused(resp) }
	}
	if sn.HTTP, err = httpclient.New(chain); err != nil {
		return nil, err
	}
	e.client = servicenow.New(sn)
	sn.Retry.Tries = 1
	e.once = servicenow.New(sn)
	return e, nil
}

// examine runs a check, or skips it for what it needs.
func (e *examination) examine(ctx context.Context, c check) Result {
	var o outcome
	if why := e.lacks(c); why != "" {
		o = skipped(why)
	} else {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		o = c.run(e, ctx)
	}
	r := Result{Code: c.code, Check: c.key, Title: c.title, State: o.state, Seen: o.seen, NextStep: o.next, Facts: o.facts, err: o.err}
	if code := usererror.CodeOf(o.err); code != "" {
		r.Cause = code
	}
	return r
}

func (e *examination) lacks(c check) string {
	for _, code := range c.needs {
		need, ran := e.results[code]
		switch {
		case !ran:
		case need.State == Failed:
			return fmt.Sprintf("because %s (%s) failed", need.Code, need.Title)
		case need.State == Skipped:
			return need.Seen // the same reason holds here
		}
	}
	return ""
}

// told is what an error says, without its code and its next step.
func told(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "there was no answer in time"
	}
	var explained *usererror.Error
	if !errors.As(err, &explained) {
		return httpclient.RedactError(err).Error()
	}
	if explained.Err == nil {
		return explained.Message
	}
	return explained.Message + " (" + httpclient.RedactError(explained.Err).Error() + ")"
}

// advised is the next step that an error names.
func advised(err error) string {
	var explained *usererror.Error
	if errors.As(err, &explained) {
		return explained.NextStep
	}
	return "check the network between this machine and the instance, then run doctor again"
}

// refused reports whether the instance answered, and would not serve.
func refused(err error) bool {
	var status *servicenow.StatusError
	return errors.As(err, &status) && status.Status >= 400 && status.Status < 500 && status.Status != http.StatusTooManyRequests
}

// keys returns the keys of the sample's records, in keyset order.
func (e *examination) keys() []servicenow.Key {
	var keys []servicenow.Key
	for _, record := range e.sample.Records {
		if key, ok := record.Key(); ok && key.UpdatedOn != "" {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, servicenow.Key.Compare)
	return keys
}

// names joins names for a sentence, and cuts a long list.
func names(list []string) string {
	const most = 12
	if len(list) > most {
		return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", len(list)-most)
	}
	return strings.Join(list, ", ")
}
