package login

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestInChromium goes the whole way in a real browser: consent page, redirect, final page. It is skipped unless
// LOGIN_CHROMIUM names the program; LOGIN_SCREENSHOTS names a folder that pictures go to.
func TestInChromium(t *testing.T) {
	chromium := os.Getenv("LOGIN_CHROMIUM")
	if chromium == "" {
		t.Skip("LOGIN_CHROMIUM is not set")
	}
	for _, allow := range []bool{true, false} {
		for scheme, preferred := range map[string]string{"dark": "0", "light": "1"} {
			t.Run(fmt.Sprintf("%t/%s", allow, scheme), func(t *testing.T) {
				fake := newFake(t, secret)
				a := fake.attempt()
				a.cfg.Timeout = time.Minute
				consent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					address := fake.consent(fake.url+r.URL.RequestURI(), allow)
					w.Header().Set("Content-Type", "text/html")
					_, _ = fmt.Fprintf(w, `<a id="answer" href="%s">Allow or Deny</a><script>document.getElementById("answer").click()</script>`, html.EscapeString(address))
				}))
				defer consent.Close()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				browse := func(address string) string {
					args := []string{"--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=900,700",
						"--user-data-dir=" + t.TempDir(), "--blink-settings=preferredColorScheme=" + preferred, "--enable-logging=stderr",
						"--virtual-time-budget=3000", "--dump-dom"}
					if dir := os.Getenv("LOGIN_SCREENSHOTS"); dir != "" {
						args[len(args)-1] = "--screenshot=" + filepath.Join(dir, fmt.Sprintf("%t-%s.png", allow, scheme))
					}
					out, err := exec.CommandContext(ctx, chromium, append(args, consent.URL+address[len(fake.url):])...).CombinedOutput()
					require.NoError(t, err)
					return string(out)
				}
				_, err := a.run(ctx, func(address string) {
					page := browse(address)
					require.NotRegexp(t, "CONSOLE.*(Refused|Content Security Policy)", page)
					if os.Getenv("LOGIN_SCREENSHOTS") == "" {
						require.Contains(t, page, map[bool]string{true: "You are signed in", false: "Access was denied"}[allow])
					}
				})
				require.Equal(t, allow, err == nil)
			})
		}
	}
}
