package httpclient

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryAfter reads how long an answer asks to wait: Retry-After in seconds or as a date (RFC 9110, 10.2.3), else
// X-RateLimit-Reset in UNIX seconds, both against the server's own clock. 0 means that it does not say; a time that has
// passed is one second.
func RetryAfter(resp *http.Response) time.Duration {
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	value := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil && seconds >= 0 {
		return time.Duration(max(seconds, 1)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), time.Second)
	}
	if reset, err := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil && reset > 0 {
		return max(time.Unix(reset, 0).Sub(now), time.Second)
	}
	return 0
}

// announcedLimit is the number of requests an hour that the rule behind an answer allows; 0 when it names none.
func announcedLimit(resp *http.Response) int {
	limit, err := strconv.ParseInt(strings.TrimSpace(resp.Header.Get("X-RateLimit-Limit")), 10, 32)
	if err != nil || limit <= 0 {
		return 0
	}
	return int(limit)
}
