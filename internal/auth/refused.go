package auth

import "net/http"

// tokenRefused explains a 401 that a fresh token got: the token endpoint is content, the API is not.
func tokenRefused(*http.Response) advice {
	return advice{CodeTokenRefused,
		"the API refuses an access token that the instance has just given or confirmed",
		"check that the user behind the token is active and not locked out; that the application registry record, if it " +
			"enforces token restrictions, has an API access policy for each API the sync uses (Table, Aggregate, " +
			"Attachment); that its REST API auth scopes cover them; and that no REST API access policy or address rule " +
			"shuts this user or machine out"}
}
