package plugin

import (
	"net/http/httptest"
	"testing"

	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// BenchmarkSync reads 5,000 incidents from an emulator in the same process, so both share the time.
func BenchmarkSync(b *testing.B) {
	e := emulator.New(emulator.Config{Incidents: 5000})
	server := httptest.NewServer(e)
	defer server.Close()
	p := Plugin()
	spec := []byte(`{"instance_url":"` + server.URL + `","auth":{"grant_type":"api_key","api_key":"emulator-key"}}`)
	require.NoError(b, p.Init(b.Context(), spec, plugin.NewClientOptions{}))
	b.ReportAllocs()
	for b.Loop() {
		messages, err := p.SyncAll(b.Context(), plugin.SyncOptions{Tables: []string{resources.IncidentsTable}})
		require.NoError(b, err)
		require.NotEmpty(b, messages)
	}
	b.ReportMetric(float64(5000*b.N)/b.Elapsed().Seconds(), "rows/s")
}
