package emulator

import (
	"crypto"
	"net/http"
	"sync"
	"time"
)

// InvalidQueryMode is what the instance does with a query term it cannot understand.
type InvalidQueryMode int

const (
	// DropTerm ignores the term and runs the rest of the query: the platform's default.
	DropTerm InvalidQueryMode = iota
	// NoRows answers no rows, as with glide.invalid_query.returns_no_rows.
	NoRows
	// Forbidden answers 403, as hardened instances do. Terms on hidden fields count as invalid too.
	Forbidden
)

// Config describes the instance. Its zero value is a usable one.
type Config struct {
	Seed        uint64
	Incidents   int              // default 1200; negative: none
	Attachments int              // default 60; negative: none
	TiedShare   float64          // share of incidents updated in one single second; default 0.25; negative: none
	TimeZone    string           // display time zone of the signed-in user; default America/Los_Angeles
	DateFormat  string           // the user's date format in Java letters; default yyyy-MM-dd
	Now         func() time.Time // the server's clock; default time.Now

	ClientID, ClientSecret string // default emulator-client, emulator-secret
	Username, Password     string // default emulator.user, emulator-password
	APIKey                 string // default emulator-key
	RefreshToken           string // default emulator-refresh

	PublicClientID   string        // a client without a secret; default emulator-public
	RedirectURIs     []string      // of both clients; default http://127.0.0.1:8976/callback
	AuthCodeLifetime time.Duration // of an authorization code; default 60 s

	JWTKey               crypto.PublicKey // verifies jwt-bearer assertions ([]byte for HS256); nil refuses the grant
	TokenLifetime        time.Duration    // of an access token; default 30 min
	RefreshTokenLifetime time.Duration    // default 100 days
	RotateRefreshTokens  bool             // every refresh ends the refresh token it used
	OmitRefreshToken     bool             // token answers never carry a refresh_token

	InvalidQuery   InvalidQueryMode
	RequestLatency time.Duration // the least that a request takes
	RowLatency     time.Duration // and so much more for each row served
	OffsetLatency  time.Duration // and for each row that an offset leaves out, which the database reads all the same
	ServedAtOnce   int           // requests served side by side, while others wait for their turn; 0: all
	RateLimit      RateLimit     // a rate-limit rule for the APIs; its zero value is none

	LinkBase           string // scheme and host put in links; default those of the request
	PaginationURLLimit int    // longest URL a Link header can be built for; default 4000
	URLLimit           int    // longest URL the proxy lets through; default 8000
}

// Emulator is one instance. It is safe for concurrent use.
type Emulator struct {
	cfg      Config
	zone     *time.Location
	dates    dateLayout
	traffic  trafficLog
	tokens   *tokenStore
	logins   *authorizations
	sessions sessionTable
	faults   faultPlan
	rule     rateRule
	zippers  zipperPool
	buffers  bufferPool
	turns    turns

	mu       sync.RWMutex // guards everything below
	tables   map[string]*table
	families map[string][]*table // a table with its children
	schemas  *schemaSet
	files    map[string]fileContent // attachment bytes by sys_id
	security securityRules
	removals removals
	serial   serialNumbers
}

var _ http.Handler = (*Emulator)(nil)

// New builds an instance and its data. It panics on a time zone the system does not know.
func New(cfg Config) *Emulator {
	cfg = withDefaults(cfg)
	zone, err := time.LoadLocation(cfg.TimeZone)
	if err != nil {
		panic("emulator: " + err.Error())
	}
	e := &Emulator{
		cfg:      cfg,
		zone:     zone,
		dates:    newDateLayout(cfg.DateFormat, zone),
		sessions: newSessionTable(),
		zippers:  newZipperPool(),
		buffers:  newBufferPool(),
		turns:    newTurns(cfg.ServedAtOnce),
		security: newSecurityRules(),
		files:    map[string]fileContent{},
		removals: removals{audited: map[string]bool{}, gone: map[string]removed{}},
	}
	e.tokens = newTokenStore(cfg)
	e.logins = newAuthorizations()
	e.seed()
	return e
}

func withDefaults(cfg Config) Config {
	count := func(n *int, fallback int) {
		switch {
		case *n == 0:
			*n = fallback
		case *n < 0:
			*n = 0
		}
	}
	text := func(s *string, fallback string) {
		if *s == "" {
			*s = fallback
		}
	}
	span := func(d *time.Duration, fallback time.Duration) {
		if *d == 0 {
			*d = fallback
		}
	}
	count(&cfg.Incidents, 1200)
	count(&cfg.Attachments, 60)
	count(&cfg.PaginationURLLimit, 4000)
	count(&cfg.URLLimit, 8000)
	if cfg.TiedShare == 0 {
		cfg.TiedShare = 0.25
	}
	cfg.TiedShare = min(max(cfg.TiedShare, 0), 1)
	text(&cfg.TimeZone, "America/Los_Angeles")
	text(&cfg.DateFormat, "yyyy-MM-dd")
	text(&cfg.ClientID, "emulator-client")
	text(&cfg.ClientSecret, "emulator-secret")
	text(&cfg.Username, "emulator.user")
	text(&cfg.Password, "emulator-password")
	text(&cfg.APIKey, "emulator-key")
	text(&cfg.RefreshToken, "emulator-refresh")
	text(&cfg.PublicClientID, "emulator-public")
	if len(cfg.RedirectURIs) == 0 {
		cfg.RedirectURIs = []string{"http://127.0.0.1:8976/callback"}
	}
	span(&cfg.AuthCodeLifetime, time.Minute)
	span(&cfg.TokenLifetime, 30*time.Minute)
	span(&cfg.RefreshTokenLifetime, 100*24*time.Hour)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return cfg
}

func (e *Emulator) now() time.Time { return e.cfg.Now() }
