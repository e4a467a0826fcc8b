package extract

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/emersion/go-message/textproto"
)

// maxMailHeader is the size of one header block, in bytes.
const maxMailHeader = 1 << 20

// mailLines gives a mail's lines up to the next delimiter of any multipart that is open, so that a multipart inside another
// ends with the outer one, and reading costs the same whatever the nesting.
type mailLines struct {
	r      *bufio.Reader
	open   []string // "--" and the boundary of each open multipart, the outermost first
	back   []byte   // a line that was given back
	middle bool     // the next read goes on with a line longer than the buffer
	// The reading stands at a delimiter of open[level], or at the end, where level is -1.
	stopped, closing bool
	level            int
	err              error
}

func newMailLines(r io.Reader) *mailLines {
	return &mailLines{r: bufio.NewReaderSize(r, 32<<10)}
}

// next returns the next line with its line end, or a piece of a long one; it is valid until the next call. It returns nil
// at a delimiter and at the end.
func (l *mailLines) next() []byte {
	if line := l.back; line != nil {
		l.back = nil
		return line
	}
	if l.stopped {
		return nil
	}
	line, err := l.r.ReadSlice('\n')
	if len(line) == 0 {
		if !errors.Is(err, io.EOF) {
			l.err = err
		}
		l.stopped, l.level = true, -1
		return nil
	}
	starts := !l.middle
	l.middle = errors.Is(err, bufio.ErrBufferFull)
	if starts && l.delimiter(line) {
		return nil
	}
	return line
}

func (l *mailLines) delimiter(line []byte) bool {
	if len(l.open) == 0 || !bytes.HasPrefix(line, []byte("--")) {
		return false
	}
	line = bytes.TrimRight(line, " \t\r\n")
	for level := len(l.open) - 1; level >= 0; level-- {
		rest, ok := bytes.CutPrefix(line, []byte(l.open[level]))
		if ok && (len(rest) == 0 || string(rest) == "--") {
			l.stopped, l.level, l.closing = true, level, len(rest) > 0
			return true
		}
	}
	return false
}

// resume goes on behind a delimiter.
func (l *mailLines) resume() { l.stopped = false }

// skip passes over everything up to the next delimiter.
func (l *mailLines) skip() error {
	if len(l.open) == 0 { // nothing can follow
		l.stopped, l.level, l.back = true, -1, nil
		return l.err
	}
	for {
		if l.next() == nil {
			return l.err
		}
		// Only a line that starts with two dashes can be a delimiter; lines before it need no look of their own.
		ahead, _ := l.r.Peek(l.r.Buffered())
		if bytes.HasPrefix(ahead, []byte("-")) {
			continue
		}
		end := bytes.Index(ahead, []byte("\n--"))
		if end < 0 {
			end = bytes.LastIndexByte(ahead, '\n')
		}
		if end >= 0 {
			_, _ = l.r.Discard(end + 1)
			l.middle = false
		}
	}
}

// skipEmpty passes over line ends, at the start of a line.
func (l *mailLines) skipEmpty() {
	for l.back == nil && !l.stopped {
		if _, err := l.r.Peek(1); err != nil {
			return
		}
		ahead, _ := l.r.Peek(l.r.Buffered())
		rest := bytes.TrimLeft(ahead, "\r\n")
		_, _ = l.r.Discard(len(ahead) - len(rest))
		if len(rest) > 0 {
			return
		}
	}
}

// collect returns the bytes up to the next delimiter, limit of them at most, and whether there were more.
func (l *mailLines) collect(limit int) (b []byte, more bool, err error) {
	for line := l.next(); line != nil; line = l.next() {
		if room := limit - len(b); len(line) > room {
			return append(b, line[:room]...), true, l.skip()
		}
		b = append(b, line...)
	}
	return b, false, l.err
}

// header reads a header block and the empty line behind it. A line that cannot be one of a header ends the block and is
// the first of the body. Of a block larger than maxMailHeader the first fields are returned, and that it is so.
func (l *mailLines) header() (h textproto.Header, more bool, err error) {
	var block []byte
	long, drop := false, false // the last line goes on in the next piece; it is none of the header
	for line := l.next(); line != nil; line = l.next() {
		starts := !long
		long = line[len(line)-1] != '\n'
		if starts {
			var ends bool
			if ends, drop = l.headerEnds(line, len(block) == 0); ends {
				break
			}
		}
		if drop {
			continue
		}
		if more || len(block)+len(line) > maxMailHeader {
			more = true
			continue
		}
		block = append(block, line...)
	}
	if l.err != nil {
		return h, more, l.err
	}
	if len(block) > 0 && block[len(block)-1] != '\n' {
		block = append(block, '\n')
	}
	block = append(block, '\n')
	// Its errors are about lines that are no header's; there are none left.
	h, _ = textproto.ReadHeader(bufio.NewReader(bytes.NewReader(block)))
	return h, more, nil
}

// headerEnds reports whether a header ends at a line, and gives the line back when it belongs to the body. A line to drop
// is in the header, but none of its fields.
func (l *mailLines) headerEnds(line []byte, first bool) (ends, drop bool) {
	text := bytes.TrimRight(line, "\r\n")
	switch {
	case len(text) == 0:
		return true, false
	case len(bytes.TrimSpace(text)) == 0:
		// Some senders fold into a line of spaces, others mean the empty line: what follows tells.
		next := l.next()
		l.back = bytes.Clone(next)
		return !isFolded(next) && !isHeaderLine(next), true
	case bytes.HasPrefix(line, []byte("From ")), bytes.HasPrefix(line, []byte(">From ")): // an mbox puts it there
		return false, true
	case isFolded(line):
		return false, first // it continues nothing
	case isHeaderLine(line):
		return false, false
	}
	l.back = bytes.Clone(line)
	return true, false
}

func isFolded(line []byte) bool { return len(line) > 0 && (line[0] == ' ' || line[0] == '\t') }

// isHeaderLine reports whether a line starts with a field name and a colon (RFC 5322, section 2.2). Spaces before the
// colon are obsolete but allowed.
func isHeaderLine(line []byte) bool {
	name, _, ok := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !ok || len(name) == 0 {
		return false
	}
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
