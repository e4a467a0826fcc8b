package plugin

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

// An instance that refuses most of a sync's requests at first is read to the end, and the log tells what was asked of it.
func TestSyncWithinARateLimitFinishes(t *testing.T) {
	for name, headers := range map[string]bool{"announced": true, "only refused": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const incidents = 250
			e := emulator.New(emulator.Config{Incidents: incidents, RateLimit: emulator.RateLimit{Requests: 10, Window: 3 * time.Second, Headers: headers}})
			server := httptest.NewServer(e)
			defer server.Close()
			var log bytes.Buffer
			data := specFor(t, server.URL, func(s map[string]any) { s["page_size"] = 25 })
			source, err := Configure(t.Context(), zerolog.New(zerolog.SyncWriter(&log)), data, plugin.NewClientOptions{})
			require.NoError(t, err)
			res := make(chan message.SyncMessage)
			done := make(chan error, 1)
			go func() {
				defer close(res)
				done <- source.Sync(t.Context(), plugin.SyncOptions{Tables: []string{"servicenow_incidents"}}, res)
			}()
			rows := int64(0)
			for m := range res {
				if insert, ok := m.(*message.SyncInsert); ok {
					rows += insert.Record.NumRows()
				}
			}
			require.NoError(t, <-done)
			require.EqualValues(t, incidents, rows)

			refused, sent := 0, 0
			for _, r := range e.Requests() {
				if r.Table != "" {
					sent++
				}
				if r.Status == 429 {
					refused++
				}
			}
			if refused == 0 {
				t.Skip("this machine is too slow to meet the limit")
			}
			type summary struct {
				Message     string `json:"message"`
				Instance    string `json:"instance"`
				Requests    int    `json:"requests"`
				Retries     int    `json:"retries"`
				RateLimited int    `json:"rate_limited"`
				WaitedMS    int    `json:"waited_ms"`
				Most        int    `json:"in_flight_most"`
				Limit       int    `json:"in_flight_limit"`
				PageSize    int    `json:"page_size"`
			}
			var found []summary
			for line := range bytes.Lines(log.Bytes()) {
				var s summary
				require.NoError(t, json.Unmarshal(line, &s))
				if s.Message == "instance done" {
					found = append(found, s)
				}
			}
			require.Len(t, found, 1)
			s := found[0]
			require.NotEmpty(t, s.Instance)
			require.Equal(t, sent, s.Requests)
			require.Equal(t, refused, s.RateLimited)
			require.LessOrEqual(t, s.Retries, refused)
			require.InDelta(t, refused, s.Retries, 3, "the look for a range's middle is not repeated")
			require.Greater(t, s.WaitedMS, 500)
			require.Positive(t, s.Limit)
			require.Equal(t, 25, s.PageSize)
			require.InDelta(t, 2, s.Most, 1)
		})
	}
}
