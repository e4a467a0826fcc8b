// Package spec is the plugin's block of a CloudQuery config: its keys, defaults and rules. The comments below become the
// descriptions of the JSON schema and of docs/_configuration.md.
package spec

import (
	_ "embed"
	"time"

	"github.com/cloudquery/plugin-sdk/v4/configtype"
)

// JSONSchema describes Spec; editors and `cloudquery validate-config` use it, and Parse checks every spec against it.
//
//go:embed schema.json
var JSONSchema string

// Spec is the `spec:` block of the source.
type Spec struct {
	Instance

	// Whether a sync checks, before it goes on from a cursor, that the rows of the last sync are in the destination, by
	// counting them there. Many destinations only log writes that fail. `auto` checks where that may be so, and not for
	// `postgresql`, `file`, `s3`, `gcs` and `azblob`, which fail the sync. The check reads two columns of the whole table.
	VerifyWrites string `json:"verify_writes,omitempty" jsonschema:"enum=auto,enum=always,enum=never,default=auto"`

	// Many instances in one source. Each item takes every key above plus a name; what an item leaves out is taken from
	// the keys above.
	Instances []NamedInstance `json:"instances,omitempty"`
}

// Values of verify_writes.
const (
	VerifyAuto   = "auto"
	VerifyAlways = "always"
	VerifyNever  = "never"
)

// NamedInstance is one item of `instances`.
type NamedInstance struct {
	// Name of this item in logs, errors and cursors; unique in the list.
	Name string `json:"name" jsonschema:"required,minLength=1,maxLength=64"`

	// Leaves this item out of syncs. With `backend_options` its rows and its cursors stay, and a later sync goes on from there;
	// without them, a destination that deletes stale rows deletes those of this item.
	Paused bool `json:"paused,omitempty" jsonschema:"default=false"`

	Instance
}

// Instance says which instance to read, how to sign in, and what to read from it.
type Instance struct {
	// The part of the address before `.service-now.com`: `example` for `https://example.service-now.com`.
	InstanceSubdomain string `json:"instance_subdomain,omitempty" jsonschema:"example=example"`

	// The whole address, for custom domains, government clouds and the emulator. Use this or `instance_subdomain`.
	// Plain http is accepted for loopback addresses only.
	InstanceURL string `json:"instance_url,omitempty" jsonschema:"example=https://itsm.example.com"`

	// How to sign in.
	Auth Auth `json:"auth,omitempty"`

	// Which incidents to read, and which of their fields.
	Incidents Incidents `json:"incidents,omitempty"`

	// What to read of the incidents' attachments.
	Attachments Attachments `json:"attachments,omitempty"`

	// Rows asked for with one request. 0 starts at 1,000 and adapts to the time that pages take, up to 4,000. Any other number
	// is where it starts and never exceeds; pages that take too long are still halved.
	PageSize int `json:"page_size,omitempty" jsonschema:"minimum=0,maximum=10000,default=0"`

	// The most requests in flight on one instance. The plugin starts with 2, adds more while the instance answers as quickly as
	// before, and halves them when it slows down or refuses. 0 lets it go up to 16.
	Concurrency int `json:"concurrency,omitempty" jsonschema:"minimum=0,maximum=64,default=0"`

	// The most requests sent to one instance in any 60 minutes, beside the limit that the instance itself announces, of which
	// 90 % are used. 0 is no limit of your own.
	MaxRequestsPerHour int `json:"max_requests_per_hour,omitempty" jsonschema:"minimum=0,default=0"`

	// How far behind its cursor every incremental sync starts, so that rows committed late are met. At least 1s, at most
	// 168h.
	Overlap configtype.Duration `json:"overlap,omitempty"`

	// How deleted records are found. `audit` reads what the instance notes about deletes (`sys_audit_delete`) with every sync;
	// `sweep` compares the destination's rows with the records of the instance from time to time, and so finds what is noted
	// nowhere, archived records among them. Both need `backend_options`.
	Deletes string `json:"deletes,omitempty" jsonschema:"enum=none,enum=audit,enum=sweep,default=none"`

	// How often the destination is swept: a time such as `24h`, or a number of syncs such as `10 syncs`. The default is `24h` with
	// `deletes: sweep`, and never with `deletes: audit`, which takes the key as well.
	SweepEvery Every `json:"sweep_every,omitzero"`

	// What becomes of the rows of deleted records: `remove` removes them from the destination, `keep` keeps them, and `auto`
	// removes them where the destination is known to be able to (PostgreSQL, SQLite, ClickHouse). Whatever is chosen, the
	// table `servicenow_deleted_records` gets a row for each, if the config names it.
	DeletedRows string `json:"deleted_rows,omitempty" jsonschema:"enum=auto,enum=remove,enum=keep,default=auto"`

	// The largest share of a table's rows that one sync may take for deleted. What goes beyond is an error and nothing is
	// removed, since lost rights look like deletes.
	DeleteGuard *Share `json:"delete_guard,omitempty"`

	// Whether each sync compares its tables with the instance, range by range, and repairs rows that are missing in the
	// destination or differ. Needs `backend_options`.
	Reconcile bool `json:"reconcile,omitempty" jsonschema:"default=false"`
}

