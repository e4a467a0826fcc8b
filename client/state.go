package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	pb "github.com/cloudquery/plugin-pb-go/pb/plugin/v3"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
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
	table  *schema.Table
	mu     sync.Mutex
	stored map[string]*cursor.Cursor
	broken map[string]error
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
func OpenState(ctx context.Context, backend *plugin.BackendOptions, logger zerolog.Logger) (*State, error) {
	if backend == nil || backend.TableName == "" && backend.Connection == "" {
		logger.Info().Msg("the config has no backend_options, so this sync is a full one, as every sync will be")
		return nil, nil
	}
	if backend.TableName == "" || backend.Connection == "" {
		return nil, usererror.New(CodeBackend, "backend_options is not complete", "give it both table_name and connection")
	}
	s := &State{table: stateTable(backend.TableName), stored: map[string]*cursor.Cursor{}, broken: map[string]error{}}
	if err := s.read(ctx, backend.Connection, logger); err != nil {
		return nil, usererror.Wrap(err, CodeBackend, "the state backend does not answer",
			"check backend_options.connection; it is the destination's, written as @@plugins.<destination>.connection")
	}
	return s, nil
}

// read fetches the table's rows. A backend that answers with an error has no such table yet: destinations report that in
// ways of their own, and a full sync is right in any case.
func (s *State) read(ctx context.Context, address string, logger zerolog.Logger) error {
	const most = 100 << 20
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(most)))
	if err != nil {
		return err
	}
	defer conn.Close()
	encoded, err := pb.SchemaToBytes(s.table.ToArrowSchema())
	if err != nil {
		return err
	}
	stream, err := pb.NewPluginClient(conn).Read(ctx, &pb.Read_Request{Table: encoded})
	if err != nil {
		return err
	}
	for {
		answer, err := stream.Recv()
		switch code := status.Code(err); {
		case errors.Is(err, io.EOF):
			return nil
		case code == codes.Unavailable || code == codes.Unimplemented || ctx.Err() != nil:
			return err
		case err != nil:
			logger.Info().Str("table", s.table.Name).Str("cause", err.Error()).Msg("no stored cursors can be read, as on a first sync")
			return nil
		}
		if err := s.add(answer.Record); err != nil {
			return err
		}
	}
}

func (s *State) add(encoded []byte) error {
	reader, err := ipc.NewReader(bytes.NewReader(encoded))
	if err != nil {
		return fmt.Errorf("reading stored cursors: %w", err)
	}
	defer reader.Release()
	for reader.Next() {
		record := reader.RecordBatch()
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
	}
	return reader.Err()
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
func (s *State) commit(key string, c *cursor.Cursor, rowsOf *schema.Table, send func(message.SyncMessage) error) error {
	s.mu.Lock()
	if known := s.stored[key]; known != nil {
		c.Seq = known.Seq
	}
	c.Seq++
	s.stored[key] = c
	s.mu.Unlock()

	builder := array.NewRecordBuilder(memory.DefaultAllocator, s.table.ToArrowSchema())
	defer builder.Release()
	builder.Field(0).(*array.StringBuilder).Append(key)
	builder.Field(1).(*array.StringBuilder).Append(c.String())
	builder.Field(2).(*array.Uint64Builder).Append(c.Seq)
	for _, m := range []message.SyncMessage{
		&message.SyncMigrateTable{Table: rowsOf},
		&message.SyncMigrateTable{Table: s.table},
		&message.SyncInsert{Record: builder.NewRecordBatch()},
		&message.SyncMigrateTable{Table: s.table},
	} {
		if err := send(m); err != nil {
			return fmt.Errorf("storing the cursor: %w", err)
		}
	}
	return nil
}
