package client

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/scalar"
	"github.com/cloudquery/plugin-sdk/v4/schema"
)

// sendRows sends rows that do not come from an instance, each a value by column, in the SDK's own way: they are few. What a
// row does not name is NULL.
func (s *Sync) sendRows(ctx context.Context, table *schema.Table, rows []map[string]any) error {
	asSeen := table.Copy(nil)
	if s.options.DeterministicID {
		schema.CqIDAsPK(asSeen)
	}
	for len(rows) > 0 {
		some := rows[:min(rowsPerBatch, len(rows))]
		rows = rows[len(some):]
		builder := array.NewRecordBuilder(s.options.Allocator, asSeen.ToArrowSchema())
		for _, row := range some {
			resource := schema.NewResourceData(table, nil, nil)
			for column, value := range row {
				if err := resource.Set(column, value); err != nil {
					builder.Release()
					return fmt.Errorf("filling %s.%s: %w", table.Name, column, err)
				}
			}
			if err := resource.CalculateCQID(true); err != nil {
				builder.Release()
				return fmt.Errorf("filling %s: %w", table.Name, err)
			}
			scalar.AppendToRecordBuilder(builder, resource.GetValues())
		}
		batch := builder.NewRecordBatch()
		builder.Release()
		if err := s.send(ctx, &message.SyncInsert{Record: batch}); err != nil {
			batch.Release()
			return err
		}
	}
	// A migration makes every destination write out what it holds of a table: an error that ends the sync loses nothing.
	return s.send(ctx, &message.SyncMigrateTable{Table: asSeen})
}
