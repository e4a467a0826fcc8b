// Package httpclient builds the one *http.Client chain that an instance is talked to with.
//
//	client, err := httpclient.New(httpclient.Config{
//		Logger: logger, MaxBody: 256 << 20, MaxInFlight: 16, Adaptive: true, UserAgent: "cq-source-servicenow/1.2.3",
//		Auth: authenticator.Transport, Counters: &counters,
//	})
//
// It knows HTTP, and nothing of ServiceNow's paths or bodies.
//
// Retries are not here. A fault of ServiceNow may first show in the body (a status of 200, half a page, then an
// error object), so only the code that reads the body knows that an attempt failed: the retry loop lives one level
// up, in the ServiceNow client. For the same reason the client has no overall Timeout: the caller gives each
// attempt its own deadline through the request's context.
//
// Duties of the caller: close every response body (the in-flight slot is held until then), and pass the error of
// http.Client.Do through RedactError before showing it, since net/http puts the whole URL into it.
//
// Token requests need a client of their own without Auth and without limits, or they would wait for a slot that
// the request waiting for the token holds. Give both the same Base to share its connections.
package httpclient
