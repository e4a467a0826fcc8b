package extract

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
)

// readRTF reads rich text.
func readRTF(ctx context.Context, d *document, w *text) error { return writeRTF(ctx, d.open(ctx), w) }

const (
	maxRTFFonts = 1 << 16
	// maxRTFRun is how many bytes of text wait for their charset. A character of two bytes may come in pieces.
	maxRTFRun = 4096
)

// writeRTF writes the text of rich text (RTF 1.9.1): of the body, of headers, footers, notes and text boxes. HTML that Outlook
// wrapped in RTF needs nothing more, since its tags are in a destination that is skipped.
func writeRTF(ctx context.Context, r io.Reader, w *text) error {
	p := &rtf{r: bufio.NewReaderSize(r, 64<<10), w: w, fonts: map[int]rtfFont{}, ansi: charmap.Windows1252}
	p.group = rtfGroup{uc: 1}
	if err := p.start(); err != nil {
		return err
	}
	for n := 0; w.err == nil; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		done, err := p.next()
		if done || err != nil {
			p.flush()
			if errors.Is(err, io.EOF) {
				err = errors.New("reading rtf: it ends too early")
			}
			return err
		}
	}
	return w.err
}

type rtf struct {
	r       *bufio.Reader
	w       *text
	group   rtfGroup   // that is open
	outer   []rtfGroup // those around it
	fonts   map[int]rtfFont
	font    int               // that the font table is describing
	normal  int               // the font of text without one
	ansi    encoding.Encoding // of text whose font states none
	run     []byte            // text that waits to be decoded
	high    rune              // the first half of a surrogate pair
	replace int               // characters to come that stand for a \u
}

// rtfGroup is what a group's end restores.
type rtfGroup struct {
	skip   bool // its destination holds no text of the document
	begins bool // nothing was read of it
	star   bool // the next word names a destination that may be skipped
	fonts  bool // it is the font table
	hidden bool
	uc     int // characters that follow a \u in its place
	font   rtfFont
	end    func(*text) // parts it from the text behind it
}

type rtfFont struct {
	encoding encoding.Encoding // nil: the document's
	symbol   bool              // its characters are pictures
}

// start finds the beginning.
func (p *rtf) start() error {
	for {
		c, err := p.r.ReadByte()
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading rtf: %w", err)
		}
		switch c {
		case 0xef, 0xbb, 0xbf, ' ', '\t', '\r', '\n':
			continue
		}
		if head, _ := p.r.Peek(4); c != '{' || string(head) != `\rtf` {
			return errors.New("reading rtf: it does not begin as rtf does")
		}
		p.outer = append(p.outer, p.group)
		return nil
	}
}

// next reads one character, word or brace.
func (p *rtf) next() (done bool, err error) {
	c, err := p.r.ReadByte()
	if err != nil {
		return false, err
	}
	switch c {
	case '{':
		p.flush()
		if len(p.outer) >= maxXMLDepth {
			return false, limit("its groups are nested more than %d deep", maxXMLDepth)
		}
		p.outer = append(p.outer, p.group)
		p.group.end, p.group.star, p.group.begins, p.replace = nil, false, true, 0
	case '}':
		p.flush()
		if p.group.end != nil {
			p.group.end(p.w)
		}
		p.group, p.outer = p.outer[len(p.outer)-1], p.outer[:len(p.outer)-1]
		p.replace = 0
		return len(p.outer) == 0, nil
	case '\\':
		return false, p.control()
	case '\r', '\n', 0:
	default:
		p.char(c)
	}
	return false, nil
}

// control reads a word or a symbol behind its backslash.
func (p *rtf) control() error {
	c, err := p.r.ReadByte()
	if err != nil {
		return err
	}
	if c < 'a' || c > 'z' {
		return p.symbol(c)
	}
	word := make([]byte, 0, 32)
	for ; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'; c, err = p.r.ReadByte() {
		if len(word) < cap(word) {
			word = append(word, c)
		}
	}
	negative := err == nil && c == '-'
	if negative {
		c, err = p.r.ReadByte()
	}
	number, digits := 0, 0
	for ; err == nil && c >= '0' && c <= '9'; c, err = p.r.ReadByte() {
		if digits++; digits <= 10 {
			number = number*10 + int(c-'0')
		}
	}
	if err == nil && c != ' ' {
		err = p.r.UnreadByte()
	}
	if negative {
		number = -number
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return p.word(word, number, digits > 0)
}

