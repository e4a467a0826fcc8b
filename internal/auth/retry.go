package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	mostTries   = 5
	mostElapsed = 2 * time.Minute
	firstWait   = time.Second
)

// errAbandoned: nobody waits for the token any more.
var errAbandoned = errors.New("getting an access token was abandoned")

// transientError may be gone in the next try.
type transientError struct {
	err        error
	retryAfter time.Duration // what the answer asks for; 0: nothing
}

func (e *transientError) Error() string { return e.err.Error() }

func (e *transientError) Unwrap() error { return e.err }

// token asks the endpoint, and again after transient failures, within mostTries and mostElapsed. When ctx is done it
// stops before the next try, and never in the middle of one.
func (e *endpoint) token(ctx context.Context, g grant) (*answer, error) {
	start := e.now()
	for try := 1; ; try++ {
		form, err := g.form(e.now())
		if err != nil {
			return nil, err
		}
		left := mostElapsed - e.now().Sub(start)
		tryCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), left)
		got, err := e.post(tryCtx, form, g)
		cancel()
		var transient *transientError
		if !errors.As(err, &transient) {
			return got, err
		}
		wait := max(backOff(try), transient.retryAfter)
		if left = mostElapsed - e.now().Sub(start); try == mostTries || wait >= left {
			return nil, unavailable(transient, try)
		}
		e.logger.Info().Str("reason", e.scrub.clean(transient.Error())).Int("try", try).Str("wait", wait.Round(time.Millisecond).String()).
			Msg("the token endpoint fails, trying again")
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, errAbandoned
		}
	}
}

func unavailable(cause *transientError, tries int) error {
	next := "run again later; if it stays so, check the instance's state and the way to it (proxy, firewall)"
	if cause.retryAfter > 0 {
		next = fmt.Sprintf("run again in %s, as the instance asks", cause.retryAfter.Round(time.Second))
	}
	return advice{CodeTokenEndpointUnavailable, fmt.Sprintf("the token endpoint keeps failing, tries made: %d", tries), next}.err(cause.err)
}

// backOff doubles, with up to half of it left to chance so that parallel syncs part.
func backOff(try int) time.Duration {
	wait := firstWait << (try - 1)
	return wait/2 + rand.N(wait/2+1)
}

// retryAfter reads the header in both its forms, seconds and a date (RFC 9110 section 10.2.3).
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	value := resp.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), 86400)) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}

// networkError sorts what went wrong below HTTP. A name that does not exist and a certificate that is not trusted are
// mistakes of the set-up, told at once rather than after two minutes.
func networkError(err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return advice{CodeUnreachable, "the instance's host name does not exist",
			"check instance_subdomain or instance_url, and this machine's DNS or proxy settings"}.err(err)
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return advice{CodeUnreachable, "the instance's TLS certificate is not trusted",
			"if the instance uses a private CA, name the file with its certificate in the environment variable " +
				"SSL_CERT_FILE, or add it to the system's store; a proxy that opens TLS needs the same"}.err(err)
	}
	return &transientError{err: err}
}
