package extract

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/unicode"
)

// maxElements bounds what the smallest elements can cost in time: a workbook of 16 MiB of text has half as many.
const maxElements = 16 << 20

// xmlWalker reads an XML document token by token: it builds no tree, resolves no entities but those of characters, and
// ignores namespaces, which are all that the strict and the transitional kind of Office Open XML differ in. It is here, and
// not encoding/xml, because that one makes every tag's attributes into strings, whatever their number, and takes four times
// as long over small elements. It does not check that an end tag has the name of its start tag.
type xmlWalker struct {
	r          io.Reader
	err        error // of r, after what is in the buffer
	buffer     []byte
	begin, end int // of what is not read yet
	token      xmlToken
	names      map[string]string
	decoded    []byte
	empty      bool // the last start tag was its element's end, too
	depth      int  // of the element that the last token started, or that surrounds it
	elements   int
}

type xmlKind byte

const (
	xmlStart xmlKind = iota + 1
	xmlEnd
	xmlText
)

// xmlToken is a start tag, an end tag or a run of characters. It is valid until the next one.
type xmlToken struct {
	kind   xmlKind
	prefix []byte
	name   string // without its prefix
	text   []byte // the characters of a run
	tag    []byte // a start tag's attributes, as they are written
}

// newXMLWalker starts a walk. Documents in UTF-16 are told by their first bytes, other charsets by their XML declaration.
func newXMLWalker(r io.Reader) *xmlWalker {
	start := bufio.NewReaderSize(r, 1024)
	head, _ := start.Peek(512)
	var decoded io.Reader = start
	switch {
	case bytes.HasPrefix(head, []byte{0xef, 0xbb, 0xbf}):
		_, _ = start.Discard(3)
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{'<', 0}):
		decoded = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder().Reader(start)
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}), bytes.HasPrefix(head, []byte{0, '<'}):
		decoded = unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder().Reader(start)
	default:
		decoded = declaredCharset(head, start)
	}
	return &xmlWalker{r: decoded, buffer: make([]byte, 32<<10), names: map[string]string{}}
}

var xmlEncoding = regexp.MustCompile(`^\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._:-]+)["']`)

// declaredCharset decodes a document by its declaration. One that claims UTF-16 but is not is most likely UTF-8.
func declaredCharset(head []byte, r io.Reader) io.Reader {
	match := xmlEncoding.FindSubmatch(head)
	if match == nil {
		return r
	}
	switch label := bytes.ToLower(match[1]); {
	case string(label) == "utf-8", bytes.HasPrefix(label, []byte("utf-16")), bytes.HasPrefix(label, []byte("ucs")):
		return r
	}
	if decoded, err := charset.NewReaderLabel(string(match[1]), r); err == nil {
		return decoded
	}
	return r
}

