package sqlitedest_test

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/types"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/localsync/sqlitedest"
)

func open(t *testing.T, spec sqlitedest.Spec) *sqlitedest.Client {
	t.Helper()
	c, err := sqlitedest.Open(t.Context(), zerolog.Nop(), spec, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close(context.Background())) })
	return c
}

func write(t *testing.T, c *sqlitedest.Client, messages ...message.WriteMessage) error {
	t.Helper()
	ch := make(chan message.WriteMessage, len(messages))
	for _, m := range messages {
		ch <- m
	}
	close(ch)
	return c.Write(t.Context(), ch)
}

func readAll(t *testing.T, c *sqlitedest.Client, table *schema.Table) []arrow.RecordBatch {
	t.Helper()
	ch := make(chan arrow.RecordBatch, 100)
	require.NoError(t, c.Read(t.Context(), table, ch))
	close(ch)
	var out []arrow.RecordBatch
	for b := range ch {
		out = append(out, b)
	}
	return out
}

// TestEdgeValues adds what the SDK's suite does not generate.
func TestEdgeValues(t *testing.T) {
	for name, path := range map[string]string{
		"file":   filepath.Join(t.TempDir(), "x.db"),
		"URI":    "file:" + filepath.ToSlash(filepath.Join(t.TempDir(), "x.db")) + "?mode=rwc",
		"memory": ":memory:",
	} {
		t.Run(name, func(t *testing.T) { testEdgeValues(t, open(t, sqlitedest.Spec{ConnectionString: path})) })
	}
}

func testEdgeValues(t *testing.T, c *sqlitedest.Client) {
	table := &schema.Table{Name: `od"d table`, Columns: schema.ColumnList{
		{Name: `te"xt`, Type: arrow.BinaryTypes.String, PrimaryKey: true},
		{Name: "big", Type: arrow.PrimitiveTypes.Uint64},
		{Name: "blob", Type: arrow.BinaryTypes.Binary},
		{Name: "float", Type: arrow.PrimitiveTypes.Float64},
		{Name: "json", Type: types.ExtensionTypes.JSON},
		{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us},
		{Name: "ns", Type: arrow.FixedWidthTypes.Timestamp_ns},
		{Name: "day", Type: arrow.FixedWidthTypes.Date32},
		{Name: "ints", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64)},
	}}
	b := array.NewRecordBuilder(memory.DefaultAllocator, table.ToArrowSchema())
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"", "a\x00b", "(null)", "12"}, nil)
	b.Field(1).(*array.Uint64Builder).AppendValues([]uint64{math.MaxUint64, math.MaxInt64, math.MaxInt64 + 1, 0}, nil)
	b.Field(2).(*array.BinaryBuilder).AppendValues([][]byte{{}, {0}, nil, []byte("12")}, []bool{true, true, false, true})
	b.Field(3).(*array.Float64Builder).AppendValues([]float64{math.Inf(1), -0.1, 5, math.SmallestNonzeroFloat64}, nil)
	j := b.Field(4).(*types.JSONBuilder)
	for _, text := range []string{`12`, `"x"`, `null`, `{"b":1,"a":9007199254740993}`} {
		j.AppendBytes([]byte(text))
	}
	times := []time.Time{time.Unix(0, 1000), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 1000, time.UTC)}
	for _, at := range times {
		b.Field(5).(*array.TimestampBuilder).AppendTime(at)
	}
	for range times {
		b.Field(6).(*array.TimestampBuilder).Append(arrow.Timestamp(-1234567891))
	}
	b.Field(7).(*array.Date32Builder).AppendValues([]arrow.Date32{0, -1, 19000, 1}, nil)
	list := b.Field(8).(*array.ListBuilder)
	for range times {
		list.Append(true)
		list.ValueBuilder().(*array.Int64Builder).AppendValues([]int64{math.MaxInt64, math.MinInt64}, nil)
	}
	want := b.NewRecordBatch()
	require.NoError(t, write(t, c, &message.WriteMigrateTable{Table: table}, &message.WriteInsert{Record: want}))
	got := readAll(t, c, table)
	require.Len(t, got, 1)
	require.True(t, array.RecordEqual(want, got[0]), "want %v\ngot  %v", want, got[0])
}

