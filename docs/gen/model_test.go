package main

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/stretchr/testify/require"
)

// The picture is well-formed, and every column is in it once: by its name, or as the + of the one that it belongs to.
func TestDataModelHoldsEveryColumn(t *testing.T) {
	tables, err := pluginTables(t.Context())
	require.NoError(t, err)
	// A table that comes later, with a column that no other has.
	tables = append(tables, &schema.Table{Name: "servicenow_later", Columns: schema.ColumnList{{Name: "only<here>", Type: arrow.BinaryTypes.String}}})
	var picture struct {
		Texts []struct {
			Class string `xml:"class,attr"`
			Text  string `xml:",chardata"`
		} `xml:"text"`
		Links []struct {
			Title string `xml:"title"`
		} `xml:"path"`
	}
	require.NoError(t, xml.Unmarshal(dataModel(tables), &picture))
	drawn := map[string]int{}
	for _, text := range picture.Texts {
		if text.Class == "" || text.Class == "title" {
			drawn[strings.TrimSpace(text.Text)]++
		}
	}
	wanted := map[string]int{"the table of backend_options": 1}
	for _, column := range stateTable() {
		wanted[column.name]++
	}
	for _, table := range tables {
		wanted[table.Name]++
		for _, column := range table.Columns {
			base, isDisplay := strings.CutSuffix(column.Name, "_display")
			switch {
			case isDisplay && table.Columns.Get(base) != nil:
			case table.Columns.Get(column.Name+"_display") != nil:
				wanted[column.Name+" +"]++
			default:
				wanted[column.Name]++
			}
		}
	}
	require.Equal(t, wanted, drawn)
	require.Len(t, picture.Links, len(links()))
	require.Equal(t, "servicenow_attachments.incident_sys_id names a row of servicenow_incidents", picture.Links[0].Title)
}
