package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/auth"
	"github.com/cqservicenow/cq-source-servicenow/internal/auth/tokenstore"
	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// CodeSignInNotKept is the code of the warning about a refresh token that the config does not know.
const CodeSignInNotKept = "SN-AUTH-019"

// maxBody bounds one answer, unpacked. A record batch of a single such record stays below the 100 MiB at which messages
// are dropped, since a record is in it twice.
const maxBody = 40 << 20

// mostInFlight is how far the number of requests in flight grows by itself. A node of an instance serves 4 REST requests at
// once and queues the next 50 (KB0564204, KB0546297). Instances have two nodes and more, and requests without a session
// cookie are spread over them: 16 is the share of four nodes. The latency tells earlier where it ends.
const mostInFlight = 16

// Connection is a signed-in way to one instance.
type Connection struct {
	Spec *spec.Instance
	// Name is the item's name in `instances`, or "".
	Name string
	// InstanceName is what the column `instance` holds: the subdomain, or the host of a custom domain.
	InstanceName string
	BaseURL      *url.URL
	ServiceNow   *servicenow.Client
	Auth         *auth.Authenticator
	Logger       zerolog.Logger

	transport *http.Transport
}

// Label names the instance to people: by its name in the spec, or by its address.
func (c *Connection) Label() string { return cmp.Or(c.Name, c.InstanceName) }

// Close ends the connections that wait for another request.
func (c *Connection) Close() {
	c.transport.CloseIdleConnections()
}

// Connect builds the way to an instance; it sends no request.
func Connect(ctx context.Context, s *spec.Instance, name string, o Options) (*Connection, error) {
	base, instanceName, err := Address(s)
	if err != nil {
		return nil, err
	}
	cfg, err := authConfig(s, base)
	if err != nil {
		return nil, err
	}
	keep := func(context.Context, string) error {
		o.Logger.Warn().Str("code", CodeSignInNotKept).Str("instance", cmp.Or(name, instanceName)).
			Msg("the instance replaced the refresh token, and nothing keeps the new one: the one in the config may not work next time")
		return nil
	}
	var load func(context.Context) (string, error)
	if s.Auth.GrantType == spec.GrantAuthorizationCode && s.Auth.RefreshToken == "" && s.Auth.AccessToken == "" {
		session, err := tokenstore.ResumeFrom(ctx, s.Auth.TokenStore, base.String(), s.Auth.ClientID)
		if err != nil {
			return nil, err
		}
		cfg.RefreshToken, keep, load = session.RefreshToken(), session.OnRefreshToken, session.Load
		if due := session.ExpiryWarning(time.Now()); due != nil {
			o.Logger.Warn().Str("code", due.Code).Msg(due.Message + ". Next step: " + due.NextStep)
		}
	}
	userAgent := "cq-source-servicenow/" + o.Version
	transport := httpclient.NewTransport()
	chain := httpclient.Config{Logger: o.Logger, MaxBody: 1 << 20, UserAgent: userAgent, Base: transport}
	tokenClient, err := httpclient.New(chain)
	if err != nil {
		return nil, err
	}
	authenticator, err := auth.New(cfg, auth.Deps{HTTPClient: tokenClient, Logger: o.Logger, OnRefreshToken: keep, LoadRefreshToken: load})
	if err != nil {
		return nil, err
	}
	counters := &httpclient.Counters{}
	chain.MaxBody, chain.MaxInFlight, chain.MaxPerHour, chain.Auth = maxBody, cmp.Or(s.Concurrency, mostInFlight), s.MaxRequestsPerHour, authenticator.Transport
	chain.Adaptive, chain.Counters = true, counters
	httpClient, err := httpclient.New(chain)
	if err != nil {
		return nil, err
	}
	return &Connection{
		Spec: s, Name: name, InstanceName: instanceName, BaseURL: base, Auth: authenticator, Logger: o.Logger,
		transport: transport,
		ServiceNow: servicenow.New(servicenow.Config{
			BaseURL: base, HTTP: httpClient, Counters: counters, Logger: o.Logger, Retry: o.Retry,
			Refused: func(resp *http.Response) error { return authenticator.Refused(resp) }, Renewable: authenticator.Renews(),
		}),
	}, nil
}

// Address returns an instance's base URL and the name that its rows carry.
func Address(s *spec.Instance) (*url.URL, string, error) {
	const suffix = ".service-now.com"
	if s.InstanceSubdomain != "" {
		name := strings.ToLower(s.InstanceSubdomain)
		return &url.URL{Scheme: "https", Host: name + suffix}, name, nil
	}
	u, err := url.Parse(s.InstanceURL)
	if err != nil {
		return nil, "", errors.New("reading instance_url: it is no address") // the cause would repeat the address
	}
	host := strings.ToLower(u.Host)
	name := host
	if short, ok := strings.CutSuffix(host, suffix); ok && !strings.Contains(short, ".") {
		name = short
	}
	return &url.URL{Scheme: u.Scheme, Host: host}, name, nil
}

func authConfig(s *spec.Instance, base *url.URL) (auth.Config, error) {
	a := s.Auth
	cfg := auth.Config{
		BaseURL: base.String(), Grant: a.GrantType, ClientID: a.ClientID, ClientSecret: a.ClientSecret, Scope: a.Scope,
		AccessToken: a.AccessToken, RefreshToken: a.RefreshToken, Username: a.Username, Password: a.Password,
		PrivateKey: []byte(a.PrivateKey), KeyID: a.KeyID, Subject: a.Subject, APIKey: a.APIKey,
	}
	if a.GrantType == spec.GrantRefreshToken && a.AccessToken != "" {
		cfg.Grant = auth.GrantAccessToken
	}
	if a.PrivateKeyFile != "" {
		key, err := os.ReadFile(a.PrivateKeyFile)
		if err != nil {
			return cfg, fmt.Errorf("reading auth.private_key_file: %w", err)
		}
		cfg.PrivateKey = key
	}
	return cfg, nil
}
