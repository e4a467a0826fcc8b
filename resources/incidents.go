package resources

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/arrowjson"
	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// IncidentsTable is the name of the destination table of incidents.
const IncidentsTable = "servicenow_incidents"

// Incidents declares the incidents: a column for each of the fields, with the human value of each reference and choice
// beside it, and the whole record as JSON.
func Incidents(fields []dictionary.Field) *schema.Table {
	c := newColumns()
	c.all(fields)
	c.link("incident")
	c.text("The incident as its Default view shows it: section by section, each field with its label and human value, and the comments and work notes in the order of time.")
	c.record("The whole record as JSON, each field with its value and its display value, custom fields included. NULL with `incidents.record: blob`.")
	c.given("record_url", arrow.BinaryTypes.String, "Address of the record's JSON in the blob store, with `attachments.blob_url`.")
	return c.table(&schema.Table{
		Name:        IncidentsTable,
		Title:       "ServiceNow Incidents",
		Description: "Incidents: every field of the incident table, typed, with the human value of each reference and choice beside it. Date-times are in UTC.",
		Multiplex:   client.PerInstance,
		Resolver: client.Resolver(IncidentsTable, func(ctx context.Context, cl *client.Client) error {
			form, err := cl.IncidentForm(ctx)
			if err != nil {
				return err
			}
			fill := c.with("text", form.Column())
			if cl.Spec.Incidents.Record == spec.RecordBlob {
				fill["record"] = arrowjson.Column{Source: arrowjson.Null}
			}
			store, err := cl.StoreRecords(ctx)
			if err != nil {
				return err
			}
			return cl.Run(ctx, client.Reading{
				Table:   Incidents(fields),
				Columns: fill,
				From:    "incident",
				Queries: cl.Selection.Incidents(),
				Fields:  form.Fields,
				Display: servicenow.Both,
				Of:      cl.Fingerprint("incident", append(fieldNames(cl.IncidentFields()), cl.RecordMark())),
				Keep:    cl.Selection.Keep,
				Beside:  store,
				Classes: classes(cl, "incident"),
				// ServiceNow deletes the files with their record.
				Followers: map[string]string{AttachmentsTable: "incident_sys_id"},
			})
		}),
	})
}

// classes are a table's name and those of the tables that extend it.
func classes(cl *client.Client, table string) []string {
	return append([]string{table}, cl.Tables.Table(table).Descendants...)
}

// OutOfBoxIncidentFields are the incident's fields on a fresh instance.
func OutOfBoxIncidentFields() []dictionary.Field { return dictionary.OutOfBox("incident").Fields }

func fieldNames(fields []dictionary.Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	slices.Sort(names)
	return names
}
