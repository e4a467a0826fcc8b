package auth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// endpointError is what the token endpoint said in refusing (RFC 6749 section 5.2), cleaned.
type endpointError struct {
	status            int
	code, description string
}

func (e *endpointError) Error() string {
	said := strings.Trim(e.code+": "+e.description, ": ")
	if said == "" {
		return statusError(e.status).Error()
	}
	return fmt.Sprintf("HTTP status %d, %s", e.status, said)
}

// refusal turns a 4xx, or an error object under another status, into the user error of the grant. It is final.
func refusal(status int, body []byte, g grant, scrub scrubber) error {
	cause := readEndpointError(status, body, scrub)
	switch {
	case cause.code == "invalid_client":
		return &finalError{advice{CodeInvalidClient,
			"the instance does not know this client_id, or not with this client_secret",
			"copy both again from the application registry record (System OAuth > Application Registry) of this very " +
				"instance; a clone from another instance overwrites that record"}.err(cause)}
	case status == http.StatusNotFound:
		return &finalError{advice{CodePageInsteadOfToken, "the instance has no token endpoint at /oauth_token.do",
			"check the instance's URL, that the plugin com.snc.platform.security.oauth is active and that the system " +
				"property com.snc.platform.security.oauth.is.active is true"}.err(cause)}
	}
	a := g.refusal()
	if status == http.StatusForbidden {
		a.nextStep = "check first that the instance's IP address access control lets this machine in; then " + a.nextStep
	}
	return &finalError{a.err(cause)}
}

// readEndpointError takes error as a string (RFC 6749) or as the object of ServiceNow's REST APIs.
func readEndpointError(status int, body []byte, scrub scrubber) *endpointError {
	out := &endpointError{status: status}
	var wire struct {
		Error       json.RawMessage `json:"error"`
		Description json.RawMessage `json:"error_description"`
	}
	if json.Unmarshal(body, &wire) != nil {
		return out
	}
	var object struct {
		Message string `json:"message"`
		Detail  string `json:"detail"`
	}
	if json.Unmarshal(wire.Error, &out.code) != nil && json.Unmarshal(wire.Error, &object) == nil {
		out.code, out.description = object.Message, object.Detail
	}
	var description string
	if json.Unmarshal(wire.Description, &description) == nil && description != "" {
		out.description = description
	}
	out.code, out.description = scrub.clean(out.code), scrub.clean(out.description)
	return out
}
