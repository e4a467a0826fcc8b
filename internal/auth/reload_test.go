package auth_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/auth"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Two processes share a token store, and the instance ends a refresh token when it gives a new one: the slower process
// goes on with what the faster one saved.
func TestARotatedRefreshTokenIsTakenFromTheStore(t *testing.T) {
	var mu sync.Mutex
	valid, requests := "first", 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		requests++
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("refresh_token") != valid {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"server_error","error_description":"access_denied"}`))
			return
		}
		valid += "-next"
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "a" + valid, "refresh_token": valid, "expires_in": 1800, "token_type": "Bearer"})
	}))
	defer server.Close()
	stored := "first"
	process := func(load func(context.Context) (string, error)) *auth.Authenticator {
		a, err := auth.New(auth.Config{BaseURL: server.URL, Grant: auth.GrantRefreshToken, ClientID: "c", ClientSecret: "s", RefreshToken: "first"}, auth.Deps{
			HTTPClient: server.Client(), Logger: zerolog.Nop(), LoadRefreshToken: load,
			OnRefreshToken: func(_ context.Context, token string) error { stored = token; return nil },
		})
		require.NoError(t, err)
		return a
	}
	load := func(context.Context) (string, error) { return stored, nil }
	require.NoError(t, process(load).SignIn(t.Context()))
	require.NoError(t, process(load).SignIn(t.Context()))
	require.Equal(t, "first-next-next", stored)
	require.Equal(t, 3, requests)

	// Nothing newer in the store: refused, after one request.
	stored = "first"
	require.Equal(t, auth.CodeRefreshTokenRefused, usererror.CodeOf(process(load).SignIn(t.Context())))
	require.Equal(t, 4, requests)
}
