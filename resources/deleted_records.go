package resources

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/client"
)

// DeletedRecordsTable is the name of the destination table of deleted records.
const DeletedRecordsTable = "servicenow_deleted_records"

// DeletedRecords declares the deleted records: one row for each that a sync found.
func DeletedRecords() *schema.Table {
	t := &schema.Table{
		Name:        DeletedRecordsTable,
		Title:       "ServiceNow Deleted Records",
		Description: "Records that were deleted or archived on the instance, as `deletes` finds them: one row for each, written again when a record that came back is deleted once more.",
		Columns: schema.ColumnList{
			{Name: "instance", Type: arrow.BinaryTypes.String, PrimaryKey: true, NotNull: true, Description: "The instance that the record was on: its subdomain, or the host of a custom domain."},
			{Name: "table_name", Type: arrow.BinaryTypes.String, PrimaryKey: true, NotNull: true, Description: "The destination table that has, or had, the record's row."},
			{Name: "sys_id", Type: arrow.BinaryTypes.String, PrimaryKey: true, NotNull: true, Description: "The record's unique identifier within its instance."},
			{Name: "label", Type: arrow.BinaryTypes.String, Description: "What people call the record: the number of an incident, the name of a file. NULL where it is not known."},
			{Name: "deleted_on", Type: arrow.FixedWidthTypes.Timestamp_us, Description: "When the record was deleted. Only `deletes: audit` knows."},
			{Name: "deleted_by", Type: arrow.BinaryTypes.String, Description: "User name of who deleted it. Only `deletes: audit` knows."},
			{Name: "found_by", Type: arrow.BinaryTypes.String, Description: "How the delete was found: `audit` or `sweep`."},
			{Name: "found_at", Type: arrow.FixedWidthTypes.Timestamp_us, Description: "The instance's clock when the sync that found the delete began."},
			{Name: "row_removed", Type: arrow.FixedWidthTypes.Boolean, Description: "Whether the record's row was removed from its table."},
		},
		IsIncremental: true, // so that the CLI never takes the rows of earlier syncs for stale
		Multiplex:     client.PerInstance,
		// The rows are sent when the other tables have been read.
		Resolver: func(context.Context, schema.ClientMeta, *schema.Resource, chan<- any) error { return nil },
	}
	schema.AddCqIDs(t)
	return t
}
