package auth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// storm sends n requests at once and returns their statuses; an error counts as status 0.
func storm(t *testing.T, client *http.Client, n int) map[int]int {
	t.Helper()
	var mu sync.Mutex
	statuses := map[int]int{}
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			resp, err := get(t, client)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				statuses[0]++
				return
			}
			statuses[resp.StatusCode]++
		})
	}
	wg.Wait()
	return statuses
}

func TestOneTokenRequestForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeInstance(t)
		fake.delay = time.Second
		_, client := setup(t, fake, clientCredentialsConfig())
		for round := 1; round <= 3; round++ {
			require.Equal(t, map[int]int{200: 50}, storm(t, client, 50))
			require.Equal(t, round, fake.tokenRequests())
			time.Sleep(30*time.Minute - 25*time.Second) // inside the last 30 s: early
		}
	})
}

func TestStormOf401sMakesOneTokenRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeInstance(t)
		fake.delay, fake.apiDelay = time.Second, time.Second // all 50 are under way before the first 401
		_, client := setup(t, fake, clientCredentialsConfig())
		_, err := get(t, client)
		require.NoError(t, err)
		fake.revoke()
		require.Equal(t, map[int]int{200: 50}, storm(t, client, 50))
		require.Equal(t, 2, fake.tokenRequests())
		require.Equal(t, 1+50+50, fake.apiRequests())
	})
}

// A slow request may come back with a 401 for a token that others had replaced long ago.
func TestLate401UsesTheTokenOthersGot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeInstance(t)
		fake.apiDelay = time.Second
		_, client := setup(t, fake, clientCredentialsConfig())
		_, err := get(t, client)
		require.NoError(t, err)
		fake.revoke()
		done := make(chan struct{})
		go func() {
			defer close(done)
			req, _ := http.NewRequest(http.MethodGet, instanceURL+"/api", nil)
			req.Header.Set("X-Slow", "1")
			resp, err := client.Do(req)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Error("late request", err)
				return
			}
			_ = resp.Body.Close()
		}()
		synctest.Wait()
		_, err = get(t, client) // the quick one gets 401 first, and the new token
		require.NoError(t, err)
		require.Equal(t, 2, fake.tokenRequests())
		<-done
		require.Equal(t, 2, fake.tokenRequests())
	})
}

func TestSameTokenAfter401GivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeInstance(t)
		fake.delay, fake.apiDelay = time.Second, time.Second
		fake.answer = func(w http.ResponseWriter, _ int, _ url.Values) { send(w, "same", 1800, "") }
		_, client := setup(t, fake, clientCredentialsConfig())
		require.Equal(t, map[int]int{401: 50}, storm(t, client, 50))
		require.Equal(t, 2, fake.tokenRequests(), "one to begin with, one after the 401s")
		require.Equal(t, 100, fake.apiRequests(), "never more than one replay a request")

		require.Equal(t, map[int]int{401: 50}, storm(t, client, 50))
		require.Equal(t, 2, fake.tokenRequests(), "the 401s are believed for a while")
		require.Equal(t, 150, fake.apiRequests())

		time.Sleep(2 * time.Minute) // but not for good: the token may have been revoked since
		fake.answer = nil
		require.Equal(t, map[int]int{200: 50}, storm(t, client, 50))
		require.Equal(t, 3, fake.tokenRequests())
	})
}

func TestOneReplayEvenWhenEveryTokenIsNew(t *testing.T) {
	fake := newFakeInstance(t)
	fake.answer = func(w http.ResponseWriter, n int, _ url.Values) { send(w, strings.Repeat("x", n), 1800, "") }
	_, client := setup(t, fake, clientCredentialsConfig())
	resp, err := get(t, client)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	require.Equal(t, 2, fake.apiRequests())
	require.Equal(t, 2, fake.tokenRequests())
}

func TestReplayOfBodies(t *testing.T) {
	fake := newFakeInstance(t)
	_, client := setup(t, fake, clientCredentialsConfig())
	_, err := get(t, client)
	require.NoError(t, err)

	fake.revoke()
	resp, err := client.Post(instanceURL+"/api", "text/plain", strings.NewReader("the body"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, []string{"", "the body", "the body"}, fake.bodies)

	fake.revoke()
	req, _ := http.NewRequest(http.MethodPost, instanceURL+"/api", io.NopCloser(strings.NewReader("once")))
	resp, err = client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "a body that cannot be had again is not replayed")

	_, err = get(t, client) // and the token is renewed for the next
	require.NoError(t, err)
	require.Equal(t, 3, fake.tokenRequests())
	require.Equal(t, "once", fake.bodies[3])
	require.Len(t, fake.bodies, 5)
}

// The instance gives the still valid token out again, with what is left of its life. That must not make a token
// request of every API request in the last 30 seconds.
func TestReissueNearTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeInstance(t)
		var ends time.Time
		token := ""
		fake.answer = func(w http.ResponseWriter, n int, _ url.Values) {
			if !time.Now().Before(ends) {
				ends = time.Now().Add(1800 * time.Second)
				token = strings.Repeat("t", n)
				fake.mu.Lock()
				fake.valid = map[string]bool{token: true}
				fake.mu.Unlock()
			}
			send(w, token, int(time.Until(ends)/time.Second), "")
		}
		_, client := setup(t, fake, clientCredentialsConfig())
		for range 3 * 1800 * 2 { // an hour and a half, a request each half second
			resp, err := get(t, client)
			require.NoError(t, err)
			require.Equal(t, 200, resp.StatusCode)
			time.Sleep(500 * time.Millisecond)
		}
		require.LessOrEqual(t, fake.tokenRequests(), 3+3*3)
	})
}

