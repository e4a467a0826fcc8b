package login

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPageIsSelfContained(t *testing.T) {
	base := &url.URL{Scheme: "https", Host: "example.service-now.com"}
	pages := map[string]Page{"success": successPage(base), "failure": failurePage(base, denied()), "refused": failurePage(base, refusedForTest(t)), "other": failurePage(base, os.ErrClosed)}
	for name, page := range pages {
		html := string(renderPage(page))
		require.NotRegexp(t, `(?i)(src|href)="[^d]|url\(|@import|<script|http-equiv`, html)
		require.Contains(t, html, "<title>")
		require.Contains(t, html, "example.service-now.com")
		require.NotContains(t, html, "ZgotmplZ")
		// The policy's hash is that of the style as it is served.
		style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(html)[1]
		require.Equal(t, pageStyle, style)
		if dir := os.Getenv("LOGIN_PAGES"); dir != "" { // to look at them
			require.NoError(t, os.WriteFile(filepath.Join(dir, name+".html"), []byte(html), 0o600))
		}
	}
	require.Contains(t, string(renderPage(pages["failure"])), "<li>Run login again and choose Allow.</li>")
	require.NotContains(t, string(renderPage(Page{Title: "<b>", Message: "<script>"})), "<script>")
}

func TestPageCanBeReplaced(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	a.deps.Page = func(p Page) []byte { return []byte("mine: " + p.Title) }
	_, err := a.run(t.Context(), func(address string) {
		_, page := a.visit(fake.consent(address, true))
		require.Equal(t, "mine: You are signed in", page)
	})
	require.NoError(t, err)
}

func refusedForTest(t *testing.T) error {
	s, err := newSignIn(Config{BaseURL: "https://example.service-now.com", ClientID: clientID}, Deps{})
	require.NoError(t, err)
	return s.exchangeRefused(statusError(401, "server_error: access_denied"))
}
