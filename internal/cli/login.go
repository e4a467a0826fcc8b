package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/cqservicenow/cq-source-servicenow/internal/auth/login"
	"github.com/cqservicenow/cq-source-servicenow/internal/auth/tokenstore"
	"github.com/cqservicenow/cq-source-servicenow/internal/configfile"
	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
	"github.com/cqservicenow/cq-source-servicenow/plugin"
)

// loginOptions are login's own flags.
type loginOptions struct {
	client     clientFlags
	secretFile string
	public     bool
	redirect   string
	scope      string
	noBrowser  bool
	print      bool
	timeout    time.Duration
	lifespan   time.Duration
}

// login signs a person in with the browser and keeps the refresh token.
func (a *app) login() *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:   "login [CONFIG]",
		Short: "Sign in with the browser, and keep the refresh token for every later sync",
		Long: "Sign in to an instance with the browser (OAuth 2.0 authorization code with PKCE) and keep the refresh token, by which\n" +
			"every later sync with grant_type: authorization_code signs in by itself.\n\n" +
			"Instance and client come from the flags, or else from the servicenow source of a CloudQuery config; what is missing is\n" +
			"asked for at the terminal. No flag takes a secret.",
		Args: atMostOneConfig("login"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runLogin(cmd.Context(), cmd.InOrStdin(), args, o)
		},
	}
	o.client.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.secretFile, "client-secret-file", "", "file that holds the client secret; - reads it from standard input")
	flags.BoolVar(&o.public, "public", false, "the application is a public client, without a client secret")
	flags.StringVar(&o.redirect, "redirect-uri", "", "the application's Redirect URL, letter by letter (default "+login.DefaultRedirectURI+")")
	flags.StringVar(&o.scope, "scope", "", "OAuth scope to ask for; most instances need none")
	flags.BoolVar(&o.noBrowser, "no-browser", false, "open no browser here; paste the address that the browser was redirected to")
	flags.BoolVar(&o.print, "print", false, "print the refresh token alone on standard output, for a secret store, and keep it nowhere")
	flags.DurationVar(&o.timeout, "timeout", login.DefaultTimeout, "how long to wait for the sign-in")
	flags.DurationVar(&o.lifespan, "refresh-token-lifespan", tokenstore.DefaultLifespan, "Refresh Token Lifespan of the application's record, for the warning before its end")
	return cmd
}

func (a *app) runLogin(ctx context.Context, stdin io.Reader, args []string, o loginOptions) error {
	if o.lifespan <= 0 || o.timeout <= 0 {
		return &usageError{errors.New("--timeout and --refresh-token-lifespan must be above 0")}
	}
	if o.public && o.secretFile != "" {
		return &usageError{errors.New("use --public or --client-secret-file, not both")}
	}
	terminal := login.NewTerminal(stdin, a.stderr)
	c, err := o.client.resolve(ctx, args, terminal)
	if err != nil {
		return err
	}
	if err := o.secret(ctx, c, terminal); err != nil {
		return err
	}
	cfg := login.Config{
		BaseURL: c.baseURL, ClientID: c.clientID, ClientSecret: c.clientSecret, RedirectURI: cmp.Or(o.redirect, c.redirectURI),
		Scope: cmp.Or(o.scope, c.scope), NoBrowser: o.noBrowser, Timeout: o.timeout,
	}
	deps := login.Deps{Logger: zerolog.Nop(), In: terminal, Out: a.stderr}
	if deps.HTTPClient, err = signInClient(); err != nil {
		return err
	}
	if o.print {
		tokens, err := login.Run(ctx, cfg, deps)
		if err != nil {
			return err
		}
		fmt.Fprintln(a.stderr, "Signed in. Put the line on standard output into the secret that the spec's auth.refresh_token reads, such as ${SERVICENOW_REFRESH_TOKEN}.")
		fmt.Fprintln(a.stdout, tokens.RefreshToken)
		return nil
	}
	store, err := tokenstore.Open(c.tokenStore)
	if err != nil {
		return err
	}
	key := tokenstore.NewKey(cfg.BaseURL, cfg.ClientID)
	// A store that cannot be used is better found before a person signs in. A damaged entry is what login mends.
	if _, err := store.Load(ctx, key); err != nil && usererror.CodeOf(err) != tokenstore.CodeNoSignIn && usererror.CodeOf(err) != tokenstore.CodeUnreadable {
		return err
	}
	var entry tokenstore.Entry
	deps.Keep = func(ctx context.Context, tokens login.Tokens) error {
		entry = tokenstore.Entry{RefreshToken: tokens.RefreshToken, SignedInAt: tokens.SignedInAt, ObtainedAt: tokens.SignedInAt, Lifespan: o.lifespan}
		return store.Save(ctx, key, entry)
	}
	if _, err := login.Run(ctx, cfg, deps); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "Signed in to %s. The refresh token is in %s.\nSyncs with grant_type: authorization_code and this client_id sign in by themselves until %s.\n",
		key.Instance, store, entry.ExpiresAt().UTC().Format("2 January 2006"))
	return nil
}

