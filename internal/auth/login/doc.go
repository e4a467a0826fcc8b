// Package login signs a person in with the browser: OAuth 2.0 authorization code with PKCE and state.
//
//	tokens, err := login.Run(ctx, login.Config{
//		BaseURL: "https://example.service-now.com", ClientID: …, ClientSecret: …, RedirectURI: login.DefaultRedirectURI,
//	}, login.Deps{HTTPClient: client, Logger: logger, In: os.Stdin, Out: os.Stderr, Keep: save})
//
// Run makes the address of the instance's consent page, has the browser open it and waits for the answer: on the redirect
// URI when that is a loopback address (server.go), or pasted at the terminal (paste.go). Whichever way it comes, it is
// judged in one place (callback.go), exchanged at once and once (exchange.go: a code lives for 60 seconds and works once),
// and handed to Keep. Only then does the page in the browser say that it worked (page.go).
//
// The answer's address holds the code. It reaches no log, no error and no page; neither do the code verifier, the client
// secret and the tokens.
package login
