package arrowjson

// fields are those that columns are filled from, by their ids. The first one stands for all that no column wants.
type fields struct {
	byName map[string]int
	all    []field
}

type field struct {
	name     string
	values   []int // columns filled from the stored value
	displays []int // columns filled from the display value
	slots    []int // places for both halves
	seen     bool  // in some record
}

// sysIDField is the id of sys_id.
const sysIDField = 1

func newFields() fields {
	return fields{byName: map[string]int{"sys_id": sysIDField}, all: []field{{}, {name: "sys_id"}}}
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
	id := f.byName[name]
	if id == 0 {
		id = len(f.all)
		f.byName[name] = id
		f.all = append(f.all, field{name: name})
	}
	return &f.all[id]
}

// id is 0 for a name that no column wants.
func (f *fields) id(name []byte) int { return f.byName[string(name)] }
