package sqlitedest

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/schema"
)

const (
	// flushInterval bounds how long rows of a slow source wait in memory.
	flushInterval = 5 * time.Second
	// maxRowsPerStatement and maxVariables bound a multi-row INSERT; SQLite takes 32,766 variables.
	maxRowsPerStatement = 8
	maxVariables        = 32_000
)

// Write writes the messages until the channel closes, in their order. Rows are held back and written many to a
// transaction; any other message writes them first. The first error ends Write.
func (c *Client) Write(ctx context.Context, messages <-chan message.WriteMessage) error {
	b := &buffer{client: c}
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	for {
		select {
		case m, ok := <-messages:
			if !ok {
				return b.flush(ctx)
			}
			if err := c.handle(ctx, b, m); err != nil {
				return err
			}
		case <-ticker.C:
			if err := b.flush(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *Client) handle(ctx context.Context, b *buffer, m message.WriteMessage) error {
	if insert, ok := m.(*message.WriteInsert); ok {
		return b.add(ctx, insert.Record)
	}
	if err := b.flush(ctx); err != nil {
		return err
	}
	switch m := m.(type) {
	case *message.WriteMigrateTable:
		return c.migrate(ctx, m.Table, m.MigrateForce)
	case *message.WriteDeleteStale:
		return c.deleteStale(ctx, m)
	case *message.WriteDeleteRecord:
		return c.deleteRecord(ctx, m)
	default:
		return fmt.Errorf("writing: unknown message %T", m)
	}
}

// buffer holds rows back until a transaction is worth its cost.
type buffer struct {
	client  *Client
	batches []arrow.RecordBatch
	rows    int64
	bytes   int64
}

func (b *buffer) add(ctx context.Context, batch arrow.RecordBatch) error {
	if batch.NumRows() == 0 {
		return nil
	}
	b.batches = append(b.batches, batch)
	b.rows += batch.NumRows()
	b.bytes += batchBytes(batch)
	if b.rows >= b.client.spec.BatchSize || b.bytes >= b.client.spec.BatchSizeBytes {
		return b.flush(ctx)
	}
	return nil
}

// flush writes everything held in one transaction, so that a cursor is committed together with the rows before it.
func (b *buffer) flush(ctx context.Context) error {
	if len(b.batches) == 0 {
		return nil
	}
	batches := b.batches
	b.batches, b.rows, b.bytes = nil, 0, 0
	return b.client.writing(ctx, func(tx *txn) error {
		for _, batch := range batches {
			if err := tx.insert(batch); err != nil {
				return err
			}
		}
		return nil
	})
}

func batchBytes(batch arrow.RecordBatch) int64 {
	var n int64
	for _, col := range batch.Columns() {
		n += dataBytes(col.Data())
	}
	return n
}

func dataBytes(d arrow.ArrayData) int64 {
	var n int64
	for _, buf := range d.Buffers() {
		if buf != nil {
			n += int64(buf.Len())
		}
	}
	for _, child := range d.Children() {
		n += dataBytes(child)
	}
	return n
}

// insert writes one batch: as an upsert when its schema names primary keys, otherwise by appending.
func (t *txn) insert(batch arrow.RecordBatch) error {
	table, ok := batch.Schema().Metadata().GetValue(schema.MetadataTableName)
	if !ok {
		return fmt.Errorf("writing rows: the batch names no table")
	}
	readers := make([]valueReader, batch.NumCols())
	for i, col := range batch.Columns() {
		readers[i] = newValueReader(col)
	}
	total, width := int(batch.NumRows()), len(readers)
	if width == 0 {
		return nil
	}
	perStatement := max(1, min(maxRowsPerStatement, maxVariables/width))
	args := make([]driver.NamedValue, perStatement*width)
	for i := range args {
		args[i].Ordinal = i + 1
	}
	for row := 0; row < total; {
		n := perStatement
		if total-row < n {
			n = 1
		}
		stmt, err := t.statement(insertSQL(table, batch.Schema(), n))
		if err != nil {
			return fmt.Errorf("writing rows of %s: preparing: %w", table, err)
		}
		for ; row+n <= total; row += n {
			for r := range n {
				for col, read := range readers {
					v, err := read(row + r)
					if err != nil {
						return fmt.Errorf("writing rows of %s: column %s: %w", table, batch.ColumnName(col), err)
					}
					args[r*width+col].Value = v
				}
			}
			if _, err := stmt.ExecContext(context.Background(), args[:n*width]); err != nil {
				return fmt.Errorf("writing rows of %s: %w", table, err)
			}
		}
	}
	return nil
}

// insertSQL keeps the columns a batch does not have: an upsert replaces only what it brings.
func insertSQL(table string, sc *arrow.Schema, rows int) string {
	var columns, keys, updates []string
	for _, f := range sc.Fields() {
		name := quote(f.Name)
		columns = append(columns, name)
		if v, ok := f.Metadata.GetValue(schema.MetadataPrimaryKey); ok && v == schema.MetadataTrue {
			keys = append(keys, name)
		} else {
			updates = append(updates, name+"=excluded."+name)
		}
	}
	var b strings.Builder
	b.WriteString("INSERT INTO " + quote(table) + " (" + strings.Join(columns, ",") + ") VALUES ")
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", len(columns)), ",") + ")"
	b.WriteString(strings.TrimSuffix(strings.Repeat(row+",", rows), ","))
	switch {
	case len(keys) == 0:
	case len(updates) == 0:
		b.WriteString(" ON CONFLICT (" + strings.Join(keys, ",") + ") DO NOTHING")
	default:
		b.WriteString(" ON CONFLICT (" + strings.Join(keys, ",") + ") DO UPDATE SET " + strings.Join(updates, ","))
	}
	return b.String()
}