// secret finds the client secret. A config that names no client_secret is that of a public client, as in a sync.
func (o *loginOptions) secret(ctx context.Context, c *oauthClient, terminal *login.Terminal) error {
	switch {
	case o.public:
		c.clientSecret = ""
		return nil
	case o.secretFile != "":
		var data []byte
		var err error
		if o.secretFile == "-" {
			data, err = io.ReadAll(io.LimitReader(terminal, 64<<10))
		} else {
			data, err = os.ReadFile(o.secretFile)
		}
		if err != nil {
			return fmt.Errorf("reading the client secret: %w", err)
		}
		if c.clientSecret = strings.TrimSpace(string(data)); c.clientSecret == "" {
			return &usageError{errors.New("--client-secret-file: there is no secret in it")}
		}
		return nil
	case c.clientSecret != "" || c.fromConfig && !c.named["client_secret"]:
		return nil
	case !terminal.Interactive():
		return incomplete("client_secret"+c.why("client_secret"), "set it, give --client-secret-file, or --public for an application without a secret")
	}
	var err error
	c.clientSecret, err = terminal.AskSecret(ctx, "Client secret (nothing for a public client; it is not shown): ")
	return asking(ctx, err)
}

// signInClient is a chain without credentials, which logs no query.
func signInClient() (*http.Client, error) {
	return httpclient.New(httpclient.Config{Logger: zerolog.Nop(), MaxBody: 1 << 20, UserAgent: "cq-source-servicenow/" + plugin.Version})
}

// clientFlags say which client of which instance; login and logout share them.
type clientFlags struct {
	name, instance, instanceURL, clientID, tokenStore string
}

func (f *clientFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "name of the source, or of the item of instances, where the config has several")
	flags.StringVar(&f.instance, "instance", "", "the part of the address before .service-now.com")
	flags.StringVar(&f.instanceURL, "instance-url", "", "the whole address, for a custom domain")
	flags.StringVar(&f.clientID, "client-id", "", "Client ID of the OAuth application")
	flags.StringVar(&f.tokenStore, "token-store", "", "where the refresh token is kept: a file, or keyring (default: a file in your config directory)")
}

// oauthClient is a client of an instance, as found.
type oauthClient struct {
	baseURL, clientID, clientSecret, redirectURI, scope, tokenStore string

	fromConfig bool
	named      map[string]bool   // keys that the config has
	unset      map[string]string // keys whose variable is not set
}

func (c *oauthClient) why(key string) string {
	if c.unset[key] == "" {
		return ""
	}
	return " (" + c.unset[key] + ")"
}

// resolve puts flags, config and the person's answers together, in this order.
func (f *clientFlags) resolve(ctx context.Context, args []string, terminal *login.Terminal) (*oauthClient, error) {
	if f.instance != "" && f.instanceURL != "" {
		return nil, &usageError{errors.New("use --instance or --instance-url, not both")}
	}
	c := &oauthClient{}
	instance := cmp.Or(f.instanceURL, f.instance)
	if len(args) == 1 {
		found, address, err := readConfig(args[0], f.name)
		if err != nil {
			return nil, err
		}
		c, instance = found, cmp.Or(instance, address)
	}
	c.clientID, c.tokenStore = cmp.Or(f.clientID, c.clientID), cmp.Or(f.tokenStore, c.tokenStore)
	for _, missing := range []struct {
		key, prompt string
		value       *string
	}{
		{"instance_subdomain", "Instance (the part before .service-now.com, or the whole address): ", &instance},
		{"client_id", "Client ID of the OAuth application: ", &c.clientID},
	} {
		if *missing.value != "" {
			continue
		}
		if !terminal.Interactive() {
			return nil, incomplete(missing.key+c.why(missing.key), "give a config or the flags --instance and --client-id")
		}
		var err error
		if *missing.value, err = terminal.Ask(ctx, missing.prompt); err != nil {
			return nil, asking(ctx, err)
		}
	}
	c.baseURL = baseURL(instance)
	return c, nil
}

