package tokenstore

import (
	"net/url"
	"strings"
)

// Key names a sign-in: refresh tokens belong to one client of one instance.
type Key struct {
	// Instance is the base URL in one spelling, for example https://example.service-now.com.
	Instance string
	ClientID string
}

// NewKey spells baseURL the same way however the user wrote it.
func NewKey(baseURL, clientID string) Key {
	key := Key{Instance: strings.TrimRight(baseURL, "/"), ClientID: clientID}
	u, err := url.Parse(baseURL)
	if err != nil || u.Host == "" {
		return key
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[scheme])
	key.Instance = scheme + "://" + host + strings.TrimRight(u.EscapedPath(), "/")
	return key
}

func (k Key) String() string { return k.Instance + " (client " + k.ClientID + ")" }

// LoginCommand is what a person types to sign in again.
func (k Key) LoginCommand(tokenStore string) string {
	command := "cq-source-servicenow login --instance-url " + shellQuote(k.Instance) + " --client-id " + shellQuote(k.ClientID)
	if tokenStore != "" {
		command += " --token-store " + shellQuote(tokenStore)
	}
	return command
}

func shellQuote(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._/:@%+,=", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
