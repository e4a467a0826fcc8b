package localsync_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/serve"
	"github.com/cloudquery/plugin-sdk/v4/state"
	"github.com/cloudquery/plugin-sdk/v4/types"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// TestMain serves the fake source when the driver starts this binary as its child.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		p := plugin.NewPlugin("servicenow", "development", newFakeSource)
		if err := serve.Plugin(p).Serve(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// With -race every child would sleep a second at its end.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

type fakeSpec struct {
	Mode string `json:"mode"`
	From int    `json:"from"`
	Rows int    `json:"rows"`
}

type fakeSource struct {
	plugin.UnimplementedDestination
	logger zerolog.Logger
	spec   fakeSpec
}

func newFakeSource(_ context.Context, logger zerolog.Logger, spec []byte, _ plugin.NewClientOptions) (plugin.Client, error) {
	f := &fakeSource{logger: logger}
	if err := json.Unmarshal(spec, &f.spec); err != nil {
		return nil, err
	}
	logger.Info().Int("pid", os.Getpid()).Msg("fake source")
	if f.spec.Mode == "refuse" {
		return nil, usererror.New("SN-SPEC-001", "mode is wrong", "choose another one")
	}
	return f, nil
}

func itemsTable(incremental bool) *schema.Table {
	t := &schema.Table{Name: "servicenow_items", IsIncremental: incremental, Columns: schema.ColumnList{
		{Name: "id", Type: arrow.BinaryTypes.String, PrimaryKey: true, NotNull: true},
		{Name: "n", Type: arrow.PrimitiveTypes.Int64},
		{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us},
		{Name: "data", Type: types.ExtensionTypes.JSON},
		{Name: "uids", Type: arrow.ListOf(types.ExtensionTypes.UUID)},
	}}
	schema.AddCqIDs(t)
	return t
}

func (f *fakeSource) Tables(_ context.Context, o plugin.TableOptions) (schema.Tables, error) {
	return schema.Tables{itemsTable(false)}.FilterDfs(o.Tables, o.SkipTables, o.SkipDependentTables)
}

func (*fakeSource) Close(context.Context) error { return nil }

func itemsBatch(t *schema.Table, from, rows int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, t.ToArrowSchema())
	for i := from; i < from+rows; i++ {
		uid := uuid.NewSHA1(uuid.Nil, []byte(strconv.Itoa(i)))
		b.Field(t.Columns.Index("_cq_id")).(*types.UUIDBuilder).Append(uid)
		b.Field(t.Columns.Index("_cq_parent_id")).AppendNull()
		b.Field(t.Columns.Index("id")).(*array.StringBuilder).Append(fmt.Sprintf("id%04d", i))
		b.Field(t.Columns.Index("n")).(*array.Int64Builder).Append(int64(i))
		b.Field(t.Columns.Index("at")).(*array.TimestampBuilder).AppendTime(time.Date(2024, 1, 1, 0, 0, i, 1000, time.UTC))
		b.Field(t.Columns.Index("data")).(*types.JSONBuilder).AppendBytes([]byte(`{"a":"<b>"}`))
		list := b.Field(t.Columns.Index("uids")).(*array.ListBuilder)
		list.Append(true)
		list.ValueBuilder().(*types.UUIDBuilder).Append(uid)
	}
	return b.NewRecordBatch()
}

