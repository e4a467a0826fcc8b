package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// held is what the destination holds of a table of one instance when a sync begins: of each row the sys_id, the stamp and
// the count of updates. It takes about 70 bytes a row.
type held struct {
	rows   []heldRow // in the order of sys_ids
	labels []byte    // one behind the other, each with its length before it
	fresh  map[string]bool
	err    error // why it is not known
}

const (
	idBytes        = 32
	noStamp        = math.MinInt64
	unknownUpdates = -1
)

type heldRow struct {
	id      [idBytes]byte // with zeros behind it
	updated int64         // sys_updated_on in Unix seconds, or noStamp
	updates int32         // sys_mod_count, or unknownUpdates
	label   uint32        // where in labels
	met     bool          // the record exists, as this sync has seen
}

func (r *heldRow) sysID() string { return string(bytes.TrimRight(r.id[:], "\x00")) }

// label is what people call the record, such as its number; "" where the destination has no such column.
func (h *held) label(r *heldRow) string {
	text := h.labels[r.label:]
	return string(text[1 : 1+int(text[0])])
}

// heldColumns are the columns that are read back of a table.
func heldColumns(table *schema.Table) *schema.Table {
	asked := &schema.Table{Name: table.Name}
	for _, name := range []string{"instance", "sys_id", "sys_updated_on", "sys_mod_count", "number", "file_name"} {
		if column := table.Columns.Get(name); column != nil {
			asked.Columns = append(asked.Columns, schema.Column{Name: column.Name, Type: column.Type})
		}
	}
	return asked
}

// readHeld reads what the destination holds of a table, for each of some instances.
func (s *Sync) readHeld(ctx context.Context, table *schema.Table, of map[string][]*held) error {
	asked := heldColumns(table)
	return s.options.State.rows(ctx, asked, func(batch arrow.RecordBatch) error {
		column := func(name string) arrow.Array {
			if i := asked.Columns.Index(name); i >= 0 && i < int(batch.NumCols()) {
				return batch.Column(i)
			}
			return nil
		}
		instances, ok1 := column("instance").(*array.String)
		ids, ok2 := column("sys_id").(*array.String)
		stamps, ok3 := column("sys_updated_on").(*array.Timestamp)
		updates, _ := column("sys_mod_count").(*array.Int64)
		labels, _ := column("number").(*array.String)
		if labels == nil {
			labels, _ = column("file_name").(*array.String)
		}
		if !ok1 || !ok2 || !ok3 {
			return errors.New("its columns are of other types")
		}
		for i := range int(batch.NumRows()) {
			row := heldRow{updated: noStamp, updates: unknownUpdates}
			id := ids.Value(i)
			if ids.IsNull(i) || len(id) > idBytes {
				return errors.New("a row has no valid sys_id")
			}
			copy(row.id[:], id)
			if stamps.IsValid(i) {
				row.updated = stamps.Value(i).ToTime(stamps.DataType().(*arrow.TimestampType).Unit).Unix()
			}
			if updates != nil && updates.IsValid(i) {
				row.updates = int32(min(updates.Value(i), math.MaxInt32))
			}
			label := ""
			if labels != nil && labels.IsValid(i) {
				label = labels.Value(i)
			}
			for _, h := range of[instances.Value(i)] {
				h.add(row, label)
			}
		}
		return nil
	})
}

func (h *held) add(row heldRow, label string) {
	label = label[:min(len(label), math.MaxUint8)]
	row.label = uint32(len(h.labels))
	h.labels = append(append(h.labels, byte(len(label))), label...)
	h.rows = append(h.rows, row)
}

// sort puts the rows in order. Of several rows of one record, which a destination that only appends has, the newest stays.
func (h *held) sort() {
	slices.SortFunc(h.rows, func(a, b heldRow) int {
		if order := compareIDs(a.id[:], b.id[:]); order != 0 {
			return order
		}
		return cmp.Or(cmp.Compare(b.updated, a.updated), cmp.Compare(b.updates, a.updates))
	})
	h.rows = slices.CompactFunc(h.rows, func(a, b heldRow) bool { return compareIDs(a.id[:], b.id[:]) == 0 })
	h.fresh = map[string]bool{}
}

