// Package auth signs requests in to one instance.
//
//	authenticator, err := auth.New(auth.Config{BaseURL: …, Grant: auth.GrantClientCredentials, …}, auth.Deps{
//		HTTPClient: tokenClient, Logger: logger, OnRefreshToken: store.Save,
//	})
//	client, err := httpclient.New(httpclient.Config{Auth: authenticator.Transport, …})
//	…
//	if resp.StatusCode == http.StatusUnauthorized {
//		return authenticator.Refused(resp) // a 401 that comes out of Transport is final
//	}
//
// Each grant is one file, which also says what a refusal of that grant usually means: ServiceNow answers practically
// every failure with the same "401 server_error: access_denied". The grants share a tokenSource, which caches the
// token, lets one goroutine renew it for all, and remembers a refusal so that waiting requests do not lock the
// account by repeating it.
//
// Client credentials always travel in the form body, what oauth2.AuthStyleInParams names: ServiceNow documents
// nothing else, and trying the header first, as golang.org/x/oauth2 does when left to detect, may burn a one-time code.
//
// An error of New, SignIn, Transport's RoundTrip or Refused is a *usererror.Error, apart from what the caller's own
// context or the base transport causes. Such an error is final: transient faults of the token endpoint have been
// retried already.
package auth
