package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

const (
	loginSecret  = "canary-secret-51c7"
	loginRefresh = "canary-refresh-51c7"
)

// signIn is a login of the built binary under way.
type signIn struct {
	*world
	redirect, store string
	address         string // of the consent page, as the command printed it

	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{} // has an element when text has grown
}

func (s *signIn) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	select {
	case s.wrote <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (s *signIn) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// waitFor returns the first match in the command's output.
func (s *signIn) waitFor(pattern string) string {
	s.t.Helper()
	expression := regexp.MustCompile(pattern)
	for timeout := time.After(30 * time.Second); ; {
		if match := expression.FindString(s.output()); match != "" {
			return match
		}
		select {
		case <-s.wrote:
		case <-s.ended:
			if match := expression.FindString(s.output()); match != "" {
				return match
			}
			require.Fail(s.t, "login ended", s.output())
		case <-timeout:
			require.Fail(s.t, "no "+pattern, s.output())
		}
	}
}

// freePort is a loopback port that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	// Below the ports that the system gives to those who name none, so that nobody takes it between here and its use.
	for range 100 {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err != nil {
			continue
		}
		defer listener.Close()
		return listener.Addr().String()
	}
	t.Fatal("no free port")
	return ""
}

// startLogin starts the command and waits for the consent page's address.
func startLogin(t *testing.T, public bool) *signIn {
	t.Helper()
	redirect := "http://" + freePort(t) + "/callback"
	s := &signIn{
		world: newWorld(t, emulator.Config{
			Incidents: 40, Attachments: 3, ClientSecret: loginSecret, RefreshToken: loginRefresh,
			RedirectURIs: []string{"https://signin.example.com/servicenow", redirect},
		}),
		redirect: redirect, store: filepath.Join(t.TempDir(), "tokens.json"), ended: make(chan struct{}), wrote: make(chan struct{}, 1),
	}
	args := []string{"login", "--instance-url", s.url, "--redirect-uri", redirect, "--token-store", s.store, "--no-browser", "--timeout", "1m"}
	if public {
		args = append(args, "--client-id", "emulator-public", "--public")
	} else {
		secret := filepath.Join(t.TempDir(), "secret")
		require.NoError(t, os.WriteFile(secret, []byte(loginSecret+"\n"), 0o600))
		args = append(args, "--client-id", "emulator-client", "--client-secret-file", secret)
	}
	s.cmd = exec.CommandContext(t.Context(), binary, args...)
	s.cmd.Dir = t.TempDir()
	s.cmd.Stdout, s.cmd.Stderr = s, s
	var err error
	s.stdin, err = s.cmd.StdinPipe() // stays open: with --no-browser its end would be the sign-in's
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.ended
	})
	s.address = s.waitFor(`http://\S+/oauth_auth\.do\S+`)
	return s
}

// end waits for the command's end, and looks for secrets in what it printed.
func (s *signIn) end(secrets ...string) (string, int) {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		require.Fail(s.t, "login does not end", s.output())
	}
	for _, secret := range append(secrets, loginSecret, loginRefresh) {
		require.NotContains(s.t, s.output(), secret)
	}
	return s.output(), s.cmd.ProcessState.ExitCode()
}

// requireSignedIn checks what a sign-in leaves behind.
func (s *signIn) requireSignedIn() {
	s.t.Helper()
	info, err := os.Stat(s.store)
	require.NoError(s.t, err)
	if runtime.GOOS != "windows" {
		require.Equal(s.t, os.FileMode(0o600), info.Mode().Perm())
	}
	require.Equal(s.t, loginRefresh, s.storedToken())
}

func (s *signIn) storedToken() string {
	s.t.Helper()
	data, err := os.ReadFile(s.store)
	require.NoError(s.t, err)
	var document struct {
		Tokens []struct {
			Instance     string `json:"instance"`
			RefreshToken string `json:"refresh_token"`
		} `json:"tokens"`
	}
	require.NoError(s.t, json.Unmarshal(data, &document))
	require.Len(s.t, document.Tokens, 1)
	require.Equal(s.t, s.url, document.Tokens[0].Instance)
	return document.Tokens[0].RefreshToken
}

// visitor is a browser without a screen: it keeps cookies and stops at every redirect.
type visitor struct {
	t      *testing.T
	client *http.Client
}

