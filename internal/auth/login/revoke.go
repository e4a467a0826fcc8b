package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Revoke has the instance end a token (t_RevokeOAuthToken.md). The token travels in the address, as ServiceNow documents
// nothing else: client must not log queries, which the chain of internal/httpclient does not.
func Revoke(ctx context.Context, client *http.Client, baseURL, token string) error {
	base, err := parseBase(baseURL)
	if err != nil {
		return usererror.Wrap(err, CodeIncomplete, "the token cannot be revoked", "correct the instance's address")
	}
	u := base.JoinPath(revokePath)
	u.RawQuery = url.Values{"token": {token}}.Encode()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return notRevoked(fmt.Errorf("making the request: %w", httpclient.RedactError(err)))
	}
	resp, err := noRedirect(client).Do(req)
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
		return notRevoked(httpclient.RedactError(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	switch {
	case err != nil:
		return notRevoked(httpclient.RedactError(err))
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent:
		return notRevoked(statusError(resp.StatusCode, ""))
	case isHibernating(body):
		return notRevoked(errors.New("the instance is hibernating"))
	}
	return nil
}

func notRevoked(cause error) error {
	return usererror.Wrap(cause, CodeNotRevoked, "the instance did not confirm that it revoked the refresh token",
		"run logout again later; or remove the token in the instance (System OAuth > Manage Tokens) and run logout --local, which only forgets it here")
}
