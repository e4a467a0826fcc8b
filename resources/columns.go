package resources

import (
	"maps"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/types"

	"github.com/cqservicenow/cq-source-servicenow/internal/arrowjson"
	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
)

// columns collects a table's columns, each with the way it is filled.
type columns struct {
	list schema.ColumnList
	fill map[string]arrowjson.Column
	// fields are the names of the table's fields: a column of that name is the field's.
	fields map[string]bool
}

// newColumns begins with the primary key that every table has.
func newColumns() *columns {
	c := &columns{
		fill: map[string]arrowjson.Column{
			schema.CqIDColumn.Name:       {Source: arrowjson.ID},
			schema.CqParentIDColumn.Name: {Source: arrowjson.Null},
		},
		fields: map[string]bool{},
	}
	c.add(schema.Column{Name: "instance", Type: arrow.BinaryTypes.String, PrimaryKey: true, NotNull: true,
		Description: "The instance that the row comes from: its subdomain, or the host of a custom domain."}, arrowjson.Column{Source: arrowjson.Constant})
	c.add(schema.Column{Name: "sys_id", Type: arrow.BinaryTypes.String, PrimaryKey: true, NotNull: true,
		Description: "The record's unique identifier within its instance."}, arrowjson.Column{Field: "sys_id"})
	return c
}

// add appends a column, unless one of its name is there already.
func (c *columns) add(column schema.Column, fill arrowjson.Column) {
	if _, taken := c.fill[column.Name]; taken {
		return
	}
	c.list = append(c.list, column)
	c.fill[column.Name] = fill
}

// ours are the names of columns that are no fields; a field of such a name stays in `record`.
func ours(name string) bool {
	switch name {
	case "instance", "url", "text", "record", "record_url", "content", "content_url", "content_signed_url", "content_sha256",
		"content_status", "content_error", "text_status", "text_error":
		return true
	}
	return false
}

// all appends the columns of fields.
func (c *columns) all(fields []dictionary.Field) {
	for _, f := range fields {
		c.fields[f.Name] = true
	}
	for _, f := range fields {
		c.field(f)
	}
}

// field appends the column of a field, and that of its display value where the stored one is a code or a sys_id.
func (c *columns) field(f dictionary.Field) {
	if ours(f.Name) {
		return
	}
	kind, source := kindOf(f.Type), arrowjson.Value
	switch f.Type {
	case "password", "password2", "collection":
		return // a hash or cipher text helps nobody, and the other is no field
	case "journal", "journal_input", "journal_list":
		source = arrowjson.Journal
	}
	description := f.Description
	if description == "" {
		description = "Field of this instance's own, labelled \"" + f.Label + "\", of type " + f.Type + "."
	}
	c.add(schema.Column{Name: f.Name, Type: kind.DataType(), Description: description, IncrementalKey: f.Name == "sys_updated_on"},
		arrowjson.Column{Source: source, Field: f.Name, Kind: kind})
	if hasDisplay(f) && !c.fields[f.Name+"_display"] {
		c.add(schema.Column{Name: f.Name + "_display", Type: arrow.BinaryTypes.String, Description: displayDescription(f)},
			arrowjson.Column{Source: arrowjson.Display, Field: f.Name})
	}
}

// link appends the column `url`, which opens the record's form.
func (c *columns) link(table string) {
	c.add(schema.Column{Name: "url", Type: arrow.BinaryTypes.String, Description: "Address that opens the record in a browser."},
		arrowjson.Column{Source: arrowjson.Link, Text: "/" + table + ".do?sys_id="})
}

// text appends the column `text`; a Composed column takes its place in the reading of an instance.
func (c *columns) text(description string) {
	c.add(schema.Column{Name: "text", Type: arrow.BinaryTypes.String, Description: description}, arrowjson.Column{Source: arrowjson.Null})
}

// given appends a column whose value comes beside the record.
func (c *columns) given(name string, dataType arrow.DataType, description string) {
	c.add(schema.Column{Name: name, Type: dataType, Description: description}, arrowjson.Column{Source: arrowjson.Given})
}

// with returns how the columns are filled, one of them in another way.
func (c *columns) with(name string, fill arrowjson.Column) map[string]arrowjson.Column {
	columns := maps.Clone(c.fill)
	columns[name] = fill
	return columns
}

// record appends the column `record`, the whole record as JSON.
func (c *columns) record(description string) {
	c.add(schema.Column{Name: "record", Type: types.ExtensionTypes.JSON, Description: description}, arrowjson.Column{Source: arrowjson.Whole})
}

// kindOf maps the dictionary's types. The map is part of the contract: a column that changes its type cannot be migrated
// by destinations, so a type is added here, and never moved.
func kindOf(internalType string) arrowjson.Kind {
	switch internalType {
	case "boolean":
		return arrowjson.Bool
	case "integer", "long", "longint", "order_index", "counter", "percent_complete":
		return arrowjson.Int
	case "float":
		return arrowjson.Float
	case "glide_date_time", "due_date", "datetime", "calendar_date_time":
		return arrowjson.DateTime
	case "glide_date", "date":
		return arrowjson.Date
	case "glide_duration", "timer":
		return arrowjson.Duration
	case "glide_list", "slushbucket", "user_roles", "field_list":
		return arrowjson.List
	default: // decimals too, which stay exact as text
		return arrowjson.Text
	}
}

// hasDisplay reports whether people see something else in a field than what it stores.
func hasDisplay(f dictionary.Field) bool {
	switch f.Type {
	case "reference", "glide_list", "domain_id", "document_id", "table_name", "sys_class_name", "workflow":
		return true
	}
	return f.Choice
}

func displayDescription(f dictionary.Field) string {
	switch {
	case f.Type == "sys_class_name", f.Type == "table_name":
		return "Label of the table in `" + f.Name + "`, as the signed-in user sees it."
	case f.Choice:
		return "Label of `" + f.Name + "`, as the signed-in user sees it."
	case f.Type == "glide_list":
		return "Names of the records in `" + f.Name + "`, as the signed-in user sees them."
	default:
		return "Name of the record in `" + f.Name + "`, as the signed-in user sees it."
	}
}

// table finishes a declaration.
func (c *columns) table(t *schema.Table) *schema.Table {
	t.Columns = c.list
	t.IsIncremental = true
	schema.AddCqIDs(t)
	return t
}
