package extract

import (
	"archive/zip"
	"bytes"
	"context"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// zipParts are the files of an archive by their names.
type zipParts map[string]string

// buildZIP packs parts in the order of their names, with "mimetype" first.
func buildZIP(t testing.TB, files zipParts) []byte {
	t.Helper()
	return packZIP(t, files, zip.Deflate)
}

func packZIP(t testing.TB, files zipParts, method uint16) []byte {
	t.Helper()
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		if (names[i] == "mimetype") != (names[j] == "mimetype") {
			return names[i] == "mimetype"
		}
		return names[i] < names[j]
	})
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range names {
		f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		require.NoError(t, err)
		_, err = f.Write([]byte(files[name]))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return out.Bytes()
}

// with returns the parts with others added or put in place of those of the same name.
func (p zipParts) with(others zipParts) zipParts {
	all := zipParts{}
	for _, some := range []zipParts{p, others} {
		for name, content := range some {
			all[name] = content
		}
	}
	return all
}

// buildRelationships makes a list of relationships from pairs of type and target; the ids are r1, r2 and so on.
func buildRelationships(typesAndTargets ...string) string {
	var s strings.Builder
	s.WriteString(`<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">`)
	for i := 0; i+1 < len(typesAndTargets); i += 2 {
		s.WriteString(`<Relationship Id="r` + string(rune('1'+i/2)) + `" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/` +
			typesAndTargets[i] + `" Target="` + typesAndTargets[i+1] + `"/>`)
	}
	s.WriteString(`</Relationships>`)
	return s.String()
}

const contentTypes = `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>`

// buildDOCX makes a document of a body and further parts of word/, which get relationships.
func buildDOCX(body string, further zipParts) zipParts {
	p := zipParts{
		"[Content_Types].xml": contentTypes,
		"_rels/.rels":         buildRelationships("officeDocument", "word/document.xml"),
		"word/document.xml": `<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>` +
			body + `</w:body></w:document>`,
	}
	var related []string
	for _, kind := range []string{"header", "footer", "footnotes", "endnotes", "comments", "chart", "diagramData"} {
		if content, is := further[kind]; is {
			p["word/"+kind+".xml"] = content
			related = append(related, kind, kind+".xml")
		}
	}
	p["word/_rels/document.xml.rels"] = buildRelationships(related...)
	return p
}

// buildPPTX makes a presentation of slides, shown in the order of their parts' numbers backwards.
func buildPPTX(slides ...string) zipParts {
	p := zipParts{
		"[Content_Types].xml": contentTypes,
		"_rels/.rels":         buildRelationships("officeDocument", "ppt/presentation.xml"),
	}
	var list string
	var related []string
	for i, slide := range slides {
		n := string(rune('1' + i))
		list = `<p:sldId id="` + n + `" r:id="r` + n + `"/>` + list
		related = append(related, "slide", "slides/slide"+n+".xml")
		p["ppt/slides/slide"+n+".xml"] = `<p:sld><p:cSld><p:spTree>` + slide + `</p:spTree></p:cSld></p:sld>`
	}
	p["ppt/presentation.xml"] = `<p:presentation><p:sldIdLst>` + list + `</p:sldIdLst></p:presentation>`
	p["ppt/_rels/presentation.xml.rels"] = buildRelationships(related...)
	return p
}

// buildShape makes a shape with a paragraph for each text.
func buildShape(texts ...string) string {
	s := `<p:sp><p:txBody><a:bodyPr/>`
	for _, text := range texts {
		s += `<a:p><a:r><a:rPr lang="en"/><a:t>` + text + `</a:t></a:r></a:p>`
	}
	return s + `</p:txBody></p:sp>`
}

// buildXLSX makes a workbook of one sheet for each string of rows, named Sheet1 and so on.
func buildXLSX(workbookProperties string, sheets ...string) zipParts {
	p := zipParts{
		"[Content_Types].xml": contentTypes,
		"_rels/.rels":         buildRelationships("officeDocument", "xl/workbook.xml"),
	}
	var list string
	var related []string
	for i, rows := range sheets {
		n := string(rune('1' + i))
		list += `<sheet name="Sheet` + n + `" sheetId="` + n + `" r:id="r` + n + `"/>`
		related = append(related, "worksheet", "worksheets/sheet"+n+".xml")
		p["xl/worksheets/sheet"+n+".xml"] = `<worksheet><sheetData>` + rows + `</sheetData></worksheet>`
	}
	p["xl/workbook.xml"] = `<workbook>` + workbookProperties + `<sheets>` + list + `</sheets></workbook>`
	p["xl/_rels/workbook.xml.rels"] = buildRelationships(related...)
	return p
}

// buildODF makes an OpenDocument file of a kind (text, spreadsheet, presentation) and the inside of its body.
func buildODF(kind, body string) zipParts {
	return zipParts{
		"mimetype":              "application/vnd.oasis.opendocument." + kind,
		"META-INF/manifest.xml": `<manifest:manifest><manifest:file-entry manifest:full-path="content.xml"/></manifest:manifest>`,
		"content.xml": `<?xml version="1.0" encoding="UTF-8"?><office:document-content><office:body><office:` + kind + `>` + body +
			`</office:` + kind + `></office:body></office:document-content>`,
	}
}

// readOffice runs a reader over a file and returns its text and its error.
func readOffice(read reader, content []byte) (string, error) {
	d := &document{ReaderAt: bytes.NewReader(content), size: int64(len(content)), budget: newBudget()}
	w := &text{}
	err := run(context.Background(), read, d, w)
	return w.String(), err
}
