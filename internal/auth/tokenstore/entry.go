package tokenstore

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
)

// DefaultLifespan is ServiceNow's default for the Refresh Token Lifespan of a registry record: 8,640,000 seconds
// (t_CreateEndpointforExternalClients.md).
const DefaultLifespan = 100 * 24 * time.Hour

// Entry is what a sign-in left. However it is printed, logged or marshalled, it does not show the refresh token.
type Entry struct {
	RefreshToken string
	// SignedInAt is when a person consented. ServiceNow gives the same refresh token out until its fixed end, counted
	// from here.
	SignedInAt time.Time
	// ObtainedAt is when this very refresh token came: SignedInAt, unless the instance replaced it since.
	ObtainedAt time.Time
	// Lifespan is the Refresh Token Lifespan of the application's registry record; 0 is DefaultLifespan.
	Lifespan time.Duration
	// User is who signed in; empty when that is not known.
	User string
}

// ExpiresAt is when the refresh token ends, as far as that can be known here: earlier when it is revoked.
func (e Entry) ExpiresAt() time.Time {
	lifespan := e.Lifespan
	if lifespan <= 0 {
		lifespan = DefaultLifespan
	}
	return e.ObtainedAt.Add(lifespan)
}

func (e Entry) visible() map[string]any {
	return map[string]any{"refresh_token": "(set)", "signed_in_at": e.SignedInAt, "obtained_at": e.ObtainedAt,
		"expires_at": e.ExpiresAt(), "user": e.User}
}

// String shows the Entry without its token.
func (e Entry) String() string {
	text, err := json.Marshal(e.visible())
	if err != nil {
		return "tokenstore.Entry"
	}
	return "tokenstore.Entry" + string(text)
}

// Format is String for every verb.
func (e Entry) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.String()) }

// MarshalJSON shows the Entry without its token; the stores have a form of their own.
func (e Entry) MarshalJSON() ([]byte, error) { return json.Marshal(e.visible()) }

// MarshalZerologObject logs the Entry without its token.
func (e Entry) MarshalZerologObject(event *zerolog.Event) {
	for key, value := range e.visible() {
		event.Any(key, value)
	}
}
