// Package tokenstore keeps what a sign-in with the browser left, so that every later sync signs in by itself.
//
//	session, err := tokenstore.ResumeFrom(ctx, spec.Auth.TokenStore, baseURL, clientID) // "", "keyring" or a path
//	authConfig.RefreshToken = session.RefreshToken()
//	deps.OnRefreshToken = session.OnRefreshToken
//	if due := session.ExpiryWarning(time.Now()); due != nil {
//		logger.Warn().Str("code", due.Code).Msg(due.Message + "; " + due.NextStep)
//	}
//
// A store is a JSON file that only its owner may read, or the operating system's keyring. Both are keyed by instance and
// client id, and both change an entry under a lock between processes, so that two syncs and a login do not undo each
// other's work. Reading takes no lock: the file is replaced in one step, and a read-only copy of it works.
package tokenstore
