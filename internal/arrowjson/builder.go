package arrowjson

import (
	"crypto/sha1" //nolint:gosec // UUID version 5 is defined over SHA-1 (RFC 9562, 5.5)
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cloudquery/plugin-sdk/v4/types"
	"github.com/google/uuid"

	"github.com/cqservicenow/cq-source-servicenow/internal/recordjson"
)

// Source says where a column's value comes from.
type Source int

const (
	// Value is the stored value of a field.
	Value Source = iota
	// Display is the display value of a field.
	Display
	// Journal is the value of a journal field: its display value, since the stored one is always empty.
	Journal
	// Whole is the record's JSON.
	Whole
	// Constant is a text, the same in every row.
	Constant
	// Link is a text with the record's sys_id behind it.
	Link
	// ID is the deterministic _cq_id of a row with the primary key (instance, sys_id); the text is the instance.
	ID
	// Null is always NULL.
	Null
	// Composed is a text made of several fields.
	Composed
	// Given is a value that comes beside the record: a text or bytes.
	Given
)

// Column fills one column of the schema; columns stand in the schema's order.
type Column struct {
	Source Source
	Field  string // for Value, Display and Journal
	Kind   Kind   // for Value
	Text   string // for Constant, Link and ID
	// Compose appends the text of a Composed column, of the fields Of in their order. Nothing appended is NULL.
	Of      []string
	Compose func(dst []byte, values []Halves) []byte
}

// Halves are a field's stored and its display value as text; both are empty where the record does not have the field.
type Halves struct{ Stored, Shown []byte }

// Builder collects rows for record batches of one table. It is not safe for concurrent use.
type Builder struct {
	schema  *arrow.Schema
	records *array.RecordBuilder
	columns []column
	fields  fields
	scanner *recordjson.Scanner
	take    func(recordjson.Field) error
	whole   []int // columns that take the record itself
	fixed   []int // columns that need no field
	row     uint64
	rows    int
	bytes   int
	invalid map[string]int
	scratch []byte
	sysID   []byte // of the current row
	// What Composed columns want of the current row: halves in the order of the columns and their fields, each a part of
	// the record or, where it had escapes, of the arena.
	arena    []byte
	slots    []slot
	halves   []Halves
	composed []byte
	last     []int // bytes that each column of texts or bytes had in the last batch, or in a larger one not long before
	lastRows int
}

// slot is a field's halves in the row that filled it.
type slot struct {
	row uint64
	Halves
}

type column struct {
	Column
	name   string
	append func(text []byte) bool
	null   func()
	filled uint64 // the row that last filled it
	slots  int    // of a Composed column: its first slot
}

// NewBuilder returns a builder for a schema; columns says how each of its columns is filled.
func NewBuilder(mem memory.Allocator, schema *arrow.Schema, columns []Column) (*Builder, error) {
	if schema.NumFields() != len(columns) {
		return nil, fmt.Errorf("building rows: %d columns for a schema of %d", len(columns), schema.NumFields())
	}
	b := &Builder{
		schema: schema, records: array.NewRecordBuilder(mem, schema), columns: make([]column, len(columns)),
		fields: newFields(), invalid: map[string]int{}, last: make([]int, len(columns)),
	}
	for i, c := range columns {
		builder := b.records.Field(i)
		b.columns[i] = column{Column: c, name: schema.Field(i).Name, null: builder.AppendNull}
		switch c.Source {
		case Value:
			appendValue, err := appender(c.Kind, builder)
			if err != nil {
				b.Release()
				return nil, fmt.Errorf("building rows: column %s: %w", schema.Field(i).Name, err)
			}
			b.columns[i].append = appendValue
			b.fields.bind(c.Field, i, false)
		case Display, Journal:
			text, ok := builder.(*array.StringBuilder)
			if !ok {
				b.Release()
				return nil, fmt.Errorf("building rows: column %s: not a text", schema.Field(i).Name)
			}
			b.columns[i].append = appendText(text)
			b.fields.bind(c.Field, i, true)
		case Composed:
			if _, ok := builder.(*array.StringBuilder); !ok {
				b.Release()
				return nil, fmt.Errorf("building rows: column %s: not a text", schema.Field(i).Name)
			}
			b.columns[i].slots = len(b.slots)
			for _, field := range c.Of {
				b.fields.want(field, len(b.slots))
				b.slots = append(b.slots, slot{})
			}
			b.fixed = append(b.fixed, i)
		case Given:
			switch builder.(type) {
			case *array.StringBuilder, *array.BinaryBuilder:
			default:
				b.Release()
				return nil, fmt.Errorf("building rows: column %s: neither a text nor bytes", schema.Field(i).Name)
			}
			b.fixed = append(b.fixed, i)
		case Whole:
			b.whole = append(b.whole, i)
		default:
			b.fixed = append(b.fixed, i)
		}
	}
	b.halves = make([]Halves, len(b.slots))
	b.scanner, b.take = recordjson.NewScanner(b.fields.id), b.field
	return b, nil
}

