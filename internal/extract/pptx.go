package extract

import (
	"context"
)

// readPPTX writes the text of a presentation (ECMA-376 part 1, section 19): slide after slide in the order of the show, each
// with its charts, diagrams, notes and comments. Hidden slides are included.
func readPPTX(ctx context.Context, d *document, w *text) error {
	a, err := openArchive(d)
	if err != nil {
		return err
	}
	slides, err := a.slides(ctx, a.mainPart(ctx, "ppt/presentation.xml"))
	if err := a.tolerate(ctx, w, err); err != nil {
		return err
	}
	for _, slide := range slides {
		if !a.has(slide) {
			continue
		}
		related := a.relationships(ctx, slide)
		if err := a.write(ctx, w, slide, false); err != nil {
			return err
		}
		if err := a.writeRelated(ctx, w, related,
			"chart", "chartEx", "diagramData", "notesSlide", "comments"); err != nil {
			return err
		}
	}
	return a.err
}

// slides returns the slides' parts in order: those of the presentation's list; if there is no such list, in the order of their names.
func (a *archive) slides(ctx context.Context, main string) ([]string, error) {
	targets := map[string]string{}
	for _, r := range a.relationships(ctx, main) {
		if r.kind == "slide" {
			targets[r.id] = r.target
		}
	}
	var parts []string
	listed := map[string]bool{}
	err := a.walk(ctx, main, func(_ *xmlWalker, token *xmlToken) error {
		e, is := token, token.kind == xmlStart
		if !is || e.name != "sldId" {
			return nil
		}
		if target := targets[relationshipID(e)]; target != "" && !listed[target] {
			listed[target] = true
			parts = append(parts, target)
		}
		return nil
	})
	if len(parts) == 0 {
		parts = a.named("ppt/slides/slide")
	}
	return parts, err
}

// relationshipID returns the attribute r:id, which stands beside an id without a prefix.
func relationshipID(e *xmlToken) string {
	for name, value, rest := nextAttribute(e.tag); name != nil; name, value, rest = nextAttribute(rest) {
		if prefix, local := splitName(name); len(prefix) > 0 && string(local) == "id" {
			return string(decodeEntities(nil, value))
		}
	}
	return ""
}
