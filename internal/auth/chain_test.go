package auth_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/auth"
	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
)

// The two packages as they are put together: 401s in the middle of a run behind the limiter, with gzip, over a real
// connection, and a trace log without a token.
func TestInTheChain(t *testing.T) {
	var mu sync.Mutex
	issued, valid := 0, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/json")
		body := gzip.NewWriter(w)
		defer func() { _ = body.Close() }()
		switch {
		case r.URL.Path == "/oauth_token.do":
			issued++
			valid = "canary-access-" + strings.Repeat("i", issued)
			_, _ = io.WriteString(body, `{"access_token":"`+valid+`","expires_in":1800}`)
		case r.Header.Get("Authorization") != "Bearer "+valid:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			_, _ = io.WriteString(body, `{"result":[]}`)
		}
	}))
	defer server.Close()

	var logged strings.Builder
	logger := zerolog.New(zerolog.SyncWriter(&logged)).Level(zerolog.TraceLevel)
	base, counters := httpclient.NewTransport(), &httpclient.Counters{}
	defer base.CloseIdleConnections()
	tokenClient, err := httpclient.New(httpclient.Config{Logger: logger, MaxBody: 1 << 20, UserAgent: "test", Base: base})
	require.NoError(t, err)
	authenticator, err := auth.New(auth.Config{BaseURL: server.URL, Grant: auth.GrantClientCredentials, ClientID: "id",
		ClientSecret: "canary-secret"}, auth.Deps{HTTPClient: tokenClient, Logger: logger})
	require.NoError(t, err)
	client, err := httpclient.New(httpclient.Config{Logger: logger, MaxBody: 1 << 20, MaxInFlight: 4, MaxPerHour: 100_000,
		Auth: authenticator.Transport, UserAgent: "test", Counters: counters, Base: base})
	require.NoError(t, err)

	for range 3 {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				resp, err := client.Get(server.URL + "/api/now/table/incident?sysparm_query=canary")
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = resp.Body.Close() }()
				body, err := io.ReadAll(resp.Body)
				if err != nil || string(body) != `{"result":[]}` {
					t.Error(resp.Status, string(body), err)
				}
			})
		}
		wg.Wait()
		mu.Lock()
		valid = "revoked"
		mu.Unlock()
	}
	require.Equal(t, 3, issued)
	require.GreaterOrEqual(t, counters.Requests(), int64(150+2), "replays are counted")
	require.LessOrEqual(t, counters.Requests(), int64(150+2*4), "no more than were in flight")
	require.NotContains(t, logged.String(), "canary")
	require.Equal(t, 150+3, strings.Count(logged.String(), `"message":"request"`), "one line a request")
}
