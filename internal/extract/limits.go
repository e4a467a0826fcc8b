package extract

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// What one attachment may cost. A limit that is hit ends the reading; the text so far is kept and marked.
const (
	maxText      = 16 << 20  // bytes of text
	maxUnpacked  = 256 << 20 // bytes that all parts of a file unpack to
	maxToken     = 4 << 20   // bytes of one tag or one run of text in XML and HTML
	maxXMLDepth  = 2000      // elements in elements
	maxEntries   = 10000     // files in a zip archive
	maxStrings   = 64 << 20  // bytes of a workbook's shared strings
	maxMailParts = 2000      // parts of a mail
	maxMailDepth = 20        // multiparts in multiparts
	maxDepth     = 4         // mails in mails
	maxPages     = 5000      // pages of a pdf
)

// limitError is a limit that was hit.
type limitError struct{ what string }

func (e *limitError) Error() string { return e.what }

func limit(format string, args ...any) error { return &limitError{fmt.Sprintf(format, args...)} }

// errFull ends a reading when there is as much text as a result may hold.
var errFull = limit("it is longer than %d MiB", maxText>>20)

// budget counts down what may still be unpacked.
type budget struct{ left int64 }

func newBudget() *budget { return &budget{left: maxUnpacked} }

// reader counts what is read from r against the budget.
func (b *budget) reader(r io.Reader) io.Reader { return &budgetReader{b, r} }

type budgetReader struct {
	budget *budget
	r      io.Reader
}

func (r *budgetReader) Read(p []byte) (int, error) {
	if r.budget.left <= 0 {
		return 0, limit("it unpacks to more than %d MiB", maxUnpacked>>20)
	}
	n, err := r.r.Read(p[:min(int64(len(p)), r.budget.left)])
	r.budget.left -= int64(n)
	return n, err
}

// text collects what a reader finds. Spaces are collapsed, lines are trimmed at their ends, at most one empty line stands
// between two others, and control characters are dropped, so that the same words are the same bytes whatever the format.
type text struct {
	out    strings.Builder
	space  bool // a space is held back until a word follows
	tabs   int  // borders between cells, held back too
	breaks int  // line breaks held back
	cr     bool // verbatim: the last character was a carriage return
	err    error
}

// WriteString adds text; "\n" ends a line, "\t" a cell.
func (t *text) WriteString(s string) (int, error) {
	for _, r := range s {
		t.rune(r)
	}
	return len(s), t.err
}

// Line ends the current line, if there is anything in it.
func (t *text) Line() { t.end(1) }

// Paragraph ends the current line and leaves an empty one behind it.
func (t *text) Paragraph() { t.end(2) }

// Cell ends a table's cell.
func (t *text) Cell() { t.rune('\t') }

func (t *text) end(breaks int) {
	if t.out.Len() > 0 {
		t.breaks = max(t.breaks, breaks)
	}
	t.space, t.tabs = false, 0
}

func (t *text) rune(r rune) {
	switch {
	case t.err != nil || dropped(r):
	case r == '\n' || r == '\u2028' || r == '\u2029':
		t.end(min(t.breaks+1, 2))
	case r == '\f' || r == '\v' || r == '\u0085':
		t.Line()
	case r == '\t':
		t.space, t.tabs = false, t.tabs+1
	case r == ' ' || r == '\u00a0':
		t.space = true
	case t.out.Len()+t.breaks+t.tabs+1+utf8.UTFMax > maxText:
		t.err = errFull
	default:
		switch {
		case t.out.Len() == 0: // nothing to keep apart
		case t.breaks > 0:
			t.out.WriteString("\n\n"[:t.breaks])
			t.space = false
		}
		switch {
		case t.tabs > 0:
			t.out.WriteString(strings.Repeat("\t", t.tabs))
		case t.space && t.out.Len() > 0:
			t.out.WriteByte(' ')
		}
		t.breaks, t.tabs, t.space = 0, 0, false
		t.out.WriteRune(r)
	}
}

// Verbatim adds text as it is, but for its line ends, which become "\n", and for control characters.
func (t *text) Verbatim(s string) error {
	if s != "" && t.breaks > 0 { // of what was written before
		t.out.WriteString("\n\n"[:t.breaks])
	}
	if s != "" {
		t.breaks, t.tabs, t.space = 0, 0, false
	}
	for s != "" && t.err == nil {
		if n := min(printable(s), maxText-utf8.UTFMax-t.out.Len()); n > 0 {
			t.out.WriteString(s[:n])
			t.cr, s = false, s[n:]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		switch {
		case r == '\n' && t.cr:
		case r != '\r' && dropped(r):
			continue
		case t.out.Len()+utf8.UTFMax > maxText:
			t.err = errFull
		case r == '\r', r == '\u0085':
			t.out.WriteByte('\n')
		default:
			t.out.WriteRune(r)
		}
		t.cr = r == '\r'
	}
	return t.err
}

// printable returns how many bytes s begins with that are characters of ASCII in need of no care.
func printable(s string) int {
	for i := range len(s) {
		if c := s[i]; (c < ' ' || c >= 0x7f) && c != '\t' {
			return i
		}
	}
	return len(s)
}

// dropped reports whether a character is none that a text shows, or one that databases refuse.
func dropped(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\u0085':
		return false
	case 0x7f, '\ufeff', '\ufffe', '\uffff', '\u00ad': // the last is a soft hyphen
		return true
	}
	return r < ' ' || r >= 0x80 && r < 0xa0
}

// String returns the text so far.
func (t *text) String() string { return t.out.String() }

// clean drops what no log and no database column wants to hold.
func clean(s string) string {
	t := text{}
	_, _ = t.WriteString(strings.ToValidUTF8(s, "\uFFFD"))
	return t.String()
}
