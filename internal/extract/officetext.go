package extract

import (
	"context"
)

// wideCell is the number of bytes from which on a cell's paragraphs are lines of their own: a cell with that much text
// stands in a table that is there for the layout.
const wideCell = 400

// officeText writes the text of a part in WordprocessingML or DrawingML (ECMA-376 part 1, sections 17 and 21). The two, and
// the parts of slides, notes, charts and SmartArt, share the names of what matters here: p, t, br, tbl, tr, tc.
type officeText struct {
	w      *text
	inText int // depth of the innermost element whose characters are text, 0 for none
	cells  []officeCell
	chart  bool // the part is a chart: its cached values are text as well
	series bool // a chart's categories were written
}

// officeCell is an open table: where the text of its current cell begins, and whether the row has a cell before that.
type officeCell struct {
	start int
	any   bool
}

func (t *officeText) visit(walker *xmlWalker, token *xmlToken) error {
	switch token.kind {
	case xmlStart:
		return t.start(walker, token)
	case xmlEnd:
		t.end(walker, token.name)
	case xmlText:
		if t.inText == walker.depth && t.inText > 0 {
			return t.w.inline(token.text)
		}
	}
	return t.w.err
}

func (t *officeText) start(walker *xmlWalker, e *xmlToken) error {
	switch e.name {
	case "Fallback", // repeats its Choice for old readers
		"del", "moveFrom", "instrText", "delInstrText",
		"pPr", "rPr", "tblPr", "tblGrid", "trPr", "tcPr", "sectPr", "sdtPr", "spPr", "bodyPr", "lstStyle", "endParaRPr":
		return walker.skip()
	case "footnote", "endnote":
		if kind := e.attribute("type"); kind != "" && kind != "normal" {
			return walker.skip() // the line between text and notes
		}
	case "comment":
		t.w.Line()
		if author := e.attribute("author"); author != "" {
			_, _ = t.w.WriteString(author + ": ")
		}
	case "fld":
		if e.attribute("type") == "slidenum" {
			return walker.skip()
		}
	case "t", "text":
		t.inText = walker.depth
	case "v":
		if t.chart {
			t.inText = walker.depth
		}
	case "cat", "xVal":
		if t.chart && t.series {
			return walker.skip() // every series repeats them
		}
	case "tab", "ptab":
		t.gap('\t')
	case "br", "cr":
		t.gap('\n')
	case "noBreakHyphen":
		_, _ = t.w.WriteString("-")
	case "txbxContent":
		t.w.Line()
	case "tbl":
		if len(t.cells) == 0 {
			t.w.Paragraph()
		}
		t.cells = append(t.cells, officeCell{})
	case "tr":
		t.row()
	case "tc":
		t.cell()
	}
	return t.w.err
}

func (t *officeText) end(walker *xmlWalker, name string) {
	switch name {
	case "t", "text", "v":
		if t.inText == walker.depth+1 {
			t.inText = 0
			if name == "v" {
				t.w.Cell()
			}
		}
	case "p":
		t.gap('\n')
	case "tx", "val", "yVal", "cat", "xVal":
		if t.chart {
			t.w.Line()
			t.series = t.series || name == "cat" || name == "xVal"
		}
	case "txbxContent", "sp", "comment", "cm", "footnote", "endnote":
		t.w.Line()
	case "tr":
		if len(t.cells) > 0 {
			t.w.Line()
		}
	case "tbl":
		if len(t.cells) > 0 {
			t.cells = t.cells[:len(t.cells)-1]
		}
		if len(t.cells) == 0 {
			t.w.Paragraph()
		}
	}
}

func (t *officeText) row() {
	if len(t.cells) > 0 {
		t.w.Line()
		t.cells[len(t.cells)-1] = officeCell{}
	}
}

func (t *officeText) cell() {
	if len(t.cells) == 0 {
		return
	}
	cell := &t.cells[len(t.cells)-1]
	if cell.any {
		t.w.Cell()
	}
	cell.any, cell.start = true, t.w.out.Len()
}

// gap ends a line, or a column set by a tab; inside a table, where these are borders, it is a space.
func (t *officeText) gap(r rune) {
	if len(t.cells) > 0 && (r == '\t' || t.w.out.Len()-t.cells[len(t.cells)-1].start < wideCell) {
		r = ' '
	}
	t.w.rune(r)
}

// write writes a part that is separated from the text before it by an empty line.
func (a *archive) write(ctx context.Context, w *text, part string, chart bool) error {
	if !a.first(part) {
		return nil
	}
	w.Paragraph()
	t := &officeText{w: w, chart: chart}
	return a.tolerate(ctx, w, a.walk(ctx, part, t.visit))
}

// writeRelated writes the parts of the given kinds that a part leads to, in the order of the kinds.
func (a *archive) writeRelated(ctx context.Context, w *text, related []relationship, kinds ...string) error {
	for _, kind := range kinds {
		for _, r := range related {
			if r.kind != kind {
				continue
			}
			if err := a.write(ctx, w, r.target, kind == "chart" || kind == "chartEx"); err != nil {
				return err
			}
		}
	}
	return nil
}
