// Package starter writes the files that syncs start from: a commented CloudQuery config, and what runs it on a schedule.
// It never sees a secret; each is the name of an environment variable.
package starter

import (
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/template"
)

// What Config.Attachments can be.
const (
	AttachmentsText     = "text"
	AttachmentsFiles    = "files"
	AttachmentsMetadata = "metadata"
	AttachmentsNone     = "none"
)

// Versions that the configs name.
const (
	cliVersion     = "v6.41.1"
	localPlugin    = "./cq-source-servicenow"
	pluginInImages = "/app/cq-source-servicenow"
)

// Choice is one answer that a question offers.
type Choice struct{ Name, About string }

// Config is what a person answers. Its fields have been checked, each as the question says.
type Config struct {
	// Subdomain is the part before .service-now.com; Address, another address. One of them is empty.
	Subdomain, Address string
	Grant              string
	Destination        string
	Attachments        string
	Query              string
	// Version is a released version of the plugin, which the hub has; empty for a program that somebody built.
	Version string
	// Plugin is the path of that program; empty for the usual one.
	Plugin string
	// Schedule is the kind of schedule, which decides where secrets come from.
	Schedule string
}

// Variable is an environment variable that a config reads, or that a destination finds by itself.
type Variable struct {
	Name, About string
	// Source is set where the source reads it; the others are the destination's and the CLI's.
	Source bool
	// Secret is set for what must not be shown; Optional, for what only some machines need.
	Secret, Optional bool
	// File is the name of the file that the variable holds the path of; empty for a plain value. Content is the secret that
	// holds the file where there is no file yet.
	File, Content string
	// key and comment are those of the spec's auth block.
	key, comment string
}

// AuthKey is a line of the auth block.
type AuthKey struct{ Key, Variable, Comment string }

// grant is a way to sign in.
type grant struct {
	Choice
	variables []Variable
}

func grants() []grant {
	id := Variable{Name: "SERVICENOW_CLIENT_ID", About: "Client ID of the OAuth application", key: "client_id"}
	secret := Variable{Name: "SERVICENOW_CLIENT_SECRET", About: "its client secret", key: "client_secret", Secret: true}
	refresh := Variable{Name: "SERVICENOW_REFRESH_TOKEN", About: "the refresh token", key: "refresh_token", Secret: true}
	user := Variable{Name: "SERVICENOW_USERNAME", About: "name of the user that the sync acts as", key: "username"}
	password := Variable{Name: "SERVICENOW_PASSWORD", About: "its password", key: "password", Secret: true}
	public := secret
	public.comment = "remove this line for a Public Client"
	return []grant{
		{Choice{"client_credentials", "an OAuth application that acts as one user; best for schedules"}, []Variable{id, secret}},
		{Choice{"jwt_bearer", "the same with a private key"}, []Variable{
			id, public,
			{Name: "SERVICENOW_PRIVATE_KEY_FILE", About: "path of the private key in PEM", key: "private_key_file", File: "servicenow-key.pem", Content: "SERVICENOW_PRIVATE_KEY"},
			{Name: "SERVICENOW_KEY_ID", About: "Kid of the JWT verifier map", key: "key_id"},
			{Name: "SERVICENOW_SUBJECT", About: "the user that the sync acts as, as the application's User Field names it", key: "subject"},
		}},
		{Choice{"authorization_code", "you sign in once with the browser"}, []Variable{id, public}},
		{Choice{"refresh_token", "a token that another program obtained"}, []Variable{id, public, refresh}},
		{Choice{"password", "a user and an OAuth application"}, []Variable{id, secret, user, password}},
		{Choice{"basic", "a user alone; new instances restrict it"}, []Variable{user, password}},
		{Choice{"api_key", "a REST API key"}, []Variable{{Name: "SERVICENOW_API_KEY", About: "the key", key: "api_key", Secret: true}}},
	}
}

// Grants returns the ways to sign in.
func Grants() []Choice { return choices(grants(), func(g grant) Choice { return g.Choice }) }

// destination is where rows go.
type destination struct {
	Choice
	title, name, version, writeMode, comment string
	variables                                []Variable
	cursors                                  bool // it can be read back
	local                                    bool // it is a file of the machine that syncs
}

