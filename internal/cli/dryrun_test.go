package cli

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/client"
)

// The tables of an instance are read side by side, and share its budget.
func TestDryRunSumsUp(t *testing.T) {
	estimates := []client.Estimate{
		{Table: "b", Instance: "two", Rows: 10, Files: -1, Requests: 3, Setup: 5, Took: 1500 * time.Millisecond},
		{Table: "b", Instance: "one", Address: "https://one", From: "2026-01-02 03:04:05", Rows: 900000, Files: -1, Requests: 900, Setup: 7, Took: 40 * time.Second, PerHour: 500},
		{Table: "a", Instance: "one", Address: "https://one", Rows: 40, Files: 30, Requests: 93, Setup: 7, Took: 90 * time.Second, PerHour: 500, Estimated: true, Interrupted: true},
		{Table: "a", Instance: "three", Rows: -1, Files: -1, Requests: -1},
		{Table: "b", Instance: "three", Rows: 2, Files: -1, Requests: 3, PerHour: 100},
	}
	instances := byInstance("servicenow", estimates)
	require.Len(t, instances, 3)
	require.Equal(t, 1000, *instances[0].Requests)
	require.Equal(t, 7200, *instances[0].Seconds, "1,000 requests at 500 an hour")
	require.Equal(t, []string{"resumed", "incremental"}, []string{instances[0].Tables[0].Sync, instances[0].Tables[1].Sync})
	require.Nil(t, instances[1].Requests, "what one table takes is not known")
	require.Equal(t, 8, *instances[2].Requests)
	require.Equal(t, 2, *instances[2].Seconds)

	var out bytes.Buffer
	require.NoError(t, printDry(&out, instances))
	for _, text := range []string{"900,000", "~40", "2h0m0s", "unknown", "At most 500 requests an hour."} {
		require.Contains(t, out.String(), text)
	}
}
