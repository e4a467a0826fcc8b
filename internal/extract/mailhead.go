package extract

import (
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// mailHead is what a mail says about itself, whatever its format.
type mailHead struct{ from, to, cc, date, subject string }

// write writes a line for each field that is there, and an empty line.
func (h mailHead) write(w *text) error {
	w.Paragraph()
	for _, field := range [...]struct{ name, value string }{
		{"From", h.from}, {"To", h.to}, {"Cc", h.cc}, {"Date", h.date}, {"Subject", h.subject},
	} {
		if value := clean(onOneLine(field.value)); value != "" {
			_, _ = w.WriteString(field.name + ": " + value)
			w.Line()
		}
	}
	w.Paragraph()
	return w.err
}

// writeAttachments lists names, a line for each.
func writeAttachments(w *text, names []string) error {
	if len(names) > 0 {
		w.Paragraph()
	}
	for _, name := range names {
		if name = clean(onOneLine(name)); name != "" {
			_, _ = w.WriteString("Attachment: " + name)
			w.Line()
		}
	}
	return w.err
}

// onOneLine turns every run of white space into one space.
func onOneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// mailDate gives a date of RFC 5322 as RFC 3339 in UTC; a date that nobody could place in time stays as it is.
func mailDate(date string) string {
	date = onOneLine(date)
	stated := date
	if len(date) > 200 { // no date is that long
		return stated
	}
	if i := strings.LastIndexByte(date, ' '); i >= 0 {
		if offset := zoneOffset(date[i+1:]); offset != "" {
			date = date[:i+1] + offset
		}
	}
	t, err := mail.ParseDate(date)
	if err != nil {
		for _, layout := range [...]string{time.RFC3339, time.ANSIC, time.UnixDate, time.RFC850} {
			if t, err = time.Parse(layout, date); err == nil {
				break
			}
		}
	}
	// Go gives a zone whose name it does not know an offset of 0.
	if zone, offset := t.Zone(); err != nil || offset == 0 && zone != "" && !isUTC(zone) {
		return stated
	}
	return t.UTC().Format(time.RFC3339)
}

func isUTC(zone string) bool { return zone == "UTC" || zone == "GMT" || zone == "UT" || zone == "Z" }

// zoneOffset knows the zones with a name of RFC 5322, section 4.3.
func zoneOffset(name string) string {
	switch name {
	case "UT", "UTC", "GMT", "Z":
		return "+0000"
	case "EDT":
		return "-0400"
	case "EST", "CDT":
		return "-0500"
	case "CST", "MDT":
		return "-0600"
	case "MST", "PDT":
		return "-0700"
	case "PST":
		return "-0800"
	}
	return ""
}

// An encoded word of RFC 2047; a charset may carry a language (RFC 2231, section 5). Spaces in the text are not allowed and
// do occur.
var encodedWord = regexp.MustCompile(`=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=`)

// headerText decodes a header's value: encoded words, and bytes of no stated charset. The words of one charset that stand
// next to each other are decoded as one, because senders cut characters in two.
func headerText(value string) string {
	var out strings.Builder
	var word []byte // decoded, in charset
	var charset string
	flush := func() {
		if len(word) > 0 {
			out.WriteString(decodeBytes(word, charset))
		}
		word = word[:0]
	}
	end, inWord := 0, false
	for _, m := range encodedWord.FindAllStringSubmatchIndex(value, -1) {
		between := value[end:m[0]]
		if !inWord || strings.TrimSpace(between) != "" {
			flush()
			out.WriteString(plainHeaderText(between))
		}
		end, inWord = m[1], true
		if c := strings.ToLower(value[m[2]:m[3]]); c != charset {
			flush()
			charset = c
		}
		content := []byte(value[m[6]:m[7]])
		if q := value[m[4]]; q == 'q' || q == 'Q' {
			for i, c := range content {
				if c == '_' {
					content[i] = ' '
				}
			}
			word = append(word, unescapeHex(content, '=')...)
		} else {
			word = append(word, decodeBase64(content)...)
		}
	}
	flush()
	out.WriteString(plainHeaderText(value[end:]))
	return out.String()
}

func plainHeaderText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return decodeBytes([]byte(s), "")
}

// maxParams bounds the parameters of one header field.
const maxParams = 1000