const (
	overwrite  = "overwrite"
	appendRows = "append"
)

// embedded is the destination of this program's own command sync.
const embedded = "embedded"

func destinations() []destination {
	return []destination{
		{Choice: Choice{embedded, "a SQLite file, without the CloudQuery CLI"}, title: "a SQLite file", name: "sqlite", writeMode: overwrite, cursors: true, local: true},
		{Choice: Choice{"postgresql", "PostgreSQL"}, title: "PostgreSQL", version: "v8.16.0", writeMode: overwrite, cursors: true, variables: []Variable{
			{Name: "POSTGRESQL_CONNECTION_STRING", About: "such as postgresql://user@host:5432/database, with the password", Secret: true},
		}},
		{Choice: Choice{"bigquery", "Google BigQuery"}, title: "BigQuery", version: "v4.7.11", writeMode: appendRows, cursors: true,
			comment: "all that BigQuery takes; the newest row of each (instance, sys_id) by _cq_sync_time counts", variables: []Variable{
				{Name: "BIGQUERY_PROJECT_ID", About: "ID of the Google Cloud project"},
				{Name: "BIGQUERY_DATASET_ID", About: "ID of the dataset"},
				{Name: "GOOGLE_APPLICATION_CREDENTIALS", About: "path of the service account's key, unless the machine has credentials", Optional: true, File: "google-credentials.json", Content: "GOOGLE_CREDENTIALS"},
			}},
		{Choice: Choice{"snowflake", "Snowflake"}, title: "Snowflake", version: "v5.2.14", writeMode: overwrite, cursors: true, variables: []Variable{
			{Name: "SNOWFLAKE_CONNECTION_STRING", About: "as user:password@account/database/schema?warehouse=name", Secret: true},
		}},
		{Choice: Choice{"s3", "Parquet files in S3"}, title: "Parquet files in S3", version: "v7.10.13", writeMode: appendRows, variables: []Variable{
			{Name: "S3_BUCKET", About: "name of the bucket"},
			{Name: "AWS_REGION", About: "its region, such as eu-central-1"},
			{Name: "AWS_ACCESS_KEY_ID", About: "unless the machine has credentials", Optional: true},
			{Name: "AWS_SECRET_ACCESS_KEY", About: "likewise", Secret: true, Optional: true},
		}},
		{Choice: Choice{"duckdb", "a DuckDB file"}, title: "a DuckDB file", version: "v6.3.11", writeMode: overwrite, cursors: true, local: true},
		{Choice: Choice{"sqlite", "a SQLite file, by CloudQuery's own destination"}, title: "a SQLite file", version: "v2.14.11", writeMode: overwrite, cursors: true, local: true},
		{Choice: Choice{"file", "Parquet files on this machine"}, title: "Parquet files", version: "v5.5.10", writeMode: appendRows, local: true},
	}
}

// Destinations returns where rows can go.
func Destinations() []Choice {
	return choices(destinations(), func(d destination) Choice { return d.Choice })
}

// Attachments returns what can be read of attachments.
func Attachments() []Choice {
	return []Choice{
		{AttachmentsText, "their text, and what the instance states about each file"},
		{AttachmentsFiles, "the files themselves, too, in a column"},
		{AttachmentsMetadata, "only what the instance states about each file"},
		{AttachmentsNone, "nothing"},
	}
}

func choices[T any](all []T, choice func(T) Choice) []Choice {
	out := make([]Choice, len(all))
	for i, item := range all {
		out[i] = choice(item)
	}
	return out
}

func (c *Config) grant() grant {
	all := grants()
	return all[slices.IndexFunc(all, func(g grant) bool { return g.Name == c.Grant })]
}

func (c *Config) destination() destination {
	all := destinations()
	return all[slices.IndexFunc(all, func(d destination) bool { return d.Choice.Name == c.Destination })]
}

// Instance names the instance to people.
func (c *Config) Instance() string { return cmp.Or(c.Subdomain, c.Address) }

// Embedded reports whether the program's own command sync runs the config; otherwise the CloudQuery CLI does.
func (c *Config) Embedded() bool { return c.Destination == embedded }

// elsewhere reports whether the schedule's machine has no files of this one: then a browser's sign-in comes as a secret.
func (c *Config) elsewhere() bool {
	return c.Schedule == GitHubActions || c.Schedule == Kubernetes || c.Schedule == Airflow
}

