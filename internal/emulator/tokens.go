package emulator

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"sync"
	"time"
)

// tokenStore holds the tokens issued. There is one current access token for the user and one for the
// client's own grant, issued again as long as it is valid.
type tokenStore struct {
	mu       sync.Mutex
	seed     uint64
	lifetime time.Duration
	rotate   bool
	issued   int
	current  map[bool]string      // by "client's own"
	expiry   map[string]time.Time // of access tokens
	used     map[string]bool      // assertion ids

	refreshing      string
	refreshLifetime time.Duration
	refreshExpiry   time.Time
}

func newTokenStore(cfg Config) *tokenStore {
	return &tokenStore{
		seed: cfg.Seed, lifetime: cfg.TokenLifetime, rotate: cfg.RotateRefreshTokens,
		current: map[bool]string{}, expiry: map[string]time.Time{}, used: map[string]bool{},
		refreshing: cfg.RefreshToken, refreshLifetime: cfg.RefreshTokenLifetime, refreshExpiry: cfg.Now().Add(cfg.RefreshTokenLifetime),
	}
}

func (s *tokenStore) newToken(kind string) string {
	s.issued++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", kind, s.seed, s.issued))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// access returns the current access token, or a new one, and its remaining seconds.
func (s *tokenStore) access(clientsOwn bool, now time.Time) (token string, expiresIn int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token = s.current[clientsOwn]
	if remaining := s.expiry[token].Sub(now); token != "" && remaining >= time.Second {
		return token, int64(remaining / time.Second)
	}
	token = s.newToken("access")
	s.current[clientsOwn] = token
	s.expiry[token] = now.Add(s.lifetime)
	return token, int64(s.lifetime / time.Second)
}

func (s *tokenStore) valid(token string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return token != "" && now.Before(s.expiry[token])
}

// refresh accepts the refresh token, and ends it where tokens rotate.
func (s *tokenStore) refresh(token string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token == "" || token != s.refreshing || !now.Before(s.refreshExpiry) {
		return false
	}
	if s.rotate {
		s.refreshing = s.newToken("refresh")
		s.refreshExpiry = now.Add(s.refreshLifetime)
	}
	return true
}

// refreshToken returns the current refresh token; its end is fixed when it is first issued.
func (s *tokenStore) refreshToken(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refreshing == "" || !now.Before(s.refreshExpiry) {
		s.refreshing = s.newToken("refresh")
		s.refreshExpiry = now.Add(s.refreshLifetime)
	}
	return s.refreshing
}

// useOnce reports whether an assertion's id is new.
func (s *tokenStore) useOnce(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[id] {
		return false
	}
	s.used[id] = true
	return true
}

// revoke ends an access or refresh token.
func (s *tokenStore) revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.expiry, token)
	if token == s.refreshing {
		s.refreshing = ""
	}
}

// RevokeAccessTokens makes every access token issued so far invalid. Refresh tokens stay good.
func (e *Emulator) RevokeAccessTokens() {
	e.tokens.mu.Lock()
	defer e.tokens.mu.Unlock()
	clear(e.tokens.expiry)
}