func TestExpiresIn(t *testing.T) {
	for body, lasts := range map[string]time.Duration{ // how long the first token is used; -1: for good
		`{"access_token":"a","expires_in":1799}`:                         1769 * time.Second,
		`{"access_token":"a","expires_in":"1799"}`:                       1769 * time.Second,
		`{"access_token":"a","expires_in":40,"token_type":"bearer"}`:     40 * time.Second,
		`{"access_token":"a","expires_in":0,"refresh_token":null}`:       time.Second,
		`{"access_token":"a","token_type":"Bearer","scope":""}`:          -1,
		`{"access_token":"a","expires_in":null,"error":null,"other":[]}`: -1,
	} {
		synctest.Test(t, func(t *testing.T) {
			fake := newFakeInstance(t)
			fake.answer = func(w http.ResponseWriter, _ int, _ url.Values) { sendError(w, 200, body) }
			a, _ := setup(t, fake, clientCredentialsConfig())
			require.NoError(t, a.SignIn(t.Context()))
			if lasts < 0 {
				time.Sleep(1000 * time.Hour)
				require.NoError(t, a.SignIn(t.Context()))
				require.Equal(t, 1, fake.tokenRequests(), body)
				return
			}
			time.Sleep(lasts - time.Millisecond)
			require.NoError(t, a.SignIn(t.Context()))
			require.Equal(t, 1, fake.tokenRequests(), body)
			time.Sleep(2 * time.Millisecond)
			require.NoError(t, a.SignIn(t.Context()))
			require.Equal(t, 2, fake.tokenRequests(), body)
		})
	}
}

func TestClockIsUsed(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	fake := newFakeInstance(t)
	a, _ := setup(t, fake, clientCredentialsConfig(), func(d *Deps) { d.Clock = func() time.Time { return now } })
	token, err := a.TokenSource().Token()
	require.NoError(t, err)
	require.Equal(t, now.Add(1800*time.Second), token.Expiry)
	now = now.Add(time.Hour)
	require.NoError(t, a.SignIn(t.Context()))
	require.Equal(t, 2, fake.tokenRequests())
}

func TestRefusalIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeInstance(t)
		fake.delay = time.Second
		fake.answer = func(w http.ResponseWriter, _ int, _ url.Values) { sendError(w, 401, accessDenied) }
		a, client := setup(t, fake, Config{Grant: GrantPassword, ClientID: clientID, ClientSecret: clientSecret, Username: "u", Password: "p"})
		require.Equal(t, map[int]int{0: 50}, storm(t, client, 50))
		time.Sleep(time.Hour)
		require.Equal(t, map[int]int{0: 50}, storm(t, client, 50))
		require.Equal(t, CodePasswordRefused, usererror.CodeOf(a.SignIn(t.Context())))
		require.Equal(t, 1, fake.tokenRequests(), "each more would bring the account nearer to its lock")
		require.Zero(t, fake.apiRequests())
	})
}

// The goroutine that started the renewal may be cancelled: the others get their token all the same.
func TestFirstWaiterLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeInstance(t)
		fake.delay = 10 * time.Second
		fake.answer = func(w http.ResponseWriter, n int, _ url.Values) {
			if n == 1 {
				w.WriteHeader(http.StatusServiceUnavailable) // so that the second try comes after the first waiter left
				return
			}
			fake.issue(w, 1800, "")
		}
		a, _ := setup(t, fake, clientCredentialsConfig())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := make(chan error, 1)
		go func() { first <- a.SignIn(ctx) }()
		synctest.Wait()
		start := time.Now()
		require.NoError(t, a.SignIn(t.Context()))
		require.ErrorIs(t, <-first, context.DeadlineExceeded)
		require.GreaterOrEqual(t, time.Since(start), 20500*time.Millisecond, "the same renewal goes on, back-off included")
		require.Equal(t, 2, fake.tokenRequests())
	})
}

// When all waiters left, the request under way is heard out, since it may bring a new refresh token, and no more are
// made; one who comes then gets a renewal of his own.
func TestAllWaitersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeInstance(t)
		fake.delay = 5 * time.Second
		fake.answer = func(w http.ResponseWriter, n int, _ url.Values) {
			if n == 1 {
				w.WriteHeader(503)
				return
			}
			fake.issue(w, 1800, "")
		}
		a, _ := setup(t, fake, clientCredentialsConfig())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, a.SignIn(ctx), context.DeadlineExceeded)
		time.Sleep(time.Second)
		require.NoError(t, a.SignIn(t.Context()), "joins the abandoned one, and starts another")
		require.Equal(t, 2, fake.tokenRequests())

		fake.answer = func(w http.ResponseWriter, _ int, _ url.Values) { w.WriteHeader(503) }
		time.Sleep(time.Hour)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, a.SignIn(ctx), context.DeadlineExceeded)
		time.Sleep(time.Hour)
		require.Equal(t, 3, fake.tokenRequests(), "nobody waits, nobody asks")
	})
}

func TestRefreshAfter401Fails(t *testing.T) {
	fake := newFakeInstance(t)
	_, client := setup(t, fake, refreshConfig())
	_, err := get(t, client)
	require.NoError(t, err)
	fake.revoke()
	fake.answer = func(w http.ResponseWriter, _ int, _ url.Values) { sendError(w, 401, accessDenied) }
	_, err = get(t, client)
	require.Equal(t, CodeRefreshTokenRefused, usererror.CodeOf(err))
	var user *usererror.Error
	require.True(t, errors.As(err, &user))
	require.Contains(t, user.NextStep, "100 days")
}