// Variables returns what has to be set, the source's first.
func (c *Config) Variables() []Variable {
	variables := slices.Clone(c.grant().variables)
	if c.Grant == "authorization_code" && c.elsewhere() {
		variables = append(variables, Variable{Name: "SERVICENOW_REFRESH_TOKEN", About: "what cq-source-servicenow login --print prints", key: "refresh_token", Secret: true})
	}
	for i := range variables {
		variables[i].Source = true
	}
	variables = append(variables, c.destination().variables...)
	if !c.Embedded() {
		variables = append(variables, Variable{Name: "CLOUDQUERY_API_KEY", About: "from cloud.cloudquery.io, to download plugins; or run cloudquery login once", Secret: true, Optional: true})
	}
	return variables
}

//go:embed templates
var templates embed.FS

// render fills in a template. Its marks are [[ and ]], since the files have braces of their own.
func render(name string, data any) ([]byte, error) {
	t, err := template.New(name).Delims("[[", "]]").Option("missingkey=error").Funcs(template.FuncMap{
		"quote": quote, "shell": shell, "python": python, "cron": cronLine, "lower": strings.ToLower,
		"trimV": func(version string) string { return strings.TrimPrefix(version, "v") },
	}).ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, fmt.Errorf("reading the template %s: %w", name, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return nil, fmt.Errorf("filling in the template %s: %w", name, err)
	}
	return []byte(b.String()), nil
}

// quote writes a text as YAML that no value of it can leave.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// shell writes a text as one word of a POSIX shell; plain words stay plain.
func shell(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./-", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// python writes a text as a literal: JSON's are Python's too.
func python(text string) (string, error) {
	literal, err := json.Marshal(text)
	return string(literal), err
}

// YAML returns the config.
func (c *Config) YAML() ([]byte, error) {
	d := c.destination()
	data := struct {
		*Config
		Instance, DestinationTitle, DestinationName, DestinationVersion string
		Registry, Path                                                  string
		Variables                                                       []Variable
		Widest                                                          int
		KeepsCursors                                                    bool
		AuthKeys                                                        []AuthKey
		WriteMode, WriteModeComment                                     string
	}{
		Config: c, Instance: c.Instance(), DestinationTitle: d.title, DestinationName: cmp.Or(d.name, d.Choice.Name), DestinationVersion: d.version,
		Registry: c.registry(), Path: c.path(), Variables: c.Variables(), Widest: widest(c.Variables()), KeepsCursors: d.cursors,
		WriteMode: d.writeMode, WriteModeComment: d.comment,
	}
	for _, v := range data.Variables {
		if v.key != "" {
			data.AuthKeys = append(data.AuthKeys, AuthKey{Key: v.key, Variable: v.Name, Comment: v.comment})
		}
	}
	return render("config.yaml.tmpl", data)
}

func widest(variables []Variable) int {
	width := 0
	for _, v := range variables {
		width = max(width, len(v.Name))
	}
	return width
}

func (c *Config) registry() string {
	if c.Version != "" && c.Plugin == "" {
		return "cloudquery"
	}
	return "local"
}

func (c *Config) path() string {
	if c.Schedule == Kubernetes {
		return cmp.Or(c.Plugin, pluginInImages)
	}
	return cmp.Or(c.Plugin, localPlugin)
}

// Address reads what a person writes for an instance: a subdomain, a host or a whole address. It returns a subdomain or
// an address; which of them can be right is for the spec to say.
func Address(instance string) (subdomain, address string) {
	instance = strings.TrimRight(strings.TrimSpace(instance), "/")
	if !strings.ContainsAny(instance, ".:/") {
		return strings.ToLower(instance), ""
	}
	whole := instance
	if !strings.Contains(whole, "://") {
		whole = "https://" + whole
	}
	u, err := url.Parse(whole)
	if err != nil {
		return "", whole
	}
	if name, ok := strings.CutSuffix(strings.ToLower(u.Host), ".service-now.com"); ok && u.Scheme == "https" && !strings.Contains(name, ".") {
		return name, "" // a path behind it is of a page that somebody looked at
	}
	return "", whole
}