// Choices of Instance.Deletes.
const (
	DeletesNone  = "none"
	DeletesAudit = "audit"
	DeletesSweep = "sweep"
)

// Choices of Instance.DeletedRows.
const (
	DeletedRowsAuto   = "auto"
	DeletedRowsRemove = "remove"
	DeletedRowsKeep   = "keep"
)

// Auth is the sign-in of one instance.
type Auth struct {
	// The grant. `client_credentials`, `refresh_token`, `password`, `jwt_bearer` and `authorization_code` are OAuth 2.0
	// grants, the last one for a person who signs in once with the command `login`; `basic` and `api_key` use no OAuth.
	GrantType string `json:"grant_type,omitempty" jsonschema:"enum=client_credentials,enum=refresh_token,enum=authorization_code,enum=password,enum=jwt_bearer,enum=basic,enum=api_key"`

	// Client ID of the OAuth application (System OAuth > Application Registry).
	ClientID string `json:"client_id,omitempty"`

	// Client secret of the OAuth application. Public clients have none.
	ClientSecret string `json:"client_secret,omitempty"`

	// Refresh token, for `refresh_token`, and for `authorization_code` where no token store is at hand.
	RefreshToken string `json:"refresh_token,omitempty"`

	// Access token obtained elsewhere, used until the instance refuses it. With a refresh token the sync then goes on.
	AccessToken string `json:"access_token,omitempty"`

	// Where the instance sends the browser after the consent, for `authorization_code`: the Redirect URL of the OAuth
	// application, letter by letter. `login` uses it.
	RedirectURI string `json:"redirect_uri,omitempty" jsonschema:"default=http://127.0.0.1:8976/callback"`

	// Where `login` keeps the refresh token, for `authorization_code`: a file, or `keyring` for the operating system's.
	// Empty is a file in the config directory of the user who runs the sync.
	TokenStore string `json:"token_store,omitempty"`

	// User name, for `password` and `basic`.
	Username string `json:"username,omitempty"`

	// Password, for `password` and `basic`.
	Password string `json:"password,omitempty"`

	// Private key in PEM that signs the assertion, for `jwt_bearer`. Use this or `private_key_file`.
	PrivateKey string `json:"private_key,omitempty"`

	// Path of the private key in PEM, for `jwt_bearer`.
	PrivateKeyFile string `json:"private_key_file,omitempty"`

	// Key ID (`kid`) of the JWT verifier map in ServiceNow, for `jwt_bearer`.
	KeyID string `json:"key_id,omitempty"`

	// The user whom the assertion stands for (`sub`), for `jwt_bearer`.
	Subject string `json:"subject,omitempty"`

	// Key sent as `x-sn-apikey`, for `api_key`.
	APIKey string `json:"api_key,omitempty"`

	// OAuth scope to ask for. Most instances need none.
	Scope string `json:"scope,omitempty"`
}

// Incidents narrows the incidents; what is left out here is left out of the attachments too.
type Incidents struct {
	// A ServiceNow encoded query. Its fields are checked against the instance's dictionary before anything is read, since
	// ServiceNow drops a term that it does not know and then returns everything.
	Query string `json:"query,omitempty" jsonschema:"example=active=true^priority=1"`

	// Only the incidents with these sys_ids, beside those of `numbers`.
	SysIDs []string `json:"sys_ids,omitempty"`

	// Only the incidents with these numbers, beside those of `sys_ids`.
	Numbers []string `json:"numbers,omitempty"`

	// Only these fields become columns and part of `record`. Empty: a column for every out-of-box field, and the whole
	// record, custom fields included, in `record`. Custom fields become columns when they are named here; `*` stands for
	// any text, so `u_*` adds the custom fields to the others that are named, and `*` alone names every field.
	Fields []string `json:"fields,omitempty" jsonschema:"example=*"`

	// Where the record's JSON goes: `column`, the column `record`; `blob`, a file below `attachments.blob_url`, with its
	// address in `record_url`; or `both`. The default is `both` with a `blob_url` and `column` without.
	Record string `json:"record,omitempty" jsonschema:"enum=column,enum=blob,enum=both"`
}