// symbol handles a backslash before what is no letter.
func (p *rtf) symbol(c byte) error {
	switch c {
	case '\'':
		var hex [2]byte
		if _, err := io.ReadFull(p.r, hex[:]); err != nil {
			return io.EOF
		}
		high, low := hexDigit(hex[0]), hexDigit(hex[1])
		if high < 16 && low < 16 {
			p.char(high<<4 | low)
		}
	case '*':
		p.group.star = p.group.begins // inside a group, some writers put it where it has no meaning
	case '\\', '{', '}':
		p.char(c)
	case '~':
		p.special("\u00a0")
	case '_':
		p.special("-")
	case '\r', '\n':
		p.special("\n")
	case '\t':
		p.special("\t")
	}
	return nil
}

func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// char takes one byte of text.
func (p *rtf) char(c byte) {
	p.group.begins = false
	switch {
	case p.group.skip || p.group.fonts || p.group.hidden:
	case p.replace > 0:
		p.replace--
	default:
		if len(p.run) >= 16*maxRTFRun || len(p.run) >= maxRTFRun && c <= ' ' {
			p.flush()
		}
		p.run = append(p.run, c)
	}
}

// special writes text that needs no decoding.
func (p *rtf) special(s string) {
	if p.group.skip || p.group.fonts || p.group.hidden {
		return
	}
	if p.replace > 0 {
		p.replace--
		return
	}
	p.flush()
	_, _ = p.w.WriteString(s)
}

// flush decodes the text that waits.
func (p *rtf) flush() {
	if p.high != 0 {
		p.high = 0
		_, _ = p.w.WriteString("\uFFFD")
	}
	if len(p.run) == 0 {
		return
	}
	run := p.run
	p.run = p.run[:0]
	switch e := p.group.font.encoding; {
	case asciiPrefix(run) == len(run):
	case p.group.font.symbol:
		run = bytes.Map(pictured, run)
	default:
		if e == nil {
			e = p.ansi
		}
		run, _ = e.NewDecoder().Bytes(run) // it replaces what it cannot read
	}
	_, _ = p.w.WriteString(string(run))
}

// pictured stands in for the characters of a symbol font, which are most often bullets.
func pictured(r rune) rune {
	if r < utf8.RuneSelf {
		return r
	}
	return '•'
}

// word handles a control word.
func (p *rtf) word(word []byte, number int, has bool) error {
	name := string(word)
	starred := p.group.star
	p.group.star, p.group.begins = false, false
	switch {
	case name == "bin":
		p.flush()
		if _, err := io.CopyN(io.Discard, p.r, int64(max(number, 0))); err != nil {
			return fmt.Errorf("reading rtf: skipping a picture: %w", err)
		}
		return nil
	case p.group.skip:
		return nil
	case p.group.fonts:
		p.describeFont(name, number)
		return nil
	case starred && !rtfKept(name), rtfSkipped(name):
		p.flush()
		p.group.skip = true
		return nil
	case name == "u":
		p.unicode(number)
		return nil
	}
	p.replace = 0
	p.flush()
	on := !has || number != 0
	switch name {
	case "ansi":
		p.ansi = charmap.Windows1252
	case "mac":
		p.ansi = charmap.Macintosh
	case "pc":
		p.ansi = charmap.CodePage437
	case "pca":
		p.ansi = charmap.CodePage850
	case "ansicpg":
		if e := codePage(number); e != nil {
			p.ansi = e
		}
	case "fonttbl":
		p.group.fonts = true
	case "deff":
		p.normal = number
	case "f":
		p.group.font = p.fonts[number]
	case "plain":
		p.group.font, p.group.hidden = p.fonts[p.normal], false
	case "uc":
		p.group.uc = min(max(number, 0), 100)
	case "v", "deleted":
		p.group.hidden = on
	case "par", "line", "softline":
		p.special("\n")
	case "sect", "page", "column":
		p.w.Paragraph()
	case "cell", "nestcell", "tab":
		p.special("\t")
	case "row", "nestrow":
		p.w.Line()
	case "header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf":
		p.w.Paragraph()
		p.group.end = (*text).Paragraph
	case "shptxt", "dptxbxtext":
		p.w.Line()
		p.group.end = (*text).Line
	case "footnote", "annotation":
		_, _ = p.w.WriteString(" ")
		p.group.end = func(w *text) { _, _ = w.WriteString(" ") }
	case "emdash":
		p.special("—")
	case "endash":
		p.special("–")
	case "bullet":
		p.special("•")
	case "lquote":
		p.special("‘")
	case "rquote":
		p.special("’")
	case "ldblquote":
		p.special("“")
	case "rdblquote":
		p.special("”")
	case "emspace", "enspace", "qmspace":
		p.special(" ")
	case "zwj":
		p.special("\u200d")
	case "zwnj":
		p.special("\u200c")
	}
	return nil
}