// headerParams splits a field such as Content-Type into its value, in lower case, and its parameters, decoded. It takes
// what RFC 2045, 2047 and 2231 allow, and unquoted and unfinished values besides.
func headerParams(field string) (value string, params map[string]string) {
	value, rest, _ := strings.Cut(field, ";")
	value = strings.ToLower(strings.TrimSpace(value))
	params = map[string]string{}
	pieces := map[string][]paramPiece{}
	for range maxParams {
		var key, v string
		if key, v, rest = nextParam(rest); key == "" && rest == "" {
			break
		}
		base, suffix, extended := strings.Cut(key, "*")
		if !extended {
			if _, ok := params[key]; !ok && key != "" {
				params[key] = headerText(v)
			}
			continue
		}
		number, encoded := strings.CutSuffix(suffix, "*")
		if suffix == "" {
			number, encoded = "0", true
		}
		if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < maxParams {
			pieces[base] = append(pieces[base], paramPiece{n, encoded, v})
		}
	}
	for base, p := range pieces {
		params[base] = joinPieces(p) // preferred over the plain form, RFC 6266, section 4.3
	}
	return value, params
}

// paramPiece is a piece of a parameter's value, RFC 2231, section 3.
type paramPiece struct {
	number  int
	encoded bool
	value   string
}

func joinPieces(pieces []paramPiece) string {
	byNumber := make(map[int]paramPiece, len(pieces))
	for _, p := range pieces {
		if _, ok := byNumber[p.number]; !ok {
			byNumber[p.number] = p
		}
	}
	var charset string
	var joined []byte
	for n := range maxParams {
		p, ok := byNumber[n]
		if !ok {
			break
		}
		if !p.encoded {
			joined = append(joined, p.value...)
			continue
		}
		if n == 0 {
			if parts := strings.SplitN(p.value, "'", 3); len(parts) == 3 {
				charset, p.value = strings.ToLower(parts[0]), parts[2]
			}
		}
		joined = append(joined, unescapeHex([]byte(p.value), '%')...)
	}
	return decodeBytes(joined, charset)
}

// nextParam cuts the first "key=value" off a list that semicolons part.
func nextParam(s string) (key, value, rest string) {
	s = strings.TrimLeft(s, "; \t\r\n")
	end := strings.IndexAny(s, "=;")
	if end < 0 {
		return "", "", ""
	}
	if s[end] == ';' {
		return "", "", s[end:]
	}
	key = strings.ToLower(strings.TrimSpace(s[:end]))
	s = strings.TrimLeft(s[end+1:], " \t\r\n")
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ";")
		return key, strings.TrimSpace(value), rest
	}
	var quoted strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return key, quoted.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++ // a backslash before anything else is one of a Windows path
			fallthrough
		default:
			quoted.WriteByte(s[i])
		}
	}
	return key, quoted.String(), ""
}

// unescapeHex replaces the mark and two hexadecimal digits by the byte that they stand for; what is none of that stays.
func unescapeHex(b []byte, mark byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == mark && i+2 < len(b) {
			if v, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(v))
				i += 2
				continue
			}
		}
		out = append(out, b[i])
	}
	return out
}

// decodeBase64 decodes what there is: it passes over characters that are none of base64, and accepts padding in the
// middle and an end that is cut.
func decodeBase64(b []byte) []byte {
	out := make([]byte, 0, len(b)/4*3+3)
	var bits uint32
	n := 0
	for _, c := range b {
		var v byte
		switch {
		case c >= 'A' && c <= 'Z':
			v = c - 'A'
		case c >= 'a' && c <= 'z':
			v = c - 'a' + 26
		case c >= '0' && c <= '9':
			v = c - '0' + 52
		case c == '+':
			v = 62
		case c == '/':
			v = 63
		case c == '=':
			out, bits, n = flushBase64(out, bits, n), 0, 0
			continue
		default:
			continue
		}
		bits, n = bits<<6|uint32(v), n+1
		if n == 4 {
			out, bits, n = append(out, byte(bits>>16), byte(bits>>8), byte(bits)), 0, 0
		}
	}
	return flushBase64(out, bits, n)
}

func flushBase64(out []byte, bits uint32, n int) []byte {
	switch n {
	case 2:
		return append(out, byte(bits>>4))
	case 3:
		return append(out, byte(bits>>10), byte(bits>>2))
	}
	return out
}

// decodeQuotedPrintable decodes RFC 2045, section 6.7; what is no escape stays as it is.
func decodeQuotedPrintable(b []byte) []byte {
	joined := make([]byte, 0, len(b))
	for len(b) > 0 {
		end := len(b)
		for i, c := range b {
			if c == '\n' {
				end = i + 1
				break
			}
		}
		line := strings.TrimRight(string(b[:end]), " \t\r\n") // white space at a line's end is none of the sender's
		broken := end > 0 && b[end-1] == '\n'
		b = b[end:]
		if soft, ok := strings.CutSuffix(line, "="); ok {
			line, broken = soft, false
		}
		joined = append(joined, unescapeHex([]byte(line), '=')...)
		if broken {
			joined = append(joined, '\n')
		}
	}
	return joined
}
