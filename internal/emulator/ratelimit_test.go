package emulator

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRateLimitRule(t *testing.T) {
	now := fixedNow()
	for _, headers := range []bool{true, false} {
		begun := now
		h := start(t, Config{Incidents: 50, Now: func() time.Time { return now }, RateLimit: RateLimit{Requests: 3, Window: 10 * time.Minute, Headers: headers}})
		for window := range 2 {
			for i := range 6 {
				a := pageOf(h)
				require.NoError(t, a.err)
				limited := i >= 3
				require.Equal(t, map[bool]int{false: 200, true: 429}[limited], a.StatusCode, "request %d of window %d", i, window)
				want := map[string]string{}
				if headers {
					want["X-RateLimit-Limit"] = "18"
					want["X-RateLimit-Reset"] = strconv.FormatInt(begun.Add(10*time.Minute).Unix(), 10)
					if limited {
						want["Retry-After"] = strconv.Itoa(600 - 90*i)
						require.Contains(t, string(a.body), "Rate limit of 18 requests per hour")
					}
				}
				for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Reset", "Retry-After"} {
					require.Equal(t, want[name], a.Header.Get(name), name)
				}
				require.Equal(t, headers, a.Header.Get("X-RateLimit-Rule") != "")
				now = now.Add(90 * time.Second)
			}
			now = begun.Add(10 * time.Minute)
			begun = now
		}
	}
}
