package servicenow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Retry bounds how long a request is tried. The zero value gets the defaults of DefaultRetry.
type Retry struct {
	// Tries is the most attempts of one request, the first included. Those that a 429 ended do not count, since it is no
	// fault of the request; but with 1 there is one attempt, whatever ends it.
	Tries int
	// First and Longest bound the back-off between attempts when the instance does not say how long to wait.
	First, Longest time.Duration
	// Budget is the most time for one request with all its waits; a wait that would exceed it is not begun.
	Budget time.Duration
}

// DefaultRetry outlasts a node's restart, and a full hour of a rate-limit rule.
func DefaultRetry() Retry {
	return Retry{Tries: 10, First: 500 * time.Millisecond, Longest: 30 * time.Second, Budget: 3 * time.Hour}
}

// Config is what a Client needs.
type Config struct {
	// BaseURL is the instance's address without a path.
	BaseURL *url.URL
	// HTTP sends the requests; it signs them, limits them and bounds their bodies.
	HTTP *http.Client
	// Refused explains a 401 that signing in again did not cure.
	Refused func(*http.Response) error
	// Renewable says that another attempt of a refused request may bring another token: with many requests in flight, one
	// may meet a token that is revoked just then, and then meet the next one.
	Renewable bool
	// Counters are those of HTTP; nil leaves the figures out of Stats that only they tell.
	Counters *httpclient.Counters
	Logger   zerolog.Logger
	Retry    Retry
}

// Client reads one instance. It is safe for concurrent use.
type Client struct {
	cfg     Config
	counter counters
}

type counters struct{ requests, retries, waited, pageSize atomic.Int64 }

// New returns a client of one instance.
func New(cfg Config) *Client {
	if cfg.Retry == (Retry{}) {
		cfg.Retry = DefaultRetry()
	}
	return &Client{cfg: cfg}
}

// response is a complete body that came with status 200.
type response struct {
	body   []byte
	header http.Header
	took   time.Duration // from when the request was sent, behind all waits
}

