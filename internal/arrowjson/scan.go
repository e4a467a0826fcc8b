package arrowjson

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

var errMalformed = errors.New("malformed JSON")

// members calls f with the key (without quotes) and the value of each member of an object that is known to be valid JSON.
func members(object []byte, f func(key, value []byte) error) error {
	i := skipSpace(object, 0)
	if i >= len(object) || object[i] != '{' {
		return errMalformed
	}
	i++
	for {
		i = skipSpace(object, i)
		if i >= len(object) {
			return errMalformed
		}
		switch object[i] {
		case '}':
			return nil
		case ',':
			i++
			continue
		case '"':
		default:
			return errMalformed
		}
		end := stringEnd(object, i)
		if end < 0 {
			return errMalformed
		}
		key := object[i+1 : end-1]
		i = skipSpace(object, end)
		if i >= len(object) || object[i] != ':' {
			return errMalformed
		}
		i = skipSpace(object, i+1)
		end = valueEnd(object, i)
		if end < 0 {
			return errMalformed
		}
		if err := f(key, object[i:end]); err != nil {
			return err
		}
		i = end
	}
}

// halves splits a field into the JSON of its stored and its display value; nil stands for an absent one.
func halves(value []byte) (stored, shown []byte, err error) {
	if value[0] != '{' {
		return value, nil, nil
	}
	err = members(value, func(key, half []byte) error {
		switch { // of a key that appears twice the first one counts, as of a field
		case string(key) == "value" && stored == nil:
			stored = half
		case string(key) == "display_value" && shown == nil:
			shown = half
		}
		return nil
	})
	if stored == nil && shown == nil && len(value) > len("{}") {
		return value, value, err // some other object, which fits no column
	}
	return stored, shown, err
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// stringEnd returns the index behind the closing quote of the text that starts at i, or -1.
func stringEnd(b []byte, i int) int {
	for at := i + 1; ; {
		n := bytes.IndexByte(b[at:], '"')
		if n < 0 {
			return -1
		}
		at += n + 1
		slashes := 0
		for at-2-slashes > i && b[at-2-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return at
		}
	}
}

// valueEnd returns the index behind the value that starts at i, or -1.
func valueEnd(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				if i = stringEnd(b, i); i < 0 {
					return -1
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return -1
	default:
		for start := i; ; i++ {
			if i >= len(b) || b[i] == ',' || b[i] == '}' || b[i] == ']' || b[i] <= ' ' {
				if i == start {
					return -1
				}
				return i
			}
		}
	}
}

// unquoted returns the text between the quotes, still escaped.
func unquoted(raw []byte) []byte {
	if len(raw) >= 2 && raw[0] == '"' {
		return raw[1 : len(raw)-1]
	}
	return raw
}

// isNested reports whether a value is an object or a list, which no field of ServiceNow's is: it stays in the record alone.
func isNested(raw []byte) bool { return len(raw) > 0 && (raw[0] == '{' || raw[0] == '[') }

// text returns the text that a JSON value stands for: unescaped, valid UTF-8, without NUL, which PostgreSQL refuses. null
// is the empty text; numbers and booleans, which the vendor does not send, are their own JSON. The result is valid until
// the next call.
func (b *Builder) text(raw []byte) []byte {
	if len(raw) == 0 || raw[0] == 'n' {
		return nil
	}
	inner := unquoted(raw)
	if raw[0] == '"' && bytes.IndexByte(inner, '\\') >= 0 {
		// An invalid text is unquoted all the same, with U+FFFD in the place of what is wrong.
		b.scratch, _ = jsontext.AppendUnquote(b.scratch[:0], raw)
		inner = b.scratch
		if bytes.IndexByte(inner, 0) >= 0 {
			inner = bytes.ReplaceAll(inner, []byte{0}, nil)
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
			end := stringEnd(value, i)
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
	_ = members(record, func(key, value []byte) error {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), key...), '"', ':')
		if depth(value) < maxDepth {
			out = append(out, value...)
			return nil
		}
		out, _ = jsontext.AppendQuote(out, value) // invalid UTF-8 is replaced
		return nil
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
