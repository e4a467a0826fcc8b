// Package textview writes a record as the text that its form shows: section by section, each field's label and human value,
// and the journal in the order of time. The same record always gives the same text.
//
//	Number: INC0010001
//	Caller: Beth Anglin
//	Description:
//	The printer on floor 3
//	does not print.
//
//	Notes
//	Watch list: Joe Employee
//	Activities:
//	2026-11-02 08:14:09 - Beth Anglin (Additional comments)
//	It still does not print.
//
// Fields without a value are left out, and with them sections of which nothing is left.
package textview

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cqservicenow/cq-source-servicenow/internal/arrowjson"
	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
)

// View writes the records of one table. It is not safe for concurrent use.
type View struct {
	sections []section
	fields   []string
	journals journals
	html     func(string) string
}

type section struct {
	caption  string
	elements []element
}

// element is a field, by its place among the view's fields, or a journal.
type element struct {
	label   string
	field   int
	html    bool
	journal bool
	stream  bool // the activity stream, with every journal of the form
}

// combined is the field with both comments and work notes.
const combined = "comments_and_work_notes"

// New returns the view of a form. asked tells whether the records hold a field, html turns a value with markup into text.
func New(l *dictionary.Layout, asked func(field string) bool, html func(string) string) *View {
	v := &View{html: html}
	v.journals.stamps = [3]int{v.field("sys_updated_on"), v.field("sys_created_on"), v.field("opened_at")}
	v.journals.streamed = -1
	if asked(combined) {
		v.journals.streamed = v.field(combined)
	}
	for _, name := range []string{"comments", "work_notes"} {
		if asked(name) {
			v.journals.parts = append(v.journals.parts, v.field(name))
		}
	}
	hasStream := slices.ContainsFunc(l.Sections, func(s dictionary.Section) bool {
		return slices.ContainsFunc(s.Elements, dictionary.Element.Activity)
	})
	for _, s := range l.Sections {
		out := section{caption: line(s.Caption)}
		for _, e := range s.Elements {
			journal := strings.HasPrefix(e.Type, "journal")
			ofStream := e.Field == "comments" || e.Field == "work_notes" || e.Field == combined
			switch {
			case e.Activity():
				out.elements = append(out.elements, element{label: "Activities", stream: true})
			case !asked(e.Field):
			case ofStream && hasStream: // an input on the form, which the stream shows what was written into
			case ofStream:
				out.elements = append(out.elements, element{label: "Activities", stream: true})
				hasStream = true
			default:
				out.elements = append(out.elements, element{
					label: cmp.Or(line(e.Label), e.Field), field: v.field(e.Field), journal: journal, html: strings.Contains(e.Type, "html"),
				})
			}
		}
		v.sections = append(v.sections, out)
	}
	return v
}

// Fields are the fields that Append wants, in the order of its values.
func (v *View) Fields() []string { return v.fields }

func (v *View) field(name string) int {
	if i := slices.Index(v.fields, name); i >= 0 {
		return i
	}
	v.fields = append(v.fields, name)
	return len(v.fields) - 1
}

// Append appends a record's text; values stand in the order of Fields.
func (v *View) Append(dst []byte, values []arrowjson.Halves) []byte {
	start := len(dst)
	for _, s := range v.sections {
		if len(s.elements) == 0 {
			continue
		}
		mark := len(dst)
		if len(dst) > start {
			dst = append(dst, '\n')
		}
		if s.caption != "" {
			dst = append(append(dst, s.caption...), '\n')
		}
		head := len(dst)
		for _, e := range s.elements {
			dst = v.element(dst, e, values)
		}
		if len(dst) == head {
			dst = dst[:mark]
		}
	}
	return dst
}

