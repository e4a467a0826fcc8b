package emulator

import (
	"strings"
)

// displayMode is sysparm_display_value.
type displayMode int

const (
	showValues displayMode = iota
	showDisplay
	showAll
)

// renderer writes rows as JSON into a buffer, with everything that does not depend on the row prepared.
type renderer struct {
	view         *view
	mode         displayMode
	excludeLinks bool
	linkBase     string   // "https://host/api/now/table/"
	names        []string // the fields asked for; nil is all
	asked        *schema  // the table asked for
	fields       map[*table][]outField
	value, shown []byte
}

// outField is one key of a record.
type outField struct {
	path   fieldPath
	column *column
	number int    // the column of a field that is not dot-walked
	key    []byte // `"name":`
	link   []byte // what a reference's link begins with; nil for other fields
}

func newRenderer(v *view, asked string, names []string, mode displayMode, excludeLinks bool, linkBase string) *renderer {
	return &renderer{
		view: v, asked: v.schemas.byName[asked], names: names, mode: mode, excludeLinks: excludeLinks,
		linkBase: linkBase, fields: map[*table][]outField{},
	}
}

// fieldsOf prepares the fields of a table's rows. Unknown names are ignored and hidden fields are left out.
func (r *renderer) fieldsOf(t *table) []outField {
	if fields, ok := r.fields[t]; ok {
		return fields
	}
	names := r.names
	if names == nil {
		for _, c := range r.asked.columns {
			names = append(names, c.name)
		}
	}
	fields := []outField{}
	seen := map[string]bool{}
	for _, name := range names {
		// A query of a parent class shows the parent's columns only, whatever class the row is of.
		if first, _, _ := strings.Cut(name, "."); seen[name] || !r.has(first) {
			continue
		}
		path, ok := r.view.schemas.resolveField(t.schema, name)
		if !ok || r.view.security.hides(r.view.schemas, path) {
			continue
		}
		seen[name] = true
		f := outField{path: path, column: path.last(), number: path[0].column}
		f.key = append(appendString(nil, []byte(name)), ':')
		if f.column.class == classReference || f.column.class == classDomain {
			separator := "/"
			if key := f.column.referenceKey; key != "" {
				separator = "?" + key + "="
			}
			f.link = appendEscaped(nil, []byte(r.linkBase+f.column.reference+separator))
		}
		fields = append(fields, f)
	}
	r.fields[t] = fields
	return fields
}

func (r *renderer) has(name string) bool {
	_, ok := r.asked.column(name)
	return ok
}

// appendRow appends a record as a JSON object; extra is put before its end.
func (r *renderer) appendRow(buf []byte, ref rowRef, extra string) []byte {
	buf = append(buf, '{')
	start := len(buf)
	fields := r.fieldsOf(ref.table)
	for i := range fields {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = r.appendField(buf, ref, &fields[i])
	}
	if extra != "" {
		if len(buf) > start {
			buf = append(buf, ',')
		}
		buf = append(buf, extra...)
	}
	return append(buf, '}')
}

func (r *renderer) appendField(buf []byte, ref rowRef, f *outField) []byte {
	buf = append(buf, f.key...)
	t, row, number := ref.table, ref.row, f.number
	if len(f.path) == 1 {
		r.value = t.append(r.value[:0], row, number)
	} else {
		r.value, t, row = r.view.value(r.value, t, row, f.path)
		if t != nil {
			number = t.schema.index[f.column.name]
		}
	}
	linked := f.link != nil && len(r.value) > 0 && !r.excludeLinks
	if r.mode == showValues {
		if !linked {
			return appendString(buf, r.value)
		}
		buf = append(buf, `{"link":"`...)
		buf = append(buf, f.link...)
		buf = appendEscaped(buf, r.value)
		buf = append(buf, `","value":`...)
		buf = appendString(buf, r.value)
		return append(buf, '}')
	}
	r.shown = r.shown[:0]
	if t != nil {
		r.shown = r.view.appendDisplay(r.shown, t, row, number, r.value)
	}
	if r.mode == showDisplay && !linked {
		return appendString(buf, r.shown)
	}
	buf = append(buf, `{"display_value":`...)
	buf = appendString(buf, r.shown)
	if linked {
		buf = append(buf, `,"link":"`...)
		buf = append(buf, f.link...)
		buf = appendEscaped(buf, r.value)
		buf = append(buf, '"')
	}
	if r.mode == showAll {
		buf = append(buf, `,"value":`...)
		buf = appendString(buf, r.value)
	}
	return append(buf, '}')
}

// appendString appends a JSON string.
func appendString(buf, text []byte) []byte {
	buf = append(buf, '"')
	buf = appendEscaped(buf, text)
	return append(buf, '"')
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends the inside of a JSON string. Everything above ASCII stays UTF-8.
func appendEscaped(buf, text []byte) []byte {
	start := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		buf = append(buf, text[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			buf = append(buf, '\\', c)
		case '\n':
			buf = append(buf, '\\', 'n')
		case '\r':
			buf = append(buf, '\\', 'r')
		case '\t':
			buf = append(buf, '\\', 't')
		default:
			buf = append(buf, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(buf, text[start:]...)
}

// appendText is appendString for strings.
func appendText(buf []byte, text string) []byte { return appendString(buf, []byte(text)) }
