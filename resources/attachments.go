package resources

import (
	"context"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/internal/arrowjson"
	"github.com/cqservicenow/cq-source-servicenow/internal/attachment"
	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// AttachmentsTable is the name of the destination table of attachments.
const AttachmentsTable = "servicenow_attachments"

// Attachments declares the attachments of the incidents that are covered: what the instance states about each file, its content and its text.
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
	c.given("content", arrow.BinaryTypes.Binary, "The file, with `attachments.content: column`.")
	c.given("content_url", arrow.BinaryTypes.String, "Address of the file in the blob store, with `attachments.content: blob`.")
	c.given("content_signed_url", arrow.BinaryTypes.String, "Address that gives the file to everybody who knows it, for the time of `attachments.signed_urls`, where the store can sign.")
	c.given("content_sha256", arrow.BinaryTypes.String, "SHA-256 of the file as it arrived, in hexadecimal. It equals `hash` where the instance states one.")
	c.given("content_status", arrow.BinaryTypes.String, "What became of the file: `stored`, `skipped` (of a format that is not wanted), `too_large`, `unavailable` (pending or blocked by the security scan, deleted meanwhile, not for this user) or `failed` (it does not arrive as the instance states it). NULL with `attachments.content: none`.")
	c.given("content_error", arrow.BinaryTypes.String, "Why there is no content, with a code and a next step.")
	c.given("text", arrow.BinaryTypes.String, "The text of the file, with `attachments.extract_text`.")
	c.given("text_status", arrow.BinaryTypes.String, "What became of the text: `extracted`, `unsupported`, `too_large`, `encrypted`, `failed` or `unavailable`.")
	c.given("text_error", arrow.BinaryTypes.String, "Why there is no text, or not all of it.")
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
				Of:      cl.FilesFingerprint(fieldNames(fields)),
				Keep:    parents.Keep,

				KeepFields: []string{"table_name", "table_sys_id"},
				Classes:    classes(cl, "sys_attachment"),
			}
			files, err := cl.Files(ctx)
			if err != nil {
				return err
			}
			if files != nil {
				reading.Wants = files.Wants
				reading.Beside = func(ctx context.Context, record servicenow.Record) (client.Extra, error) {
					content, err := files.Fetch(ctx, record)
					if err != nil {
						return nil, err
					}
					return file{content}, nil
				}
			}
			if cl.Selection.Filtered() {
				// An incident that a change lets in brings the attachments that it has had all along.
				reading.Also = func(ctx context.Context, start servicenow.Key) iter.Seq2[*servicenow.Page, error] {
					return parents.Admitted(ctx, start, reading.Fields)
				}
				reading.AlsoTakes = parents.AdmittedTakes
			}
			return cl.Run(ctx, reading)
		}),
	})
}

// file is a row's part that comes from the file itself.
type file struct{ *attachment.Content }

// Values stand in the order of the Given columns above.
func (f file) Values() ([][]byte, error) {
	content, err := f.Bytes()
	if err != nil {
		return nil, err
	}
	var text []byte
	if f.Text != nil {
		text = []byte(*f.Text)
		if text == nil {
			text = []byte{}
		}
	}
	return [][]byte{
		content, orNull(f.URL), orNull(f.SignedURL), orNull(f.SHA256), orNull(f.Status), orNull(f.Error),
		text, orNull(f.TextStatus), orNull(f.TextError),
	}, nil
}

// Again reports whether the next sync should try again.
func (f file) Again() bool { return f.Content.Again }

func orNull(text string) []byte {
	if text == "" {
		return nil
	}
	return []byte(text)
}
