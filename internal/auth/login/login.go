package login

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Run signs a person in and returns what the instance gave. Its errors are user errors, apart from ctx's own.
func Run(ctx context.Context, cfg Config, deps Deps) (Tokens, error) {
	s, err := newSignIn(cfg, deps)
	if err != nil {
		return Tokens{}, err
	}
	return s.run(ctx)
}

// signIn is one sign-in under way.
type signIn struct {
	cfg  Config
	deps Deps
	endpoints

	state, verifier string

	mu      sync.Mutex
	claimed bool          // somebody decides the outcome: an answer is being exchanged, or the wait is over
	misfit  bool          // an answer of another sign-in came
	decided chan struct{} // closed once the outcome is known
	outcome outcome
}

type outcome struct {
	tokens Tokens
	err    error
}

func newSignIn(cfg Config, deps Deps) (*signIn, error) {
	if cfg.RedirectURI == "" {
		cfg.RedirectURI = DefaultRedirectURI
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	where, err := cfg.check()
	if err != nil {
		return nil, err
	}
	if deps.Out == nil {
		deps.Out = io.Discard
	}
	deps.Out = &sharedWriter{out: deps.Out}
	if deps.OpenBrowser == nil {
		deps.OpenBrowser = openBrowser
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	state := make([]byte, 32)
	_, _ = rand.Read(state) // never fails
	return &signIn{
		cfg: cfg, deps: deps, endpoints: where, decided: make(chan struct{}),
		state:    hex.EncodeToString(state), // no special characters (oauth-auth-code-flow-state-parm.md)
		verifier: oauth2.GenerateVerifier(),
	}, nil
}

// address is the consent page's (RFC 6749 section 4.1.1, RFC 7636 section 4.3; ServiceNow: authorization-workflow.md).
func (s *signIn) address() string {
	query := url.Values{
		"response_type": {"code"}, "client_id": {s.cfg.ClientID}, "redirect_uri": {s.cfg.RedirectURI}, "state": {s.state},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(s.verifier)}, "code_challenge_method": {"S256"},
	}
	if s.cfg.Scope != "" {
		query.Set("scope", s.cfg.Scope)
	}
	u := s.base.JoinPath(authorizePath)
	u.RawQuery = query.Encode()
	return u.String()
}

func (s *signIn) run(ctx context.Context) (Tokens, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	listens, pastes := listensOn(s.redirect), s.cfg.NoBrowser || !listensOn(s.redirect)
	if listens {
		server, err := s.serve(ctx)
		switch {
		case err == nil:
			defer server.stop()
		case pastes:
			s.deps.Logger.Debug().Msg("not listening on the redirect URI; the address has to be pasted")
		default:
			return Tokens{}, err
		}
	}
	address := s.address()
	s.deps.Logger.Debug().Str("instance", s.base.String()).Bool("listening", listens).Bool("pasting", pastes).Msg("waiting for the sign-in")
	s.announce(address, pastes)
	if s.deps.Ready != nil {
		s.deps.Ready(address)
	}
	var ended <-chan error
	if pastes {
		ended = s.paste(ctx)
	}
	return s.wait(ctx, ended)
}

func (s *signIn) announce(address string, pastes bool) {
	out := s.deps.Out
	fmt.Fprintf(out, "Sign in to %s as the user that the sync acts as, and choose Allow.\n\n  %s\n\n", s.base, address)
	if !s.cfg.NoBrowser {
		if err := s.deps.OpenBrowser(address); err != nil {
			fmt.Fprintln(out, "No browser could be opened here. Open the address above yourself.")
		} else {
			fmt.Fprintln(out, "Your browser opens this address. If it does not, open it yourself.")
		}
	} else {
		fmt.Fprintln(out, "Open this address in any browser.")
	}
	if pastes {
		fmt.Fprintf(out, "The browser then goes to %s; a page that cannot be reached is fine.\nCopy its whole address from the browser's address bar within a minute, and paste it here:\n", s.cfg.RedirectURI)
		return
	}
	fmt.Fprintf(out, "Waiting for the browser, for %s at most. Ctrl-C ends it.\n", minutes(s.cfg.Timeout))
}

// minutes is a duration without the zero seconds that Go writes behind minutes and hours.
func minutes(d time.Duration) string {
	if d%time.Minute == 0 {
		return strings.TrimSuffix(d.String(), "0s")
	}
	return d.String()
}

// wait returns the outcome. Once an answer is being exchanged the person's time is no longer counted, but that request's
// own; and an exchange that Ctrl-C meets at its very end is not thrown away.
func (s *signIn) wait(ctx context.Context, ended <-chan error) (Tokens, error) {
	timer := time.NewTimer(s.cfg.Timeout)
	defer timer.Stop()
	select {
	case <-s.decided:
	case <-ctx.Done():
		s.fail(ctx.Err())
	case err := <-ended:
		s.fail(err)
	case <-timer.C:
		s.fail(s.late())
	}
	<-s.decided
	return s.outcome.tokens, s.outcome.err
}

// fail ends the sign-in unless an answer is being exchanged.
func (s *signIn) fail(err error) {
	if s.claim() {
		s.outcome.err = err
		close(s.decided)
	}
}

// claim makes the caller the one who decides. Everybody else waits for decided, or is too late.
func (s *signIn) claim() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claimed {
		return false
	}
	s.claimed = true
	return true
}

func (s *signIn) late() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.misfit {
		return otherSignIn()
	}
	return usererror.New(CodeTimeout, fmt.Sprintf("nobody finished the sign-in within %s", minutes(s.cfg.Timeout)),
		"run login again; if the browser did not come back after Allow, check that the application's Redirect URL in ServiceNow is "+
			s.cfg.RedirectURI+" letter by letter; on a remote machine use --no-browser")
}

// settle exchanges the code of a claimed answer, has the tokens kept and publishes the outcome.
func (s *signIn) settle(ctx context.Context, a answer) {
	defer close(s.decided)
	s.outcome.err = errors.New("the sign-in was not finished") // should Keep panic
	if a.err != nil {
		s.outcome.err = a.err
		return
	}
	tokens, err := s.exchange(ctx, a.code)
	if err == nil && s.deps.Keep != nil {
		err = s.deps.Keep(ctx, tokens)
	}
	if err != nil {
		s.outcome.err = err
		return
	}
	s.outcome = outcome{tokens: tokens}
}

// sharedWriter is written to by the command and by the goroutines that answer the browser.
type sharedWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *sharedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(p)
}
