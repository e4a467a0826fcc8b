package httpclient

import (
	"io"
	"net/http"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// traceTransport makes a span of each request, from when it is sent to when its body is closed, under the span of the
// table that the SDK begins. Names and attributes are those of OpenTelemetry's conventions for HTTP clients, but for the
// query string, which holds what a user filters by, and so is in none of them.
type traceTransport struct {
	next   http.RoundTripper
	tracer trace.Tracer
}

func (t *traceTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	name := req.Method
	if api := tripOf(req.Context()).API; api != "" {
		name += " " + api
	}
	ctx, span := t.tracer.Start(req.Context(), name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("http.request.method", req.Method), attribute.String("server.address", req.URL.Hostname()), attribute.String("url.path", req.URL.Path),
	))
	if !span.IsRecording() {
		return t.next.RoundTrip(req)
	}
	resp, err := t.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		span.SetStatus(codes.Error, RedactError(err).Error())
		span.End()
		return nil, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
	if resp.StatusCode >= http.StatusBadRequest {
		span.SetStatus(codes.Error, "")
	}
	resp.Body = &tracedBody{ReadCloser: resp.Body, end: sync.OnceFunc(func() {
		span.SetAttributes(attribute.Int64("http.response.body.size", tripOf(ctx).Received()))
		span.End()
	})}
	return resp, nil
}

type tracedBody struct {
	io.ReadCloser
	end func()
}

func (b *tracedBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}
