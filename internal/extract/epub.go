package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"strings"
)

// readEPUB reads a book in the order of its spine (EPUB 3.3, section 4 and 5).
func readEPUB(ctx context.Context, d *document, w *text) error {
	a, err := openArchive(d)
	if err != nil {
		return err
	}
	b := &book{ctx, a}
	locked, err := b.locked()
	if err != nil {
		return err
	}
	chapters, err := b.chapters()
	if err != nil {
		return err
	}
	for _, chapter := range chapters {
		if locked[partName(chapter)] {
			return errEncrypted
		}
		// A chapter that is missing or broken does not take the others with it.
		if err := a.tolerate(ctx, w, b.write(chapter, w)); err != nil {
			return err
		}
		w.Paragraph()
	}
	return a.err
}

type book struct {
	ctx context.Context
	a   *archive
}

// write writes a chapter. Its charset is UTF-8 or UTF-16 by the standard, and in some books what its declaration says.
func (b *book) write(chapter string, w *text) error {
	r, err := b.a.open(b.ctx, chapter)
	if err != nil {
		return err
	}
	defer r.Close()
	head := make([]byte, charsetSample)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("reading %s: %w", path.Base(chapter), err)
	}
	s := scan{}
	s.add(head[:n])
	decoded := s.charset(pageCharset(head[:n])).NewDecoder().Reader(io.MultiReader(bytes.NewReader(head[:n]), r))
	if err := writeHTML(b.ctx, decoded, w); err != nil {
		return fmt.Errorf("reading %s: %w", path.Base(chapter), err)
	}
	return nil
}

// elements calls visit for every element of a part, if it exists.
func (b *book) elements(part string, visit func(*xmlToken)) error {
	err := b.a.walk(b.ctx, part, func(_ *xmlWalker, token *xmlToken) error {
		if token.kind == xmlStart {
			visit(token)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// locked returns the encrypted files, by their names in lower case. Scrambled fonts are none: their key is in the book.
func (b *book) locked() (map[string]bool, error) {
	locked := map[string]bool{}
	algorithm, keyed := "", false
	err := b.elements("META-INF/encryption.xml", func(e *xmlToken) {
		switch e.name {
		case "EncryptedData":
			algorithm, keyed = "", false
		case "KeyInfo":
			keyed = true
		case "EncryptionMethod":
			if !keyed { // else it says how the key is encrypted
				algorithm = e.attribute("Algorithm")
			}
		case "CipherReference":
			switch algorithm {
			case "http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC":
				return
			}
			locked[partName(resolve("", e.attribute("URI")))] = true
		}
	})
	return locked, err
}

// chapters returns the names of the book's pages in reading order, each once.
func (b *book) chapters() ([]string, error) {
	pack := ""
	err := b.elements("META-INF/container.xml", func(e *xmlToken) {
		if e.name == "rootfile" && pack == "" {
			pack = resolve("", e.attribute("full-path"))
		}
	})
	if err != nil {
		return nil, err
	}
	if !b.a.has(pack) {
		pack = b.usual()
	}
	if pack == "" {
		return nil, errors.New("reading the book: its package document is missing")
	}
	var order []string
	pages := map[string]string{}
	err = b.elements(pack, func(e *xmlToken) {
		switch e.name {
		case "item":
			if len(pages) > maxEntries {
				return
			}
			switch e.attribute("media-type") {
			case "application/xhtml+xml", "text/html", "text/x-oeb1-document", "application/x-dtbook+xml", "application/xml", "text/xml", "":
				pages[e.attribute("id")] = resolve(path.Dir(pack), e.attribute("href"))
			}
		case "itemref":
			if len(order) < maxEntries {
				order = append(order, e.attribute("idref"))
			}
		}
	})
	if err != nil && len(order) == 0 {
		return nil, err
	}
	if b.a.err == nil {
		b.a.err = err // the chapters that were listed before the damage are read
	}
	chapters := order[:0]
	for _, id := range order {
		if page := pages[id]; page != "" && b.a.first(page) {
			chapters = append(chapters, page)
		}
	}
	return chapters, nil
}

// usual finds the package document of a book whose container does not name it.
func (b *book) usual() string {
	found := ""
	for name := range b.a.parts {
		if path.Ext(name) == ".opf" && (found == "" || name < found) {
			found = name
		}
	}
	return found
}

// resolve returns the name in the archive that a reference from a folder means, without its fragment.
func resolve(folder, reference string) string {
	reference, _, _ = strings.Cut(reference, "#")
	if plain, err := url.PathUnescape(reference); err == nil {
		reference = plain
	}
	if reference == "" {
		return ""
	}
	return strings.TrimPrefix(path.Join("/", folder, reference), "/")
}