func (v *View) element(dst []byte, e element, values []arrowjson.Halves) []byte {
	mark := len(dst)
	dst = append(append(dst, e.label...), ':')
	head := len(dst)
	dst = append(dst, ' ')
	switch {
	case e.stream:
		dst = v.entries(dst, v.journals.stream(values))
	case e.journal:
		dst = v.entries(dst, v.journals.read(values, e.field))
	default:
		value := values[e.field]
		text := value.Shown
		if len(text) == 0 {
			text = value.Stored
		}
		switch {
		case string(text) == "UNKNOWN" && len(value.Stored) == 0: // how an instance shows a due date that is not set
			text = nil
		case e.html && len(text) > 0:
			text = []byte(v.html(string(text)))
		}
		dst = appendLines(dst, text)
	}
	if len(dst) == head+1 {
		return dst[:mark]
	}
	if e.stream || e.journal || bytes.IndexByte(dst[head:], '\n') >= 0 {
		dst[head] = '\n'
	}
	return append(dst, '\n')
}

// entries appends a journal with an empty line between its entries. Markup is looked for in each entry by itself, so that
// what one of them leaves open cannot reach into another.
func (v *View) entries(dst []byte, list []entry) []byte {
	start := len(dst)
	for _, e := range list {
		text := e.text
		if bytes.Contains(text, []byte("[code]")) {
			text = []byte(v.plain(string(text)))
		}
		mark := len(dst)
		if mark > start {
			dst = append(dst, "\n\n"...)
		}
		head := len(dst)
		if dst = appendLines(dst, text); len(dst) == head {
			dst = dst[:mark]
		}
	}
	return dst
}

// plain turns what stands between [code] and [/code] in a journal's entry from markup into text.
func (v *View) plain(text string) string {
	var out strings.Builder
	for {
		before, rest, _ := strings.Cut(text, "[code]")
		markup, after, closed := strings.Cut(rest, "[/code]")
		if !closed {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(before)
		out.WriteString(v.html(markup))
		text = after
	}
}

// appendLines appends a value with "\n" for line ends, no blanks at the ends of lines, at most one empty line in a row, none
// at its ends, without control characters, and as valid UTF-8.
func appendLines(dst, text []byte) []byte {
	if visible(text) == len(text) { // as most values are
		return append(dst, bytes.TrimRight(text, " ")...)
	}
	start, gap := len(dst), false
	for len(text) > 0 {
		var part []byte
		part, text = cutLine(text)
		mark := len(dst)
		if mark > start {
			dst = append(dst, '\n')
			if gap {
				dst = append(dst, '\n')
			}
		}
		head := len(dst)
		dst = appendVisible(dst, part)
		dst = dst[:head+len(bytes.TrimRightFunc(dst[head:], unicode.IsSpace))]
		if gap = len(dst) == head; gap {
			dst = dst[:mark]
		}
	}
	return dst
}

// visible is how many bytes at the start of a text are visible ASCII or blanks.
func visible(text []byte) int {
	for i, c := range text {
		if c < ' ' || c > '~' {
			return i
		}
	}
	return len(text)
}

// appendVisible appends a text without its control characters but for tabs, and with U+FFFD for what is no UTF-8.
func appendVisible(dst, text []byte) []byte {
	for len(text) > 0 {
		if n := visible(text); n > 0 {
			dst, text = append(dst, text[:n]...), text[n:]
			continue
		}
		r, size := utf8.DecodeRune(text)
		switch {
		case r == '\u0085': // the end of a line, in a text of another time
			dst = append(dst, ' ')
		case r == '\t' || !unicode.IsControl(r):
			dst = utf8.AppendRune(dst, r)
		}
		text = text[size:]
	}
	return dst
}

// cutLine splits off the first line; it may end in "\n", "\r", both, or as pages and printed lines do.
func cutLine(text []byte) (first, rest []byte) {
	for i, c := range text {
		switch {
		case c > '\r' || c < '\n': // none of the four, which follow each other
		case c == '\r' && i+1 < len(text) && text[i+1] == '\n':
			return text[:i], text[i+2:]
		default:
			return text[:i], text[i+1:]
		}
	}
	return text, nil
}

// line makes a label or caption fit one line.
func line(text string) string {
	return strings.Join(strings.Fields(string(appendVisible(nil, []byte(strings.Join(strings.Fields(text), " "))))), " ")
}