// Append adds one record, a complete and valid JSON object. given are the values of the Given columns, in their order; nil
// is NULL.
func (b *Builder) Append(record []byte, given ...[]byte) error {
	if b.rows == 0 {
		b.reserve()
	}
	b.row++
	b.arena = b.arena[:0]
	b.sysID = b.sysID[:0]
	_, clean, err := b.scanner.Scan(record, recordjson.Space(record, 0), b.take)
	if err != nil {
		return fmt.Errorf("reading a record: %w", err)
	}
	if len(b.sysID) == 0 {
		return errors.New("reading a record: it has no sys_id")
	}
	if len(b.whole) > 0 {
		whole := record
		if !clean {
			whole = wellFormed(record)
		}
		for _, i := range b.whole {
			b.records.Field(i).(*types.JSONBuilder).AppendBytes(whole)
			b.columns[i].filled = b.row
		}
	}
	b.bytes += 2 * len(record) // once in the columns and once whole
	for _, i := range b.fixed {
		if b.columns[i].Source == Given {
			if len(given) > 0 {
				b.fillGiven(i, given[0])
				given = given[1:]
			}
			continue
		}
		b.fillFixed(i)
	}
	for i := range b.columns {
		if c := &b.columns[i]; c.filled != b.row {
			c.null()
		}
	}
	b.rows++
	return nil
}

// field fills what wants a field.
func (b *Builder) field(of recordjson.Field) error {
	if of.ID == 0 {
		return nil
	}
	f := &b.fields.all[of.ID]
	f.seen = true
	for _, i := range f.values {
		b.fill(i, of.Stored)
	}
	for _, i := range f.displays {
		b.fill(i, of.Shown)
	}
	for _, i := range f.slots {
		b.keep(i, of.Stored, of.Shown)
	}
	if of.ID == sysIDField && len(b.sysID) == 0 { // the first one, as of every field
		b.sysID = append(b.sysID, b.text(of.Stored)...)
	}
	return nil
}

// keep holds a field's halves for the Composed columns. A field that appears twice keeps its first value.
func (b *Builder) keep(i int, stored, shown recordjson.Half) {
	s := &b.slots[i]
	if s.row == b.row {
		return
	}
	s.row, s.Halves = b.row, Halves{Stored: b.kept(stored), Shown: b.kept(shown)}
}

// kept is a half's text, in memory that stays as it is until the next row.
func (b *Builder) kept(half recordjson.Half) []byte {
	if isNested(half.Raw) {
		return nil
	}
	text := b.text(half)
	if half.Plain || len(text) == 0 {
		return text
	}
	start := len(b.arena)
	b.arena = append(b.arena, text...)
	return b.arena[start:len(b.arena):len(b.arena)]
}

// compose fills a Composed column.
func (b *Builder) compose(c *column, text *array.StringBuilder) bool {
	halves := b.halves[c.slots : c.slots+len(c.Of)]
	for i := range halves {
		halves[i] = Halves{}
		if s := b.slots[c.slots+i]; s.row == b.row {
			halves[i] = s.Halves
		}
	}
	b.composed = c.Compose(b.composed[:0], halves)
	if len(b.composed) == 0 {
		return false
	}
	b.bytes += len(b.composed)
	text.BinaryBuilder.Append(b.composed)
	return true
}

func (b *Builder) fillGiven(i int, value []byte) {
	if value == nil {
		return
	}
	switch builder := b.records.Field(i).(type) {
	case *array.StringBuilder:
		builder.BinaryBuilder.Append(value)
	case *array.BinaryBuilder:
		builder.Append(value)
	default:
		return
	}
	b.bytes += len(value)
	b.columns[i].filled = b.row
}

