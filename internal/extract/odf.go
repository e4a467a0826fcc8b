package extract

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
)

// maxRepeats is how often a repeated cell or row is written at most: a sheet repeats what fills it to its border.
const maxRepeats = 16

// readODF writes an OpenDocument text, spreadsheet or presentation (OpenDocument 1.3, part 3). Notes and comments follow the
// text, or the sheet or slide, in which they are. What a tracked change took away is left out.
func readODF(ctx context.Context, d *document, w *text) error {
	a, err := openArchive(d)
	if err != nil {
		return err
	}
	if err := a.manifest(ctx); err != nil {
		return err
	}
	if !a.has("content.xml") {
		return fmt.Errorf("reading the document: its part content.xml: %w", fs.ErrNotExist)
	}
	body := &odfText{w: w}
	err = a.walk(ctx, "content.xml", body.visit)
	body.flush()
	if err := a.tolerate(ctx, w, err); err != nil {
		return err
	}
	// In sheets and slides the headers hold nothing but placeholders.
	if body.kind == "text" && a.has("styles.xml") {
		w.Paragraph()
		styles := &odfText{w: w, styles: true}
		err := a.walk(ctx, "styles.xml", styles.visit)
		styles.flush()
		if err := a.tolerate(ctx, w, err); err != nil {
			return err
		}
	}
	return a.err
}

// manifest looks for parts that need a password.
func (a *archive) manifest(ctx context.Context) error {
	err := a.walk(ctx, "META-INF/manifest.xml", func(_ *xmlWalker, token *xmlToken) error {
		if e, is := token, token.kind == xmlStart; is && e.name == "encryption-data" {
			return errEncrypted
		}
		return nil
	})
	switch {
	case errors.Is(err, errEncrypted):
		return errEncrypted
	case ctx.Err() != nil || a.d.budget.left <= 0:
		return err
	}
	return nil // a broken manifest hides no text
}

// odfText writes the paragraphs of a part.
type odfText struct {
	w      *text
	kind   string // of document: text, spreadsheet, presentation or drawing; "" before the body
	styles bool   // only headers and footers are text
	within int    // depth of the body, or of a header; 0 outside
	runs   []int  // depths of the open paragraphs
	tables []odfTable
	notes  text // notes and comments, held back
	note   odfNote
}

// odfNote is an open note or comment.
type odfNote struct {
	depth        int   // 0 for none
	around       *text // what is written to outside of it
	runs, tables int   // how many were open around it
}

// odfTable is an open table with its current row.
type odfTable struct {
	sheet  bool
	row    cellRow
	start  int // where the row begins in the text
	repeat int // of the row
	column int // of the cell, counted from 1
	cell   odfCell
}

type odfCell struct {
	open   bool
	start  int    // where the cell begins in the text
	value  string // stands in place of the paragraphs, "" for none
	repeat int
}

func (t *odfText) visit(walker *xmlWalker, token *xmlToken) error {
	switch token.kind {
	case xmlStart:
		return t.start(walker, token)
	case xmlEnd:
		t.end(walker.depth+1, token.name)
	case xmlText:
		if table := t.inCell(); table != nil && table.cell.value != "" {
			return nil
		}
		if len(t.runs) > t.note.runs {
			return t.w.inline(token.text)
		}
	}
	return t.w.err
}

