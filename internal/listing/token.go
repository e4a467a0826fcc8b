package listing

import (
	"encoding/base64"
	"encoding/json"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// position is a place in an order: behind the row with this value and sys_id. The zero value is before the first row.
type position struct {
	// Empty is set among the rows without a value, which come last.
	Empty bool   `json:"e,omitempty"`
	Value string `json:"v,omitempty"`
	SysID string `json:"s"`
}

// token is what is inside a resumption token.
type token struct {
	Version int    `json:"n"`
	Of      string `json:"of"`
	position
}

const (
	tokenVersion = 1
	mostToken    = 4096
)

func (p *plan) token(at position) string {
	data, err := json.Marshal(token{tokenVersion, p.fingerprint(), at})
	if err != nil {
		return "" // texts and booleans can always be written
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// position reads a token; an empty one is the beginning.
func (p *plan) position(text string) (position, error) {
	if text == "" {
		return position{}, nil
	}
	var t token
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > mostToken || json.Unmarshal(data, &t) != nil || t.Version != tokenVersion || !idForm.MatchString(t.SysID) {
		return position{}, usererror.New(CodeAfter, "--after is no token of a listing", "copy the token that the listing before printed, whole; or leave --after out to begin anew")
	}
	if t.Of != p.fingerprint() {
		return position{}, usererror.New(CodeAfter, "--after is the token of another listing", "repeat the config, query, search, ids and order of the listing that printed it; or leave --after out to begin anew")
	}
	return t.position, nil
}
