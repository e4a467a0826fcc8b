package sqlitedest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/rs/zerolog"
	_ "modernc.org/sqlite" // registers the database/sql driver "sqlite"
)

const (
	memoryPath = ":memory:"
	// pragmas: with WAL a reader never waits for the writer, and synchronous NORMAL can lose the last commits on a power
	// cut but never their order, so a cursor still never runs ahead of its rows.
	pragmas = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=temp_store(MEMORY)"
)

// Client is an open SQLite file. Its methods may be called concurrently: writes follow one another.
type Client struct {
	plugin.UnimplementedSource

	logger   zerolog.Logger
	spec     Spec
	db       *sql.DB
	onDelete func(table string, rows int64)

	mu    sync.Mutex // guards conn and stmts: SQLite has one writer, and a second one would only wait for its lock
	conn  *sql.Conn
	stmts map[string]driver.Stmt
}

var _ plugin.Client = (*Client)(nil)

// New is the plugin.NewClientFunc of the destination; spec is JSON.
func New(ctx context.Context, logger zerolog.Logger, spec []byte, opts plugin.NewClientOptions) (plugin.Client, error) {
	if opts.NoConnection {
		return &Client{logger: logger}, nil
	}
	s, err := ParseSpec(spec)
	if err != nil {
		return nil, err
	}
	return Open(ctx, logger, s, nil)
}

// Open opens or creates the database that s names. onDelete, when not nil, is told how many rows a delete removed.
func Open(ctx context.Context, logger zerolog.Logger, s Spec, onDelete func(table string, rows int64)) (*Client, error) {
	s.SetDefaults()
	if err := s.Validate(); err != nil {
		return nil, err
	}
	dsn, err := dataSourceName(s.ConnectionString)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	if s.ConnectionString == memoryPath {
		db.SetMaxOpenConns(1) // every connection to :memory: is a database of its own
	}
	c := &Client{
		logger:   logger.With().Str("module", "sqlite-dest").Logger(),
		spec:     s,
		db:       db,
		onDelete: onDelete,
		stmts:    map[string]driver.Stmt{},
	}
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("opening database: %w", err)
	}
	return c, nil
}

// OpenReadOnly opens the database that s names for Read alone, and creates nothing: a file that is not there is
// os.ErrNotExist.
func OpenReadOnly(ctx context.Context, logger zerolog.Logger, s Spec) (*Client, error) {
	s.SetDefaults()
	if err := s.Validate(); err != nil {
		return nil, err
	}
	db, err := openReadOnly(s.ConnectionString)
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening database: %w", err), db.Close())
	}
	return &Client{logger: logger.With().Str("module", "sqlite-dest").Logger(), spec: s, db: db}, nil
}

// dataSourceName turns the connection string, a path or a file: URI, into the driver's form.
func dataSourceName(conn string) (string, error) {
	if conn == memoryPath {
		return memoryPath, nil
	}
	if strings.HasPrefix(conn, "file:") {
		if strings.Contains(conn, "?") {
			return conn + "&" + pragmas, nil
		}
		return conn + "?" + pragmas, nil
	}
	path, err := filepath.Abs(conn)
	if err != nil {
		return "", fmt.Errorf("resolving the path: %w", err)
	}
	if err := createPrivate(path); err != nil {
		return "", err
	}
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a Windows drive
	}
	return "file://" + (&url.URL{Path: slashed}).EscapedPath() + "?" + pragmas, nil
}

// createPrivate creates a missing database file for its owner alone: it is going to hold incidents.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// Close closes the database. Closing a closed client does nothing.
func (c *Client) Close(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.db == nil {
		return nil
	}
	err := c.releaseConn()
	err = errors.Join(err, c.db.Close())
	c.db = nil
	if err != nil {
		return fmt.Errorf("closing database: %w", err)
	}
	return nil
}

// releaseConn gives the writing connection back. The caller holds mu.
func (c *Client) releaseConn() error {
	if c.conn == nil {
		return nil
	}
	err := c.closeStatements()
	err = errors.Join(err, c.conn.Close())
	c.conn = nil
	return err
}

// closeStatements forgets the prepared statements, which a migration makes stale. The caller holds mu.
func (c *Client) closeStatements() error {
	var err error
	for _, s := range c.stmts {
		err = errors.Join(err, s.Close())
	}
	clear(c.stmts)
	return err
}

var errClosed = errors.New("the database is closed")

// writing runs f in one transaction on the writing connection.
func (c *Client) writing(ctx context.Context, f func(tx *txn) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.db == nil {
		return errClosed
	}
	if c.conn == nil {
		conn, err := c.db.Conn(ctx)
		if err != nil {
			return fmt.Errorf("connecting: %w", err)
		}
		c.conn = conn
	}
	err := c.conn.Raw(func(dc any) error {
		tx := &txn{client: c, conn: dc.(driverConn)}
		if err := tx.exec("BEGIN IMMEDIATE"); err != nil {
			return fmt.Errorf("beginning a transaction: %w", err)
		}
		if err := f(tx); err != nil {
			return errors.Join(err, tx.exec("ROLLBACK"))
		}
		if err := tx.exec("COMMIT"); err != nil {
			return errors.Join(fmt.Errorf("committing: %w", err), tx.exec("ROLLBACK"))
		}
		return nil
	})
	if c.spec.ConnectionString == memoryPath {
		// Read needs the only connection there is.
		err = errors.Join(err, c.releaseConn())
	}
	return err
}

// driverConn is what the SQLite driver's connection offers. Going below database/sql saves a conversion and an
// allocation for every value of every row.
type driverConn interface {
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
}

// txn is an open transaction.
type txn struct {
	client *Client
	conn   driverConn
}

// exec ignores the caller's context on purpose: a cancelled sync still commits what it has, in order.
func (t *txn) exec(query string, args ...driver.Value) error {
	_, err := t.execCount(query, args...)
	return err
}

func (t *txn) execCount(query string, args ...driver.Value) (int64, error) {
	named := make([]driver.NamedValue, len(args))
	for i, a := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	res, err := t.conn.ExecContext(context.Background(), query, named)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// statement returns query prepared, from the cache when it can.
func (t *txn) statement(query string) (driver.StmtExecContext, error) {
	s, ok := t.client.stmts[query]
	if !ok {
		var err error
		if s, err = t.conn.PrepareContext(context.Background(), query); err != nil {
			return nil, err
		}
		t.client.stmts[query] = s
	}
	return s.(driver.StmtExecContext), nil
}

func quote(identifier string) string {
	return `"` + strings.ReplaceAll(identifier, `"`, `""`) + `"`
}
