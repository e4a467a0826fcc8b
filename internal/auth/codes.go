package auth

// Codes of the user errors of this package; each has an entry in docs/errors.md.
const (
	// CodeIncomplete: the auth block lacks a value that the grant needs, or holds one that cannot be right.
	CodeIncomplete = "SN-AUTH-001"
	// CodePrivateKey: the private key of jwt_bearer cannot be read or does not fit the algorithm.
	CodePrivateKey = "SN-AUTH-002"
	// CodeInvalidClient: the token endpoint does not know the client id, or not with this secret.
	CodeInvalidClient = "SN-AUTH-003"
	// CodeClientCredentialsRefused: the token endpoint refuses the client_credentials grant.
	CodeClientCredentialsRefused = "SN-AUTH-004"
	// CodeRefreshTokenRefused: the token endpoint refuses the refresh token.
	CodeRefreshTokenRefused = "SN-AUTH-005"
	// CodePasswordRefused: the token endpoint refuses the password grant.
	CodePasswordRefused = "SN-AUTH-006"
	// CodeJWTBearerRefused: the token endpoint refuses the signed assertion.
	CodeJWTBearerRefused = "SN-AUTH-007"
	// CodeHibernating: the instance sleeps and answers everything with its hibernation page.
	CodeHibernating = "SN-AUTH-008"
	// CodePageInsteadOfToken: the token endpoint answers with a web page or a redirect.
	CodePageInsteadOfToken = "SN-AUTH-009"
	// CodeTokenEndpointUnavailable: the token endpoint kept failing for a passing reason.
	CodeTokenEndpointUnavailable = "SN-AUTH-010"
	// CodeUnreadableAnswer: the token endpoint answers with 200 and something that is no token.
	CodeUnreadableAnswer = "SN-AUTH-011"
	// CodeAccessTokenExpired: the given access token is expired or refused, and there is no refresh token.
	CodeAccessTokenExpired = "SN-AUTH-012"
	// CodeSavingRefreshToken: the instance gave a new refresh token and it could not be saved.
	CodeSavingRefreshToken = "SN-AUTH-013"
	// CodeUnreachable: the host name is unknown, or its TLS certificate is not trusted.
	CodeUnreachable = "SN-AUTH-014"
	// CodeTokenRefused: an API refuses a fresh access token.
	CodeTokenRefused = "SN-AUTH-015"
	// CodeBasicRefused: an API refuses user name and password.
	CodeBasicRefused = "SN-AUTH-016"
	// CodeAPIKeyRefused: an API refuses the API key.
	CodeAPIKeyRefused = "SN-AUTH-017"
	// CodeOtherHost: a request for another host than the instance was about to carry its credentials.
	CodeOtherHost = "SN-AUTH-018"
)
