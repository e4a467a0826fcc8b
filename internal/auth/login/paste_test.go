package login

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// pasting is an attempt whose person pastes lines.
func (a *attempt) pasting() (paste func(string)) {
	in, keyboard := io.Pipe()
	a.deps.In = NewTerminal(in, a.out)
	a.done = func() { _ = in.Close() }
	return func(line string) { _, _ = fmt.Fprintln(keyboard, line) }
}

func TestPaste(t *testing.T) {
	for name, change := range map[string]func(*fakeInstance, *Config){
		"no browser": func(_ *fakeInstance, c *Config) { c.NoBrowser = true },
		"another host": func(f *fakeInstance, c *Config) {
			f.redirect = "https://signin.example.com/servicenow"
			c.RedirectURI = f.redirect
		},
		"host alone": func(f *fakeInstance, c *Config) {
			f.redirect = "https://signin.example.com"
			c.RedirectURI = f.redirect
		},
		"https to loopback": func(f *fakeInstance, c *Config) {
			f.redirect = "https://localhost/callback"
			c.RedirectURI = f.redirect
		},
	} {
		for _, clientSecret := range []string{secret, ""} {
			t.Run(name, func(t *testing.T) {
				fake := newFake(t, clientSecret)
				a := fake.attempt()
				change(fake, &a.cfg)
				paste := a.pasting()
				tokens, err := a.run(t.Context(), func(address string) {
					good := fake.consent(address, true)
					for _, bad := range []string{
						"", "   ", "canary-code-1", "%zz", "code=canary-code-1", address, fake.redirect, fake.redirect + "?",
						"https://elsewhere.example/callback?" + good[strings.Index(good, "?")+1:],
						changed(good, func(q url.Values) { q.Set("state", "canary") }),
						changed(good, func(q url.Values) { q.Del("state") }),
					} {
						paste(bad)
						require.Zero(t, fake.exchanges.Load(), bad)
					}
					paste("  \"" + good + "\" ")
				})
				require.NoError(t, err)
				require.Equal(t, refresh, tokens.RefreshToken)
				require.Contains(t, a.out.String(), "no whole address")
				require.Contains(t, a.out.String(), "still an address of the instance")
				require.Contains(t, a.out.String(), "is not the redirect URI")
				require.Contains(t, a.out.String(), CodeOtherSignIn)
				a.requireNothingLeaked(t)
			})
		}
	}
}

// On the same machine, or through a tunnel, the browser may come even without --no-browser's paste.
func TestNoBrowserStillAnswersTheRedirect(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	a.cfg.NoBrowser = true
	a.pasting()
	_, err := a.run(t.Context(), func(address string) {
		status, _ := a.visit(fake.consent(address, true))
		require.Equal(t, http.StatusOK, status)
	})
	require.NoError(t, err)
	require.True(t, portIsFree(t, fake.redirect))
}

func TestNoBrowserNeedsNoPort(t *testing.T) {
	fake := newFake(t, secret)
	holder := fake.attempt()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := holder.run(ctx, func(string) {
		a := fake.attempt()
		a.cfg.NoBrowser = true
		paste := a.pasting()
		_, err := a.run(t.Context(), func(address string) { paste(fake.consent(address, true)) })
		require.NoError(t, err)
		cancel()
	})
	require.ErrorIs(t, err, context.Canceled)
}

func TestPastedDenialAndRefusal(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	a.cfg.NoBrowser = true
	paste := a.pasting()
	_, err := a.run(t.Context(), func(address string) { paste(fake.consent(address, false)) })
	require.Equal(t, CodeDenied, usererror.CodeOf(err))
	a.requireNothingLeaked(t)

	fake.token = func(w http.ResponseWriter, _ *http.Request) { opaque(w) }
	a = fake.attempt()
	a.cfg.NoBrowser = true
	paste = a.pasting()
	_, err = a.run(t.Context(), func(address string) { paste(fake.consent(address, true)) })
	require.Equal(t, CodeExchangeRefused, usererror.CodeOf(err))
	a.requireNothingLeaked(t)
}

func TestInputEnds(t *testing.T) {
	fake := newFake(t, secret)
	for _, in := range []io.Reader{nil, strings.NewReader(""), strings.NewReader("canary\n"), strings.NewReader(strings.Repeat("canary", 20<<10))} {
		a := fake.attempt()
		a.cfg.NoBrowser = true
		a.deps.In = in
		_, err := a.run(t.Context(), nil)
		require.Equal(t, CodeInputEnded, usererror.CodeOf(err))
		a.requireNothingLeaked(t)
	}
}

func TestPasteTimesOutAndIsInterrupted(t *testing.T) {
	fake := newFake(t, secret)
	a := fake.attempt()
	a.cfg.NoBrowser, a.cfg.Timeout = true, 50*time.Millisecond
	a.pasting()
	_, err := a.run(t.Context(), nil)
	require.Equal(t, CodeTimeout, usererror.CodeOf(err))

	ctx, cancel := context.WithCancel(t.Context())
	a = fake.attempt()
	a.cfg.NoBrowser = true
	a.pasting()
	_, err = a.run(ctx, func(string) { cancel() })
	require.ErrorIs(t, err, context.Canceled)
}

func TestTerminal(t *testing.T) {
	out := &sink{}
	terminal := NewTerminal(strings.NewReader("first\r\n second \nlast"), out)
	require.False(t, terminal.Interactive())
	for _, want := range []string{"first", "second", "last"} {
		got, err := terminal.Ask(t.Context(), "? ")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := terminal.Ask(t.Context(), "? ")
	require.ErrorIs(t, err, io.EOF)
	_, err = terminal.AskSecret(t.Context(), "? ")
	require.Error(t, err)

	in, _ := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = NewTerminal(in, out).Ask(ctx, "? ")
	require.ErrorIs(t, err, context.Canceled)
}
