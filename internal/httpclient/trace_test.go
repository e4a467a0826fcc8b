package httpclient

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestASpanForEachRequestWithoutItsQuery(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/forbidden" {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = io.WriteString(w, "canary body")
	})
	recorder := tracetest.NewSpanRecorder()
	cfg := config()
	cfg.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")
	client := newClient(t, cfg)
	for _, path := range []string{"/api/now/table/incident?sysparm_query=canary", "/forbidden"} {
		req, err := http.NewRequestWithContext(WithTrip(t.Context(), &Trip{API: "table"}), http.MethodGet, server.URL+path, http.NoBody)
		require.NoError(t, err)
		resp, err := client.Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	server.Close()
	_, err := client.Get(server.URL + "/gone?sysparm_query=canary") //nolint:bodyclose // there is none
	require.Error(t, err)

	spans := recorder.Ended()
	require.Len(t, spans, 3)
	require.Equal(t, "GET table", spans[0].Name())
	require.Contains(t, spans[0].Attributes(), attribute.String("url.path", "/api/now/table/incident"))
	require.Contains(t, spans[0].Attributes(), attribute.Int("http.response.status_code", 200))
	require.Contains(t, spans[0].Attributes(), attribute.Int64("http.response.body.size", int64(len("canary body"))))
	require.Equal(t, []codes.Code{codes.Unset, codes.Error, codes.Error}, []codes.Code{spans[0].Status().Code, spans[1].Status().Code, spans[2].Status().Code})
	for _, span := range spans {
		require.NotContains(t, fmt.Sprint(span.Name(), span.Attributes(), span.Status(), span.Events()), "canary")
	}
}
