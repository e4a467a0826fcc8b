package sqlitedest_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/internal/localsync/sqlitedest"
)

// benchTable has the mix of an incident: 65 strings, 10 timestamps, 10 booleans, 10 integers, 5 floats.
func benchTable(keys bool) *schema.Table {
	t := &schema.Table{Name: "incident", Columns: schema.ColumnList{
		{Name: "sys_id", Type: arrow.BinaryTypes.String, PrimaryKey: keys, NotNull: true},
	}}
	add := func(n int, prefix string, dt arrow.DataType) {
		for i := range n {
			t.Columns = append(t.Columns, schema.Column{Name: fmt.Sprintf("%s_%d", prefix, i), Type: dt})
		}
	}
	add(64, "string", arrow.BinaryTypes.String)
	add(10, "timestamp", arrow.FixedWidthTypes.Timestamp_us)
	add(10, "boolean", arrow.FixedWidthTypes.Boolean)
	add(10, "integer", arrow.PrimitiveTypes.Int64)
	add(5, "float", arrow.PrimitiveTypes.Float64)
	return t
}

func benchBatch(t *schema.Table, from, rows int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, t.ToArrowSchema())
	defer b.Release()
	start := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	for r := range rows {
		for i := range t.Columns {
			switch f := b.Field(i).(type) {
			case *array.StringBuilder:
				switch {
				case i == 0:
					f.Append(fmt.Sprintf("%032x", (from+r)*7919))
				case i%5 == 0:
					f.AppendNull()
				default:
					f.Append("some value of column ok")
				}
			case *array.TimestampBuilder:
				f.AppendTime(start.Add(time.Duration(r) * time.Second))
			case *array.BooleanBuilder:
				f.Append(r%2 == 0)
			case *array.Int64Builder:
				f.Append(int64(from+r) * 1000)
			case *array.Float64Builder:
				f.Append(float64(r) + 0.5)
			}
		}
	}
	return b.NewRecordBatch()
}

func BenchmarkWrite(b *testing.B) {
	for _, mode := range []string{"append", "overwrite"} {
		b.Run(mode, func(b *testing.B) {
			ctx := context.Background()
			c, err := sqlitedest.Open(ctx, zerolog.Nop(), sqlitedest.Spec{ConnectionString: filepath.Join(b.TempDir(), "b.db")}, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close(ctx)
			table := benchTable(mode == "overwrite")
			batches := make([]arrow.RecordBatch, 20)
			for i := range batches {
				batches[i] = benchBatch(table, i*1000, 1000)
			}
			b.ResetTimer()
			for b.Loop() {
				ch := make(chan message.WriteMessage, len(batches)+1)
				ch <- &message.WriteMigrateTable{Table: table}
				for _, batch := range batches {
					ch <- &message.WriteInsert{Record: batch}
				}
				close(ch)
				if err := c.Write(ctx, ch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*20_000)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
