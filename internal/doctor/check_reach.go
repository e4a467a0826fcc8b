package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
)

// certificateNotice is how long before a certificate's end it is announced.
const certificateNotice = 14 * 24 * time.Hour

// address sends one request without credentials: the Table API refuses it in its own words, which no other web site does.
func (e *examination) address(ctx context.Context) outcome {
	host := e.cfg.BaseURL.Hostname()
	if err := e.knock(ctx); err != nil {
		what, next := unreachable(host, err)
		return failed(err, what, next)
	}
	if e.first.TLS == nil {
		return ok(fmt.Sprintf("%s answers over plain http, on this machine", host)).with(map[string]any{"answer_ms": e.firstTook.Milliseconds()})
	}
	version := tls.VersionName(e.first.TLS.Version)
	facts := map[string]any{"answer_ms": e.firstTook.Milliseconds(), "tls": version}
	if len(e.first.TLS.PeerCertificates) == 0 {
		return ok(fmt.Sprintf("%s answers in %s over %s", host, brief(e.firstTook), version)).with(facts)
	}
	end := e.first.TLS.PeerCertificates[0].NotAfter.UTC()
	facts["certificate_valid_until"] = end.Format(time.DateOnly)
	text := fmt.Sprintf("%s answers in %s over %s; its certificate is valid until %s", host, brief(e.firstTook), version, end.Format(time.DateOnly))
	if time.Until(end) < certificateNotice {
		return warning(text, "have the certificate renewed; after its end every sync fails").with(facts)
	}
	return ok(text).with(facts)
}

// knock sends the request without credentials, again after faults that may pass.
func (e *examination) knock(ctx context.Context) error {
	for try := 1; ; try++ {
		began := time.Now()
		err := e.knockOnce(ctx)
		e.firstTook = time.Since(began)
		passing := err == nil && (e.first.StatusCode >= 500 || e.first.StatusCode == http.StatusTooManyRequests || e.first.StatusCode == http.StatusAccepted) ||
			err != nil && !permanent(err)
		if !passing || try >= e.cfg.Retry.Tries {
			return err
		}
		select {
		case <-time.After(e.cfg.Retry.First << (try - 1)):
		case <-ctx.Done():
			return err
		}
	}
}

func (e *examination) knockOnce(ctx context.Context) error {
	u := *e.cfg.BaseURL
	u.Path, u.RawQuery = "/api/now/table/incident", url.Values{"sysparm_limit": {"1"}, "sysparm_fields": {"sys_id"}}.Encode()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return errors.New("the address cannot be used in a request")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := e.plain.Do(req)
	if err != nil {
		return httpclient.RedactError(err)
	}
	defer resp.Body.Close()
	e.first = resp
	// A page that breaks off is still a page.
	e.firstBody, _ = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return nil
}

// permanent reports whether a network fault is one of the set-up.
func permanent(err error) bool {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	return errors.As(err, &dns) && dns.IsNotFound || errors.As(err, &certificate) || errors.As(err, &header) || errors.Is(err, http.ErrSchemeMismatch)
}

// unreachable explains why no answer came.
func unreachable(host string, err error) (what, next string) {
	const proxy = "; behind a proxy, set HTTPS_PROXY"
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var header tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the host name " + host + " does not exist",
			"correct instance_subdomain (only the part before .service-now.com) or instance_url, or this machine's DNS settings" + proxy
	case errors.As(err, &dns):
		return "the host name " + host + " cannot be looked up: " + err.Error(), "check this machine's DNS settings" + proxy
	case errors.As(err, &hostname):
		return "the TLS certificate is not for " + host, "correct the address; for a custom URL, check System Definition > Custom URLs in the instance"
	case errors.As(err, &authority):
		return "the TLS certificate of " + host + " is not signed by an authority that this machine trusts",
			"name the file with your authority's certificate in the environment variable SSL_CERT_FILE; a proxy that opens TLS needs the same"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the TLS certificate of " + host + " has expired, or this machine's clock is wrong", "check the clock, then have the certificate renewed"
	case errors.As(err, &certificate):
		return "the TLS certificate of " + host + " is not trusted: " + certificate.Err.Error(), "have the certificate corrected, or name your authority's in SSL_CERT_FILE"
	case errors.As(err, &header), errors.Is(err, http.ErrSchemeMismatch):
		return host + " does not speak TLS on this port", "correct the port in instance_url, or the proxy in between"
	case errors.Is(err, syscall.ECONNREFUSED):
		return host + " refuses the connection", "correct instance_url, or the firewall in between" + proxy
	case errors.As(err, &timeout) && timeout.Timeout():
		return host + " does not answer in time", "let this machine through the firewall to port 443 of the instance" + proxy
	}
	return host + " cannot be reached: " + err.Error(), "check the network between this machine and the instance" + proxy
}