func (t *odfText) start(walker *xmlWalker, e *xmlToken) error {
	name := e.name
	if t.within == 0 {
		if t.enters(name) {
			t.within = walker.depth
		}
		return nil
	}
	if t.kind == "" {
		t.kind = name
	}
	switch name {
	case "tracked-changes", "content-validations", "ruby-text", "binary-data",
		"index-title-template", "table-of-content-source", "illustration-index-source", "table-index-source",
		"object-index-source", "user-index-source", "alphabetical-index-source", "bibliography-source":
		return walker.skip()
	case "title", "desc": // of a picture, unlike the field text:title
		if string(e.prefix) == "svg" {
			return walker.skip()
		}
	case "page-number", "page-count":
		if t.kind != "text" && !t.styles {
			return walker.skip() // it says "<number>"
		}
	case "creator":
		if t.note.depth > 0 {
			return t.author(walker)
		}
	case "p", "h":
		if len(t.runs) > t.note.runs {
			t.gap('\n') // a text box inside a paragraph
		}
		t.runs = append(t.runs, walker.depth)
	case "s":
		t.w.rune(' ')
	case "tab":
		t.gap('\t')
	case "line-break":
		t.gap('\n')
	case "note", "annotation":
		t.hold(walker.depth)
	case "page":
		t.w.Paragraph()
	case "table":
		t.beginTable(e)
	case "table-row":
		t.beginRow(e)
	case "table-cell", "covered-table-cell":
		t.beginCell(e)
	}
	return t.w.err
}

// enters reports whether an element holds a part's text.
func (t *odfText) enters(name string) bool {
	switch name {
	case "body":
		return !t.styles
	case "header", "footer", "header-left", "footer-left", "header-first", "footer-first":
		return t.styles
	}
	return false
}

// author writes a comment's author.
func (t *odfText) author(walker *xmlWalker) error {
	for outside := walker.depth - 1; walker.depth > outside; {
		token, err := walker.next()
		if err != nil {
			return err
		}
		if token.kind == xmlText {
			if err := t.w.inline(token.text); err != nil {
				return err
			}
		}
	}
	_, _ = t.w.WriteString(": ")
	return t.w.err
}

func (t *odfText) end(depth int, name string) {
	switch depth {
	case t.within:
		t.flush()
		t.w.Paragraph()
		t.within = 0
		return
	case t.note.depth:
		t.release()
		return
	}
	switch name {
	case "p", "h":
		if n := len(t.runs); n > 0 && t.runs[n-1] == depth {
			t.runs = t.runs[:n-1]
			t.gap('\n')
		}
	case "page":
		t.flush()
	case "table-cell", "covered-table-cell":
		t.endCell()
	case "table-row":
		t.endRow()
	case "table":
		t.endTable()
	}
}

// hold begins a note: its text is kept until the text around it has ended.
func (t *odfText) hold(depth int) {
	if t.note.depth > 0 {
		return
	}
	t.note = odfNote{depth, t.w, len(t.runs), len(t.tables)}
	t.w = &t.notes
	t.w.Line()
}

func (t *odfText) release() {
	t.w.Line()
	t.w = t.note.around
	t.runs, t.tables = t.runs[:min(t.note.runs, len(t.runs))], t.tables[:min(t.note.tables, len(t.tables))]
	t.note = odfNote{}
	if t.notes.err != nil {
		t.w.err = t.notes.err
	}
}

// flush writes the notes so far.
func (t *odfText) flush() {
	if t.note.depth > 0 {
		t.release()
	}
	if t.notes.out.Len() > 0 {
		t.w.Line()
		_, _ = t.w.WriteString(t.notes.String())
		t.w.Line()
	}
	t.notes = text{}
}

// table returns the innermost open table, nil for none; a note does not belong to the table that it stands in.
func (t *odfText) table() *odfTable {
	if len(t.tables) <= t.note.tables {
		return nil
	}
	return &t.tables[len(t.tables)-1]
}

// inCell returns the table whose cell is open, nil for none.
func (t *odfText) inCell() *odfTable {
	if table := t.table(); table != nil && table.cell.open {
		return table
	}
	return nil
}

// gap ends a line, or a column set by a tab; inside a cell it is a space, unless the table is there for the layout.
func (t *odfText) gap(r rune) {
	if table := t.inCell(); table != nil && (table.sheet || r == '\t' || t.w.out.Len()-table.cell.start < wideCell) {
		r = ' '
	}
	t.w.rune(r)
}

