package recordjson

import (
	"bytes"
	"errors"
	"slices"
)

// Half is the JSON of a field's stored or display value; Raw is nil where there is none.
type Half struct {
	Raw []byte
	// Plain says that Raw is a text of ASCII without escapes, so that the value is what stands between the quotes.
	Plain bool
}

// Field is a member of a record. Of one that is a single text, number or word that is its stored value; of an object that has
// neither a `value` nor a `display_value`, both halves are the object.
type Field struct {
	// ID is what the scanner's user calls the field's name.
	ID            int
	Stored, Shown Half
}

// Scanner reads records that are likely to have the same fields in the same order. It is not safe for concurrent use.
type Scanner struct {
	id     func(name []byte) int
	shapes []shape
}

const (
	// maxShapes bounds what is remembered of records, whatever an instance sends.
	maxShapes = 4096
	// mostLeftOut is how many fields, one behind the other, a record may lack and still be compared with the others.
	mostLeftOut = 8
)

// shape is what a field looked like last: all of its bytes but those of its texts.
type shape struct {
	id         int
	name       []byte
	has        traits // of the name
	head       []byte // from behind the field before through the first quote of the first text
	middle     []byte // from the end of the first text to the second; empty where there is but one
	tail       []byte // from the end of the last text to the field's end
	shownFirst bool
}

var errMalformed = errors.New("malformed JSON")

// NewScanner returns a scanner that calls fields by the id of their name, as it stands between its quotes.
func NewScanner(id func(name []byte) int) *Scanner { return &Scanner{id: id} }

// Scan reads the record that starts at an index of body, and calls each with its fields. end is the index behind the record.
// clean says that the record is known to be two levels deep at most, ASCII, and without escapes by number: what every reader
// of JSON takes as it is.
//
// The record has to be valid JSON (RFC 8259), but names may appear twice and texts need not be valid UTF-8. An error may
// come behind fields that were read.
func (s *Scanner) Scan(body []byte, start int, each func(Field) error) (end int, clean bool, err error) {
	if start >= len(body) || body[start] != '{' {
		return start, false, errMalformed
	}
	clean = true
	at, first := start, true
	for next := 0; ; first = false { // the shape that is likely to come next
		end, fits := 0, false
		var f Field // no memory of the heap: storing pointers there is dear while garbage is collected
		for i := next; i < min(next+mostLeftOut, len(s.shapes)); i++ {
			var has traits
			if end, has, fits = s.shapes[i].match(body, at, &f); fits {
				clean = clean && has&(beyond|codepoint) == 0
				next = i + 1
				break
			}
		}
		if !fits {
			var closed bool
			end, closed, err = s.learn(body, at, first, &next, &f)
			if err != nil || closed {
				return end, clean && err == nil, err
			}
			clean = false
		}
		if err := each(f); err != nil {
			return end, false, err
		}
		if at = end; at < len(body) && body[at] == '}' {
			return at + 1, clean, nil
		}
	}
}

// match reads a field that looks like the last one of the same name. fits is false when it does not.
func (s *shape) match(body []byte, at int, f *Field) (end int, has traits, fits bool) {
	if !bytes.HasPrefix(body[at:], s.head) {
		return 0, 0, false
	}
	from := at + len(s.head)
	to, has := textEnd(body, from)
	if to < 0 {
		return 0, 0, false
	}
	f.ID, f.Stored, f.Shown = s.id, Half{body[from-1 : to+1], has == 0}, Half{}
	if len(s.middle) > 0 {
		if !bytes.HasPrefix(body[to:], s.middle) {
			return 0, 0, false
		}
		from = to + len(s.middle)
		second, also := textEnd(body, from)
		if second < 0 {
			return 0, 0, false
		}
		to, has = second, has|also
		f.Shown = Half{body[from-1 : to+1], also == 0}
		if s.shownFirst {
			f.Stored, f.Shown = f.Shown, f.Stored
		}
	}
	if !bytes.HasPrefix(body[to:], s.tail) {
		return 0, 0, false
	}
	return to + len(s.tail), has | s.has, true
}

// learn reads a field of any form, which starts behind the one before, and remembers its shape in front of the next one.
// closed is true, and end the record's, when there is none.
func (s *Scanner) learn(body []byte, at int, first bool, next *int, f *Field) (end int, closed bool, err error) {
	i := Space(body, at)
	switch {
	case i >= len(body), first && body[i] != '{', !first && body[i] != ',' && body[i] != '}':
		return at, false, errMalformed
	case body[i] == '}':
		return i + 1, true, nil
	}
	if i = Space(body, i+1); first && i < len(body) && body[i] == '}' {
		return i + 1, true, nil
	}
	name, value, end := member(body, i)
	if end < 0 {
		return at, false, errMalformed
	}
	var p parts
	f.Stored, f.Shown, p = halves(body, value, end)
	var known *shape
	if *next < len(s.shapes) && bytes.Equal(s.shapes[*next].name, name) {
		known = &s.shapes[*next]
		f.ID = known.id
		*next++
	} else {
		f.ID = s.id(name)
		if len(s.shapes) < maxShapes && p.from > 0 {
			_, has := textEnd(body, i+1)
			s.shapes = slices.Insert(s.shapes, *next, shape{id: f.ID, name: bytes.Clone(name), has: has})
			known = &s.shapes[*next]
			*next++
		}
	}
	if known != nil && p.from > 0 {
		known.head = append(known.head[:0], body[at:p.from]...)
		known.middle = append(known.middle[:0], body[p.cut:p.then]...)
		known.tail = append(known.tail[:0], body[p.to:end]...)
		known.shownFirst = p.shownFirst
	}
	return end, false, nil
}

// parts are where the texts of a field are in the body: the first one from `from` on, and, of two, through cut, and the second
// one from then on; the last one ends at to. from is zero where a field is none of that.
type parts struct {
	from, cut, then, to int
	shownFirst          bool
}

// halves splits a field's valid value. Of a half that appears twice the first one counts.
func halves(body []byte, start, end int) (stored, shown Half, p parts) {
	value := body[start:end]
	switch value[0] {
	case '"':
		return half(value), Half{}, parts{from: start + 1, cut: end - 1, then: end - 1, to: end - 1}
	case '{':
	default:
		return Half{Raw: value}, Half{}, parts{}
	}
	names, texts := 0, 0
	for i := Space(body, start+1); body[i] != '}'; names++ {
		if body[i] == ',' {
			i = Space(body, i+1)
		}
		name, at, behind := member(body, i)
		switch {
		case string(name) == "value" && stored.Raw == nil:
			stored = half(body[at:behind])
		case string(name) == "display_value" && shown.Raw == nil:
			shown, p.shownFirst = half(body[at:behind]), names == 0
		default:
			texts-- // nor is the field a pair of texts
		}
		if body[at] == '"' {
			texts++
		}
		if names == 0 {
			p.from, p.cut = at+1, behind-1
		}
		p.then, p.to = at+1, behind-1
		i = Space(body, behind)
	}
	if names > 0 && stored.Raw == nil && shown.Raw == nil {
		whole := Half{Raw: value} // some other object, which fits no column
		return whole, whole, parts{}
	}
	if names != 2 || texts != 2 {
		p = parts{}
	}
	return stored, shown, p
}

func half(raw []byte) Half {
	if raw[0] != '"' {
		return Half{Raw: raw}
	}
	_, has := textEnd(raw, 1)
	return Half{raw, has == 0}
}
