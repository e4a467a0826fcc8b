package login

// Codes of the user errors of this package and of its commands; each has an entry in docs/errors.md.
const (
	// CodeIncomplete: a value that the sign-in needs is missing or cannot be right.
	CodeIncomplete = "SN-LOGIN-001"
	// CodePortBusy: another program listens on the redirect URI's port, or this one may not.
	CodePortBusy = "SN-LOGIN-002"
	// CodeDenied: the person chose Deny, or the instance sent them back without a code.
	CodeDenied = "SN-LOGIN-003"
	// CodeOtherSignIn: the browser brought an answer that belongs to another sign-in, by its state.
	CodeOtherSignIn = "SN-LOGIN-004"
	// CodeAuthorizationError: the instance refuses to ask for consent.
	CodeAuthorizationError = "SN-LOGIN-005"
	// CodeExchangeRefused: the token endpoint refuses the code.
	CodeExchangeRefused = "SN-LOGIN-006"
	// CodeInvalidClient: the token endpoint does not know the client id, or not with this secret.
	CodeInvalidClient = "SN-LOGIN-007"
	// CodeNoAnswer: the token endpoint gave no answer that can be used.
	CodeNoAnswer = "SN-LOGIN-008"
	// CodeNoRefreshToken: the sign-in gave no refresh token.
	CodeNoRefreshToken = "SN-LOGIN-009"
	// CodeTimeout: nobody finished the sign-in in time.
	CodeTimeout = "SN-LOGIN-010"
	// CodeInputEnded: the terminal's input ended before the redirected address was pasted.
	CodeInputEnded = "SN-LOGIN-011"
	// CodeConfigFile: the config file given to login or logout cannot be used.
	CodeConfigFile = "SN-LOGIN-012"
	// CodeNotRevoked: the instance did not confirm that it revoked the token.
	CodeNotRevoked = "SN-LOGIN-013"
)