// baseURL takes a subdomain, a host or an address.
func baseURL(instance string) string {
	instance = strings.TrimRight(instance, "/")
	switch {
	case strings.Contains(instance, "://"), instance == "":
		return instance
	case strings.Contains(instance, "."):
		return "https://" + strings.ToLower(instance)
	}
	return "https://" + strings.ToLower(instance) + ".service-now.com"
}

func incomplete(what, next string) error {
	return usererror.New(login.CodeIncomplete, what+" is missing, and there is no terminal to ask at", next)
}

func asking(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	return usererror.Wrap(err, login.CodeInputEnded, "the answer could not be read from the terminal", "run the command again in a terminal")
}

func atMostOneConfig(command string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return &usageError{errors.New(command + " takes the path of one config file at most")}
		}
		return nil
	}
}

// readConfig finds the client in a CloudQuery config: in its servicenow source, or one item of that one's instances. Only
// in the keys that are used a variable must have a value, since a login needs no password of a destination.
func readConfig(path, name string) (*oauthClient, string, error) {
	docs, err := readDocuments(path, configFault)
	if err != nil {
		return nil, "", err
	}
	var found []signInBlock
	var names []string
	for _, doc := range docs {
		for _, block := range signInBlocks(doc) {
			if name == "" || block.source == name || block.name == name {
				found = append(found, block)
				names = append(names, cmp.Or(block.name, block.source))
			}
		}
	}
	switch {
	case len(found) == 0 && name != "":
		return nil, "", configFault(path, fmt.Sprintf("there is no servicenow source or instance named %q in it", name))
	case len(found) == 0:
		return nil, "", configFault(path, "there is no document with kind: source in it whose name or path says servicenow")
	case len(found) > 1:
		return nil, "", configFault(path, "it has several instances; choose one with --name: "+strings.Join(names, ", "))
	}
	return found[0].client(path)
}

// signInBlock is the spec of one instance. client/spec does not read it, since it refuses a spec that lacks what a sync
// needs and a login does not.
type signInBlock struct {
	source, name string
	item, shared *configfile.Node // the item of instances, if any, goes before the keys above it
}

func signInBlocks(doc *configfile.Document) []signInBlock {
	source := servicenowSource(doc)
	if source == nil {
		return nil
	}
	block := signInBlock{source: label(source.At("name")), shared: source.At("spec")}
	instances := block.shared.At("instances")
	if instances == nil || len(instances.Items) == 0 {
		return []signInBlock{block}
	}
	var out []signInBlock
	for _, item := range instances.Items {
		block.item, block.name = item, label(item.At("name"))
		out = append(out, block)
	}
	return out
}

func (b *signInBlock) at(keys ...string) *configfile.Node {
	return cmp.Or(b.item.At(keys...), b.shared.At(keys...))
}

// client reads the keys of a block, and its address.
func (b *signInBlock) client(path string) (*oauthClient, string, error) {
	c := &oauthClient{fromConfig: true, named: map[string]bool{}, unset: map[string]string{}}
	var subdomain, address, grant string
	for _, item := range []struct {
		keys  []string
		value *string
	}{
		{[]string{"instance_subdomain"}, &subdomain}, {[]string{"instance_url"}, &address}, {[]string{"auth", "grant_type"}, &grant},
		{[]string{"auth", "client_id"}, &c.clientID}, {[]string{"auth", "client_secret"}, &c.clientSecret},
		{[]string{"auth", "redirect_uri"}, &c.redirectURI}, {[]string{"auth", "scope"}, &c.scope}, {[]string{"auth", "token_store"}, &c.tokenStore},
	} {
		n, key := b.at(item.keys...), item.keys[len(item.keys)-1]
		text, ok := n.Text()
		faults := n.Faults()
		switch {
		case len(faults) > 0:
			c.unset[key] = faults[0].What
		case ok:
			*item.value = text
		case n.IsNull():
			continue
		default:
			return nil, "", configFault(path, key+" must be a text; put it in quotes")
		}
		c.named[key] = true
	}
	if grant != "" && grant != "authorization_code" && grant != "refresh_token" {
		return nil, "", configFault(path, "its grant_type is "+grant+", which needs no sign-in with the browser; login is for authorization_code")
	}
	for _, key := range []string{"redirect_uri", "token_store"} { // a default would not be what was meant
		if c.unset[key] != "" {
			return nil, "", configFault(path, key+": "+c.unset[key])
		}
	}
	return c, cmp.Or(address, subdomain), nil
}

func configFault(path, what string) error {
	return usererror.New(login.CodeConfigFile, "the config "+path+" cannot be used: "+what,
		"correct the config, or give --instance and --client-id instead of it")
}
