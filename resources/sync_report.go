package resources

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/types"

	"github.com/cqservicenow/cq-source-servicenow/client"
)

// SyncReportTable is the name of the destination table of reports.
const SyncReportTable = "servicenow_sync_report"

// SyncReport declares the reports: one row for what each sync did to each table.
func SyncReport() *schema.Table {
	var columns schema.ColumnList
	add := func(dataType arrow.DataType, name, description string) {
		columns = append(columns, schema.Column{Name: name, Type: dataType, Description: description})
	}
	key := func(name, description string) {
		columns = append(columns, schema.Column{Name: name, Type: arrow.BinaryTypes.String, Description: description, PrimaryKey: true, NotNull: true})
	}
	text := func(name, description string) { add(arrow.BinaryTypes.String, name, description) }
	number := func(name, description string) { add(arrow.PrimitiveTypes.Int64, name, description) }
	moment := func(name, description string) { add(arrow.FixedWidthTypes.Timestamp_us, name, description) }
	key("instance", "The instance that was read: its subdomain, or the host of a custom domain.")
	key("name", "Name of the item in `instances`; empty without such a list.")
	key("table_name", "The destination table that the row is about.")
	key("run_id", "Identifies the sync; the same in all rows of one.")
	moment("started_at", "When the sync began with the table, by the clock of the machine that it ran on.")
	moment("ended_at", "When it was done with the table.")
	text("verdict", "`complete`: everything that the instance counts and that was asked for has arrived. `incomplete`: the table was read to its end, and something is missing or not proven. `failed`: the table was not read to its end; the next sync goes on from its cursor.")
	text("reason", "Why the verdict is not `complete`, or what explains a difference. An error with its code when the verdict is `failed`.")
	text("mode", "`full`, `incremental`, or `resumed` for a sync that goes on where an interrupted one stood. NULL for tables that are written whole.")
	moment("window_start", "Where the window of `sys_updated_on` starts that was read; NULL for a full sync.")
	moment("window_end", "Where it ends: the instance's clock when the sync began, and the overlap.")
	number("source_count_before", "Rows of the selection on the instance before the table was read, by the Aggregate API. NULL for incremental syncs, for selections by sys_id or number, and where the instance does not tell.")
	number("source_count_after", "The same when the table had been read.")
	number("rows_counted", "Rows that the instance counted in the window. Row security does not change that count.")
	number("rows_shown", "Rows of the window that the instance returned.")
	number("rows_hidden", "Rows that were counted, but not returned: row security hides them, or they changed or were deleted during the sync.")
	number("rows_sent", "Rows sent to the destination.")
	number("rows_distinct", "Rows sent, each record once.")
	number("rows_duplicate", "Rows sent again because their record changed during the sync.")
	number("rows_new", "Rows of records that were created since the last sync; NULL for other than incremental syncs.")
	number("rows_changed", "Rows of records that changed since the last sync. Other rows lie in the overlap and were sent before.")
	number("rows_deleted", "Rows of records that were found to be deleted.")
	number("rows_repaired", "Rows sent again because the destination lacked them or had them in another state, as a sweep or `reconcile` found.")
	number("pages", "Pages of the window that were read.")
	number("pages_short", "Pages that held fewer rows than asked for although the instance counted more, as row security leaves them.")
	add(types.ExtensionTypes.JSON, "fields_hidden", "Names of fields that the dictionary has and that no record had: field security hides them from the signed-in user.")
	add(types.ExtensionTypes.JSON, "values_null", "Values that did not fit their column's type and became NULL, counted by column; `record` holds them as they are.")
	number("requests", "Requests that were sent for the table, those that were tried again included.")
	number("retries", "Requests that were tried again.")
	number("waited_ms", "Time that requests waited for a slot, a rate limit, the hourly budget or another attempt, in milliseconds, added up over all requests.")
	number("bytes", "Bytes that came over the wire, compressed.")
	add(types.ExtensionTypes.JSON, "warnings", "Warnings of the log, counted by code.")
	t := &schema.Table{
		Name:          SyncReportTable,
		Title:         "ServiceNow Sync Report",
		Description:   "What each sync did to each table, and whether anything is missing: one row for each table, instance and sync, written when all tables have been read.",
		Columns:       columns,
		IsIncremental: true, // so that the CLI never takes the rows of earlier syncs for stale
		Multiplex:     client.PerInstance,
		// The rows are sent when the other tables have been read.
		Resolver: func(context.Context, schema.ClientMeta, *schema.Resource, chan<- any) error { return nil },
	}
	schema.AddCqIDs(t)
	return t
}
