package emulator

import (
	"fmt"
	"net/http"
	"sync"
)

// sessionTable knows which cookie sessions have a request running.
type sessionTable struct {
	mu      sync.Mutex
	running map[string]int
	issued  int
}

func newSessionTable() sessionTable { return sessionTable{running: map[string]int{}} }

// enter joins the session of the request's cookie, or starts one. A session that is already running a
// request is busy: the instance answers 202 and does nothing.
func (s *sessionTable) enter(r *http.Request) (session string, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cookie, err := r.Cookie("JSESSIONID"); err == nil {
		session = cookie.Value
	} else {
		s.issued++
		session = fmt.Sprintf("%032X", s.issued)
	}
	busy = s.running[session] > 0
	s.running[session]++
	return session, busy
}

func (s *sessionTable) leave(session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[session]--; s.running[session] == 0 {
		delete(s.running, session)
	}
}

func (x *exchange) sessionCookies(session string) {
	for _, cookie := range []string{
		"JSESSIONID=" + session + "; Path=/; HttpOnly; SameSite=None",
		"glide_user=; Max-Age=0; Path=/; HttpOnly; SameSite=None",
		"glide_user_session=; Max-Age=0; Path=/; HttpOnly; SameSite=None",
		"glide_user_route=glide.c0ffee; Max-Age=2147483647; Path=/; HttpOnly; SameSite=None",
		"glide_session_store=" + session + "; Max-Age=1800; Path=/; HttpOnly; SameSite=None",
	} {
		x.w.Header().Add("Set-Cookie", cookie)
	}
}
