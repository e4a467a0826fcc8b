package sqlitedest

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/types"
)

const (
	readRows  = 1_000
	readBytes = 8 << 20
)

// Read sends the rows of table in the types that table declares.
func (c *Client) Read(ctx context.Context, table *schema.Table, res chan<- arrow.RecordBatch) error {
	sc := table.ToArrowSchema()
	exprs := make([]string, sc.NumFields())
	for i, f := range sc.Fields() {
		exprs[i] = quote(f.Name)
		if t := columnType(f.Type); t != "blob" {
			// The unary plus hides the declared type, from which the driver would make a time.
			exprs[i] = "+" + exprs[i]
		}
	}
	c.mu.Lock()
	db := c.db
	c.mu.Unlock()
	if db == nil {
		return fmt.Errorf("reading %s: %w", table.Name, errClosed)
	}
	rows, err := db.QueryContext(ctx, "SELECT "+strings.Join(exprs, ",")+" FROM "+quote(table.Name))
	if err != nil {
		return fmt.Errorf("reading %s: %w", table.Name, err)
	}
	defer rows.Close()

	values := make([]any, len(exprs)) // not sql.RawBytes: it cannot tell an empty value from NULL
	targets := make([]any, len(exprs))
	for i := range values {
		targets[i] = &values[i]
	}
	b := newBatchBuilder(sc)
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return fmt.Errorf("reading %s: %w", table.Name, err)
		}
		for i, v := range values {
			if err := b.append(i, v); err != nil {
				return fmt.Errorf("reading %s: column %s: %w", table.Name, sc.Field(i).Name, err)
			}
		}
		b.rows++
		if b.rows >= readRows || b.bytes >= readBytes {
			if err := b.send(ctx, res); err != nil {
				return fmt.Errorf("reading %s: %w", table.Name, err)
			}
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading %s: %w", table.Name, err)
	}
	if err := b.send(ctx, res); err != nil {
		return fmt.Errorf("reading %s: %w", table.Name, err)
	}
	return nil
}

// batchBuilder turns stored values back into Arrow. Nested columns are collected as a JSON array and decoded at once,
// because only that decoder keeps integers beyond float64's precision.
type batchBuilder struct {
	sc       *arrow.Schema
	builders []array.Builder
	nested   []*bytes.Buffer
	rows     int
	bytes    int
}

func newBatchBuilder(sc *arrow.Schema) *batchBuilder {
	b := &batchBuilder{sc: sc, builders: make([]array.Builder, sc.NumFields()), nested: make([]*bytes.Buffer, sc.NumFields())}
	for i, f := range sc.Fields() {
		if arrow.IsNested(f.Type.ID()) {
			b.nested[i] = new(bytes.Buffer)
		} else {
			b.builders[i] = array.NewBuilder(memory.DefaultAllocator, f.Type)
		}
	}
	return b
}

func (b *batchBuilder) append(i int, value any) error {
	text, isNull := storedText(value)
	b.bytes += len(text)
	if buf := b.nested[i]; buf != nil {
		if b.rows > 0 {
			buf.WriteByte(',')
		}
		if isNull {
			text = "null"
		}
		buf.WriteString(text)
		return nil
	}
	if isNull {
		b.builders[i].AppendNull()
		return nil
	}
	switch bld := b.builders[i].(type) {
	case *array.StringBuilder:
		bld.Append(text)
	case *array.LargeStringBuilder:
		bld.Append(text)
	case *array.BinaryBuilder:
		bld.Append([]byte(text))
	case *types.JSONBuilder:
		bld.AppendBytes([]byte(text))
	case *array.BooleanBuilder:
		bld.Append(text != "0")
	case *array.TimestampBuilder:
		t, err := time.Parse("2006-01-02 15:04:05.999999999", text)
		if err != nil {
			return err
		}
		ts, err := arrow.TimestampFromTime(t, bld.Type().(*arrow.TimestampType).Unit)
		if err != nil {
			return err
		}
		bld.Append(ts)
	case *array.Date32Builder:
		t, err := time.Parse(dateLayout, text)
		if err != nil {
			return err
		}
		bld.Append(arrow.Date32FromTime(t))
	case *array.Date64Builder:
		t, err := time.Parse(dateLayout, text)
		if err != nil {
			return err
		}
		bld.Append(arrow.Date64FromTime(t))
	default:
		return bld.AppendValueFromString(text)
	}
	return nil
}

// storedText returns the text of what the driver read, and whether it was NULL.
func storedText(value any) (text string, isNull bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return v, false
	case []byte:
		return string(v), false
	case int64:
		return strconv.FormatInt(v, 10), false
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), false
	default:
		return fmt.Sprint(v), false
	}
}

func (b *batchBuilder) send(ctx context.Context, res chan<- arrow.RecordBatch) error {
	if b.rows == 0 {
		return nil
	}
	columns := make([]arrow.Array, len(b.builders))
	for i, bld := range b.builders {
		if bld != nil {
			columns[i] = bld.NewArray()
			continue
		}
		text := "[" + b.nested[i].String() + "]"
		b.nested[i].Reset()
		col, _, err := array.FromJSON(memory.DefaultAllocator, b.sc.Field(i).Type, strings.NewReader(text))
		if err != nil {
			return fmt.Errorf("column %s: %w", b.sc.Field(i).Name, err)
		}
		columns[i] = col
	}
	batch := array.NewRecordBatch(b.sc, columns, int64(b.rows))
	b.rows, b.bytes = 0, 0
	select {
	case res <- batch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
