package resources

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/internal/arrowjson"
)

// TablesTable is the name of the destination table of tables.
const TablesTable = "servicenow_tables"

// Tables declares the catalogue: one row for each ServiceNow table that the source covers.
func Tables() *schema.Table {
	c := newColumns()
	text := func(name, description string) {
		c.add(schema.Column{Name: name, Type: arrow.BinaryTypes.String, Description: description}, arrowjson.Column{Field: name})
	}
	number := func(name, description string) {
		c.add(schema.Column{Name: name, Type: arrow.PrimitiveTypes.Int64, Description: description}, arrowjson.Column{Field: name, Kind: arrowjson.Int})
	}
	moment := func(name, description string) {
		c.add(schema.Column{Name: name, Type: arrow.FixedWidthTypes.Timestamp_us, Description: description, IncrementalKey: name == "sys_updated_on"},
			arrowjson.Column{Field: name, Kind: arrowjson.DateTime})
	}
	text("name", "Name of the table, such as `incident`.")
	text("label", "Label of the table, such as Incident.")
	text("super_class", "Name of the table that this one extends; NULL for a base table.")
	number("row_count", "Rows of the table as the instance counts them, those included that the signed-in user may not read. NULL when the instance does not tell.")
	number("selected_row_count", "Rows of the table that the source's selection covers, counted in the same way. NULL when the instance does not tell, and for attachments of a selection.")
	number("field_count", "Fields of the table, inherited ones included.")
	number("custom_field_count", "Fields of the table that the instance's owner added.")
	c.add(schema.Column{Name: "dictionary_readable", Type: arrow.FixedWidthTypes.Boolean,
		Description: "Whether the signed-in user may read the table's dictionary. Otherwise the fields are those of the out-of-box schema."},
		arrowjson.Column{Field: "dictionary_readable", Kind: arrowjson.Bool})
	moment("sys_updated_on", "When the table's own record (sys_db_object) was last updated.")
	moment("last_synced_at", "The instance's clock when the sync that wrote this row began: rows changed up to then are read.")
	return c.table(&schema.Table{
		Name:        TablesTable,
		Title:       "ServiceNow Tables",
		Description: "The catalogue: one row for each ServiceNow table that the source covers, rewritten by every sync.",
		Multiplex:   client.PerInstance,
		Resolver: client.Resolver(TablesTable, func(ctx context.Context, cl *client.Client) error {
			return cl.Catalogue(ctx, Tables(), c.fill)
		}),
	})
}