// date is the instance's clock when it answered; zero when it did not say.
func (r *response) date() time.Time {
	t, err := http.ParseTime(r.header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// retrying runs one attempt after the other until it succeeds, fails for good, or the budget is used up. The retry sits
// here and not in the HTTP chain because a fault may show only when the body is read to its end.
func retrying[T any](ctx context.Context, c *Client, what string, attempt func() (T, error)) (T, error) {
	again := func(err error, wait time.Duration) {
		c.counter.retries.Add(1)
		c.counter.waited.Add(int64(wait))
		usageOf(ctx).again(wait)
		// Not a warning: the CLI counts warnings, and this one is about to be cured.
		c.cfg.Logger.Info().Str("request", what).Dur("wait_ms", wait).Str("cause", err.Error()).Msg("trying a request again")
	}
	attempt = refusable(attempt)
	if c.cfg.Retry.Tries != 1 {
		attempt = patient(ctx, c.cfg.Retry, again, attempt)
	}
	value, err := backoff.Retry(ctx, attempt,
		backoff.WithBackOff(c.cfg.Retry.backOff()),
		backoff.WithMaxTries(uint(c.cfg.Retry.Tries)),
		backoff.WithMaxElapsedTime(c.cfg.Retry.Budget),
		backoff.WithNotify(again))
	if err == nil {
		return value, nil
	}
	var stop *backoff.PermanentError
	if errors.As(err, &stop) {
		err = stop.Unwrap()
	}
	if ctx.Err() != nil {
		return value, context.Cause(ctx)
	}
	return value, exhausted(err)
}

// refusedError is a 401 that another attempt may cure.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// refusedTries is how often a request may be refused before that is believed.
const refusedTries = 4

// refusable ends the attempts of a request that is refused time and again.
func refusable[T any](attempt func() (T, error)) func() (T, error) {
	refusals := 0
	return func() (T, error) {
		value, err := attempt()
		var refused *refusedError
		if errors.As(err, &refused) {
			if refusals++; refusals >= refusedTries {
				err = backoff.Permanent(refused.err)
			}
		}
		return value, err
	}
}

// exhausted explains a fault that outlasted the retries.
func exhausted(err error) error {
	if usererror.CodeOf(err) != "" {
		return err
	}
	var notJSON *NotJSONError
	var partial *PartialError
	var status *StatusError
	switch {
	case errors.As(err, &notJSON) && notJSON.Hibernating():
		return usererror.Wrap(err, CodeNotJSON, "the instance is hibernating", "wake it by signing in at developer.servicenow.com, then sync again")
	case errors.As(err, &notJSON):
		return usererror.Wrap(err, CodeNotJSON, "the instance answers with pages for people instead of data", "open its address in a browser: it may be in maintenance, or a gateway may ask for a login")
	case errors.As(err, &partial) && cancelled(partial.Message):
		return usererror.Wrap(err, CodeCancelled, "the instance cancels requests because they take too long", "set a small page_size, name fewer incidents.fields, or ask for an index on sys_updated_on")
	case errors.As(err, &partial):
		return usererror.Wrap(err, CodeCutAnswers, "the instance's answers do not arrive whole", "look for a proxy that cuts answers, or set a smaller page_size")
	case errors.As(err, &status) && status.Status == http.StatusTooManyRequests:
		return usererror.Wrap(err, CodeRateLimited, "the instance's rate limit holds for longer than a request may wait", "sync later, or ask for a higher limit in REST API > Rate Limit Rules")
	case errors.As(err, &status) && status.Status == http.StatusAccepted:
		return usererror.Wrap(err, CodeSessionQueueFull, "the instance does not carry out requests because a session is busy", "look for a proxy that adds cookies to requests")
	case errors.As(err, &status) && cancelled(status.Message+status.Detail):
		return usererror.Wrap(err, CodeCancelled, "the instance cancels requests because they take too long", "set a small page_size, name fewer incidents.fields, or ask for an index on sys_updated_on")
	default:
		return usererror.Wrap(err, CodeUnavailable, "the instance cannot be reached or does not serve requests", "check its address, its state and the network between, then sync again")
	}
}

// bodyTimeout bounds the reading of one body. ServiceNow's load balancer cuts a transaction after 5 minutes.
const bodyTimeout = 6 * time.Minute

var errBodyTimeout = fmt.Errorf("the answer did not arrive within %s", bodyTimeout)

var errSlow = errors.New("the answer took too long")

// slow marks an error that came long after the request was sent: time-outs of this side, and connections that a load
// balancer ended.
func slow(trip *httpclient.Trip, err error) error {
	if sent := trip.Sent(); !sent.IsZero() && time.Since(sent) > slowPage {
		return fmt.Errorf("%w: %w", errSlow, err)
	}
	return err
}

// get sends one GET request and reads its body whole, which must be JSON. Errors that another attempt may cure are returned
// as they are, others wrapped by backoff.Permanent. Requests of one class should take the same time to their first byte. Memory
// for as many bytes as are expected is taken when the first of them arrive.
func (c *Client) get(ctx context.Context, path, class string, params url.Values, table string, expected int) (*response, error) {
	r := &response{}
	var err error
	r.header, r.took, err = c.send(ctx, call{path: path, class: class, params: params, accept: "application/json", table: table}, func(resp *http.Response) error {
		if r.body, err = readAll(resp.Body, expected); err != nil {
			return fmt.Errorf("reading the answer of %s: %w", path, err)
		}
		if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType != "application/json" {
			return &NotJSONError{Path: path, Title: title(r.body)}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// readAll is io.ReadAll for a body of which the size is about known: the steps by which io.ReadAll grows would be, of a page of
// megabytes, five times its size in garbage.
func readAll(from io.Reader, expected int) ([]byte, error) {
	body := make([]byte, 0, max(expected, bytes.MinRead))
	for {
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case err == io.EOF: // as io.ReadAll compares: the end is never wrapped
			return body, nil
		case err != nil:
			return body, err
		case len(body) == cap(body):
			body = slices.Grow(body, len(body)/4+bytes.MinRead)
		}
	}
}

// call is one GET request.
type call struct {
	path, class, accept string
	params              url.Values
	table               string // to name in errors
}

// send sends one GET request and hands an answer of status 200 to read, which has to read its body. It returns the header
// and how long it took from when the request was sent to the end of the body.
func (c *Client) send(ctx context.Context, r call, read func(*http.Response) error) (http.Header, time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	trip := &httpclient.Trip{Class: r.class, API: api(r.path)}
	ctx = httpclient.WithTrip(ctx, trip)
	u := *c.cfg.BaseURL
	u.Path, u.RawQuery = r.path, r.params.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, 0, backoff.Permanent(fmt.Errorf("building a request for %s: %w", r.path, err))
	}
	req.Header.Set("Accept", r.accept)
	c.counter.requests.Add(1)
	began := time.Now()
	defer usageOf(ctx).request(trip, began)
	resp, err := c.cfg.HTTP.Do(req)
	if err != nil {
		var explained *usererror.Error // by the sign-in, which has tried again by itself
		if errors.As(err, &explained) {
			return nil, 0, backoff.Permanent(explained)
		}
		// net/http puts the address into its errors, and the query is not for logs.
		return nil, 0, slow(trip, fmt.Errorf("sending a request: %w", httpclient.RedactError(err)))
	}
	defer resp.Body.Close()
	// From here on, since waits for a slot or for the hourly budget are before it.
	defer time.AfterFunc(bodyTimeout, func() { cancel(errBodyTimeout) }).Stop()
	if resp.StatusCode == http.StatusUnauthorized && c.cfg.Refused != nil {
		refused := c.cfg.Refused(resp)
		if c.cfg.Renewable {
			return nil, 0, &refusedError{refused}
		}
		return nil, 0, backoff.Permanent(refused)
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what can be read of it
		return nil, 0, statusError(resp, body, r.path, r.table)
	}
	err = read(resp)
	if sent := trip.Sent(); !sent.IsZero() {
		began = sent
	}
	if err != nil {
		if errors.Is(context.Cause(ctx), errBodyTimeout) {
			err = errBodyTimeout
		}
		return nil, 0, slow(trip, err)
	}
	return resp.Header, time.Since(began), nil
}

// maxErrorBody is as much of an error's body as can hold what the instance says about it.
const maxErrorBody = 1 << 20

// statusError turns an answer other than 200 into an error: transient, or wrapped by backoff.Permanent.
func statusError(resp *http.Response, body []byte, path, table string) error {
	e := &StatusError{Status: resp.StatusCode, Path: path, RetryAfter: httpclient.RetryAfter(resp)}
	var envelope struct {
		Error struct {
			Message string `json:"message"`
			Detail  string `json:"detail"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &envelope) == nil {
		e.Message, e.Detail = clean(envelope.Error.Message), clean(envelope.Error.Detail)
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusAccepted,
		resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode >= 500:
		return e
	default:
		return backoff.Permanent(permanent(e, table))
	}
}

var titleForm = regexp.MustCompile(`(?is)<title>(.*?)</title>`)

func title(page []byte) string {
	if m := titleForm.FindSubmatch(page); m != nil {
		return clean(string(m[1]))
	}
	return ""
}
