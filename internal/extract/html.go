package extract

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// readHTML reads a page.
func readHTML(ctx context.Context, d *document, w *text) error {
	declared := statedCharset(d.contentType)
	if charsetNamed(declared) == nil {
		declared = pageCharset(d.head(64 << 10))
	}
	r, err := decode(ctx, d, declared)
	if err != nil {
		return err
	}
	return writeHTML(ctx, r, w)
}

var (
	metaElement    = regexp.MustCompile(`(?i)<meta[^>]{0,500}?charset\s{0,20}=\s{0,20}["']?\s{0,20}([-\w.:]{1,40})`)
	xmlDeclaration = regexp.MustCompile(`^(?:\xef\xbb\xbf)?\s{0,20}<\?xml[^>]{0,200}encoding\s{0,20}=\s{0,20}["']([-\w.:]{1,40})`)
)

// pageCharset returns the charset that a page states about itself, "" without one.
func pageCharset(head []byte) string {
	for _, pattern := range []*regexp.Regexp{metaElement, xmlDeclaration} {
		found := pattern.FindSubmatch(head)
		// What can be read as ASCII is not UTF-16, whatever it says.
		if found != nil && !bytes.HasPrefix(bytes.ToLower(found[1]), []byte("utf-16")) {
			return string(found[1])
		}
	}
	return ""
}

// HTML returns the text of a small piece of HTML.
func HTML(source string) string {
	w := text{}
	_ = writeHTML(context.Background(), strings.NewReader(source), &w) // what cannot be read any more is left out
	return w.String()
}

// writeHTML writes the text of HTML or XHTML, which r holds as UTF-8. It builds no tree, so that depth costs nothing.
func writeHTML(ctx context.Context, r io.Reader, w *text) error {
	buffered := bufio.NewReader(r)
	head, _ := buffered.Peek(1024)
	page := &page{w: w, xhtml: bytes.Contains(head, []byte("<?xml")) || bytes.Contains(bytes.ToLower(head), []byte("xhtml"))}
	tokens := html.NewTokenizer(buffered)
	tokens.SetMaxBuf(maxToken)
	tokens.AllowCDATA(page.xhtml)
	for n := 0; w.err == nil; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch tokens.Next() {
		case html.ErrorToken:
			return pageEnd(tokens.Err())
		case html.TextToken:
			page.text(tokens.Text())
		case html.StartTagToken:
			page.start(tag(tokens))
		case html.EndTagToken:
			page.end(tag(tokens))
		case html.SelfClosingTagToken:
			name := tag(tokens)
			if !page.xhtml {
				page.start(name) // HTML has no empty elements but those that it knows
				continue
			}
			tokens.NextIsNotRawText()
			if !page.hidden(name) {
				page.start(name)
				page.end(name)
			}
		}
	}
	return w.err
}

func pageEnd(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, html.ErrBufferExceeded):
		return limit("one of its tags or texts is longer than %d MiB", maxToken>>20)
	}
	return err
}

// tag returns the name of the tag that was just read. Unknown elements are 0: they change nothing.
func tag(tokens *html.Tokenizer) atom.Atom {
	name, _ := tokens.TagName()
	if string(name) == "xml" {
		return xmlIsland
	}
	return atom.Lookup(name)
}

// xmlIsland stands for the settings that Office writes into its pages as <xml>.
const xmlIsland atom.Atom = 1<<32 - 1 // no element of HTML has this number

// maxTables is how deep tables in tables are told apart.
const maxTables = 100

// page keeps what the text so far means for the text to come.
type page struct {
	w      *text
	xhtml  bool
	skip   atom.Atom // the element whose content is left out
	depth  int       // how many of it are open
	pre    int       // open elements that keep their line ends
	breaks int       // line breaks that wait for text
	cell   bool      // in a table's cell
	empty  bool      // the cell has no text yet
	around []bool    // for each open table, whether it is in a cell of another one
}

// hidden reports the elements whose content is not text of the page.
func (p *page) hidden(name atom.Atom) bool {
	switch name {
	case atom.Script, atom.Style, atom.Noscript, atom.Template, atom.Iframe, atom.Noembed, atom.Noframes, xmlIsland:
		return true
	}
	return false
}