// Attachments says what to read of the attachments.
type Attachments struct {
	// Where the content goes: `column`, the column `content`; `blob`, a file below `blob_url`, with its address in
	// `content_url`; or `none`.
	Content string `json:"content,omitempty" jsonschema:"enum=column,enum=blob,enum=none,default=column"`

	// Which files are fetched: `text`, those that text can be read from, by their names and types; or `all`. Files of
	// unknown types count as those with text, since only their content tells.
	Formats string `json:"formats,omitempty" jsonschema:"enum=text,enum=all,default=text"`

	// Where files go: `s3://bucket`, `gs://bucket`, `azblob://container` or `file:///directory`, with the options that
	// Go CDK's blob package reads from the query, such as `?prefix=servicenow/` or `?region=eu-central-1`. Credentials
	// come from the environment, as each provider's own tools read them.
	BlobURL string `json:"blob_url,omitempty" jsonschema:"example=s3://my-bucket?prefix=servicenow/&region=eu-central-1"`

	// How long the signed addresses in `content_signed_url` are good for, where the store can sign. 0s writes none.
	SignedURLs *configtype.Duration `json:"signed_urls,omitempty"`

	// Whether the text of each fetched file goes to the column `text`.
	ExtractText *bool `json:"extract_text,omitempty" jsonschema:"default=true"`

	// Larger files are not fetched; their `text_status` says `too_large`. At most 64MiB with `content: column`, since a
	// row has to fit into one message; at most 10GiB otherwise.
	MaxSize Size `json:"max_size,omitempty"`

	// Whether pictures and scanned pages are read by the program `tesseract`, where the PATH has it (`auto`), or not at
	// all (`off`).
	OCR string `json:"ocr,omitempty" jsonschema:"enum=auto,enum=off,default=auto"`

	// The languages that `tesseract` looks for, as it names them.
	OCRLanguages string `json:"ocr_languages,omitempty" jsonschema:"pattern=^[A-Za-z_+]+$,default=eng,example=eng+deu"`

	// Address of an Apache Tika server, for the formats that are not read here: old Office files, pictures. Those files
	// are sent to it.
	TikaURL string `json:"tika_url,omitempty" jsonschema:"example=http://tika:9998"`

	// Address of a transcription service with OpenAI's interface, for audio and video. Those files are sent to it.
	TranscriptionURL string `json:"transcription_url,omitempty" jsonschema:"example=http://whisper:8080/v1/audio/transcriptions"`

	// Key of the transcription service, where it wants one.
	TranscriptionKey string `json:"transcription_key,omitempty"`

	// Model that the transcription service is asked for.
	TranscriptionModel string `json:"transcription_model,omitempty" jsonschema:"default=whisper-1"`
}

// Contents of Attachments.Content.
const (
	ContentColumn = "column"
	ContentBlob   = "blob"
	ContentNone   = "none"
)

// OCRAuto is the choice of Attachments.OCR that uses tesseract where it is found.
const OCRAuto = "auto"

// FormatsAll is the choice of Attachments.Formats that fetches every file.
const FormatsAll = "all"

// Wanted reports whether files are fetched at all.
func (a *Attachments) Wanted() bool { return a.Content != ContentNone || *a.ExtractText }

// Records of Incidents.Record.
const (
	RecordColumn = "column"
	RecordBlob   = "blob"
	RecordBoth   = "both"
)

// Grants of Auth.GrantType.
const (
	GrantClientCredentials = "client_credentials"
	GrantRefreshToken      = "refresh_token"
	GrantAuthorizationCode = "authorization_code"
	GrantPassword          = "password"
	GrantJWTBearer         = "jwt_bearer"
	GrantBasic             = "basic"
	GrantAPIKey            = "api_key"
)

const (
	defaultOverlap = 5 * time.Minute
	minOverlap     = time.Second
	maxOverlap     = 7 * 24 * time.Hour
	defaultSigned  = time.Hour
	maxSigned      = 7 * 24 * time.Hour // the longest that S3 signs for
	defaultMaxSize = 50 << 20

	defaultSweepEvery  = 24 * time.Hour
	defaultDeleteGuard = 0.1
)

// setDefaults fills what the user left out. PageSize and Concurrency stay 0, which is adaptive.
func (i *Instance) setDefaults() {
	if i.Overlap.Duration() == 0 {
		i.Overlap = configtype.NewDuration(defaultOverlap)
	}
	if i.Deletes == "" {
		i.Deletes = DeletesNone
	}
	if i.Deletes == DeletesSweep && i.SweepEvery == (Every{}) {
		i.SweepEvery = Every{Time: defaultSweepEvery}
	}
	if i.DeletedRows == "" {
		i.DeletedRows = DeletedRowsAuto
	}
	if i.DeleteGuard == nil {
		share := Share(defaultDeleteGuard)
		i.DeleteGuard = &share
	}
	if i.Incidents.Record == "" {
		if i.Incidents.Record = RecordColumn; i.Attachments.BlobURL != "" {
			i.Incidents.Record = RecordBoth
		}
	}
	i.Attachments.setDefaults()
}

func (a *Attachments) setDefaults() {
	for key, value := range map[*string]string{
		&a.Content: ContentColumn, &a.Formats: "text", &a.OCR: "auto", &a.OCRLanguages: "eng", &a.TranscriptionModel: "whisper-1",
	} {
		if *key == "" {
			*key = value
		}
	}
	if a.ExtractText == nil {
		yes := true
		a.ExtractText = &yes
	}
	if a.SignedURLs == nil {
		d := configtype.NewDuration(defaultSigned)
		a.SignedURLs = &d
	}
	if a.MaxSize == 0 {
		a.MaxSize = defaultMaxSize
	}
}
