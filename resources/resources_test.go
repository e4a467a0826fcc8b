package resources

import (
	"strings"
	"testing"

	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
)

func all() schema.Tables {
	return schema.Tables{Tables(), Incidents(OutOfBoxIncidentFields()), Attachments(), DeletedRecords(), SyncReport()}
}

func TestTablesAreValid(t *testing.T) {
	tables := all()
	require.NoError(t, tables.ValidateDuplicateColumns())
	require.NoError(t, tables.ValidateDuplicateTables())
	for _, table := range tables {
		require.True(t, table.IsIncremental, table.Name)
		switch table.Name {
		case SyncReportTable:
			require.Equal(t, []string{"instance", "name", "table_name", "run_id"}, table.PrimaryKeys())
		case DeletedRecordsTable:
			require.Equal(t, []string{"instance", "table_name", "sys_id"}, table.PrimaryKeys())
		default:
			require.Equal(t, []string{"instance", "sys_id"}, table.PrimaryKeys(), table.Name)
			require.True(t, table.Columns.Get("sys_updated_on").IncrementalKey, table.Name)
		}
		require.NotEmpty(t, table.Description)
		for _, c := range table.Columns {
			require.NotEmpty(t, c.Description, "%s.%s", table.Name, c.Name)
		}
	}
}

// The types are part of the contract: a destination cannot migrate a column to another type.
func TestIncidentTypes(t *testing.T) {
	table := Incidents(OutOfBoxIncidentFields())
	for name, want := range map[string]string{
		"_cq_id": "uuid", "instance": "utf8", "sys_id": "utf8", "number": "utf8", "active": "bool", "priority": "int64", "priority_display": "utf8",
		"caller_id": "utf8", "caller_id_display": "utf8", "category": "utf8", "category_display": "utf8",
		"sys_updated_on": "timestamp[us, tz=UTC]", "sla_due": "timestamp[us, tz=UTC]", "calendar_duration": "int64", "time_worked": "int64",
		"calendar_stc": "int64", "watch_list": "json", "watch_list_display": "utf8", "work_notes": "utf8", "record": "json", "url": "utf8",
		"sys_class_name_display": "utf8", "correlation_display": "utf8",
	} {
		column := table.Columns.Get(name)
		require.NotNil(t, column, name)
		require.Equal(t, want, column.Type.String(), name)
	}
	for _, f := range dictionary.OutOfBox("incident").Fields {
		require.NotNil(t, table.Columns.Get(f.Name), f.Name)
	}
	require.Nil(t, table.Columns.Get("number_display"))
}

func TestCustomFieldsNeverTakeTheNameOfAnotherColumn(t *testing.T) {
	fields := append(OutOfBoxIncidentFields(),
		dictionary.Field{Name: "u_vendor", Type: "reference", Reference: "core_company", Label: "Vendor"},
		dictionary.Field{Name: "u_vendor_display", Type: "string", Label: "Vendor shown"},
		dictionary.Field{Name: "url", Type: "url", Label: "URL"},
		dictionary.Field{Name: "u_hash", Type: "password2", Label: "Hash"},
		dictionary.Field{Name: "u_amount", Type: "decimal", Label: "Amount"},
		dictionary.Field{Name: "u_ratio", Type: "float", Label: "Ratio"},
		dictionary.Field{Name: "u_day", Type: "glide_date", Label: "Day"})
	table := Incidents(fields)
	require.NoError(t, schema.Tables{table}.ValidateDuplicateColumns())
	require.Nil(t, table.Columns.Get("u_hash"))
	require.Contains(t, table.Columns.Get("u_vendor_display").Description, "Vendor shown", "the field, not the display value of another")
	require.Contains(t, table.Columns.Get("url").Description, "browser")
	require.Equal(t, "utf8", table.Columns.Get("u_amount").Type.String())
	require.Equal(t, "float64", table.Columns.Get("u_ratio").Type.String())
	require.Equal(t, "date32", table.Columns.Get("u_day").Type.String())
	require.True(t, strings.Contains(table.Columns.Get("u_vendor").Description, "Vendor"))
}
