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
	pages := map[string]Page{"success": successPage(base), "failure": failurePage(base, denied()), "other": failurePage(base, os.ErrClosed)}
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
