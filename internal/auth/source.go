package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/oauth2"
)

const (
	// earlyExpiry: a token is renewed this long before its end, as a request may wait and travel that long.
	earlyExpiry = 30 * time.Second
	// sameTokenPause: after a refused token was given out once more, 401s are believed for so long.
	sameTokenPause = time.Minute
)

// held is a token and what the source knows of it.
type held struct {
	oauth2.Token
	number  int       // counts tokens: the same text given out twice is two tokens
	until   time.Time // renew from then on; zero: use until refused
	refused bool      // an API answered 401 to it
}

// tokenSource caches the grant's token and renews it for all goroutines by one request at a time.
type tokenSource struct {
	grant    grant
	endpoint *endpoint
	now      func() time.Time
	logger   zerolog.Logger

	mu       sync.Mutex
	current  held
	flight   *flight   // the request under way, or nil
	refusal  error     // remembered for good: asking again would lock the account
	believed time.Time // until then a 401 does not have the token renewed
}

// flight is one renewal. Its goroutine closes done after it has set err; waiters is guarded by the source's mu.
type flight struct {
	done    chan struct{}
	waiters int
	abandon context.CancelFunc
	err     error
}

func newTokenSource(g grant, first *oauth2.Token, e *endpoint, deps Deps) *tokenSource {
	s := &tokenSource{grant: g, endpoint: e, now: deps.Clock, logger: deps.Logger}
	if first != nil {
		s.current = held{Token: *first, number: 1}
		if !first.Expiry.IsZero() {
			s.current.until = first.Expiry.Add(-earlyExpiry)
		}
	}
	return s
}

// Token implements oauth2.TokenSource.
func (s *tokenSource) Token() (*oauth2.Token, error) {
	token, err := s.get(context.Background())
	if err != nil {
		return nil, err
	}
	return &token.Token, nil
}

// get returns a token to use now. It waits for the renewal under way, or starts one, until ctx is done.
func (s *tokenSource) get(ctx context.Context) (held, error) {
	for {
		s.mu.Lock()
		if s.refusal != nil {
			defer s.mu.Unlock()
			return held{}, s.refusal
		}
		if s.usable() {
			defer s.mu.Unlock()
			return s.current, nil
		}
		f := s.join(ctx)
		s.mu.Unlock()

		select {
		case <-f.done:
		case <-ctx.Done():
			s.leave(f)
			return held{}, fmt.Errorf("waiting for an access token: %w", ctx.Err())
		}
		if f.err != nil && !errors.Is(f.err, errAbandoned) {
			return held{}, f.err
		}
	}
}

func (s *tokenSource) usable() bool {
	c := s.current
	return c.AccessToken != "" && !c.refused && (c.until.IsZero() || s.now().Before(c.until))
}

// join returns the renewal under way, started if there is none. The caller holds mu.
func (s *tokenSource) join(ctx context.Context) *flight {
	if s.flight == nil {
		// The first waiter's end must not end the renewal for the others, so its context lends only its values.
		flightCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		s.flight = &flight{done: make(chan struct{}), abandon: cancel}
		go s.renew(flightCtx, s.flight)
	}
	s.flight.waiters++
	return s.flight
}

// leave gives a renewal up when nobody waits for it any more: it stops before its next try. A request that is out is
// not cut, since its answer may hold the only copy of a new refresh token.
func (s *tokenSource) leave(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiters--
	if f.waiters == 0 {
		f.abandon()
	}
}

func (s *tokenSource) renew(ctx context.Context, f *flight) {
	defer f.abandon()
	asked := s.now()
	answer, err := s.endpoint.token(ctx, s.grant)
	var refused *finalError
	if errors.As(err, &refused) && s.grant.reload(ctx) {
		answer, err = s.endpoint.token(ctx, s.grant)
	}
	if err == nil {
		err = s.grant.keep(context.WithoutCancel(ctx), answer.RefreshToken)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	var final *finalError
	switch {
	case errors.As(err, &final):
		s.refusal, f.err = final.err, final.err
	case err != nil:
		f.err = err
	default:
		s.accept(answer, asked)
	}
	close(f.done)
}

// accept makes answer the current token. The caller holds mu.
func (s *tokenSource) accept(answer *answer, asked time.Time) {
	now := s.now()
	next := held{Token: oauth2.Token{AccessToken: answer.AccessToken, TokenType: "Bearer"}, number: s.current.number + 1}
	if answer.ExpiresIn != nil {
		next.Expiry = asked.Add(*answer.ExpiresIn)
		next.ExpiresIn = int64(*answer.ExpiresIn / time.Second)
		next.until = renewFrom(now, next.Expiry)
	}
	// ServiceNow gives the still valid token out again. If an API has just refused it, then not for its age, and asking
	// on for each 401 would help nobody.
	if s.current.refused && s.current.AccessToken == next.AccessToken {
		s.believed = now.Add(sameTokenPause)
	}
	s.current = next
	s.logger.Debug().Time("renew_from", next.until).Msg("got an access token")
}

// renewFrom is earlyExpiry before the end. A token given out with little left is used to its end: until then ServiceNow
// would only give the same one out again ("requests made within the expiration time always return the current access
// token", r_OAuthAPIRequestParameters.md), and a 401 in between is mended by the replay. The second is a floor under
// the time between two token requests.
func renewFrom(now, expiry time.Time) time.Time {
	until := expiry
	if expiry.Sub(now) > 2*earlyExpiry {
		until = expiry.Add(-earlyExpiry)
	}
	if floor := now.Add(time.Second); until.Before(floor) {
		until = floor
	}
	return until
}

// refuse notes that an API answered 401 to token, and says whether get has, or will get, another to try.
func (s *tokenSource) refuse(token held) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token.number != s.current.number {
		return true // somebody else had it renewed already
	}
	if s.now().Before(s.believed) {
		return false
	}
	s.current.refused = true
	return true
}