func (t *odfText) beginTable(e *xmlToken) {
	table := odfTable{sheet: t.kind == "spreadsheet" && len(t.tables) == 0}
	if t.table() == nil {
		t.w.Paragraph()
	}
	if table.sheet {
		_ = t.w.inline([]byte(e.attribute("name")))
		t.w.Line()
	}
	t.tables = append(t.tables, table)
}

func (t *odfText) endTable() {
	table := t.table()
	if table == nil {
		return
	}
	sheet := table.sheet
	t.tables = t.tables[:len(t.tables)-1]
	if t.table() == nil {
		t.w.Paragraph()
	}
	if sheet {
		t.flush()
	}
}

func (t *odfText) beginRow(e *xmlToken) {
	table := t.table()
	if table == nil {
		return
	}
	table.row = cellRow{w: t.w}
	table.row.begin()
	table.column, table.start, table.cell = 1, t.w.out.Len(), odfCell{}
	table.repeat = odfRepeats(e, "number-rows-repeated")
}

func (t *odfText) endRow() {
	table := t.table()
	if table == nil {
		return
	}
	row := strings.TrimLeft(t.w.String()[table.start:], "\n")
	t.w.Line()
	if !table.sheet || row == "" {
		return
	}
	for range min(table.repeat, maxRepeats) - 1 {
		_, _ = t.w.WriteString(row)
		t.w.Line()
	}
}

// odfRepeats returns a number of repetitions.
func odfRepeats(e *xmlToken, name string) int {
	const most = 1 << 20 // more than a sheet has
	n, err := strconv.Atoi(e.attribute(name))
	if err != nil {
		return 1
	}
	return min(max(n, 1), most)
}

func (t *odfText) beginCell(e *xmlToken) {
	table := t.table()
	if table == nil {
		return
	}
	table.row.border(table.column)
	table.cell = odfCell{open: true, start: t.w.out.Len(), repeat: odfRepeats(e, "number-columns-repeated")}
	if table.sheet {
		table.cell.value = odfValue(e)
		_, _ = t.w.WriteString(table.cell.value)
	}
}

func (t *odfText) endCell() {
	table := t.inCell()
	if table == nil {
		return
	}
	cell := table.cell
	table.cell = odfCell{}
	first := table.column
	table.column = min(first+cell.repeat, 1<<24)
	written := strings.TrimLeft(t.w.String()[cell.start:], "\t\n ")
	if written == "" {
		t.w.tabs = 0 // the border: the next cell knows its own distance
		return
	}
	table.row.last = first
	if !table.sheet {
		return
	}
	for range min(cell.repeat, maxRepeats) - 1 {
		table.row.last++
		t.w.Cell()
		_, _ = t.w.WriteString(written)
	}
}

// odfValue returns a sheet cell's value where it is better than the text that the cell shows: a date in ISO 8601, a number
// with all its digits. It returns "" where the text is.
func odfValue(e *xmlToken) string {
	switch e.attribute("value-type") {
	case "float":
		if n, err := strconv.ParseFloat(e.attribute("value"), 64); err == nil {
			return plainNumber(n)
		}
	case "date":
		return strings.TrimSuffix(e.attribute("date-value"), "T00:00:00")
	case "time":
		return odfClock(e.attribute("time-value"))
	case "boolean":
		switch e.attribute("boolean-value") {
		case "true":
			return "TRUE"
		case "false":
			return "FALSE"
		}
	}
	return ""
}

var odfDuration = regexp.MustCompile(`^PT(\d{1,6})H(\d{1,2})M(\d{1,2})(?:[.,]\d+)?S$`)

// odfClock turns a duration such as PT08H30M00S into 08:30:00.
func odfClock(duration string) string {
	match := odfDuration.FindStringSubmatch(duration)
	if match == nil {
		return ""
	}
	return fmt.Sprintf("%02s:%02s:%02s", match[1], match[2], match[3])
}
