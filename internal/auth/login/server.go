package login

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

const stopPatience = 400 * time.Millisecond // for the browser to take the page; then the port is freed anyway

// server answers the redirect URI.
type server struct {
	http *http.Server
}

// serve listens on the redirect URI's port. localhost can mean 127.0.0.1 or [::1], as the browser likes; on both this
// program has to be the one that is met.
func (s *signIn) serve(ctx context.Context) (*server, error) {
	port := s.redirect.Port()
	if port == "" {
		port = "80"
	}
	hosts := []string{s.redirect.Hostname()}
	if strings.EqualFold(hosts[0], "localhost") {
		hosts = []string{"127.0.0.1", "::1"}
	}
	var listeners []net.Listener
	for i, host := range hosts {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port))
		if i > 0 && err != nil && !hasIPv6(ctx) {
			continue
		}
		if err != nil {
			for _, l := range listeners {
				_ = l.Close()
			}
			return nil, usererror.Wrap(err, CodePortBusy, "this program cannot listen on the redirect URI "+s.cfg.RedirectURI,
				"end the program that uses port "+port+" (perhaps another login), or register one more Redirect URL with another port "+
					"in ServiceNow and give it as redirect_uri; login --no-browser needs no port")
		}
		listeners = append(listeners, listener)
	}
	srv := &server{http: &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answerBrowser(ctx, w, r) }),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // its lines may quote a request
	}}
	srv.http.SetKeepAlivesEnabled(false)
	for _, l := range listeners {
		go func() { _ = srv.http.Serve(l) }()
	}
	return srv, nil
}

func hasIPv6(ctx context.Context) bool {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "[::1]:0")
	if err != nil {
		return false
	}
	_ = listener.Close()
	return true
}

func (srv *server) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	if srv.http.Shutdown(ctx) != nil {
		_ = srv.http.Close()
	}
}

// answerBrowser answers the redirect URI and nothing else: not a favicon, not another path, and not another name for this
// machine, by which a page of another host could reach it (DNS rebinding).
func (s *signIn) answerBrowser(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	s.deps.Logger.Debug().Str("method", r.Method).Str("path", oneLine(r.URL.Path, 60)).Msg("the browser came")
	path := s.redirect.EscapedPath()
	if path == "" {
		path = "/"
	}
	if r.URL.EscapedPath() != path || !strings.EqualFold(strings.TrimSuffix(r.Host, ":80"), strings.TrimSuffix(s.redirect.Host, ":80")) {
		s.refuse(w, http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet {
		s.refuse(w, http.StatusMethodNotAllowed)
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query) == 0 {
		s.refuse(w, http.StatusBadRequest)
		return
	}
	got, err := s.judge(query)
	if err != nil {
		fmt.Fprintf(s.deps.Out, "%s\nStill waiting.\n", err)
		s.show(w, http.StatusBadRequest, failurePage(s.base, err))
		return
	}
	if s.claim() {
		s.settle(ctx, got) // not the request's context: a closed tab must not lose the code
	}
	// A second callback, say of a reload, is shown how the first one ended.
	select {
	case <-s.decided:
	case <-r.Context().Done():
		return
	}
	if s.outcome.err != nil {
		s.show(w, http.StatusBadRequest, failurePage(s.base, s.outcome.err))
		return
	}
	s.show(w, http.StatusOK, successPage(s.base))
}

func (s *signIn) show(w http.ResponseWriter, status int, page Page) {
	style, render := builtInStyle(), renderPage
	if s.deps.Page != nil {
		style, render = "'unsafe-inline'", s.deps.Page
	}
	setHeaders(w.Header(), style)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(render(page))
}

func (s *signIn) refuse(w http.ResponseWriter, status int) {
	setHeaders(w.Header(), "'none'")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, http.StatusText(status)+"\n")
}
