package emulator

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// RateLimit is a rule of sys_rate_limit_rules, for all users and all REST APIs of the instance.
type RateLimit struct {
	Requests int           // served per window; 0: no rule
	Window   time.Duration // default 1 h; a shorter one announces what it comes to in an hour
	Headers  bool          // X-RateLimit-* on every answer, and Retry-After on a 429
}

// rateRule counts the requests of the current window, which begins with its first request.
type rateRule struct {
	mu    sync.Mutex
	ends  time.Time
	count int
}

// take counts a request. It returns when the window ends and whether the request is within the limit.
func (r *rateRule) take(limit RateLimit, now time.Time) (ends time.Time, within bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !now.Before(r.ends) {
		r.ends, r.count = now.Add(limit.window()), 0
	}
	r.count++
	return r.ends, r.count <= limit.Requests
}

func (l RateLimit) window() time.Duration {
	if l.Window <= 0 {
		return time.Hour
	}
	return l.Window
}

func (l RateLimit) perHour() int {
	return int(float64(l.Requests) * float64(time.Hour) / float64(l.window()))
}

// overLimit applies the rule. It reports true when it refused the request.
func (x *exchange) overLimit() bool {
	limit := x.e.cfg.RateLimit
	if limit.Requests <= 0 {
		return false
	}
	now := x.e.now()
	ends, within := x.e.rule.take(limit, now)
	if limit.Headers {
		x.rateLimitHeaders(limit.perHour(), ends)
	}
	if within {
		return false
	}
	if limit.Headers {
		x.w.Header().Set("Retry-After", strconv.Itoa(int((ends.Sub(now)+time.Second-1)/time.Second)))
	}
	x.rateLimited(limit.perHour())
	return true
}

func (x *exchange) rateLimitHeaders(perHour int, reset time.Time) {
	h := x.w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(perHour))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
	h.Set("X-RateLimit-Rule", "5f1d2c7ab3e04986a1c35e0b7d9284f6")
}

func (x *exchange) rateLimited(perHour int) {
	x.fail(http.StatusTooManyRequests, "Rate limit exceeded", fmt.Sprintf("Rate limit of %d requests per hour for Table API exceeded", perHour))
}
