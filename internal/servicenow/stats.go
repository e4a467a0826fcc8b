package servicenow

import "time"

// Stats counts what a Client has done.
type Stats struct {
	// Requests is how many were sent, with those that the sign-in repeated where the HTTP chain counts them.
	Requests, Retries int64
	// Waited is the time spent between attempts, added up over all requests.
	Waited time.Duration
	// RateLimited is how many answers were a 429.
	RateLimited int64
	// RateWait is the time during which requests were held back for a rate limit or the hourly budget.
	RateWait time.Duration
	// InFlightMost is the most requests that were in flight at once, InFlightLimit how many may be now.
	InFlightMost, InFlightLimit int
	// PerHour is the lowest hourly budget so far, of the config and of what the instance announces; 0 is none.
	PerHour int
	// PageSize is how many rows the last page of a table asked for; 0 before the first.
	PageSize int
}

// Stats returns the counts so far.
func (c *Client) Stats() Stats {
	s := Stats{
		Requests: c.counter.requests.Load(), Retries: c.counter.retries.Load(), Waited: time.Duration(c.counter.waited.Load()),
		PageSize: int(c.counter.pageSize.Load()),
	}
	if n := c.cfg.Counters; n != nil {
		s.Requests, s.RateLimited, s.RateWait = n.Requests(), n.RateLimited(), n.RateWait()
		s.PerHour = n.PerHour()
		s.InFlightMost, s.InFlightLimit = n.InFlightMost(), n.InFlightLimit()
	}
	return s
}
