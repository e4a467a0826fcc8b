package extract

import (
	"archive/zip"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// fuzzPart reads documents in which one part is what the fuzzer makes of it.
func fuzzPart(f *testing.F, name string, seeds ...string) {
	f.Helper()
	kind := officeKinds()[name]
	f.Add(kind.files[kind.part])
	f.Add(kind.begin + kind.paragraph + kind.end)
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		got, err := readOffice(kind.read, packZIP(t, kind.files.with(zipParts{kind.part: content}), zip.Store))
		checkFuzzed(t, got, err)
	})
}

func checkFuzzed(t *testing.T, got string, err error) {
	t.Helper()
	if len(got) > maxText {
		t.Fatalf("%d bytes of text", len(got))
	}
	if err != nil && len(err.Error()) > 16 && err.Error()[:16] == "the reader broke" {
		t.Fatal(err)
	}
}

func FuzzDOCX(f *testing.F) {
	fuzzPart(f, "docx", `<w:tbl><w:tr><w:tc><w:tbl><w:tc/></w:tbl><w:del/><w:t>a</w:t></w:tc></w:tr></w:tbl>`, "\xff\xfe<\x00a\x00>\x00")
}

func FuzzPPTX(f *testing.F) {
	fuzzPart(f, "pptx", `<a:t><a:fld type="slidenum"/><a:tab/></a:t><a:tc/>`)
}

func FuzzXLSX(f *testing.F) {
	fuzzPart(f, "xlsx", `<row><c r="XFD1"><v>1e308</v></c><c s="-1"/><c t="b"><v>1</v></c><c t="inlineStr"><is><t>_x000D_</t></is></c></row>`)
}

func FuzzODF(f *testing.F) {
	fuzzPart(f, "ods",
		`<d><body><text><p>a<note><p>b</p><table><table-row><table-cell></note></p><p>c</p></text></body></d>`,
		`<d><body><spreadsheet><table><table-row number-rows-repeated="9"><table-cell number-columns-repeated="9"><p>x<annotation><p>y</annotation></p></table-cell></table-row></table></spreadsheet></body></d>`)
}

func FuzzNumberFormat(f *testing.F) {
	f.Add("[h]:mm;@", "1.5", false)
	f.Add(`"`, "-1e300", true)
	f.Add(`\`, "NaN", true)
	f.Fuzz(func(_ *testing.T, code, value string, from1904 bool) { _ = parseFormat(code).show(value, from1904) })
}

// FuzzXMLWalker compares what is read of documents that encoding/xml takes for well-formed.
func FuzzXMLWalker(f *testing.F) {
	for _, seed := range []string{
		`<a b='>' c:d="&quot;"><!-- <x> --><?p <?>&amp;&#65;<e/><![CDATA[<&]]></a >`,
		`<a><b x="1"	y = "2" /></a>`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		if strings.Contains(content, "<!D") || strings.Contains(content, "encoding") || strings.ContainsAny(content, "\ufeff\r\n") {
			t.Skip()
		}
		var want, got strings.Builder
		decoder := xml.NewDecoder(strings.NewReader(content))
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Skip()
			}
			switch token := token.(type) {
			case xml.StartElement:
				want.WriteString("<" + token.Name.Local)
				for _, a := range token.Attr {
					want.WriteString(" " + a.Value)
				}
			case xml.EndElement:
				want.WriteString(">")
			case xml.CharData:
				want.Write(token)
			case xml.Directive:
				t.Skip()
			}
		}
		walker := newXMLWalker(strings.NewReader(content))
		err := walker.each(func(token *xmlToken) error {
			switch token.kind {
			case xmlStart:
				got.WriteString("<" + token.name)
				for name, value, rest := nextAttribute(token.tag); name != nil; name, value, rest = nextAttribute(rest) {
					got.WriteString(" " + string(decodeEntities(nil, value)))
				}
			case xmlEnd:
				got.WriteString(">")
			case xmlText:
				got.Write(token.text)
			}
			return nil
		})
		if err != nil || got.String() != want.String() {
			t.Fatalf("%q, %v; want %q", got.String(), err, want.String())
		}
	})
}

func FuzzXML(f *testing.F) {
	f.Add([]byte(`<a><b>x</b></a>`))
	f.Add([]byte(`<?xml version="1.0" encoding="gbk"?><a>x</a>`))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := readOffice(readXML, content)
		checkFuzzed(t, got, err)
	})
}