// compareIDs orders as the instance sorts: its collation folds letters.
func compareIDs(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if x, y := upper(a[i]), upper(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

func paddedID(id string) (padded [idBytes]byte) {
	copy(padded[:], id)
	return padded
}

// behind returns the place of the first row behind an id; "" is the start.
func (h *held) behind(id string) int {
	padded := paddedID(id)
	return sort.Search(len(h.rows), func(i int) bool { return id == "" || compareIDs(h.rows[i].id[:], padded[:]) > 0 })
}

// between returns the rows of a range of ids.
func (h *held) between(r idRange) []heldRow {
	first, last := h.behind(r.Above), len(h.rows)
	if r.Through != "" {
		last = h.behind(r.Through)
	}
	return h.rows[first:max(first, last)]
}

// find returns the row of an id, or nil.
func (h *held) find(id string) *heldRow {
	padded := paddedID(id)
	i := sort.Search(len(h.rows), func(i int) bool { return compareIDs(h.rows[i].id[:], padded[:]) >= 0 })
	if i < len(h.rows) && compareIDs(h.rows[i].id[:], padded[:]) == 0 {
		return &h.rows[i]
	}
	return nil
}

// sent notes that a record is on its way to the destination in the state that it shows. start is where the window starts.
func (h *held) sent(record servicenow.Record, start servicenow.Key) {
	key, ok := record.Key()
	if !ok {
		return
	}
	if row := h.find(key.SysID); row != nil {
		row.met = true
		row.updated, row.updates = stateOf(record)
	} else if start != (servicenow.Key{}) && key.UpdatedOn != "" && key.Compare(start) <= 0 {
		h.fresh[strings.ToLower(key.SysID)] = true
	}
}

// stateOf returns what a change of a record changes.
func stateOf(record servicenow.Record) (updated int64, updates int32) {
	updated, updates = noStamp, unknownUpdates
	text, _ := record.Text("sys_updated_on")
	if at, err := time.Parse(servicenow.DateTime, text); err == nil {
		updated = at.Unix()
	}
	text, _ = record.Text("sys_mod_count")
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		updates = int32(n)
	}
	return updated, updates
}

// differs reports whether a record is in another state than a row.
func (r *heldRow) differs(record servicenow.Record) bool {
	updated, updates := stateOf(record)
	return r.updated != updated || r.updates >= 0 && updates >= 0 && r.updates != updates
}

// sums are those of the rows of a range with a stamp from before start. counted is false when a row's count of updates is
// not known.
func (h *held) sums(r idRange, start string) (sums servicenow.Sums, counted bool) {
	at, err := time.Parse(servicenow.DateTime, start)
	if err != nil {
		return sums, false
	}
	counted = true
	latest := int64(noStamp)
	rows := h.between(r)
	for i := range rows {
		row := &rows[i]
		if row.updated == noStamp || row.updated >= at.Unix() {
			continue
		}
		sums.Rows++
		sums.Updates += int64(row.updates)
		counted = counted && row.updates != unknownUpdates
		latest = max(latest, row.updated)
	}
	if latest != noStamp {
		sums.Latest = time.Unix(latest, 0).UTC().Format(servicenow.DateTime)
	}
	return sums, counted
}

// missing counts the rows whose record this sync has not seen.
func (h *held) missing() int {
	n := 0
	for i := range h.rows {
		if !h.rows[i].met {
			n++
		}
	}
	return n
}

// ReadBack reads what the destination holds of the tables that are to be compared, before the first row is sent.
func (s *Sync) ReadBack(ctx context.Context) error {
	if s.options.Plan != nil {
		return nil
	}
	if err := s.checkDeletes(ctx); err != nil {
		return err
	}
	for _, table := range s.options.Compared {
		of := map[string][]*held{}
		first := true // whether no instance has a cursor of the table
		for _, c := range s.Instances {
			due, err := c.sweepDue(table.Name)
			if err != nil {
				return err
			}
			if !due && !c.Spec.Reconcile {
				continue
			}
			h := &held{}
			of[c.InstanceName] = append(of[c.InstanceName], h)
			s.held[heldKey{table.Name, c}] = h
			stored, err := s.options.State.Cursor(c.cursorKeyOf(table.Name))
			first = first && err == nil && stored == nil
		}
		if len(of) == 0 {
			continue
		}
		err := s.readHeld(ctx, table, of)
		if err != nil && isStatus(err) && first && ctx.Err() == nil {
			err = nil // there is no such table yet
		}
		if err != nil {
			err = usererror.Wrap(err, CodeReadBack, "the destination cannot be read back, so nothing can be compared with it",
				"use a destination that answers reads, such as PostgreSQL or SQLite, or write deletes: audit or none, and reconcile: false")
		}
		for _, copies := range of {
			for _, h := range copies {
				h.err = err
				h.sort()
			}
		}
	}
	return nil
}

type heldKey struct {
	table  string
	client *Client
}
