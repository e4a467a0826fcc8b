package localsync

import (
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cloudquery/plugin-sdk/v4/schema"
)

// columnAdder does to schemas and batches what the CLI does between source and destination: it adds _cq_sync_time and
// _cq_source_name, and adapts the keys to the destination's modes.
type columnAdder struct {
	sourceName string
	syncTime   time.Time
	removeKeys bool
	cqIDKey    bool
	// stateTable keeps its keys in every mode. The state client, which talks to the destination directly, creates it
	// with them, and one cursor per key is its meaning.
	stateTable string
}

func newColumnAdder(s *sourceConfig, d *destinationConfig, syncTime time.Time) *columnAdder {
	a := &columnAdder{sourceName: s.name, syncTime: syncTime}
	a.cqIDKey = d.writeMode != writeAppend && d.pkMode == pkCqIDOnly
	a.removeKeys = d.writeMode == writeAppend || a.cqIDKey
	if s.backend != nil {
		a.stateTable = s.backend.table
	}
	return a
}

func (a *columnAdder) schema(sc *arrow.Schema) *arrow.Schema {
	fields := make([]arrow.Field, 0, sc.NumFields()+2)
	if !sc.HasField(schema.CqSyncTimeColumn.Name) {
		fields = append(fields, arrow.Field{Name: schema.CqSyncTimeColumn.Name, Type: schema.CqSyncTimeColumn.Type, Nullable: true})
	}
	if !sc.HasField(schema.CqSourceNameColumn.Name) {
		fields = append(fields, arrow.Field{Name: schema.CqSourceNameColumn.Name, Type: schema.CqSourceNameColumn.Type, Nullable: true})
	}
	fields = append(fields, sc.Fields()...)
	table, _ := sc.Metadata().GetValue(schema.MetadataTableName)
	if a.removeKeys && (a.stateTable == "" || table != a.stateTable) {
		for i, f := range fields {
			md := f.Metadata.ToMap()
			delete(md, schema.MetadataPrimaryKey)
			if !a.cqIDKey {
				delete(md, schema.MetadataUnique)
			}
			if a.cqIDKey && f.Name == schema.CqIDColumn.Name {
				md[schema.MetadataPrimaryKey] = schema.MetadataTrue
			}
			fields[i].Metadata = arrow.MetadataFrom(md)
		}
	}
	md := sc.Metadata()
	return arrow.NewSchema(fields, &md)
}

func (a *columnAdder) batch(batch arrow.RecordBatch) (arrow.RecordBatch, error) {
	sc := batch.Schema()
	rows := int(batch.NumRows())
	columns := make([]arrow.Array, 0, batch.NumCols()+2)
	if !sc.HasField(schema.CqSyncTimeColumn.Name) {
		t, err := schema.TimestampArrayFromTime(a.syncTime, arrow.Microsecond, "UTC", rows)
		if err != nil {
			return nil, fmt.Errorf("adding %s: %w", schema.CqSyncTimeColumn.Name, err)
		}
		columns = append(columns, t)
	}
	if !sc.HasField(schema.CqSourceNameColumn.Name) {
		columns = append(columns, schema.StringArrayFromValue(a.sourceName, rows))
	}
	columns = append(columns, batch.Columns()...)
	return array.NewRecordBatch(a.schema(sc), columns, int64(rows)), nil
}
