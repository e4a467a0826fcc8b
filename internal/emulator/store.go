package emulator

import (
	"maps"
	"slices"
)

// table holds one table's rows by number. The first base rows are computed by generate, with changes
// laid over them; the rest are stored as values by column.
type table struct {
	schema   *schema
	sysID    int // column numbers
	generate rowGenerator
	base     int32
	overlay  map[int32][]cell
	stored   [][]string

	ids    []string // by row
	times  []int64  // by row: the time column's value in Unix seconds
	dead   map[int32]bool
	byID   map[string]int32 // stored rows only
	order  rowIndex         // by (time, sys_id)
	keys   rowIndex         // by sys_id
	lookup map[int]map[string][]int32
}

// rowGenerator computes rows from their number.
type rowGenerator interface {
	append(buf []byte, row int32, column int) []byte
	rowOf(sysID string) (int32, bool)
}

type cell struct {
	column int
	value  string
}

func newTable(s *schema) *table {
	t := &table{schema: s, byID: map[string]int32{}, dead: map[int32]bool{}, overlay: map[int32][]cell{}, lookup: map[int]map[string][]int32{}}
	t.sysID = s.index["sys_id"]
	for _, name := range s.lookups {
		t.lookup[s.index[name]] = map[string][]int32{}
	}
	t.order.compare = func(a, b int32) int {
		if t.times[a] != t.times[b] {
			return compareInts(t.times[a], t.times[b])
		}
		return collate(t.ids[a], t.ids[b])
	}
	t.keys.compare = func(a, b int32) int { return collate(t.ids[a], t.ids[b]) }
	return t
}

func (t *table) len() int { return len(t.ids) - len(t.dead) }

// find returns the row with this sys_id.
func (t *table) find(sysID string) (int32, bool) {
	if row, ok := t.byID[sysID]; ok {
		return row, true
	}
	if t.generate == nil {
		return 0, false
	}
	row, ok := t.generate.rowOf(sysID)
	return row, ok && !t.dead[row]
}

// append appends the stored value of a field. A column added after the row was stored is empty.
func (t *table) append(buf []byte, row int32, column int) []byte {
	if row >= t.base {
		if values := t.stored[row-t.base]; column < len(values) {
			buf = append(buf, values[column]...)
		}
		return buf
	}
	if column == t.sysID {
		return append(buf, t.ids[row]...)
	}
	if len(t.overlay) > 0 {
		for _, c := range t.overlay[row] {
			if c.column == column {
				return append(buf, c.value...)
			}
		}
	}
	if column == t.schema.timeColumn {
		return appendDateTime(buf, t.times[row])
	}
	return t.generate.append(buf, row, column)
}

func (t *table) value(row int32, column int) string {
	if row >= t.base {
		if values := t.stored[row-t.base]; column < len(values) {
			return values[column]
		}
		return ""
	}
	return string(t.append(nil, row, column))
}

func (t *table) valueOf(row int32, name string) string {
	if column, ok := t.schema.column(name); ok {
		return t.value(row, column)
	}
	return ""
}

// insert stores a row whose values are ordered by column.
func (t *table) insert(values []string) int32 {
	row := int32(len(t.ids))
	t.stored = append(t.stored, values)
	t.ids = append(t.ids, values[t.sysID])
	t.times = append(t.times, t.timeOf(values))
	t.byID[values[t.sysID]] = row
	t.order.insert(row)
	t.keys.insert(row)
	t.link(row)
	return row
}

func (t *table) timeOf(values []string) int64 {
	if t.schema.timeColumn >= 0 {
		if unix, ok := parseDateTime(values[t.schema.timeColumn]); ok {
			return unix
		}
	}
	return noTime
}

// link and unlink keep the equality indexes; generated rows have none.
func (t *table) link(row int32) {
	for column, rows := range t.lookup {
		value := t.value(row, column)
		rows[value] = append(rows[value], row)
	}
}

func (t *table) unlink(row int32) {
	for column, rows := range t.lookup {
		value := t.value(row, column)
		rows[value] = slices.DeleteFunc(rows[value], func(other int32) bool { return other == row })
		if len(rows[value]) == 0 {
			delete(rows, value)
		}
	}
}

// update changes fields of a row.
func (t *table) update(row int32, values map[int]string) {
	t.unlink(row)
	for column, value := range values {
		t.set(row, column, value)
	}
	t.link(row)
	if text, ok := values[t.schema.timeColumn]; ok {
		unix, ok := parseDateTime(text)
		if !ok {
			unix = noTime
		}
		t.order.remove(row)
		t.times[row] = unix
		t.order.insert(row)
	}
}

func (t *table) set(row int32, column int, value string) {
	if row >= t.base {
		values := &t.stored[row-t.base]
		for len(*values) <= column {
			*values = append(*values, "")
		}
		(*values)[column] = value
		return
	}
	for i, c := range t.overlay[row] {
		if c.column == column {
			t.overlay[row][i].value = value
			return
		}
	}
	t.overlay[row] = append(t.overlay[row], cell{column, value})
}

func (t *table) remove(row int32) {
	t.unlink(row)
	t.order.remove(row)
	t.keys.remove(row)
	if row >= t.base {
		delete(t.byID, t.ids[row])
	}
	delete(t.overlay, row)
	t.dead[row] = true
}

// record returns a row's stored values by name.
func (t *table) record(row int32) map[string]string {
	record := make(map[string]string, len(t.schema.columns))
	for i, c := range t.schema.columns {
		record[c.name] = t.value(row, i)
	}
	return record
}

// sysIDs returns the rows' ids in the order of the sys_id index.
func (t *table) sysIDs() []string {
	ids := make([]string, 0, t.len())
	t.keys.ranks(0, t.len(), func(row int32) bool {
		ids = append(ids, t.ids[row])
		return true
	})
	return ids
}

// fillGenerated sets the computed rows. The keys hold each row's time and the first 16 hex digits of its
// sys_id, on which the ids differ; sorting them is several times faster than comparing through the rows.
func (t *table) fillGenerated(g rowGenerator, ids []string, keys []generatedKey) {
	t.generate, t.base, t.ids = g, int32(len(ids)), ids
	t.times = make([]int64, len(ids))
	for _, k := range keys {
		t.times[k.row] = k.time
	}
	rows := make([]int32, len(keys))
	copyRows := func() []int32 {
		for i, k := range keys {
			rows[i] = k.row
		}
		return rows
	}
	slices.SortFunc(keys, func(a, b generatedKey) int {
		if a.time != b.time {
			return compareInts(a.time, b.time)
		}
		return compareUnsigned(a.id, b.id)
	})
	t.order.fill(copyRows())
	slices.SortFunc(keys, func(a, b generatedKey) int { return compareUnsigned(a.id, b.id) })
	t.keys.fill(copyRows())
}

type generatedKey struct {
	time int64
	id   uint64
	row  int32
}

func compareUnsigned(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// lookupRows returns the rows whose column equals one of the values, where the column is indexed.
func (t *table) lookupRows(column int, values []string) ([]int32, bool) {
	if column == t.sysID {
		seen := map[int32]bool{}
		for _, id := range values {
			if row, ok := t.find(id); ok {
				seen[row] = true
			}
		}
		return slices.Sorted(maps.Keys(seen)), true
	}
	rows, ok := t.lookup[column]
	if !ok {
		return nil, false
	}
	seen := map[int32]bool{}
	for _, value := range values {
		for _, row := range rows[value] {
			seen[row] = true
		}
	}
	return slices.Sorted(maps.Keys(seen)), true
}
