package client

// LogTraffic says in one line what the sync asked of the instance.
func (c *Connection) LogTraffic() {
	stats := c.ServiceNow.Stats()
	c.Logger.Info().Str("instance", c.Label()).Int64("requests", stats.Requests).Int64("retries", stats.Retries).
		Int64("rate_limited", stats.RateLimited).Int64("waited_ms", stats.RateWait.Milliseconds()).
		Int("in_flight_most", stats.InFlightMost).Int("in_flight_limit", stats.InFlightLimit).
		Int("page_size", stats.PageSize).Msg("instance done")
}
