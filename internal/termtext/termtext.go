// Package termtext makes text of an instance safe to show: anybody who can open an incident chooses what stands in it, and
// a terminal obeys what it is sent.
package termtext

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Line returns s without escape sequences, control characters and marks that turn the direction of writing, on one line:
// a line feed or a tab is a space. Characters that are no UTF-8 become U+FFFD.
func Line(s string) string {
	return strings.ReplaceAll(Block(strings.ReplaceAll(s, "\t", " ")), "\n", " ")
}

// Block is Line for text of many lines: it keeps line feeds, and writes a tab as spaces.
func Block(s string) string {
	if plain(s) {
		return s
	}
	s = strings.ToValidUTF8(s, "\uFFFD") // first: a stray byte of C1 begins a sequence for some terminals
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(ansi.Strip(s), "\t", "    ")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\u2028', r == '\u2029':
			return '\n'
		case harmful(r):
			return -1
		}
		return r
	}, s)
}

// JSON writes the characters of encoded JSON that a terminal may obey as \uXXXX, which changes no value. encoding/json
// escapes those below U+0020 itself.
func JSON(encoded []byte) []byte {
	var out []byte
	for i := 0; i < len(encoded); {
		r, size := utf8.DecodeRune(encoded[i:])
		switch {
		case r >= 0x7f && harmful(r) && out == nil:
			out = append(make([]byte, 0, len(encoded)+16), encoded[:i]...)
			fallthrough
		case r >= 0x7f && harmful(r):
			out = fmt.Appendf(out, `\u%04x`, r)
		case out != nil:
			out = append(out, encoded[i:i+size]...)
		}
		i += size
	}
	if out == nil {
		return encoded
	}
	return out
}

// plain reports whether nothing has to be done, as with most texts.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\n' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// harmful reports whether a terminal or a reader may take r for something other than text: C0 and C1 controls, and the
// embeddings, overrides and isolates of the bidirectional algorithm (UAX 9).
func harmful(r rune) bool {
	return unicode.IsControl(r) || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\u200e' || r == '\u200f' || r == '\u061c'
}
