package recordjson

import (
	"encoding/binary"
	"math/bits"

	"github.com/go-json-experiment/json/jsontext"
)

// Space returns the index of the first byte from i on that is no white space.
func Space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// Value returns the index behind the value that starts at i; -1 when none does that is valid.
func Value(b []byte, i int) int {
	end := valueEnd(b, i)
	if end < 0 || b[i] == '"' { // a text is checked where its end is found
		return end
	}
	if !jsontext.Value(b[i:end]).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		return -1
	}
	return end
}

// Text returns the index behind the text that starts at i; -1 when none does that is valid.
func Text(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	end, _ := textEnd(b, i+1)
	if end < 0 {
		return -1
	}
	return end + 1
}

// member returns the name of the member that starts at i, and where its value starts and ends; an end of -1 when none does
// that is valid.
func member(b []byte, i int) (name []byte, value, end int) {
	behind := Text(b, i)
	if behind < 0 {
		return nil, 0, -1
	}
	value = Space(b, behind)
	if value >= len(b) || b[value] != ':' {
		return nil, 0, -1
	}
	value = Space(b, value+1)
	return b[i+1 : behind-1], value, Value(b, value)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// traits are what a text needs of whoever takes its value.
type traits uint8

const (
	escaped   traits = 1 << iota // it has escapes
	beyond                       // and bytes beyond ASCII
	codepoint                    // and escapes by number, which may stand for what no text may hold
)

// textEnd returns the index of the quote that ends the text with its first byte at i, or -1 when the text is not valid. Eight
// bytes are looked at at once; most texts are short.
func textEnd(b []byte, i int) (end int, has traits) {
	special := uint64(highs) // what is beyond ASCII counts until it was met
	for {
		for len(b)-i >= 8 {
			w := binary.LittleEndian.Uint64(b[i:])
			quote, slash := w^(ones*'"'), w^(ones*'\\')
			// The lowest marked byte of each is right; above it a borrow may mark others.
			found := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*' ')&^w | w&special) & highs
			if found != 0 {
				i += bits.TrailingZeros64(found) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) {
			return -1, 0
		}
		switch c := b[i]; {
		case c == '"':
			return i, has
		case c == '\\':
			if has |= escaped; i+1 < len(b) && b[i+1] == 'u' {
				has |= codepoint
			}
			if i = escapeEnd(b, i); i < 0 {
				return -1, 0
			}
		case c < ' ':
			return -1, 0
		case c >= 0x80:
			has, special = has|beyond, 0
			i++
		default:
			i++
		}
	}
}

// escapeEnd returns the index behind the escape that starts at i, or -1 when there is no such one.
func escapeEnd(b []byte, i int) int {
	if i+1 >= len(b) {
		return -1
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
	default:
		return -1
	}
	if i+6 > len(b) {
		return -1
	}
	for _, c := range b[i+2 : i+6] {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return -1
		}
	}
	return i + 6
}

// valueEnd returns the index behind the value that starts at i, if it is a valid one, or -1. That it is none shows only in
// part.
func valueEnd(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return Text(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				if i = Text(b, i); i < 0 {
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

// Members calls f with the name, as it stands between its quotes, and the value of each member of a valid object.
func Members(object []byte, f func(name, value []byte)) {
	for i := Space(object, 1); i < len(object) && object[i] != '}'; {
		if object[i] == ',' {
			i = Space(object, i+1)
		}
		name, value, end := member(object, i)
		if end < 0 {
			return
		}
		f(name, object[value:end])
		i = Space(object, end)
	}
}
