package httpclient

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// ServiceNow's transaction quotas go up to 300 s, and its load balancer cuts at the same time; a shorter wait would
// give up on answers that are on their way.
const responseHeaderTimeout = 330 * time.Second

// NewTransport returns the innermost transport. The proxy comes from the environment (HTTPS_PROXY, NO_PROXY). The
// roots are the system's; on Linux SSL_CERT_FILE and SSL_CERT_DIR name others, for an instance behind a private CA.
//
// There is no cookie jar anywhere in the chain: ServiceNow runs the requests of one session one after the other and
// answers 202, without doing the work, when too many queue up.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          64,
		MaxIdleConnsPerHost:   32, // all of a sync's requests go to one host; the default of 2 would keep reconnecting
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: responseHeaderTimeout,
		ExpectContinueTimeout: time.Second,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		DisableCompression:    true, // the gzip layer does it, with faster code
		// Pings find an HTTP/2 connection that died silently; without them a body read on it could hang for good.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
}
