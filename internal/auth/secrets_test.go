package auth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

func canaryConfig(t *testing.T) Config {
	t.Helper()
	key, _ := rsaPEM(t)
	return Config{BaseURL: instanceURL, ClientID: clientID, ClientSecret: clientSecret, AccessToken: "canary-access-given",
		RefreshToken: "canary-refresh-1", Username: "ann", Password: "canary-password ä", PrivateKey: key, Subject: "ann",
		APIKey: "canary-api-key"}
}

func TestConfigNeverShowsSecrets(t *testing.T) {
	cfg := canaryConfig(t)
	cfg.Grant = GrantAccessToken
	cfg.BaseURL = "https://ann:canary@instance.example/?canary"
	var logged logSink
	logger := zerolog.New(&logged)
	logger.Info().Object("config", cfg).Interface("again", cfg).Any("pointer", &cfg).EmbedObject(cfg).Msg("x")
	text, err := json.Marshal(map[string]any{"value": cfg, "pointer": &cfg})
	require.NoError(t, err)
	out := logged.String() + string(text)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%T"} {
		out += fmt.Sprintf(verb+verb, cfg, &cfg) + fmt.Sprintf(verb, struct{ C Config }{cfg}) + fmt.Sprintf(verb, []Config{cfg})
	}
	cfg.BaseURL = instanceURL
	for _, grant := range []string{GrantAccessToken, GrantBasic, GrantAPIKey, GrantJWTBearer} {
		cfg.Grant = grant
		a, err := New(cfg, Deps{HTTPClient: http.DefaultClient})
		require.NoError(t, err)
		out += fmt.Sprintf("%v %+v %#v %s %d", a, a, a, a, a)
		out += fmt.Sprintf("%v %+v %#v", a.Transport(nil), a.Transport(nil), a.Transport(nil))
	}
	require.NotContains(t, out, "canary")
	require.NotContains(t, out, "PRIVATE KEY")
	require.Contains(t, out, clientID)
	require.Contains(t, out, "(set)")
}

// Every grant runs through every failure with an instance that repeats all it was sent; neither the trace log nor an
// error may hold a secret.
func TestNoSecretInLogsAndErrors(t *testing.T) {
	all := canaryConfig(t)
	echo := func(status int) func(http.ResponseWriter, int, url.Values) {
		return func(w http.ResponseWriter, _ int, form url.Values) {
			said := ""
			for _, values := range form {
				said += values[0] + " " + url.QueryEscape(values[0]) + " "
			}
			body, _ := json.Marshal(map[string]any{"error": said, "error_description": form.Encode()})
			sendError(w, status, string(body))
		}
	}
	failures := map[string]func(w http.ResponseWriter, n int, form url.Values){
		"echo 401": echo(401), "echo 400": echo(400), "echo 200": echo(200), "echo 429": echo(429), "echo 500": echo(500),
		"echoing page": func(w http.ResponseWriter, _ int, form url.Values) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprintf(w, "<title>%s %s</title>", form.Get("client_secret"), form.Get("refresh_token"))
		},
		"redirect": func(w http.ResponseWriter, _ int, form url.Values) {
			w.Header().Set("Location", "/login.do?"+form.Encode())
			w.WriteHeader(302)
		},
		"token of canaries": func(w http.ResponseWriter, _ int, _ url.Values) { send(w, "canary-access-x", 1800, "canary-refresh-2") },
		"cut":               func(w http.ResponseWriter, _ int, _ url.Values) { sendError(w, 200, `{"access_token":"canary-acc`) },
	}
	for _, grant := range []string{GrantAuthorizationCode, GrantAccessToken, GrantRefreshToken, GrantClientCredentials, GrantPassword,
		GrantJWTBearer, GrantBasic, GrantAPIKey} {
		for name, fail := range failures {
			t.Run(grant+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := all
					cfg.Grant = grant
					fake := newFakeInstance(t)
					fake.answer = fail
					var logged logSink
					assertions := ""
					a, client := setup(t, fake, cfg, func(d *Deps) { d.Logger = zerolog.New(&logged).Level(zerolog.TraceLevel) })
					for range 2 {
						resp, err := get(t, client)
						if err == nil {
							err = a.Refused(resp)
						} else {
							err = unwrapURL(t, err)
						}
						logged.Write([]byte(fmt.Sprintf("%v %+v %#v", err, err, err.Error())))
						if err := a.SignIn(t.Context()); err != nil {
							logged.Write([]byte(fmt.Sprintf("%v %+v", err, err)))
						}
						time.Sleep(time.Minute)
					}
					for _, form := range fake.forms {
						if assertion := form.Get("assertion"); assertion != "" {
							require.NotContains(t, logged.String(), assertion)
							assertions += assertion
						}
					}
					require.Equal(t, grant == GrantJWTBearer, assertions != "")
					require.NotContains(t, logged.String(), "canary")
				})
			})
		}
	}
}

// unwrapURL takes off what http.Client puts around an error: the URL with its query, which httpclient.RedactError cuts.
func unwrapURL(t *testing.T, err error) error {
	t.Helper()
	wrapped, ok := err.(*url.Error) //nolint:errorlint // the outermost one is meant
	require.True(t, ok)
	return wrapped.Err
}