func (p *page) start(name atom.Atom) {
	switch {
	case p.skip == name && name != 0:
		p.depth++
		return
	case p.skip != 0 && name != atom.Body:
		return
	case p.hidden(name):
		p.skip, p.depth = name, 1
		return
	}
	p.skip = 0
	switch name {
	case atom.Br:
		p.breaks = min(p.breaks+1, 2)
	case atom.Td, atom.Th:
		p.endCell()
		p.flush()
		p.cell, p.empty = true, true
	case atom.Tr:
		p.endRow()
	case atom.Table:
		if len(p.around) < maxTables {
			p.around = append(p.around, p.cell)
		}
		p.cell = false
		p.block(name)
	case atom.Pre, atom.Textarea, atom.Listing:
		p.pre++
		p.block(name)
	default:
		p.block(name)
	}
}

func (p *page) end(name atom.Atom) {
	if p.skip != 0 {
		if p.skip == name {
			p.depth--
		}
		if p.depth == 0 || name == atom.Head || name == atom.Body {
			p.skip = 0
		}
		return
	}
	switch name {
	case atom.Td, atom.Th:
		p.endCell()
	case atom.Tr, atom.Thead, atom.Tbody, atom.Tfoot:
		p.endRow()
	case atom.Table:
		p.endRow()
		if n := len(p.around); n > 0 {
			p.cell, p.empty, p.around = p.around[n-1], false, p.around[:n-1]
		}
		p.block(name)
	case atom.Pre, atom.Textarea, atom.Listing:
		p.pre = max(p.pre-1, 0)
		p.block(name)
	case atom.Br:
		p.breaks = min(p.breaks+1, 2)
	default:
		p.block(name)
	}
}

// block breaks the line before and after a block.
func (p *page) block(name atom.Atom) {
	switch name {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Blockquote, atom.Pre, atom.Listing, atom.Title,
		atom.Figure, atom.Hr, atom.Body, atom.Table:
		p.breaks = 2
	case atom.Ul, atom.Ol, atom.Dl, atom.Li, atom.Dt, atom.Dd, atom.Div, atom.Section, atom.Article, atom.Aside, atom.Header, atom.Footer, atom.Nav,
		atom.Main, atom.Address, atom.Center, atom.Dir, atom.Menu, atom.Fieldset, atom.Legend, atom.Form, atom.Figcaption,
		atom.Caption, atom.Details, atom.Summary, atom.Dialog, atom.Hgroup, atom.Search, atom.Option, atom.Optgroup,
		atom.Select, atom.Textarea, atom.Rt, atom.Frameset, atom.Head, atom.Html:
		p.breaks = max(p.breaks, 1)
	}
}

// endCell ends an open cell. What would break the line at the end of a cell would part it from the next one.
func (p *page) endCell() {
	if p.cell {
		p.breaks = 0
		p.w.Cell()
	}
	p.cell = false
}

func (p *page) endRow() {
	p.cell = false
	p.breaks = max(p.breaks, 1)
	p.flush()
}

// text writes text between tags; b may be changed.
func (p *page) text(b []byte) {
	if p.skip != 0 || len(b) == 0 {
		return
	}
	rest := bytes.TrimLeft(b, " \t\r\n\f\u00a0")
	if len(rest) == 0 && p.pre == 0 {
		if p.breaks == 0 {
			_, _ = p.w.WriteString(" ")
		}
		return
	}
	if len(rest) > 0 {
		p.flush()
	}
	for i, c := range b {
		switch {
		case p.pre > 0 && c != '\f':
		case c == '\t' || c == '\r' || c == '\n' || c == '\f':
			b[i] = ' '
		}
	}
	_, _ = p.w.WriteString(string(b))
}

// flush breaks the line where text follows. A block that opens a cell does not break the row.
func (p *page) flush() {
	switch {
	case p.breaks == 0 || p.cell && p.empty:
	case p.breaks == 1:
		p.w.Line()
	default:
		p.w.Paragraph()
	}
	p.breaks, p.empty = 0, false
}
