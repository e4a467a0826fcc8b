package localsync

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	pb "github.com/cloudquery/plugin-pb-go/pb/plugin/v3"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/types"
)

// CloudQuery's types (UUID, JSON and the like) arrive as plain storage types unless they are in Arrow's global registry.
// They are recognised here instead, because that registry admits one user per process: a second sync, or a served
// plugin, in the same process would fail.

func decodeBatch(b []byte) (arrow.RecordBatch, error) {
	batch, err := pb.NewRecordFromBytes(b)
	if err != nil || batch == nil {
		return nil, err
	}
	sc := reviveSchema(batch.Schema())
	columns := make([]arrow.Array, batch.NumCols())
	for i, col := range batch.Columns() {
		columns[i] = array.MakeFromData(retype(col.Data(), sc.Field(i).Type))
	}
	return array.NewRecordBatch(sc, columns, batch.NumRows()), nil
}

func decodeSchema(b []byte) (*arrow.Schema, error) {
	sc, err := pb.NewSchemaFromBytes(b)
	if err != nil {
		return nil, err
	}
	return reviveSchema(sc), nil
}

func decodeTable(b []byte) (*schema.Table, error) {
	sc, err := decodeSchema(b)
	if err != nil {
		return nil, err
	}
	return schema.NewTableFromArrowSchema(sc)
}

func decodeDelete(table string, relations []*pb.TableRelation, where []*pb.PredicatesGroup) (message.DeleteRecord, error) {
	d := message.DeleteRecord{TableName: table}
	for _, r := range relations {
		d.TableRelations = append(d.TableRelations, message.TableRelation{TableName: r.TableName, ParentTable: r.ParentTable})
	}
	for _, g := range where {
		group := message.PredicateGroup{GroupingType: g.GroupingType.String()}
		for _, p := range g.Predicates {
			value, err := decodeBatch(p.Record)
			if err != nil {
				return d, fmt.Errorf("decoding the predicate on %s: %w", p.Column, err)
			}
			group.Predicates = append(group.Predicates, message.Predicate{Operator: p.Operator.String(), Column: p.Column, Record: value})
		}
		d.WhereClause = append(d.WhereClause, group)
	}
	return d, nil
}

func reviveSchema(sc *arrow.Schema) *arrow.Schema {
	fields := make([]arrow.Field, sc.NumFields())
	for i, f := range sc.Fields() {
		fields[i] = reviveField(f)
	}
	md := sc.Metadata()
	return arrow.NewSchema(fields, &md)
}

func reviveField(f arrow.Field) arrow.Field {
	f.Type = reviveType(f.Type)
	name, ok := f.Metadata.GetValue(ipc.ExtensionTypeKeyName)
	if !ok {
		return f
	}
	for _, ext := range []arrow.ExtensionType{types.NewUUIDType(), types.NewJSONType(), types.NewInetType(), types.NewMACType()} {
		if ext.ExtensionName() != name || !arrow.TypeEqual(ext.StorageType(), f.Type) {
			continue
		}
		f.Type = ext
		md := f.Metadata.ToMap()
		delete(md, ipc.ExtensionTypeKeyName)
		delete(md, ipc.ExtensionMetadataKeyName)
		f.Metadata = arrow.MetadataFrom(md)
	}
	return f
}

func reviveType(t arrow.DataType) arrow.DataType {
	switch t := t.(type) {
	case *arrow.ListType:
		return arrow.ListOfField(reviveField(t.ElemField()))
	case *arrow.LargeListType:
		return arrow.LargeListOfField(reviveField(t.ElemField()))
	case *arrow.FixedSizeListType:
		return arrow.FixedSizeListOfField(t.Len(), reviveField(t.ElemField()))
	case *arrow.StructType:
		fields := make([]arrow.Field, t.NumFields())
		for i, f := range t.Fields() {
			fields[i] = reviveField(f)
		}
		return arrow.StructOf(fields...)
	case *arrow.MapType:
		key, item := reviveField(t.KeyField()), reviveField(t.ItemField())
		m := arrow.MapOfFields(key, item)
		m.KeysSorted = t.KeysSorted
		return m
	default:
		return t
	}
}

// retype returns the same data under type t, which differs from d's only in extension types.
func retype(d arrow.ArrayData, t arrow.DataType) arrow.ArrayData {
	children := d.Children()
	if nested, ok := t.(arrow.NestedType); ok && len(children) > 0 {
		fields := nested.Fields()
		typed := make([]arrow.ArrayData, len(children))
		for i, child := range children {
			typed[i] = child
			if i < len(fields) {
				typed[i] = retype(child, fields[i].Type)
			}
		}
		children = typed
	}
	return array.NewData(t, d.Len(), d.Buffers(), children, d.NullN(), d.Offset())
}
