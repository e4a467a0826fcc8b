package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cqservicenow/cq-source-servicenow/internal/auth/login"
	"github.com/cqservicenow/cq-source-servicenow/internal/auth/tokenstore"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// logout revokes what login got, and forgets it.
func (a *app) logout() *cobra.Command {
	var client clientFlags
	var local bool
	cmd := &cobra.Command{
		Use:   "logout [CONFIG]",
		Short: "Revoke the refresh token that login got, and forget it",
		Args:  atMostOneConfig("logout"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runLogout(cmd.Context(), cmd.InOrStdin(), args, client, local)
		},
	}
	client.register(cmd)
	cmd.Flags().BoolVar(&local, "local", false, "forget the token here without revoking it in the instance")
	return cmd
}

func (a *app) runLogout(ctx context.Context, stdin io.Reader, args []string, client clientFlags, local bool) error {
	c, err := client.resolve(ctx, args, login.NewTerminal(stdin, a.stderr))
	if err != nil {
		return err
	}
	store, err := tokenstore.Open(c.tokenStore)
	if err != nil {
		return err
	}
	key := tokenstore.NewKey(c.baseURL, c.clientID)
	if !local {
		entry, err := store.Load(ctx, key)
		if usererror.CodeOf(err) == tokenstore.CodeNoSignIn {
			fmt.Fprintf(a.stdout, "There is no sign-in for %s in %s.\n", key, store)
			return nil
		}
		if err != nil {
			return err
		}
		http, err := signInClient()
		if err != nil {
			return err
		}
		if err := login.Revoke(ctx, http, key.Instance, entry.RefreshToken); err != nil {
			return err
		}
	}
	if err := store.Delete(ctx, key); err != nil {
		return err
	}
	done := "revoked and forgotten"
	if local {
		done = "forgotten here, and not revoked"
	}
	fmt.Fprintf(a.stdout, "The sign-in for %s is %s.\n", key, done)
	return nil
}
