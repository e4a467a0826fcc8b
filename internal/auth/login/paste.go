package login

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

const mostPasted = 64 << 10

// paste reads redirected addresses until one is of this sign-in. The channel gets an error when the input ends before
// that. A read of a terminal cannot be given up, so the goroutine may stay behind until the next line.
func (s *signIn) paste(ctx context.Context) <-chan error {
	ended := make(chan error, 1)
	go func() {
		if s.deps.In != nil {
			lines := bufio.NewScanner(s.deps.In)
			lines.Buffer(nil, mostPasted)
			for lines.Scan() && ctx.Err() == nil {
				if s.takeLine(ctx, lines.Text()) {
					return
				}
			}
		}
		ended <- usererror.New(CodeInputEnded, "the redirected address was not pasted: the input has ended",
			"run login again in a terminal, and paste the whole address that the browser was sent to")
	}()
	return ended
}

// takeLine tells whether the line decided the sign-in. What was pasted is never repeated: it holds the code.
func (s *signIn) takeLine(ctx context.Context, line string) bool {
	line = strings.Trim(strings.TrimSpace(line), `"'<>`)
	if line == "" {
		return false
	}
	query, complaint := s.pasted(line)
	if complaint != "" {
		fmt.Fprintf(s.deps.Out, "%s Paste again:\n", complaint)
		return false
	}
	got, err := s.judge(query)
	if err != nil {
		fmt.Fprintf(s.deps.Out, "%s\nPaste again:\n", err)
		return false
	}
	if s.claim() {
		s.settle(ctx, got)
	}
	return true
}

// pasted returns the query of a redirected address, or what to say about the line. A bare code is not taken: without the
// state nobody knows whose sign-in it belongs to.
func (s *signIn) pasted(line string) (url.Values, string) {
	u, err := url.Parse(line)
	switch {
	case err != nil || u.Host == "":
		return nil, "This is no whole address. Copy everything in the address bar, from http to the end."
	case u.Scheme == s.base.Scheme && strings.EqualFold(u.Host, s.base.Host):
		return nil, "This is still an address of the instance. Sign in there, choose Allow, and copy the address that the browser goes to next."
	case u.Scheme != s.redirect.Scheme || !strings.EqualFold(u.Host, s.redirect.Host) || strings.TrimRight(u.EscapedPath(), "/") != strings.TrimRight(s.redirect.EscapedPath(), "/"):
		return nil, "This address is not the redirect URI " + s.cfg.RedirectURI + ". If the browser was sent there, the application's Redirect URL in ServiceNow is another one."
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(query) == 0 {
		return nil, "This address has nothing behind its question mark."
	}
	return query, ""
}