// TestWriteReturnsErrors is the promise that a batch writer breaks.
func TestWriteReturnsErrors(t *testing.T) {
	table := &schema.Table{Name: "t", Columns: schema.ColumnList{{Name: "n", Type: arrow.PrimitiveTypes.Int64, NotNull: true}}}
	batch := func(valid bool) *message.WriteInsert {
		b := array.NewRecordBuilder(memory.DefaultAllocator, table.ToArrowSchema())
		b.Field(0).(*array.Int64Builder).AppendValues([]int64{1}, []bool{valid})
		return &message.WriteInsert{Record: b.NewRecordBatch()}
	}
	c := open(t, sqlitedest.Spec{ConnectionString: filepath.Join(t.TempDir(), "x.db")})
	require.ErrorContains(t, write(t, c, batch(true)), "no such table: t")
	require.NoError(t, write(t, c, &message.WriteMigrateTable{Table: table}))
	require.ErrorContains(t, write(t, c, batch(true), batch(false)), "NOT NULL constraint failed: t.n")
	require.Empty(t, readAll(t, c, table), "a transaction is written whole or not at all")
	require.NoError(t, write(t, c, batch(true)))
	require.Len(t, readAll(t, c, table), 1)

	var migrate *sqlitedest.MigrateError
	changed := &schema.Table{Name: "t", Columns: schema.ColumnList{{Name: "n", Type: arrow.BinaryTypes.String, NotNull: true}}}
	require.ErrorAs(t, write(t, c, &message.WriteMigrateTable{Table: changed}), &migrate)
	require.Equal(t, []string{"column n changes from integer to text"}, migrate.Changes)
}

func TestSpec(t *testing.T) {
	_, err := sqlitedest.ParseSpec([]byte(`{"connection_string":"x","batch_sizes":1}`))
	require.ErrorContains(t, err, "batch_sizes")
	_, err = sqlitedest.Open(t.Context(), zerolog.Nop(), sqlitedest.Spec{BatchSize: -1}, nil)
	require.ErrorContains(t, err, "connection_string is required")
	require.ErrorContains(t, err, "batch_size must not be negative")
}

// TestDeleteCascades deletes below the deleted rows too.
func TestDeleteCascades(t *testing.T) {
	var deleted []string
	c, err := sqlitedest.Open(t.Context(), zerolog.Nop(), sqlitedest.Spec{ConnectionString: filepath.Join(t.TempDir(), "x.db")},
		func(table string, rows int64) { deleted = append(deleted, fmt.Sprintf("%s %d", table, rows)) })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close(context.Background())) })
	table := func(name string) *schema.Table {
		return &schema.Table{Name: name, Columns: schema.ColumnList{
			{Name: "_cq_id", Type: arrow.BinaryTypes.String}, {Name: "_cq_parent_id", Type: arrow.BinaryTypes.String}}}
	}
	rows := func(name string, ids ...string) message.WriteMessage {
		b := array.NewRecordBuilder(memory.DefaultAllocator, table(name).ToArrowSchema())
		for _, id := range ids {
			b.Field(0).(*array.StringBuilder).Append(id)
			b.Field(1).(*array.StringBuilder).Append(id[:len(id)-1])
		}
		return &message.WriteInsert{Record: b.NewRecordBatch()}
	}
	value := array.NewRecordBuilder(memory.DefaultAllocator, (&schema.Table{Name: "a", Columns: table("a").Columns[:1]}).ToArrowSchema())
	value.Field(0).(*array.StringBuilder).Append("1")
	require.NoError(t, write(t, c,
		&message.WriteMigrateTable{Table: table("a")}, &message.WriteMigrateTable{Table: table("b")}, &message.WriteMigrateTable{Table: table("c")},
		rows("a", "1", "2"), rows("b", "11", "12", "21"), rows("c", "111", "211"),
		&message.WriteDeleteRecord{DeleteRecord: message.DeleteRecord{
			TableName:      "a",
			TableRelations: message.TableRelations{{TableName: "b", ParentTable: "a"}, {TableName: "c", ParentTable: "b"}},
			WhereClause: message.PredicateGroups{{GroupingType: "AND", Predicates: message.Predicates{
				{Operator: "eq", Column: "_cq_id", Record: value.NewRecordBatch()}}}},
		}}))
	require.ElementsMatch(t, []string{"a 1", "b 2", "c 1"}, deleted)
}