// instance judges the answer to the request without credentials.
func (e *examination) instance(context.Context) outcome {
	status, header := e.first.StatusCode, e.first.Header
	facts := map[string]any{"status": status}
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	var envelope struct {
		Error  *struct{} `json:"error"`
		Result any       `json:"result"`
	}
	itsWords := mediaType == "application/json" && json.Unmarshal(e.firstBody, &envelope) == nil && (envelope.Error != nil || envelope.Result != nil)
	title := pageTitle(e.firstBody)
	lower := strings.ToLower(title + " " + string(e.firstBody[:min(len(e.firstBody), 4096)]))
	page := "a web page"
	if title != "" {
		page = fmt.Sprintf("a web page titled %q", title)
	}
	o := func() outcome {
		switch {
		case !itsWords && strings.Contains(lower, "hibernat"):
			return failed(nil, "the instance is hibernating", "wake it at https://developer.servicenow.com (sign in, then Start Building), wait some minutes, and run doctor again")
		case status == http.StatusTooManyRequests || status == http.StatusAccepted:
			return failed(nil, fmt.Sprintf("the instance is too busy to answer (HTTP %d)", status), "run doctor again later; if it stays so, look at the queues in System Diagnostics > Diagnostics Page")
		case status >= 500:
			return failed(nil, fmt.Sprintf("the instance is in maintenance, restarting or overloaded (HTTP %d)", status), "look for a planned upgrade in ServiceNow Support (Now Support > Instances), and run doctor again later")
		case status >= 300 && status < 400:
			return failed(nil, fmt.Sprintf("the address sends callers on (HTTP %d)%s", status, target(header)), "write the address where the instance really is; a sign-on gateway must let /api/now and /oauth_token.do pass")
		case !itsWords && status == http.StatusForbidden:
			return failed(nil, "this machine is shut out before any sign-in (HTTP 403)", "allow this machine's address in System Security > IP Address Access Control, or in the gateway before the instance")
		case !itsWords && mediaType != "application/json" && maintenance(lower):
			return failed(nil, "the instance is in maintenance: it answers with "+page, "look for a planned upgrade in ServiceNow Support (Now Support > Instances), and run doctor again later")
		case !itsWords:
			return failed(nil, fmt.Sprintf("this is not ServiceNow's REST API: the address answers with %s (HTTP %d)", orData(page, mediaType), status),
				"open the address in a browser: correct instance_subdomain or instance_url, or let /api/now and /oauth_token.do pass the gateway before the instance")
		case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
			return failed(nil, fmt.Sprintf("the instance answers, and has no Table API (HTTP %d)", status), "check the system properties glide.rest.apis.disabled and glide.rest.apis.enabled (sys_properties.list)")
		}
		return ok("a ServiceNow instance, awake; it asks for a sign-in")
	}()
	return o.with(facts)
}

func maintenance(text string) bool {
	for _, word := range []string{"maintenance", "being upgraded", "upgrade in progress", "temporarily unavailable", "offline"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

func orData(page, mediaType string) string {
	if strings.Contains(mediaType, "html") || mediaType == "" {
		return page
	}
	return "data of the type " + shown(mediaType)
}

// target names where a redirect leads, without its query.
func target(header http.Header) string {
	u, err := url.Parse(header.Get("Location"))
	if err != nil || u.Host == "" {
		return ""
	}
	return " to " + shown(u.Host)
}

var titleForm = regexp.MustCompile(`(?is)<title>(.*?)</title>`)

func pageTitle(page []byte) string {
	if m := titleForm.FindSubmatch(page); m != nil {
		return shown(string(m[1]))
	}
	return ""
}

// shown makes a text from outside safe and short enough for one line of a terminal.
func shown(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	const most = 100
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return strings.Join(strings.Fields(text), " ")
}
