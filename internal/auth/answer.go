package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// answer is a good answer of the token endpoint (RFC 6749 section 5.1).
type answer struct {
	AccessToken  string
	RefreshToken string
	ExpiresIn    *time.Duration // nil: not said
}

// errIsRefusal: the body is an error object, whatever the status says.
var errIsRefusal = errors.New("the answer is an error")

func readAnswer(body []byte) (*answer, error) {
	var wire struct {
		AccessToken  string          `json:"access_token"`
		RefreshToken string          `json:"refresh_token"`
		TokenType    string          `json:"token_type"`
		ExpiresIn    json.RawMessage `json:"expires_in"` // a number; some proxies and releases make strings of numbers
		Error        json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, errors.New("the answer is not a JSON object with the members of RFC 6749 section 5.1")
	}
	switch {
	case wire.AccessToken == "" && len(wire.Error) > 0 && string(wire.Error) != "null":
		return nil, errIsRefusal
	case wire.AccessToken == "":
		return nil, errors.New("the answer has no access_token")
	case !headerSafe(wire.AccessToken):
		return nil, errors.New("the access_token holds characters that a header cannot carry")
	case wire.TokenType != "" && !strings.EqualFold(wire.TokenType, "Bearer"):
		return nil, fmt.Errorf("the token_type is %q, not Bearer", shorten(wire.TokenType, 20))
	}
	out := &answer{AccessToken: wire.AccessToken, RefreshToken: wire.RefreshToken}
	if text := strings.Trim(string(wire.ExpiresIn), `"`); text != "" && text != "null" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || seconds < 0 || seconds > 1e9 {
			return nil, errors.New("expires_in is not a number of seconds")
		}
		lasts := time.Duration(seconds * float64(time.Second))
		out.ExpiresIn = &lasts
	}
	return out, nil
}
