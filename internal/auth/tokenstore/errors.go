package tokenstore

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

func noSignIn(s Store, key Key) error {
	return usererror.New(CodeNoSignIn, fmt.Sprintf("there is no sign-in for %s in %s", key, s),
		"run `"+key.LoginCommand(s.Setting())+"` as the user that runs the sync, or set refresh_token in the spec's auth block")
}

func readableByOthers(s *fileStore, mode fs.FileMode) error {
	return usererror.New(CodeReadableByOthers, fmt.Sprintf("other users of this machine have access to the token file %s (mode %04o)", s, mode),
		"run `chmod 600 "+shellQuote(s.path)+"`; if others may have read it, sign out and in again (the commands logout and login)")
}

func damaged(s Store, cause error) error {
	if errors.Is(cause, errNewVersion) {
		return usererror.New(CodeUnknownVersion, fmt.Sprintf("a newer release of this plugin wrote %s", s),
			"use that release, or another token_store for this one")
	}
	return usererror.Wrap(cause, CodeUnreadable, fmt.Sprintf("the sign-ins in %s cannot be read", s),
		"move the file away, or remove the item from the keyring, and sign in again (the login command)")
}

func fileFault(s Store, doing string, cause error) error {
	return usererror.Wrap(fmt.Errorf("%s: %w", doing, cause), CodeFile, fmt.Sprintf("the token store %s cannot be used", s),
		"make the file and its folder readable and writable for the user that runs this program, or name another file as token_store")
}

func storeLocked(s Store) error {
	return usererror.New(CodeLocked, fmt.Sprintf("another process has held the lock of %s for %s", s, lockPatience),
		"end the other cq-source-servicenow that hangs, and run again")
}

func keyringFault(cause error) error {
	return usererror.Wrap(cause, CodeKeyring, "the operating system's keyring cannot be used",
		"unlock it, or start its service (on Linux a Secret Service such as gnome-keyring or KWallet, which a server has not); "+
			"without one, leave token_store out and the token goes to a file that only its owner may read")
}

func noHome(cause error) error {
	return usererror.Wrap(cause, CodeNoHome, "there is no config directory of the user for the token file",
		"set HOME, or name a file as token_store")
}