// unicode writes a character that stands before its replacement in the code page.
func (p *rtf) unicode(number int) {
	p.replace = 0
	if p.group.hidden {
		return
	}
	if len(p.run) > 0 {
		p.flush()
	}
	c := rune(uint16(number)) // it is stated as a signed number of 16 bits
	if number > 0xffff && number <= utf8.MaxRune {
		c = rune(number) // some writers do not know that
	}
	switch {
	case p.high != 0 && utf16.IsSurrogate(c):
		c = utf16.DecodeRune(p.high, c)
		p.high = 0
	case c >= 0xd800 && c < 0xdc00:
		p.flush()
		p.high = c
	default:
		p.flush()
	}
	if p.high == 0 {
		if c == 0xf0b7 || c == 0xf0a7 { // how Word writes the bullets of its symbol fonts
			c = '•'
		}
		p.w.rune(c)
	}
	p.replace = p.group.uc
}

// describeFont handles a word of the font table.
func (p *rtf) describeFont(name string, number int) {
	switch name {
	case "f":
		p.font = number
	case "fcharset":
		if len(p.fonts) >= maxRTFFonts {
			return
		}
		p.fonts[p.font] = rtfFont{codePage(charsetPage(number)), number == 2}
		if p.font == p.normal && len(p.outer) > 1 {
			p.outer[1].font = p.fonts[p.font] // of the text that selects none
		}
	case "cpg":
		if e := codePage(number); e != nil && len(p.fonts) < maxRTFFonts {
			p.fonts[p.font] = rtfFont{encoding: e}
		}
	}
}

// charsetPage returns the code page of a font's charset (RTF 1.9.1, font table), 0 for the document's own.
func charsetPage(charset int) int {
	switch charset {
	case 0:
		return 1252
	case 77:
		return 10000
	case 89:
		return 10007
	case 78, 128:
		return 932
	case 79, 129, 130:
		return 949
	case 80, 134:
		return 936
	case 81, 136:
		return 950
	case 161:
		return 1253
	case 162:
		return 1254
	case 163:
		return 1258
	case 177, 181:
		return 1255
	case 178, 179, 180:
		return 1256
	case 186:
		return 1257
	case 204:
		return 1251
	case 222:
		return 874
	case 238:
		return 1250
	case 254:
		return 437
	case 255:
		return 850
	}
	return 0
}

// rtfKept reports the destinations that old readers may skip and that hold text all the same.
func rtfKept(name string) bool {
	switch name {
	case "shpinst", "do", "annotation", "footnote", "moMath", "moMathPara", "mmath", "nesttableprops", "fldrslt":
		return true
	}
	return false
}

// rtfSkipped reports the other destinations without text of the document.
func rtfSkipped(name string) bool {
	switch name {
	case "colortbl", "stylesheet", "info", "pict", "nonshppict", "shprslt", "themedata", "colorschememapping", "datastore",
		"latentstyles", "listtable", "listoverridetable", "list", "listlevel", "listoverride", "rsidtbl", "filetbl", "revtbl", "generator", "xe", "tc", "tcn", "rxe",
		"sp", "objdata", "objclass", "objname", "template", "private", "ftnsep", "ftnsepc", "ftncn", "aftnsep", "aftnsepc",
		"aftncn", "fldinst", "datafield", "formfield", "bkmkstart", "bkmkend", "nonesttables", "fontemb", "atnid", "atnauthor",
		"pgdsctbl", "htmltag", "mhtmltag":
		return true
	}
	return false
}
