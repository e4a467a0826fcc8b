package arrowjson

import (
	"bytes"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/cqservicenow/cq-source-servicenow/internal/recordjson"
)

// isNested reports whether a value is an object or a list, which no field of ServiceNow's is: it stays in the record alone.
func isNested(raw []byte) bool { return len(raw) > 0 && (raw[0] == '{' || raw[0] == '[') }

// text returns the text that a JSON value stands for: unescaped, valid UTF-8, without NUL, which PostgreSQL refuses. null
// is the empty text; numbers and booleans, which the vendor does not send, are their own JSON. The result is valid until
// the next call.
func (b *Builder) text(half recordjson.Half) []byte {
	raw := half.Raw
	switch {
	case half.Plain:
		return raw[1 : len(raw)-1]
	case len(raw) == 0 || raw[0] == 'n':
		return nil
	}
	inner := raw
	if raw[0] == '"' {
		inner = raw[1 : len(raw)-1]
		if bytes.IndexByte(inner, '\\') >= 0 {
			// An invalid text is unquoted all the same, with U+FFFD in the place of what is wrong.
			b.scratch, _ = jsontext.AppendUnquote(b.scratch[:0], raw)
			inner = b.scratch
			if bytes.IndexByte(inner, 0) >= 0 {
				inner = bytes.ReplaceAll(inner, []byte{0}, nil)
			}
		}
	}
	if !utf8.Valid(inner) {
		inner = bytes.ToValidUTF8(inner, []byte("\uFFFD"))
	}
	return inner
}

// maxDepth is how deep a record may be nested. Databases that take JSON end at 500 levels and more; ServiceNow needs three.
const maxDepth = 100

// depth returns how deep a value is nested.
func depth(value []byte) int {
	deepest, open := 0, 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '"':
			end := recordjson.Text(value, i)
			if end < 0 {
				return deepest
			}
			i = end - 1
		case '{', '[':
			open++
			deepest = max(deepest, open)
		case '}', ']':
			open--
		}
	}
	return deepest
}

// shallow returns the record with the values that are nested too deep as texts of their JSON.
func shallow(record []byte) []byte {
	if bytes.Count(record, []byte{'{'})+bytes.Count(record, []byte{'['}) <= maxDepth || depth(record) <= maxDepth {
		return record
	}
	out := []byte{'{'}
	recordjson.Members(record, func(name, value []byte) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), name...), '"', ':')
		if depth(value) < maxDepth {
			out = append(out, value...)
			return
		}
		out, _ = jsontext.AppendQuote(out, value) // invalid UTF-8 is replaced
	})
	return append(out, '}')
}

// wellFormed returns the record as JSON that every destination takes: valid UTF-8, no NUL, no lone surrogate, and not deep.
func wellFormed(record []byte) []byte {
	record = shallow(record)
	if utf8.Valid(record) && !suspectEscape(record) {
		return record
	}
	var out bytes.Buffer
	dec := jsontext.NewDecoder(bytes.NewBuffer(record), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	enc := jsontext.NewEncoder(&out, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	for {
		token, err := dec.ReadToken()
		if err != nil {
			break
		}
		if token.Kind() == '"' {
			text := bytes.ToValidUTF8(bytes.ReplaceAll([]byte(token.String()), []byte{0}, []byte("\uFFFD")), []byte("\uFFFD"))
			token = jsontext.String(string(text))
		}
		if err := enc.WriteToken(token); err != nil {
			break
		}
	}
	return bytes.TrimSpace(out.Bytes())
}

// suspectEscape looks for \u0000 and for surrogates, paired or not. Escapes are rare, and looking for one byte is several times
// as quick as for two.
func suspectEscape(record []byte) bool {
	for {
		i := bytes.IndexByte(record, '\\')
		if i < 0 || i+6 > len(record) {
			return false
		}
		if record[i+1] != 'u' {
			record = record[i+2:] // what is escaped may be a backslash
			continue
		}
		if digits := record[i+2 : i+6]; digits[0]|0x20 == 'd' || string(digits) == "0000" {
			return true
		}
		record = record[i+6:]
	}
}
