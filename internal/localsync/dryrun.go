package localsync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/internal/localsync/sqlitedest"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// DrySource is a source of a config as a sync would start it.
type DrySource struct {
	Name               string
	Spec               []byte // JSON
	Tables, SkipTables []string
	SkipDependent      bool
	DeterministicID    bool
	// StateTable and StateConnection are those of backend_options; both are empty without them, and where there is no
	// database yet that could hold a cursor.
	StateTable, StateConnection string
}

// DryRun hands each source of a config to run, with its database open for reading. Nothing is created or written.
func DryRun(ctx context.Context, path string, run func(context.Context, DrySource) error) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return usererror.Wrap(err, codeConfigUnread, "the config file could not be read", "name a CloudQuery config file")
	}
	c, err := parseConfig(data, path)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range c.sources {
		if ctx.Err() != nil {
			break
		}
		if err := c.dryRun(ctx, s, run); err != nil {
			errs = append(errs, fmt.Errorf("estimating %s: %w", s.name, err))
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

func (c *config) dryRun(ctx context.Context, s *sourceConfig, run func(context.Context, DrySource) error) (err error) {
	open, err := openDatabases()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, open.close()) }()

	for _, name := range s.references {
		d := c.destinations[name]
		db, openErr := sqlitedest.OpenReadOnly(ctx, zerolog.Nop(), d.spec)
		if errors.Is(openErr, os.ErrNotExist) {
			continue
		}
		if openErr != nil {
			return usererror.Wrap(openErr, codeDatabaseOpen, "the database "+d.spec.ConnectionString+" could not be opened",
				"check that it can be read, and that it is a SQLite database")
		}
		if err := open.offer(ctx, name, db); err != nil {
			return err
		}
	}
	spec, err := json.Marshal(replaceConnections(s.spec, open.addresses))
	if err != nil {
		return fmt.Errorf("encoding the spec: %w", err)
	}
	dry := DrySource{
		Name: s.name, Spec: spec, Tables: s.tables, SkipTables: s.skipTables, SkipDependent: s.skipDependentTables, DeterministicID: s.deterministicCQID,
	}
	if b := s.backend; b != nil {
		connection, _ := replaceConnections(b.connection, open.addresses).(string)
		if !connectionPattern().MatchString(connection) { // else there is no such database yet
			dry.StateTable, dry.StateConnection = b.table, connection
		}
	}
	return run(ctx, dry)
}
