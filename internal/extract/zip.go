package extract

import (
	"context"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// readZIP lists the names of the files in an archive, one a line. It does not look into them.
func readZIP(ctx context.Context, d *document, w *text) error {
	a, err := openArchive(d)
	if a == nil {
		return err
	}
	for _, f := range a.files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		name := f.Name
		if strings.HasSuffix(name, "/") {
			continue // a directory says nothing that its files do not
		}
		if !utf8.ValidString(name) {
			// APPNOTE.TXT, appendix D: a name that is not marked as UTF-8 is in code page 437.
			name, _ = charmap.CodePage437.NewDecoder().String(name)
		}
		if err := w.inline([]byte(name)); err != nil {
			return err
		}
		w.Line()
	}
	return err
}