// next returns the next token; an empty element is a start and an end. It returns io.EOF at the document's end,
// io.ErrUnexpectedEOF when elements are still open there.
func (w *xmlWalker) next() (*xmlToken, error) {
	if w.empty {
		w.empty = false
		w.depth--
		w.token.kind = xmlEnd
		return &w.token, nil
	}
	for {
		if w.begin == w.end {
			if err := w.fill(); err != nil {
				if errors.Is(err, io.EOF) && w.depth > 0 {
					err = io.ErrUnexpectedEOF
				}
				return nil, err
			}
		}
		var shown bool
		var err error
		if w.buffer[w.begin] == '<' {
			shown, err = w.markup()
		} else {
			shown, err = w.run()
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if shown {
			return &w.token, nil
		}
	}
}

// fill reads more behind what is in the buffer, which it moves and enlarges as it needs.
func (w *xmlWalker) fill() error {
	if w.begin > 0 {
		w.end = copy(w.buffer, w.buffer[w.begin:w.end])
		w.begin = 0
	}
	if w.end > maxToken {
		return limit("a tag or a run of text in it is longer than %d MiB", maxToken>>20)
	}
	if w.end == len(w.buffer) {
		w.buffer = append(w.buffer, make([]byte, len(w.buffer))...)
	}
	for range 100 {
		if w.err != nil {
			return w.err
		}
		var n int
		n, w.err = w.r.Read(w.buffer[w.end:])
		w.end += n
		if n > 0 {
			return nil
		}
	}
	return io.ErrNoProgress
}

// find returns how far away an end mark is, looking from an offset on; both count from what is not read yet.
func (w *xmlWalker) find(from int, mark string) (int, error) {
	for {
		if from < w.end-w.begin {
			if n := bytes.Index(w.buffer[w.begin+from:w.end], []byte(mark)); n >= 0 {
				return from + n, nil
			}
			from = max(from, w.end-w.begin-len(mark)+1)
		}
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
}

// run reads characters up to a tag or to the document's end.
func (w *xmlWalker) run() (bool, error) {
	n, err := w.find(0, "<")
	if err != nil {
		var l *limitError
		if errors.As(err, &l) || w.begin == w.end {
			return false, err
		}
		n = w.end - w.begin // the error comes back behind what was read before it
	}
	w.token.kind, w.token.text = xmlText, w.decode(w.buffer[w.begin:w.begin+n])
	w.begin += n
	return true, nil
}

// markup reads what begins with a "<". It reports whether that is a token.
func (w *xmlWalker) markup() (bool, error) {
	for w.end-w.begin < len("<![CDATA[") {
		if err := w.fill(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return false, err
		}
	}
	start := w.buffer[w.begin:w.end]
	switch {
	case len(start) < 2:
		return false, io.EOF
	case start[1] == '/':
		return true, w.endTag()
	case start[1] != '!' && start[1] != '?':
		return true, w.startTag()
	case bytes.HasPrefix(start, []byte("<!--")):
		return false, w.pass(len("<!--"), "-->")
	case bytes.HasPrefix(start, []byte("<?")):
		return false, w.pass(len("<?"), "?>")
	case bytes.HasPrefix(start, []byte("<![CDATA[")):
		n, err := w.find(len("<![CDATA["), "]]>")
		if err != nil {
			return false, err
		}
		w.token.kind, w.token.text = xmlText, w.buffer[w.begin+len("<![CDATA["):w.begin+n]
		w.begin += n + len("]]>")
		return true, nil
	}
	return false, w.declaration()
}

func (w *xmlWalker) pass(from int, mark string) error {
	n, err := w.find(from, mark)
	if err == nil {
		w.begin += n + len(mark)
		err = w.count()
	}
	return err
}

// count bounds what a document may hold of anything that costs time.
func (w *xmlWalker) count() error {
	if w.elements++; w.elements > maxElements {
		return limit("it has more than %d million elements", maxElements>>20)
	}
	return nil
}

// tagEnd returns how far away the ">" of a tag is: one in quotes does not count. Inside a declaration, those in it do not
// count either.
func (w *xmlWalker) tagEnd(nested bool) (int, error) {
	var quote byte
	open := 0
	for i := 1; ; {
		for w.begin+i < w.end {
			c := w.buffer[w.begin+i]
			switch {
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '"' || c == '\'':
				quote = c
			case c == '<' && nested:
				open++
			case c == '>' && open > 0:
				open--
			case c == '>':
				return i, nil
			}
			i++
		}
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
}

// declaration passes over a document type with all that is declared in it.
func (w *xmlWalker) declaration() error {
	n, err := w.tagEnd(true)
	w.begin += n
	if err == nil {
		w.begin++
	}
	return err
}

func (w *xmlWalker) endTag() error {
	n, err := w.find(0, ">")
	if err != nil {
		return err
	}
	w.token.kind = xmlEnd
	name := w.buffer[w.begin+2 : w.begin+n]
	for len(name) > 0 && name[len(name)-1] <= ' ' {
		name = name[:len(name)-1]
	}
	w.setName(name)
	w.begin += n + 1
	if w.depth--; w.depth < 0 {
		return errors.New("an element ends that has not begun")
	}
	return nil
}

func (w *xmlWalker) startTag() error {
	n, err := w.tagEnd(false)
	if err != nil {
		return err
	}
	tag := w.buffer[w.begin+1 : w.begin+n]
	w.begin += n + 1
	if len(tag) > 0 && tag[len(tag)-1] == '/' {
		tag, w.empty = tag[:len(tag)-1], true
	}
	name := tag
	for i, c := range tag {
		if c <= ' ' {
			name = tag[:i]
			break
		}
	}
	if len(name) == 0 || name[0] < 'A' && name[0] != ':' {
		return fmt.Errorf("it is no XML: %q is no element", shorten(string(tag[:min(len(tag), 20)])))
	}
	w.token.kind, w.token.tag = xmlStart, tag[len(name):]
	w.setName(name)
	if w.depth++; w.depth > maxXMLDepth {
		return limit("its elements nest deeper than %d", maxXMLDepth)
	}
	return w.count()
}

// setName splits a name. The same names come again and again, so they are kept, as long as they are few and short.
func (w *xmlWalker) setName(name []byte) {
	const (
		most    = 1000
		longest = 64
	)
	prefix, local := splitName(name)
	w.token.prefix = prefix
	known, is := w.names[string(local)]
	if !is {
		known = string(local)
		if len(w.names) < most && len(known) <= longest {
			w.names[known] = known
		}
	}
	w.token.name = known
}

func splitName(name []byte) (prefix, local []byte) {
	if i := bytes.IndexByte(name, ':'); i > 0 && i < len(name)-1 {
		return name[:i], name[i+1:]
	}
	return nil, name
}

// attribute returns an attribute's value by its name without a prefix, "" when there is none.
func (t *xmlToken) attribute(local string) string {
	for name, value, rest := nextAttribute(t.tag); name != nil; name, value, rest = nextAttribute(rest) {
		if _, own := splitName(name); string(own) == local {
			return string(decodeEntities(nil, value))
		}
	}
	return ""
}

// nextAttribute returns the first attribute of a tag as it is written, and the rest of the tag. At the end the name is nil.
func nextAttribute(tag []byte) (name, value, rest []byte) {
	for len(tag) > 0 {
		tag = bytes.TrimLeft(tag, " \t\r\n/")
		equals := bytes.IndexByte(tag, '=')
		if equals < 0 {
			break
		}
		name = bytes.TrimRight(tag[:equals], " \t\r\n")
		if i := bytes.LastIndexAny(name, " \t\r\n"); i >= 0 {
			name = name[i+1:] // one before it has no value
		}
		tag = bytes.TrimLeft(tag[equals+1:], " \t\r\n")
		end := -1
		switch {
		case len(tag) == 0:
		case tag[0] == '"' || tag[0] == '\'':
			if end = bytes.IndexByte(tag[1:], tag[0]); end >= 0 {
				value, tag = tag[1:1+end], tag[end+2:]
			}
		default: // without quotes
			if end = bytes.IndexAny(tag, " \t\r\n"); end < 0 {
				end = len(tag)
			}
			value, tag = tag[:end], tag[end:]
		}
		if end < 0 {
			break
		}
		if len(name) > 0 {
			return name, value, tag
		}
	}
	return nil, nil, nil
}

// decode replaces the entities in a run of characters.
func (w *xmlWalker) decode(run []byte) []byte {
	if bytes.IndexByte(run, '&') < 0 {
		return run
	}
	w.decoded = decodeEntities(w.decoded[:0], run)
	return w.decoded
}

// decodeEntities appends characters to those before. An entity that is not known stays as it is.
func decodeEntities(to, from []byte) []byte {
	for {
		i := bytes.IndexByte(from, '&')
		if i < 0 {
			return append(to, from...)
		}
		to, from = append(to, from[:i]...), from[i:]
		const longest = 32
		end := bytes.IndexByte(from[:min(len(from), longest)], ';')
		if end < 2 {
			to, from = append(to, '&'), from[1:]
			continue
		}
		if s, is := entity(string(from[1:end])); is {
			to = append(to, s...)
		} else {
			to = append(to, from[:end+1]...)
		}
		from = from[end+1:]
	}
}

func entity(name string) (string, bool) {
	if name[0] == '#' {
		digits, base := name[1:], 10
		if len(digits) > 1 && digits[0] == 'x' {
			digits, base = digits[1:], 16
		}
		n, err := strconv.ParseUint(digits, base, 32)
		if err != nil || n > utf8.MaxRune {
			return "", false
		}
		return string(rune(n)), true
	}
	switch name {
	case "amp":
		return "&", true
	case "lt":
		return "<", true
	case "gt":
		return ">", true
	case "quot":
		return `"`, true
	case "apos":
		return "'", true
	}
	s, is := xml.HTMLEntity[name]
	return s, is
}

// skip passes over everything inside the element that began last.
func (w *xmlWalker) skip() error {
	for outside := w.depth - 1; w.depth > outside; {
		if _, err := w.next(); err != nil {
			return err
		}
	}
	return nil
}

// each calls a function with every token until the document's end.
func (w *xmlWalker) each(visit func(*xmlToken) error) error {
	for {
		token, err := w.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := visit(token); err != nil {
			return err
		}
	}
}

// inline adds a run of characters in which line ends and tabs are nothing but spaces.
func (t *text) inline(run []byte) error {
	for _, r := range string(run) {
		if r == '\n' || r == '\t' || r == '\r' {
			r = ' '
		}
		t.rune(r)
	}
	return t.err
}
