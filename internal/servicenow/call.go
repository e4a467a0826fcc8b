package servicenow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Retry bounds how long a request is tried. The zero value gets the defaults of DefaultRetry.
type Retry struct {
	// Tries is the most attempts of one request, the first included.
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
	Logger  zerolog.Logger
	Retry   Retry
}

// Client reads one instance. It is safe for concurrent use.
type Client struct {
	cfg     Config
	counter counters
}

type counters struct{ requests, retries, waited atomic.Int64 }

// Stats counts what a Client has done.
type Stats struct {
	Requests, Retries int64
	// Waited is the time spent between attempts.
	Waited time.Duration
}

// New returns a client of one instance.
func New(cfg Config) *Client {
	if cfg.Retry == (Retry{}) {
		cfg.Retry = DefaultRetry()
	}
	return &Client{cfg: cfg}
}

// Stats returns the counts so far.
func (c *Client) Stats() Stats {
	return Stats{Requests: c.counter.requests.Load(), Retries: c.counter.retries.Load(), Waited: time.Duration(c.counter.waited.Load())}
}

// response is a complete body that came with status 200.
type response struct {
	body   []byte
	header http.Header
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
	exponential := &backoff.ExponentialBackOff{
		InitialInterval: c.cfg.Retry.First, MaxInterval: c.cfg.Retry.Longest, Multiplier: 2, RandomizationFactor: 0.5,
	}
	value, err := backoff.Retry(ctx, attempt,
		backoff.WithBackOff(exponential),
		backoff.WithMaxTries(uint(c.cfg.Retry.Tries)),
		backoff.WithMaxElapsedTime(c.cfg.Retry.Budget),
		backoff.WithNotify(func(err error, wait time.Duration) {
			c.counter.retries.Add(1)
			c.counter.waited.Add(int64(wait))
			// Not a warning: the CLI counts warnings, and this one is about to be cured.
			c.cfg.Logger.Info().Str("request", what).Dur("wait_ms", wait).Str("cause", err.Error()).Msg("trying a request again")
		}))
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

// get sends one GET request and reads its body whole, which must be JSON. Errors that another attempt may cure are returned
// as they are, others wrapped by backoff.Permanent.
func (c *Client) get(ctx context.Context, path string, params url.Values, table string) (*response, error) {
	var body []byte
	header, err := c.send(ctx, path, params, "application/json", table, func(resp *http.Response) error {
		var err error
		if body, err = io.ReadAll(resp.Body); err != nil {
			return fmt.Errorf("reading the answer of %s: %w", path, err)
		}
		if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType != "application/json" {
			return &NotJSONError{Path: path, Title: title(body)}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &response{body: body, header: header}, nil
}

// send sends one GET request and hands an answer of status 200 to read, which has to read its body.
func (c *Client) send(ctx context.Context, path string, params url.Values, accept, table string, read func(*http.Response) error) (http.Header, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	u := *c.cfg.BaseURL
	u.Path, u.RawQuery = path, params.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, backoff.Permanent(fmt.Errorf("building a request for %s: %w", path, err))
	}
	req.Header.Set("Accept", accept)
	c.counter.requests.Add(1)
	resp, err := c.cfg.HTTP.Do(req)
	if err != nil {
		var explained *usererror.Error // by the sign-in, which has tried again by itself
		if errors.As(err, &explained) {
			return nil, backoff.Permanent(explained)
		}
		// net/http puts the address into its errors, and the query is not for logs.
		return nil, fmt.Errorf("sending a request: %w", httpclient.RedactError(err))
	}
	defer resp.Body.Close()
	// From here on, since waits for a slot or for the hourly budget are before it.
	defer time.AfterFunc(bodyTimeout, cancel).Stop()
	if resp.StatusCode == http.StatusUnauthorized && c.cfg.Refused != nil {
		return nil, backoff.Permanent(c.cfg.Refused(resp))
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what can be read of it
		return nil, statusError(resp, body, path, table)
	}
	return resp.Header, read(resp)
}

// maxErrorBody is as much of an error's body as can hold what the instance says about it.
const maxErrorBody = 1 << 20

// statusError turns an answer other than 200 into an error: transient, or wrapped by backoff.Permanent.
func statusError(resp *http.Response, body []byte, path, table string) error {
	e := &StatusError{Status: resp.StatusCode, Path: path, RetryAfter: retryAfter(resp)}
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
	case resp.StatusCode == http.StatusTooManyRequests && e.RetryAfter > 0:
		return fmt.Errorf("%w; %w", e, &backoff.RetryAfterError{Duration: e.RetryAfter})
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusAccepted,
		resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode >= 500:
		return e
	default:
		return backoff.Permanent(permanent(e, table))
	}
}

// retryAfter reads how long to wait: Retry-After in seconds or as a date (RFC 9110, 10.2.3), else X-RateLimit-Reset in
// UNIX seconds, both against the instance's own clock.
func retryAfter(resp *http.Response) time.Duration {
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	value := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(max(seconds, 1)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), time.Second)
	}
	if reset, err := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
		return max(time.Unix(reset, 0).Sub(now), time.Second)
	}
	return 0
}

var titleForm = regexp.MustCompile(`(?is)<title>(.*?)</title>`)

func title(page []byte) string {
	if m := titleForm.FindSubmatch(page); m != nil {
		return clean(string(m[1]))
	}
	return ""
}