func newVisitor(t *testing.T) *visitor {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &visitor{t, &http.Client{
		Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// visit opens a page, or posts a form to it, and returns status, body and the address that it redirects to.
func (v *visitor) visit(address string, form url.Values) (int, string, string) {
	v.t.Helper()
	var resp *http.Response
	var err error
	if form == nil {
		resp, err = v.client.Get(address)
	} else {
		resp, err = v.client.PostForm(address, form)
	}
	require.NoError(v.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(v.t, err)
	location := ""
	if u, err := resp.Location(); err == nil {
		location = u.String()
	}
	return resp.StatusCode, string(body), location
}

// decide logs in and answers the consent page; it returns where the browser is sent.
func (v *visitor) decide(address, decision string) string {
	v.t.Helper()
	status, page, _ := v.visit(address, nil)
	require.Equal(v.t, http.StatusOK, status, page)
	require.Contains(v.t, page, `id="login-form"`)
	status, page, location := v.visit(address, url.Values{"user_name": {"emulator.user"}, "user_password": {"emulator-password"}})
	require.Equal(v.t, http.StatusFound, status, page)
	_, page, _ = v.visit(location, nil)
	require.Contains(v.t, page, `id="application"`)
	consent := regexp.MustCompile(`name="consent" value="([^"]+)"`).FindStringSubmatch(page)
	require.NotNil(v.t, consent, page)
	status, page, location = v.visit(address, url.Values{"consent": {html.UnescapeString(consent[1])}, "decision": {decision}})
	require.Equal(v.t, http.StatusFound, status, page)
	return location
}

func parameter(t *testing.T, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	return u.Query().Get(name)
}

func TestLogin(t *testing.T) {
	t.Parallel()
	for _, public := range []bool{false, true} {
		t.Run(map[bool]string{false: "confidential", true: "public"}[public], func(t *testing.T) {
			s := startLogin(t, public)
			require.Equal(t, "S256", parameter(t, s.address, "code_challenge_method"))
			v := newVisitor(t)
			back := v.decide(s.address, "allow")
			require.True(t, strings.HasPrefix(back, s.redirect+"?code="), "the registered address that was asked for")
			status, page, _ := v.visit(back, nil)
			require.Equal(t, http.StatusOK, status, page)
			require.Contains(t, page, "You are signed in")
			out, code := s.end(parameter(t, back, "code"))
			require.Zero(t, code, out)
			require.Contains(t, out, "Signed in to "+s.url)
			s.requireSignedIn()
		})
	}
}

func TestLoginDenied(t *testing.T) {
	t.Parallel()
	s := startLogin(t, false)
	v := newVisitor(t)
	back := v.decide(s.address, "deny")
	require.Equal(t, "access_denied", parameter(t, back, "error"))
	status, page, _ := v.visit(back, nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, page, "Access was denied")
	require.Contains(t, page, "SN-LOGIN-003")
	out, code := s.end()
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "SN-LOGIN-003")
	require.NoFileExists(t, s.store)
}

// An answer with another state neither signs in nor ends the sign-in that waits.
func TestLoginWithWrongState(t *testing.T) {
	t.Parallel()
	s := startLogin(t, false)
	v := newVisitor(t)
	back := v.decide(s.address, "allow")
	forged := strings.Replace(back, parameter(t, back, "state"), strings.Repeat("0", 64), 1)
	require.NotEqual(t, back, forged)
	status, page, _ := v.visit(forged, nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, page, "SN-LOGIN-004")
	s.waitFor("Still waiting")
	require.NoFileExists(t, s.store)
	for _, r := range s.Requests() {
		require.NotEqual(t, "/oauth_token.do", r.Path, "no code of another sign-in is exchanged")
	}
	status, page, _ = v.visit(back, nil)
	require.Equal(t, http.StatusOK, status, page)
	out, code := s.end(parameter(t, back, "code"))
	require.Zero(t, code, out)
	s.requireSignedIn()
}

// The stored token works in the spec's refresh_token too.
func TestSyncWithTheTokenOfALogin(t *testing.T) {
	t.Parallel()
	s := startLogin(t, false)
	v := newVisitor(t)
	v.visit(v.decide(s.address, "allow"), nil)
	out, code := s.end()
	require.Zero(t, code, out)
	s.RevokeAccessTokens() // so that only the refresh token can sign in
	s.auth = map[string]any{
		"grant_type": "authorization_code", "client_id": "emulator-client", "client_secret": loginSecret, "refresh_token": s.storedToken(),
	}
	s.mustSync()
	s.requireEqualsSource()
}

// A sync signs in by the token store alone.
func TestSyncWithTheTokenStoreOfALogin(t *testing.T) {
	t.Parallel()
	s := startLogin(t, false)
	v := newVisitor(t)
	v.visit(v.decide(s.address, "allow"), nil)
	out, code := s.end()
	require.Zero(t, code, out)
	s.RevokeAccessTokens()
	s.ResetRequests()
	s.auth = map[string]any{
		"grant_type": "authorization_code", "client_id": "emulator-client", "client_secret": loginSecret, "token_store": s.store,
	}
	s.mustSync()
	s.requireEqualsSource()
	require.Equal(t, "refresh_token", s.Requests()[0].Query.Get("grant_type"))
	s.requireSignedIn()
}

// TestLoginInChromium goes from the login page over the consent page to the last page in a real browser. E2E_CHROMIUM names
// the program; E2E_SCREENSHOTS names a folder that pictures go to.
func TestLoginInChromium(t *testing.T) {
	chromium := os.Getenv("E2E_CHROMIUM")
	if chromium == "" {
		chromium = "/usr/bin/chromium"
		if _, err := os.Stat(chromium); err != nil {
			t.Skip("there is no Chromium: E2E_CHROMIUM is not set, and /usr/bin/chromium does not exist")
		}
	}
	if runtime.GOOS == "windows" {
		t.Skip("Chromium is driven over inherited pipes, which Go has not on Windows")
	}
	page := startChromium(t, chromium)
	for _, test := range []struct{ button, scheme, title string }{
		{"allow", "light", "You are signed in"}, {"allow", "dark", "You are signed in"},
		{"deny", "light", "Access was denied"}, {"deny", "dark", "Access was denied"},
	} {
		t.Run(test.button+"/"+test.scheme, func(t *testing.T) {
			page.t = t
			s := startLogin(t, false)
			page.call("Network.clearBrowserCookies", nil)
			page.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": test.scheme}}})
			page.call("Page.navigate", map[string]any{"url": s.address})
			page.await(`document.querySelector("#sysverb_login") !== null`)
			page.picture("login-" + test.scheme)
			page.run(`document.querySelector("#user_name").value = "emulator.user"; document.querySelector("#user_password").value = "emulator-password"; document.querySelector("#sysverb_login").click()`)
			page.await(`document.querySelector("#application") !== null`)
			page.picture("consent-" + test.scheme)
			page.run(`document.querySelector("#` + test.button + `").click()`)
			page.await(`location.origin + location.pathname === "` + s.redirect + `" && document.querySelector("h1") !== null`)
			page.picture(test.button + "-" + test.scheme)
			require.Equal(t, test.title, page.run(`document.querySelector("h1").textContent`))
			require.Equal(t, test.scheme == "dark", page.run(`matchMedia("(prefers-color-scheme: dark)").matches`))
			require.Empty(t, page.complaints, "the browser's console")
			out, code := s.end()
			require.Equal(t, test.button == "allow", code == 0, out)
			if test.button == "allow" {
				s.requireSignedIn()
			} else {
				require.NoFileExists(t, s.store)
			}
		})
	}
}

// chromiumPage is a tab, driven by the DevTools protocol over pipes: messages of JSON, each ended by a zero byte.
type chromiumPage struct {
	t          *testing.T
	in         io.Writer
	messages   chan chromiumMessage
	session    string
	calls      int
	complaints []string // errors and warnings of the console, such as of the content security policy
}

type chromiumMessage struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

func startChromium(t *testing.T, program string) *chromiumPage {
	t.Helper()
	profile, err := os.MkdirTemp("", "chromium")
	require.NoError(t, err)
	theirIn, in, err := os.Pipe()
	require.NoError(t, err)
	out, theirOut, err := os.Pipe()
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--window-size=900,700", "--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	_, _ = theirIn.Close(), theirOut.Close()
	page := &chromiumPage{t: t, in: in, messages: make(chan chromiumMessage, 1000)}
	go func() {
		defer close(page.messages)
		for reader := bufio.NewReader(out); ; {
			data, err := reader.ReadBytes(0)
			var m chromiumMessage
			if err != nil || json.Unmarshal(bytes.TrimSuffix(data, []byte{0}), &m) != nil {
				return
			}
			page.messages <- m
		}
	}()
	t.Cleanup(func() {
		_ = in.Close() // which ends the browser
		timer := time.AfterFunc(10*time.Second, stop)
		defer timer.Stop()
		for range page.messages {
		}
		_ = cmd.Wait()
		stop()
		_ = out.Close()
		_ = os.RemoveAll(profile)
	})
	var created struct {
		TargetID string `json:"targetId"`
	}
	page.decode(page.call("Target.createTarget", map[string]any{"url": "about:blank"}), &created)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	page.decode(page.call("Target.attachToTarget", map[string]any{"targetId": created.TargetID, "flatten": true}), &attached)
	page.session = attached.SessionID
	for _, domain := range []string{"Page.enable", "Network.enable", "Log.enable"} {
		page.call(domain, nil)
	}
	return page
}

func (p *chromiumPage) decode(data json.RawMessage, into any) {
	p.t.Helper()
	require.NoError(p.t, json.Unmarshal(data, into), string(data))
}

// call sends a command and waits for its answer.
func (p *chromiumPage) call(method string, params map[string]any) json.RawMessage {
	p.t.Helper()
	result, err := p.try(method, params)
	require.NoError(p.t, err, method)
	return result
}

func (p *chromiumPage) try(method string, params map[string]any) (json.RawMessage, error) {
	p.calls++
	command := map[string]any{"id": p.calls, "method": method}
	if params != nil {
		command["params"] = params
	}
	if p.session != "" {
		command["sessionId"] = p.session
	}
	data, err := json.Marshal(command)
	if err != nil {
		return nil, err
	}
	if _, err := p.in.Write(append(data, 0)); err != nil {
		return nil, err
	}
	for timeout := time.After(60 * time.Second); ; {
		select {
		case m, open := <-p.messages:
			switch {
			case !open:
				return nil, errors.New("the browser has ended")
			case m.Method == "Log.entryAdded":
				p.note(m.Params)
			case m.ID == p.calls && m.Error != nil:
				return nil, errors.New(m.Error.Message)
			case m.ID == p.calls:
				return m.Result, nil
			}
		case <-timeout:
			return nil, errors.New("the browser does not answer")
		}
	}
}

// note keeps what the browser complains about, but for the status 400 that failure pages come with.
func (p *chromiumPage) note(params json.RawMessage) {
	var entry struct {
		Entry struct {
			Source string `json:"source"`
			Level  string `json:"level"`
			Text   string `json:"text"`
		} `json:"entry"`
	}
	p.decode(params, &entry)
	if e := entry.Entry; (e.Level == "error" || e.Level == "warning") && !strings.Contains(e.Text, "status of 400") {
		p.complaints = append(p.complaints, e.Source+": "+e.Text)
	}
}

// run evaluates a script.
func (p *chromiumPage) run(script string) any {
	p.t.Helper()
	value, err := p.evaluate(script)
	require.NoError(p.t, err, script)
	return value
}

func (p *chromiumPage) evaluate(script string) (any, error) {
	data, err := p.try("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true})
	if err != nil {
		return nil, err
	}
	var evaluated struct {
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
		Exception *struct {
			Text string `json:"text"`
		} `json:"exceptionDetails"`
	}
	if err := json.Unmarshal(data, &evaluated); err != nil {
		return nil, err
	}
	if evaluated.Exception != nil {
		return nil, fmt.Errorf("the script failed: %s", evaluated.Exception.Text)
	}
	return evaluated.Result.Value, nil
}

// await waits until a condition holds. Between two pages there may be nothing to evaluate it in.
func (p *chromiumPage) await(condition string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		value, err := p.evaluate(condition)
		holds, _ := value.(bool)
		return err == nil && holds
	}, 60*time.Second, 50*time.Millisecond, condition)
}

// picture writes a screenshot, if wanted.
func (p *chromiumPage) picture(name string) {
	p.t.Helper()
	dir := os.Getenv("E2E_SCREENSHOTS")
	if dir == "" {
		return
	}
	var shot struct {
		Data string `json:"data"`
	}
	p.decode(p.call("Page.captureScreenshot", map[string]any{"format": "png"}), &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(filepath.Join(dir, name+".png"), data, 0o600))
}