func (f *fakeSource) Sync(ctx context.Context, o plugin.SyncOptions, res chan<- message.SyncMessage) error {
	t := itemsTable(f.spec.Mode == "state" || f.spec.Mode == "stream" || f.spec.Mode == "complete")
	res <- &message.SyncMigrateTable{Table: t}
	switch f.spec.Mode {
	case "state", "stream":
		return f.syncState(ctx, o, t, res)
	case "wide":
		return f.syncWide(res)
	case "old-column":
		return f.syncChanged(t, res)
	}
	res <- &message.SyncInsert{Record: itemsBatch(t, f.spec.From, f.spec.Rows)}
	switch f.spec.Mode {
	case "sync-error":
		f.logger.Error().Str("table", t.Name).Msg("page 2 cannot be read")
		res <- &message.SyncError{TableName: t.Name, Error: "page 2 cannot be read"}
	case "error":
		f.logger.Warn().Msg("this will not end well")
		return errors.New("the instance went away")
	case "crash":
		f.logger.Info().Msg("about to crash")
		fmt.Fprintln(os.Stderr, "panic: plain words")
		time.Sleep(50 * time.Millisecond) // the rows are on their way
		os.Exit(3)
	case "hang":
		f.logger.Warn().Msg("hanging")
		<-ctx.Done()
		return ctx.Err()
	case "complete":
		t.IsIncremental = false
		res <- &message.SyncMigrateTable{Table: t}
	case "delete":
		sc := schema.Table{Name: t.Name, Columns: schema.ColumnList{{Name: "id", Type: arrow.BinaryTypes.String}}}
		var group message.PredicateGroup
		group.GroupingType = "OR"
		for i := range 1200 {
			b := array.NewRecordBuilder(memory.DefaultAllocator, sc.ToArrowSchema())
			b.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("id%04d", i+2))
			group.Predicates = append(group.Predicates, message.Predicate{Operator: "eq", Column: "id", Record: b.NewRecordBatch()})
		}
		res <- &message.SyncDeleteRecord{DeleteRecord: message.DeleteRecord{TableName: t.Name, WhereClause: message.PredicateGroups{group}}}
	}
	return nil
}

// syncState sends the rows behind the stored cursor and stores the new one, by the state client or through the stream.
func (f *fakeSource) syncState(ctx context.Context, o plugin.SyncOptions, t *schema.Table, res chan<- message.SyncMessage) error {
	c, err := state.NewConnectedClient(ctx, o.BackendOptions)
	if err != nil {
		return err
	}
	defer c.Close()
	text, err := c.GetKey(ctx, "cursor")
	if err != nil {
		return err
	}
	cursor, _ := strconv.Atoi(text)
	res <- &message.SyncInsert{Record: itemsBatch(t, cursor, f.spec.Rows)}
	next := strconv.Itoa(cursor + f.spec.Rows)
	if f.spec.Mode == "state" {
		if err := c.SetKey(ctx, "cursor", next); err != nil {
			return err
		}
		return c.Flush(ctx)
	}
	st := &schema.Table{Name: o.BackendOptions.TableName, IsIncremental: true, Columns: schema.ColumnList{
		{Name: "key", Type: arrow.BinaryTypes.String, PrimaryKey: true},
		{Name: "value", Type: arrow.BinaryTypes.String},
		{Name: "version", Type: arrow.PrimitiveTypes.Uint64},
	}}
	res <- &message.SyncMigrateTable{Table: st}
	b := array.NewRecordBuilder(memory.DefaultAllocator, st.ToArrowSchema())
	b.Field(0).(*array.StringBuilder).Append("cursor")
	b.Field(1).(*array.StringBuilder).Append(next)
	b.Field(2).(*array.Uint64Builder).Append(uint64(cursor + 1))
	res <- &message.SyncInsert{Record: b.NewRecordBatch()}
	return nil
}

// syncChanged sends the table with a column of another type.
func (*fakeSource) syncChanged(t *schema.Table, res chan<- message.SyncMessage) error {
	t.Columns[t.Columns.Index("n")].Type = arrow.BinaryTypes.String
	res <- &message.SyncMigrateTable{Table: t}
	return nil
}

// syncWide sends batches of 1,000 rows and 100 columns, for the benchmark.
func (f *fakeSource) syncWide(res chan<- message.SyncMessage) error {
	t := &schema.Table{Name: "servicenow_wide", Columns: schema.ColumnList{
		{Name: "sys_id", Type: arrow.BinaryTypes.String, PrimaryKey: true, NotNull: true},
	}}
	for i := range 99 {
		t.Columns = append(t.Columns, schema.Column{Name: fmt.Sprintf("c%d", i), Type: arrow.BinaryTypes.String})
	}
	res <- &message.SyncMigrateTable{Table: t}
	b := array.NewRecordBuilder(memory.DefaultAllocator, t.ToArrowSchema())
	for from := 0; from < f.spec.Rows; from += 1000 {
		for i := range 1000 {
			b.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("%032x", (from+i)*7919))
			for c := range 99 {
				b.Field(c + 1).(*array.StringBuilder).Append("some value of col")
			}
		}
		res <- &message.SyncInsert{Record: b.NewRecordBatch()}
	}
	return nil
}
