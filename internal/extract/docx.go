package extract

import (
	"context"
	"fmt"
	"io/fs"
)

// readDOCX writes the text of a word processor's document (ECMA-376 part 1, section 17): headers, body, footers, notes and
// comments. Text that a tracked change took away is left out. The numbers of lists are not in the file.
func readDOCX(ctx context.Context, d *document, w *text) error {
	a, err := openArchive(d)
	if err != nil {
		return err
	}
	main := a.mainPart(ctx, "word/document.xml")
	if !a.has(main) {
		return fmt.Errorf("reading the document: its part %s: %w", main, fs.ErrNotExist)
	}
	related := a.relationships(ctx, main)
	if len(related) == 0 {
		related = a.usualWordParts()
	}
	if err := a.writeRelated(ctx, w, related, "header"); err != nil {
		return err
	}
	if err := a.write(ctx, w, main, false); err != nil {
		return err
	}
	if err := a.writeRelated(ctx, w, related,
		"chart", "chartEx", "diagramData", "footnotes", "endnotes", "comments", "footer"); err != nil {
		return err
	}
	return a.err
}

// usualWordParts stands in for a list of relationships that is missing or broken.
func (a *archive) usualWordParts() []relationship {
	var all []relationship
	for _, kind := range []string{"header", "footer", "footnotes", "endnotes", "comments"} {
		for _, name := range a.named("word/" + kind) {
			all = append(all, relationship{kind: kind, target: name})
		}
	}
	return all
}
