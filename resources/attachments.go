package resources

import (
	"context"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/internal/arrowjson"
	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// AttachmentsTable is the name of the destination table of attachments.
const AttachmentsTable = "servicenow_attachments"

// Attachments declares the attachments of the incidents that are covered: what the instance states about each file.
func Attachments() *schema.Table {
	c := newColumns()
	c.add(schema.Column{Name: "incident_sys_id", Type: arrow.BinaryTypes.String, Description: "The sys_id of the incident that the file is attached to."},
		arrowjson.Column{Field: "table_sys_id"})
	fields := dictionary.OutOfBox("sys_attachment").Fields
	for i := range fields {
		fields[i].Choice = false // the list is read without display values, which say nothing more here
	}
	c.all(fields)
	c.link("sys_attachment")
	return c.table(&schema.Table{
		Name:        AttachmentsTable,
		Title:       "ServiceNow Attachments",
		Description: "Attachments of the incidents that the source covers. A new file on an old incident is found by the attachment's own time stamp.",
		Multiplex:   client.PerInstance,
		Resolver: client.Resolver(AttachmentsTable, func(ctx context.Context, cl *client.Client) error {
			parents := cl.Parents()
			reading := client.Reading{
				Table:   Attachments(),
				Columns: c.fill,
				From:    "sys_attachment",
				Queries: parents.Attachments(),
				Fields:  fieldNames(fields),
				Display: servicenow.Values,
				Of:      cl.Fingerprint("sys_attachment", fieldNames(fields)),
				Keep:    parents.Keep,
			}
			if cl.Selection.Filtered() {
				// An incident that a change lets in brings the attachments that it has had all along.
				reading.Also = func(ctx context.Context, start servicenow.Key) iter.Seq2[*servicenow.Page, error] {
					return parents.Admitted(ctx, start, reading.Fields)
				}
			}
			return cl.Run(ctx, reading)
		}),
	})
}
