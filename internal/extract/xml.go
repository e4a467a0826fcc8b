package extract

import (
	"context"
)

// readXML writes the character data of an XML document. A new line begins where an element does, but not inside running
// text, such as at the <b> of "<p>a <b>bold</b> word</p>".
func readXML(ctx context.Context, d *document, w *text) error {
	walker := newXMLWalker(d.budget.reader(d.open(ctx)))
	mixed := make([]bool, maxXMLDepth+2) // by depth: the element has text of its own
	return walker.each(func(token *xmlToken) error {
		switch token.kind {
		case xmlStart:
			mixed[walker.depth] = false
			if !mixed[walker.depth-1] {
				w.Line()
			}
		case xmlEnd:
			if !mixed[walker.depth] {
				w.Line()
			}
		case xmlText:
			if !blankRun(token.text) {
				mixed[walker.depth] = true
			}
			_, _ = w.WriteString(string(token.text))
		}
		return w.err
	})
}

func blankRun(run []byte) bool {
	for _, b := range run {
		if b > ' ' {
			return false
		}
	}
	return true
}
