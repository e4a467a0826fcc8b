package arrowjson

// fields finds the columns of a key. An instance sends the keys of a table's records in the same order, so the key that
// followed last time is tried before the map.
type fields struct {
	byName map[string]*field
	order  []*field
	at     int
}

type field struct {
	name     string
	values   []int // columns filled from the stored value
	displays []int // columns filled from the display value
	slots    []int // places for both halves
	seen     bool  // in some record
}

// maxOrder bounds what is remembered of the order, whatever an instance sends.
const maxOrder = 4096

func newFields() fields {
	return fields{byName: map[string]*field{"sys_id": {name: "sys_id"}}}
}

func (f *fields) bind(name string, column int, display bool) {
	if known := f.field(name); display {
		known.displays = append(known.displays, column)
	} else {
		known.values = append(known.values, column)
	}
}

func (f *fields) want(name string, slot int) {
	known := f.field(name)
	known.slots = append(known.slots, slot)
}

func (f *fields) field(name string) *field {
	known := f.byName[name]
	if known == nil {
		known = &field{name: name}
		f.byName[name] = known
	}
	return known
}

func (f *fields) start() { f.at = 0 }

// next returns the field of a key, or nil when no column wants it.
func (f *fields) next(key []byte) *field {
	at := f.at
	f.at++
	if at < len(f.order) && f.order[at] != nil && f.order[at].name == string(key) {
		return f.order[at]
	}
	known := f.byName[string(key)]
	switch {
	case at < len(f.order):
		f.order[at] = known
	case at < maxOrder:
		f.order = append(f.order, known)
	}
	return known
}