// fill sets a column from a field's JSON text. A field that appears twice keeps its first value.
func (b *Builder) fill(i int, half recordjson.Half) {
	c := &b.columns[i]
	if c.filled == b.row {
		return
	}
	text := b.text(half)
	if len(text) == 0 {
		return
	}
	if isNested(half.Raw) || !c.append(text) {
		b.invalid[c.name]++
		return
	}
	c.filled = b.row
}

func (b *Builder) fillFixed(i int) {
	c := &b.columns[i]
	switch c.Source {
	case Constant:
		b.records.Field(i).(*array.StringBuilder).Append(c.Text)
	case Link:
		b.scratch = append(append(b.scratch[:0], c.Text...), b.sysID...)
		b.records.Field(i).(*array.StringBuilder).BinaryBuilder.Append(b.scratch)
	case Composed:
		if !b.compose(c, b.records.Field(i).(*array.StringBuilder)) {
			return
		}
	case ID:
		b.scratch = appendRow(b.scratch[:0], c.Text, b.sysID)
		b.records.Field(i).(*types.UUIDBuilder).Append(rowID(b.scratch))
	default:
		return
	}
	c.filled = b.row
}

// RowID is the _cq_id of a row with the primary key (instance, sys_id): the SDK's own formula for deterministic ids.
func RowID(instance, sysID string) uuid.UUID { return rowID(appendRow(nil, instance, sysID)) }

// appendRow appends what identifies a row.
func appendRow[T string | []byte](dst []byte, instance string, sysID T) []byte {
	dst = append(append(dst, "instance"...), instance...)
	return append(append(dst, "sys_id"...), sysID...)
}

// rowID is uuid.NewSHA1 in the zero namespace, which takes memory for each id.
func rowID(row []byte) uuid.UUID {
	sum := sha256.Sum256(row)
	var named [len(uuid.UUID{}) + sha256.Size]byte // the namespace, and the name
	copy(named[len(uuid.UUID{}):], sum[:])
	hash := sha1.Sum(named[:]) //nolint:gosec // see the import
	id := uuid.UUID(hash[:len(uuid.UUID{})])
	id[6] = id[6]&0x0f | 5<<4 // version 5
	id[8] = id[8]&0x3f | 0x80 // the variant of RFC 9562
	return id
}

// Rows is how many rows have been collected since the last batch.
func (b *Builder) Rows() int { return b.rows }

// Bytes estimates the size of these rows on the wire.
func (b *Builder) Bytes() int { return b.bytes }

// Batch returns the collected rows and starts anew. The caller releases it.
func (b *Builder) Batch() arrow.RecordBatch {
	for i := range b.columns {
		if data := b.binary(i); data != nil {
			b.last[i] = max(data.DataLen(), b.last[i]-b.last[i]/16)
		}
	}
	b.lastRows = max(b.rows, b.lastRows-b.lastRows/16)
	b.rows, b.bytes = 0, 0
	return b.records.NewRecordBatch()
}

// reserve makes room for a batch like the last one. Batches of a table are alike, and what grows step by step is copied and
// thrown away at each of them.
func (b *Builder) reserve() {
	if b.lastRows == 0 {
		return
	}
	for i := range b.columns {
		b.records.Field(i).Reserve(b.lastRows)
		if data := b.binary(i); data != nil {
			data.ReserveData(b.last[i] + b.last[i]/16)
		}
	}
}

// binary returns what holds the bytes of a column; nil where all values are of one size.
func (b *Builder) binary(i int) *array.BinaryBuilder {
	switch builder := b.records.Field(i).(type) {
	case *array.StringBuilder:
		return builder.BinaryBuilder
	case *array.BinaryBuilder:
		return builder
	case *types.JSONBuilder:
		data, _ := builder.StorageBuilder().(*array.BinaryBuilder)
		return data
	}
	return nil
}

// Invalid counts, by column, the values that did not fit and became NULL.
func (b *Builder) Invalid() map[string]int { return b.invalid }

// Absent returns the fields of columns that no record so far has had, sorted; none before the first record.
func (b *Builder) Absent() []string {
	var absent []string
	for i := range b.fields.all {
		if f := &b.fields.all[i]; b.row > 0 && !f.seen && len(f.values)+len(f.displays) > 0 {
			absent = append(absent, f.name)
		}
	}
	slices.Sort(absent)
	return absent
}

// SysID is that of the last record; it is valid until the next one.
func (b *Builder) SysID() []byte { return b.sysID }

// Release frees what has been collected.
func (b *Builder) Release() { b.records.Release() }
