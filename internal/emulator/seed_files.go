package emulator

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// documentText is a seeded document's text; "marker-<i>" is in every one of them.
func documentText(i int) string {
	return fmt.Sprintf("marker-%d %s %s", i, plainParagraph(uint64(i), uint64(i)*13+1), "Grüße aus Łąkowo")
}

func documentTable(i int) string {
	var text strings.Builder
	text.WriteString("name;amount;remark\r\n")
	for row := range 5 + i%7 {
		fmt.Fprintf(&text, "\"item \"\"%d\"\"\";%d,50;marker-%d\r\n", row, row*i, i)
	}
	return text.String()
}

func longLog(i int) string {
	var text strings.Builder
	for line := range 400 {
		fmt.Fprintf(&text, "%06d marker-%d %s\n", line, i, sentences[(line+i)%len(sentences)])
	}
	return text.String()
}

func noise(n int) []byte {
	out := make([]byte, 0, n+8)
	for i := uint64(0); len(out) < n; i++ {
		out = binary.LittleEndian.AppendUint64(out, mix(i+uint64(n)))
	}
	return out[:n]
}

func utf16Text(text string) []byte {
	out := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return out
}

func onePixelPNG() []byte {
	png, err := base64.StdEncoding.DecodeString("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
	if err != nil {
		panic("emulator: " + err.Error())
	}
	return png
}

type zipEntry struct{ name, content string }

// zipOf packs entries with no dates, so that the same entries are the same bytes.
func zipOf(entries ...zipEntry) []byte {
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for _, entry := range entries {
		// Writing to memory does not fail.
		w, _ := archive.CreateHeader(&zip.FileHeader{Name: entry.name, Method: zip.Deflate})
		_, _ = w.Write([]byte(entry.content))
	}
	_ = archive.Close()
	return out.Bytes()
}

func xmlEscape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

const xmlHead = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>`

func packageFiles(part, partType, contentType string) []zipEntry {
	return []zipEntry{
		{"[Content_Types].xml", xmlHead + `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/` + part + `" ContentType="` + contentType + `"/></Types>`},
		{"_rels/.rels", xmlHead + `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/` + partType + `" Target="` + part + `"/></Relationships>`},
	}
}

func buildDOCX(text string) []byte {
	entries := packageFiles("word/document.xml", "officeDocument", "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml")
	return zipOf(append(entries, zipEntry{"word/document.xml", xmlHead +
		`<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>` + xmlEscape(text) +
		`</w:t></w:r></w:p><w:p><w:r><w:t>Second paragraph.</w:t></w:r></w:p></w:body></w:document>`})...)
}

func buildXLSX(i int) []byte {
	entries := packageFiles("xl/workbook.xml", "officeDocument", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml")
	entries[0].content = strings.Replace(entries[0].content, "</Types>", `<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>`, 1)
	return zipOf(append(entries,
		zipEntry{"xl/workbook.xml", xmlHead + `<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Figures" sheetId="1" r:id="rId1"/></sheets></workbook>`},
		zipEntry{"xl/_rels/workbook.xml.rels", xmlHead + `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`},
		zipEntry{"xl/worksheets/sheet1.xml", xmlHead + fmt.Sprintf(`<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>marker-%d</t></is></c><c r="B1"><v>%d.5</v></c></row></sheetData></worksheet>`, i, i)},
	)...)
}

// buildPDF makes a one-page document in WinAnsi; what that cannot write becomes a question mark.
func buildPDF(text string) []byte {
	var latin []byte
	for _, r := range text {
		switch {
		case r == '(' || r == ')' || r == '\\':
			latin = append(latin, '\\', byte(r))
		case r < 0x80 || r >= 0xa0 && r <= 0xff:
			latin = append(latin, byte(r))
		default:
			latin = append(latin, '?')
		}
	}
	stream := "BT /F1 12 Tf 40 780 Td 14 TL (" + string(latin) + ") Tj ET"
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(stream), stream),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
	}
	var out bytes.Buffer
	out.WriteString("%PDF-1.4\n")
	offsets := make([]int, len(objects))
	for i, object := range objects {
		offsets[i] = out.Len()
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	xref := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return out.Bytes()
}
