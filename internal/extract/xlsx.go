package extract

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

const (
	maxGap    = 64      // empty cells of a row that stand as a tab each; a wider gap is one tab
	maxStyles = 1 << 17 // a workbook has 65,490 at most
)

// workbook is what the sheets of a workbook share.
type workbook struct {
	*archive
	w        *text
	strings  sharedStrings
	styles   []cellFormat // by the style number of a cell
	from1904 bool
	sheets   []workbookSheet
}

type workbookSheet struct{ name, part string }

// readXLSX writes a workbook (ECMA-376 part 1, section 18): of each sheet, hidden ones included, its name, its rows as lines
// of cells between tabs, the text in its drawings and its comments. Rows without text are left out. A formula shows the value
// that was stored with it.
func readXLSX(ctx context.Context, d *document, w *text) error {
	a, err := openArchive(d)
	if err != nil {
		return err
	}
	b := &workbook{archive: a, w: w}
	if err := b.tolerate(ctx, w, b.open(ctx)); err != nil {
		return err
	}
	for _, s := range b.sheets {
		w.Paragraph()
		if err := w.inline([]byte(s.name)); err != nil {
			return err
		}
		w.Line()
		if !b.first(s.part) {
			continue
		}
		if err := b.tolerate(ctx, w, b.cells(ctx, s.part)); err != nil {
			return err
		}
		if err := b.around(ctx, s.part); err != nil {
			return err
		}
	}
	return b.err
}

// open reads what comes before the sheets.
func (b *workbook) open(ctx context.Context) error {
	main := b.mainPart(ctx, "xl/workbook.xml")
	if strings.HasSuffix(strings.ToLower(main), ".bin") {
		return errUnsupported // the binary kind of workbook
	}
	related := b.relationships(ctx, main)
	targets := map[string]string{}
	shared, styles := path.Join(path.Dir(main), "sharedStrings.xml"), path.Join(path.Dir(main), "styles.xml")
	for _, r := range related {
		switch r.kind {
		case "sharedStrings":
			shared = r.target
		case "styles":
			styles = r.target
		case "worksheet", "chartsheet", "dialogsheet", "xlMacrosheet", "xlIntlMacrosheet":
			targets[r.id] = r.target
		}
	}
	err := b.walk(ctx, main, func(_ *xmlWalker, token *xmlToken) error {
		e, is := token, token.kind == xmlStart
		switch {
		case !is:
		case e.name == "workbookPr":
			b.from1904 = xmlTruth(e.attribute("date1904"))
		case e.name == "sheet" && len(b.sheets) < maxEntries:
			if part := targets[relationshipID(e)]; part != "" {
				b.sheets = append(b.sheets, workbookSheet{e.attribute("name"), part})
			}
		}
		return nil
	})
	if len(b.sheets) == 0 {
		for _, part := range b.named("xl/worksheets/sheet") {
			b.sheets = append(b.sheets, workbookSheet{strings.TrimSuffix(path.Base(part), ".xml"), part})
		}
	}
	for _, err := range []error{err, b.readStyles(ctx, styles), b.readStrings(ctx, shared)} {
		if err := b.tolerate(ctx, b.w, err); err != nil {
			return err
		}
	}
	return nil
}

func xmlTruth(s string) bool { return s == "1" || s == "true" || s == "on" }

