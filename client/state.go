package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/rs/zerolog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cqservicenow/cq-source-servicenow/internal/cursor"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// CodeBackend is the code of a state backend that does not answer.
const CodeBackend = "SN-STATE-001"

// State is the state table of `backend_options`. Cursors are read from the backend's connection, and written through the
// data stream, behind the rows they stand for: the SDK's own client writes on a stream of its own, which was seen to run
// ahead of rows that then failed. The backend therefore has to be the destination itself. See docs/dev/adr.
type State struct {
	table    *schema.Table
	address  string
	evidence *evidence // nil: cursors are believed

	mu        sync.Mutex
	stored    map[string]*cursor.Cursor
	broken    map[string]error
	repeating map[string]bool // keys whose last window is read again
}

// stateTable has the columns of the SDK's state tables: key, value and version, of which the highest counts.
func stateTable(name string) *schema.Table {
	return &schema.Table{
		Name:          name,
		Description:   "Where each table's next sync goes on",
		IsIncremental: true, // so that the CLI never takes its rows for stale
		Columns: schema.ColumnList{
			{Name: "key", Type: arrow.BinaryTypes.String, PrimaryKey: true},
			{Name: "value", Type: arrow.BinaryTypes.String},
			{Name: "version", Type: arrow.PrimitiveTypes.Uint64},
		},
	}
}

// OpenState reads every stored cursor. It returns nil when the config has no backend_options: every sync is then full.
// verify is the spec's verify_writes.
func OpenState(ctx context.Context, backend *plugin.BackendOptions, verify string, logger zerolog.Logger) (*State, error) {
	if backend == nil || backend.TableName == "" && backend.Connection == "" {
		logger.Info().Msg("the config has no backend_options, so this sync is a full one, as every sync will be")
		return nil, nil
	}
	if backend.TableName == "" || backend.Connection == "" {
		return nil, usererror.New(CodeBackend, "backend_options is not complete", "give it both table_name and connection")
	}
	s := &State{
		table: stateTable(backend.TableName), address: backend.Connection,
		stored: map[string]*cursor.Cursor{}, broken: map[string]error{}, repeating: map[string]bool{},
	}
	if err := s.read(ctx, verify, logger); err != nil {
		return nil, usererror.Wrap(err, CodeBackend, "the state backend does not answer",
			"check backend_options.connection; it is the destination's, written as @@plugins.<destination>.connection")
	}
	return s, nil
}

// read fetches the table's rows. A backend that answers with an error has no such table yet: destinations report that in
// ways of their own, and a full sync is right in any case.
func (s *State) read(ctx context.Context, verify string, logger zerolog.Logger) error {
	err := s.rows(ctx, s.table, s.add)
	switch code := status.Code(err); {
	case err == nil:
	case !isStatus(err), code == codes.Unavailable, code == codes.Unimplemented, ctx.Err() != nil:
		return err
	default:
		logger.Info().Str("table", s.table.Name).Str("cause", err.Error()).Msg("no stored cursors can be read, as on a first sync")
	}
	if !s.toBeProven(ctx, verify) {
		return nil
	}
	s.evidence = &evidence{state: s, times: map[string]int64{}, counts: map[string]arrivals{}}
	if s.tellsRows() {
		if err := s.evidence.readTimes(ctx); err != nil {
			logger.Info().Str("table", s.table.Name).Str("cause", err.Error()).Msg("the state table does not tell when cursors were written")
		}
	}
	return nil
}

func (s *State) add(record arrow.RecordBatch) error {
	keys, ok1 := record.Column(0).(*array.String)
	values, ok2 := record.Column(1).(*array.String)
	if !ok1 || !ok2 {
		return errors.New("reading stored cursors: the table has other columns")
	}
	for i := range int(record.NumRows()) {
		key := keys.Value(i)
		c, err := cursor.Parse(values.Value(i))
		if err != nil {
			s.broken[key] = err
			continue
		}
		if known := s.stored[key]; known == nil || known.Seq < c.Seq {
			s.stored[key] = c
		}
	}
	return nil
}

// Cursor returns the stored cursor of a key; nil when there is none.
func (s *State) Cursor(key string) (*cursor.Cursor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.stored[key]; c != nil {
		return c, nil
	}
	return nil, s.broken[key]
}

// commit writes a cursor behind the rows of a table. A migration makes every destination write out what it holds of a
// table, so the first one puts the rows before the cursor, and the last one puts the cursor itself to rest.
//
// Where the arrival of rows has to be proven, the cursor tells how many there are, and what to go on from without them:
// before, the cursor that this sync began with.
func (s *State) commit(mem memory.Allocator, key string, c, before *cursor.Cursor, rowsOf *schema.Table, send func(message.SyncMessage) error) error {
	s.mu.Lock()
	if known := s.stored[key]; known != nil {
		c.Seq = known.Seq
	}
	c.Seq++
	s.stored[key] = c
	if c.Rows > 0 {
		c.Before, c.Repeated = before.Alone(), s.repeating[key]
	}
	s.mu.Unlock()

	builder := array.NewRecordBuilder(mem, s.table.ToArrowSchema())
	defer builder.Release()
	builder.Field(0).(*array.StringBuilder).Append(key)
	builder.Field(1).(*array.StringBuilder).Append(c.String())
	builder.Field(2).(*array.Uint64Builder).Append(c.Seq)
	record := builder.NewRecordBatch()
	defer record.Release()
	for _, m := range []message.SyncMessage{
		&message.SyncMigrateTable{Table: rowsOf},
		&message.SyncMigrateTable{Table: s.table},
		&message.SyncInsert{Record: record},
		&message.SyncMigrateTable{Table: s.table},
	} {
		if insert, ok := m.(*message.SyncInsert); ok {
			insert.Record.Retain() // for whoever takes it from the stream
		}
		if err := send(m); err != nil {
			return fmt.Errorf("storing the cursor: %w", err)
		}
	}
	return nil
}
