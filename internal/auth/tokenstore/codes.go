package tokenstore

// Codes of the user errors of this package; each has an entry in docs/errors.md.
const (
	// CodeNoSignIn: the store has no sign-in for this instance and client id.
	CodeNoSignIn = "SN-STORE-001"
	// CodeReadableByOthers: other users of the machine may read or change the token file.
	CodeReadableByOthers = "SN-STORE-002"
	// CodeUnreadable: the token file, or the keyring's entry, is damaged.
	CodeUnreadable = "SN-STORE-003"
	// CodeUnknownVersion: a newer release wrote the token file or the keyring's entry.
	CodeUnknownVersion = "SN-STORE-004"
	// CodeFile: the operating system refuses to read or write the token file.
	CodeFile = "SN-STORE-005"
	// CodeLocked: another process holds the store's lock for too long.
	CodeLocked = "SN-STORE-006"
	// CodeKeyring: the operating system's keyring cannot be used.
	CodeKeyring = "SN-STORE-007"
	// CodeNoHome: there is no user's config directory to put the token file into.
	CodeNoHome = "SN-STORE-008"
	// CodeEnding: a warning; the refresh token ends soon, and a person has to sign in again.
	CodeEnding = "SN-STORE-009"
)