// readStyles reads the number formats of cells.
func (b *workbook) readStyles(ctx context.Context, part string) error {
	formats := map[string]cellFormat{} // by number
	inCells := false
	err := b.walk(ctx, part, func(_ *xmlWalker, e *xmlToken) error {
		switch e.kind {
		case xmlStart:
			switch e.name {
			case "numFmt":
				if len(formats) < maxStyles {
					formats[e.attribute("numFmtId")] = parseFormat(e.attribute("formatCode"))
				}
			case "cellXfs":
				inCells = true
			case "xf":
				if inCells && len(b.styles) < maxStyles {
					b.styles = append(b.styles, namedFormat(formats, e.attribute("numFmtId")))
				}
			}
		case xmlEnd:
			inCells = inCells && e.name != "cellXfs"
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func namedFormat(own map[string]cellFormat, id string) cellFormat {
	if f, is := own[id]; is {
		return f
	}
	n, err := strconv.Atoi(id)
	if err != nil {
		return cellFormat{}
	}
	return builtinFormat(n)
}

// sharedStrings holds a workbook's strings one after the other.
type sharedStrings struct {
	bytes []byte
	ends  []uint32
}

func (s *sharedStrings) at(i int) []byte {
	if i < 0 || i >= len(s.ends) {
		return nil
	}
	begin := uint32(0)
	if i > 0 {
		begin = s.ends[i-1]
	}
	return s.bytes[begin:s.ends[i]]
}

// readStrings reads the strings that cells refer to by number. At the limit it keeps those before.
func (b *workbook) readStrings(ctx context.Context, part string) error {
	s := &b.strings
	textDepth := 0
	err := b.walk(ctx, part, func(walker *xmlWalker, token *xmlToken) error {
		switch token.kind {
		case xmlStart:
			switch token.name {
			case "rPh", "rPr", "phoneticPr":
				return walker.skip()
			case "t":
				textDepth = walker.depth
			}
		case xmlEnd:
			switch token.name {
			case "t":
				textDepth = 0
			case "si":
				s.ends = append(s.ends, uint32(len(s.bytes)))
			}
		case xmlText:
			if textDepth == walker.depth && textDepth > 0 {
				s.bytes = append(s.bytes, token.text...)
			}
		}
		const perString = 4
		if len(s.bytes)+perString*len(s.ends) > maxStrings {
			return limit("its shared strings are longer than %d MiB", maxStrings>>20)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// cells writes a sheet's rows.
func (b *workbook) cells(ctx context.Context, part string) error {
	row := cellRow{w: b.w}
	var kind string
	var style, column, inText int
	var value []byte
	return b.walk(ctx, part, func(walker *xmlWalker, token *xmlToken) error {
		switch token.kind {
		case xmlStart:
			switch token.name {
			case "row":
				row.begin()
				column = 0
			case "c":
				kind, value = "", value[:0]
				style = -1
				column++
				for name, stated, rest := nextAttribute(token.tag); name != nil; name, stated, rest = nextAttribute(rest) {
					switch string(name) {
					case "r":
						column = columnOf(stated, column)
					case "t":
						kind = cellKind(stated)
					case "s":
						style, _ = strconv.Atoi(string(stated))
					}
				}
			case "v", "t":
				inText = walker.depth
			case "f", "rPh", "rPr", "extLst", "sheetViews", "conditionalFormatting", "dataValidations", "headerFooter":
				return walker.skip()
			}
		case xmlEnd:
			switch token.name {
			case "v", "t":
				inText = 0
			case "c":
				row.add(column, b.show(kind, style, value))
			case "row":
				b.w.Line()
			}
		case xmlText:
			if inText == walker.depth && inText > 0 {
				value = append(value, token.text...)
				if len(value) > maxToken {
					return limit("a cell in it is longer than %d MiB", maxToken>>20)
				}
			}
		}
		return b.w.err
	})
}

// cellKind returns a cell's type without making a new string of it.
func cellKind(stated []byte) string {
	for _, kind := range []string{"s", "n", "str", "b", "inlineStr", "e", "d"} {
		if string(stated) == kind {
			return kind
		}
	}
	return ""
}

// show returns a cell's value as text (the types are those of ECMA-376 part 1, section 18.18.11).
func (b *workbook) show(kind string, style int, value []byte) []byte {
	switch kind {
	case "s":
		i, err := strconv.Atoi(strings.TrimSpace(string(value)))
		if err != nil {
			return nil
		}
		return unescapeCell(b.strings.at(i))
	case "inlineStr", "str":
		return unescapeCell(value)
	case "b":
		if xmlTruth(string(value)) {
			return []byte("TRUE")
		}
		if len(value) > 0 {
			return []byte("FALSE")
		}
		return nil
	case "e", "d":
		return value
	}
	if len(value) == 0 {
		return nil
	}
	var format cellFormat
	if style >= 0 && style < len(b.styles) {
		format = b.styles[style]
	}
	return []byte(format.show(string(value), b.from1904))
}

// unescapeCell replaces the _xHHHH_ in which a string holds characters that XML cannot (ECMA-376 part 1, section 22.4.2.4).
func unescapeCell(s []byte) []byte {
	if !strings.Contains(string(s), "_x") {
		return s
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '_' && i+6 < len(s) && s[i+1] == 'x' && s[i+6] == '_' {
			if n, err := strconv.ParseUint(string(s[i+2:i+6]), 16, 16); err == nil {
				out = append(out, string(rune(n))...)
				i += 6
				continue
			}
		}
		out = append(out, s[i])
	}
	return out
}

// columnOf returns the column of a reference such as "AB12", counted from 1, or what comes next when there is none.
func columnOf(reference []byte, next int) int {
	column := 0
	for i := range len(reference) {
		c := reference[i] &^ 0x20
		if c < 'A' || c > 'Z' {
			break
		}
		if column = column*26 + int(c-'A'+1); column > 1<<20 {
			return next
		}
	}
	if column == 0 {
		return next
	}
	return column
}

// cellRow writes the cells of a row that have text.
type cellRow struct {
	w    *text
	last int // the column of the cell before, counted from 1; 0 for none
}

func (r *cellRow) begin() {
	r.w.Line()
	r.last = 0
}

// border puts as many tabs before a cell as there are columns to it, or one over a gap that is wide.
func (r *cellRow) border(column int) {
	step := column - max(r.last, 1)
	if step > maxGap || step < 1 && r.last > 0 {
		step = 1
	}
	for range step {
		r.w.Cell()
	}
}

// add writes a cell that has text.
func (r *cellRow) add(column int, value []byte) {
	if blankRun(value) {
		return
	}
	r.border(column)
	r.last = max(column, r.last)
	_ = r.w.inline(value)
}

// around writes what belongs to a sheet but stands in parts of its own.
func (b *workbook) around(ctx context.Context, part string) error {
	related := b.relationships(ctx, part)
	for _, r := range related {
		if r.kind != "drawing" {
			continue
		}
		if err := b.write(ctx, b.w, r.target, false); err != nil {
			return err
		}
		if err := b.writeRelated(ctx, b.w, b.relationships(ctx, r.target), "chart", "chartEx", "diagramData"); err != nil {
			return err
		}
	}
	for _, kind := range []string{"threadedComment", "comments"} {
		for _, r := range related {
			if r.kind != kind || !b.first(r.target) {
				continue
			}
			b.w.Line()
			if err := b.tolerate(ctx, b.w, b.comments(ctx, r.target)); err != nil {
				return err
			}
		}
	}
	return nil
}

// comments writes a sheet's comments, each after its cell: "B2: the text". A comment of a thread stands in two parts; the one
// for old versions of Excel, whose author is a number after "tc=", is left out.
func (b *workbook) comments(ctx context.Context, part string) error {
	inText, inAuthor, authors := 0, false, 0
	threads := map[string]bool{}
	return b.walk(ctx, part, func(walker *xmlWalker, token *xmlToken) error {
		switch token.kind {
		case xmlStart:
			switch token.name {
			case "comment", "threadedComment":
				if threads[token.attribute("authorId")] {
					return walker.skip()
				}
				b.w.Line()
				_, _ = b.w.WriteString(token.attribute("ref") + ": ")
			case "t", "text":
				inText = walker.depth
			case "author":
				inAuthor = true
			case "rPh", "rPr":
				return walker.skip()
			}
		case xmlEnd:
			switch token.name {
			case "t", "text":
				inText = 0
			case "author":
				inAuthor = false
				authors++
			case "comment", "threadedComment":
				b.w.Line()
			}
		case xmlText:
			if inText == walker.depth && inText > 0 {
				return b.w.inline(token.text)
			}
			if inAuthor && bytes.HasPrefix(token.text, []byte("tc=")) && len(threads) < maxEntries {
				threads[strconv.Itoa(authors)] = true
			}
		}
		return b.w.err
	})
}
