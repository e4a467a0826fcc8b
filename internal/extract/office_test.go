package extract

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

func joinLines(l ...string) string { return strings.Join(l, "\n") }

func TestDOCX(t *testing.T) {
	for name, test := range map[string]struct {
		body    string
		further zipParts
		want    string
	}{
		"paragraphs, tabs and breaks": {
			body: `<w:p><w:pPr><w:tabs><w:tab w:val="left"/></w:tabs></w:pPr><w:r><w:t xml:space="preserve">One </w:t></w:r><w:r><w:t>word</w:t><w:tab/><w:t>5</w:t></w:r></w:p>
				<w:p/><w:p><w:r><w:t>a</w:t><w:br/><w:t>b</w:t><w:noBreakHyphen/><w:t>c</w:t></w:r></w:p>`,
			want: joinLines("One word\t5", "", "a", "b-c"),
		},
		"a table with merged cells and several paragraphs in one": {
			body: `<w:p><w:r><w:t>before</w:t></w:r></w:p><w:tbl>
				<w:tr><w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr><w:p><w:r><w:t>wide</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>C1</w:t></w:r></w:p></w:tc></w:tr>
				<w:tr><w:tc><w:p><w:r><w:t>A2</w:t></w:r></w:p><w:p><w:r><w:t>more</w:t></w:r></w:p></w:tc><w:tc><w:p/></w:tc><w:tc><w:p><w:r><w:t>C2</w:t></w:r></w:p></w:tc></w:tr>
				<w:tr><w:tc><w:p/></w:tc><w:tc><w:p><w:r><w:t>B3</w:t></w:r></w:p></w:tc><w:tc><w:p/></w:tc></w:tr></w:tbl>
				<w:p><w:r><w:t>after</w:t></w:r></w:p>`,
			want: joinLines("before", "", "wide\tC1", "A2 more\t\tC2", "\tB3", "", "after"),
		},
		"a cell that holds a page keeps its lines": {
			body: `<w:tbl><w:tr><w:tc><w:p><w:r><w:t>` + strings.Repeat("x", 500) + `</w:t></w:r></w:p><w:p><w:r><w:t>next</w:t></w:r></w:p></w:tc></w:tr></w:tbl>`,
			want: joinLines(strings.Repeat("x", 500), "next"),
		},
		"tracked changes": {
			body: `<w:p><w:r><w:t>The </w:t></w:r><w:del><w:r><w:delText>old</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins>
				<w:moveFrom><w:r><w:t>gone</w:t></w:r></w:moveFrom><w:moveTo><w:r><w:t xml:space="preserve"> here</w:t></w:r></w:moveTo></w:p>`,
			want: "The new here",
		},
		"a text box counts once, a field shows its result": {
			body: `<w:p><w:r><w:t>a</w:t></w:r><mc:AlternateContent><mc:Choice><w:txbxContent><w:p><w:r><w:t>box</w:t></w:r></w:p></w:txbxContent></mc:Choice>
				<mc:Fallback><w:txbxContent><w:p><w:r><w:t>box</w:t></w:r></w:p></w:txbxContent></mc:Fallback></mc:AlternateContent>
				<w:r><w:instrText>PAGE \* MERGEFORMAT</w:instrText></w:r><w:r><w:t>7</w:t></w:r></w:p>`,
			want: joinLines("a", "box", "7"),
		},
		"headers, footers, notes and comments": {
			body: `<w:p><w:r><w:t>body</w:t></w:r></w:p>`,
			further: zipParts{
				"header":    `<w:hdr><w:p><w:r><w:t>head</w:t></w:r></w:p></w:hdr>`,
				"footer":    `<w:ftr><w:p><w:r><w:t>foot</w:t></w:r></w:p></w:ftr>`,
				"footnotes": `<w:footnotes><w:footnote w:type="separator"><w:p><w:r><w:t>line</w:t></w:r></w:p></w:footnote><w:footnote w:id="2"><w:p><w:r><w:t>note</w:t></w:r></w:p></w:footnote></w:footnotes>`,
				"endnotes":  `<w:endnotes><w:endnote w:id="2"><w:p><w:r><w:t>end</w:t></w:r></w:p></w:endnote></w:endnotes>`,
				"comments":  `<w:comments><w:comment w:author="Ann Li"><w:p><w:r><w:t>why?</w:t></w:r></w:p></w:comment></w:comments>`,
			},
			want: joinLines("head", "", "body", "", "note", "", "end", "", "Ann Li: why?", "", "foot"),
		},
		"a chart and a diagram": {
			body: `<w:p><w:r><w:t>see</w:t></w:r></w:p>`,
			further: zipParts{
				"chart": `<c:chartSpace><c:chart><c:title><c:tx><c:rich><a:p><a:r><a:t>Sales</a:t></a:r></a:p></c:rich></c:tx></c:title><c:plotArea>
					<c:ser><c:tx><c:strRef><c:f>Sheet1!B1</c:f><c:strCache><c:pt><c:v>North</c:v></c:pt></c:strCache></c:strRef></c:tx>
					<c:cat><c:strRef><c:strCache><c:pt><c:v>Q1</c:v></c:pt><c:pt><c:v>Q2</c:v></c:pt></c:strCache></c:strRef></c:cat>
					<c:val><c:numRef><c:numCache><c:formatCode>General</c:formatCode><c:pt><c:v>4.5</c:v></c:pt><c:pt><c:v>6</c:v></c:pt></c:numCache></c:numRef></c:val></c:ser></c:plotArea></c:chart></c:chartSpace>`,
				"diagramData": `<dgm:dataModel><dgm:ptLst><dgm:pt><dgm:t><a:bodyPr/><a:p><a:r><a:t>Plan</a:t></a:r></a:p></dgm:t></dgm:pt><dgm:pt><dgm:t><a:p><a:r><a:t>Do</a:t></a:r></a:p></dgm:t></dgm:pt></dgm:ptLst></dgm:dataModel>`,
			},
			want: joinLines("see", "", "Sales", "North", "Q1\tQ2", "4.5\t6", "", "Plan", "Do"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readOffice(readDOCX, buildZIP(t, buildDOCX(test.body, test.further)))
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestDOCXFindsItsParts(t *testing.T) {
	paragraph := `<document><body><p><r><t>found</t></r></p></body></document>`
	for name, files := range map[string]zipParts{
		"another name":                 {"_rels/.rels": buildRelationships("officeDocument", "/word/document2.xml"), "word/document2.xml": paragraph},
		"no relationships":             {"word/document.xml": paragraph},
		"broken relationships":         {"_rels/.rels": "<Relationships><Rel", "word/document.xml": paragraph},
		"another case and backslashes": {`_rels\.rels`: buildRelationships("officeDocument", "word/document.xml"), `Word\Document.XML`: paragraph},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readOffice(readDOCX, buildZIP(t, files))
			require.NoError(t, err)
			require.Equal(t, "found", got)
		})
	}
	t.Run("headers without relationships", func(t *testing.T) {
		got, err := readOffice(readDOCX, buildZIP(t, zipParts{"word/document.xml": paragraph, "word/header1.xml": `<hdr><p><r><t>head</t></r></p></hdr>`}))
		require.NoError(t, err)
		require.Equal(t, joinLines("head", "", "found"), got)
	})
	t.Run("a broken part does not hide the others", func(t *testing.T) {
		files := buildDOCX(`<w:p><w:r><w:t>body</w:t></w:r></w:p>`, zipParts{"header": `<w:hdr><w:p><w:r><w:t>head</w:t></`})
		got, err := readOffice(readDOCX, buildZIP(t, files))
		require.ErrorContains(t, err, "reading header.xml")
		require.Equal(t, joinLines("head", "", "body"), got)
	})
}

func TestPPTX(t *testing.T) {
	files := buildPPTX(
		buildShape("Second in the show"),
		buildShape("Title", "Point")+`<p:graphicFrame><a:tbl><a:tr><a:tc><a:txBody><a:p><a:r><a:t>A1</a:t></a:r></a:p></a:txBody></a:tc><a:tc><a:txBody><a:p><a:r><a:t>B1</a:t></a:r></a:p></a:txBody></a:tc></a:tr>
			<a:tr><a:tc><a:txBody><a:p/></a:txBody></a:tc><a:tc><a:txBody><a:p><a:r><a:t>B2</a:t></a:r></a:p></a:txBody></a:tc></a:tr></a:tbl></p:graphicFrame>`,
	).with(zipParts{
		"ppt/slides/_rels/slide2.xml.rels": buildRelationships("notesSlide", "../notesSlides/n.xml", "chart", "../charts/c.xml", "comments", "../comments/c.xml"),
		"ppt/notesSlides/n.xml":            `<p:notes>` + buildShape("Say hello") + `<p:sp><p:txBody><a:p><a:fld type="slidenum"><a:t>2</a:t></a:fld></a:p></p:txBody></p:sp></p:notes>`,
		"ppt/charts/c.xml":                 `<c:chartSpace><c:ser><c:cat><c:pt><c:v>Jan</c:v></c:pt></c:cat><c:val><c:pt><c:v>3</c:v></c:pt></c:val></c:ser></c:chartSpace>`,
		"ppt/comments/c.xml":               `<p:cmLst><p:cm authorId="0"><p:text>nice one</p:text></p:cm></p:cmLst>`,
	})
	got, err := readOffice(readPPTX, buildZIP(t, files))
	require.NoError(t, err)
	require.Equal(t, joinLines("Title", "Point", "", "A1\tB1", "\tB2", "", "Jan", "3", "", "Say hello", "", "nice one", "", "Second in the show"), got)

	delete(files, "ppt/presentation.xml")
	got, err = readOffice(readPPTX, buildZIP(t, files))
	require.Error(t, err, "the list of slides is missing")
	require.True(t, strings.HasPrefix(got, "Second in the show\n\nTitle"), "the slides are there, in the order of their names")
}

func TestXLSX(t *testing.T) {
	files := buildXLSX(`<workbookPr/>`,
		`<row r="1"><c r="A1" t="s"><v>0</v></c><c r="C1" t="inlineStr"><is><r><t>rich </t></r><r><t>text</t></r><rPh><t>no</t></rPh></is></c></row>
		<row r="2"/>
		<row r="3"><c r="B3" t="b"><v>1</v></c><c r="C3" t="b"><v>0</v></c><c r="D3" t="e"><v>#DIV/0!</v></c><c r="E3" t="str"><f>A1&amp;"x"</f><v>x</v></c></row>
		<row r="4"><c><v>1</v></c><c><v>0.30000000000000004</v></c><c><v>1.5E3</v></c><c><v>-7</v></c></row>
		<row r="5"><c r="A5" t="s"><v>1</v></c><c r="XFD5"><v>2</v></c></row>
		<row r="6"><c r="A6" t="s"><v>99</v></c><c r="B6" t="s"><v>x</v></c></row>`,
		`<row><c s="1"><v>45292</v></c><c s="2"><v>45292.5</v></c><c s="3"><v>0.75</v></c><c s="4"><v>1.5</v></c><c s="5"><v>0.25</v></c><c s="1"><v>60</v></c><c s="1"><v>59</v></c><c s="1"><v>61</v></c><c s="1"><v>-1</v></c><c t="d"><v>2020-02-02</v></c></row>`,
		`<row><c r="B1"><v>hidden</v></c></row>`,
	).with(zipParts{
		"xl/sharedStrings.xml": `<sst><si><t>shared</t></si><si><t xml:space="preserve">two
lines_x000D_</t></si></sst>`,
		"xl/styles.xml": `<styleSheet><numFmts><numFmt numFmtId="164" formatCode="[$-409]d\-mmm\-yyyy\ h:mm;@"/><numFmt numFmtId="165" formatCode="[h]:mm"/><numFmt numFmtId="166" formatCode="0.00&quot; days&quot;"/></numFmts>
			<cellStyleXfs><xf numFmtId="22"/></cellStyleXfs>
			<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="20"/><xf numFmtId="165"/><xf numFmtId="166"/></cellXfs></styleSheet>`,
		"xl/worksheets/_rels/sheet1.xml.rels": buildRelationships("comments", "../comments1.xml", "drawing", "../drawings/drawing1.xml", "threadedComment", "../threaded.xml"),
		"xl/comments1.xml": `<comments><authors><author>Bo</author><author>tc={1}</author></authors><commentList>
			<comment ref="B3" authorId="0"><text><r><rPr/><t>check</t></r></text></comment><comment ref="C3" authorId="1"><text><t>[Threaded comment] old</t></text></comment></commentList></comments>`,
		"xl/threaded.xml":          `<ThreadedComments><threadedComment ref="C3"><text>new</text></threadedComment></ThreadedComments>`,
		"xl/drawings/drawing1.xml": `<xdr:wsDr><xdr:sp><xdr:txBody><a:p><a:r><a:t>box</a:t></a:r></a:p></xdr:txBody></xdr:sp></xdr:wsDr>`,
	})
	files["xl/workbook.xml"] = strings.Replace(files["xl/workbook.xml"], `name="Sheet3"`, `name="Secret &amp; more" state="veryHidden"`, 1)
	got, err := readOffice(readXLSX, buildZIP(t, files))
	require.NoError(t, err)
	require.Equal(t, joinLines(
		"Sheet1",
		"shared\t\trich text",
		"\tTRUE\tFALSE\t#DIV/0!\tx",
		"1\t0.3\t1500\t-7",
		"two lines\t2",
		"",
		"box",
		"C3: new",
		"B3: check",
		"",
		"Sheet2",
		"2024-01-01\t2024-01-01T12:00:00\t18:00:00\t36:00:00\t0.25\t1900-02-29\t1900-02-28\t1900-03-01\t-1\t2020-02-02",
		"",
		"Secret & more",
		"\thidden",
	), got)

	t.Run("dates from 1904", func(t *testing.T) {
		files := buildXLSX(`<workbookPr date1904="1"/>`, `<row><c s="0"><v>0</v></c><c s="0"><v>43830</v></c></row>`).with(zipParts{
			"xl/styles.xml": `<styleSheet><cellXfs><xf numFmtId="14"/></cellXfs></styleSheet>`,
		})
		got, err := readOffice(readXLSX, buildZIP(t, files))
		require.NoError(t, err)
		require.Equal(t, joinLines("Sheet1", "1904-01-01\t2024-01-01"), got)
	})
	t.Run("the binary kind is not read", func(t *testing.T) {
		_, err := readOffice(readXLSX, buildZIP(t, zipParts{"_rels/.rels": buildRelationships("officeDocument", "xl/workbook.bin"), "xl/workbook.bin": "x"}))
		require.ErrorIs(t, err, errUnsupported)
	})
}

func TestNumberFormats(t *testing.T) {
	for code, want := range map[string]string{
		"General":                "45292.52",
		"0.00E+00":               "45292.52",
		`#,##0.00\ "d"`:          "45292.52",
		"[Red]0;[Blue]-0":        "45292.52",
		"yyyy-mm-dd":             "2024-01-01",
		"mmm":                    "2024-01-01",
		"[$-F800]dddd, mmmm dd":  "2024-01-01",
		"h:mm AM/PM":             "12:28:48",
		"mm:ss.0":                "12:28:48",
		"dd/mm/yy hh:mm":         "2024-01-01T12:28:48",
		"[mm]:ss":                "1087020:28:48",
		`0.0%;[Red]-0.0%`:        "4529252%",
		`0"%"`:                   "45292.52",
		`"yes"0`:                 "45292.52",
		`0_d`:                    "45292.52",
		`0;yyyy`:                 "45292.52",
		`[`:                      "45292.52",
		`"`:                      "45292.52",
		`\`:                      "45292.52",
		`[$-411]ggge"年"m"月"d"日"`: "2024-01-01",
	} {
		require.Equal(t, want, parseFormat(code).show("45292.52", false), code)
	}
	require.Equal(t, "2024-01-02T00:00:00", cellFormat{date: true, time: true}.show("45292.999999999", false))
	require.Equal(t, "00:00:01.500", cellFormat{time: true, fraction: true}.show("0.0000173611111", false))
	require.Equal(t, "1", cellFormat{}.show("1.0", false))
	require.Equal(t, "NaN", cellFormat{}.show("NaN", false))
	require.Equal(t, "1E+300", cellFormat{date: true}.show("1e300", false))
	require.Equal(t, "123456789012346000", cellFormat{}.show("123456789012345678", false))
}

func TestODT(t *testing.T) {
	files := buildODF("text", `<text:tracked-changes><text:changed-region><text:deletion><text:p>deleted</text:p></text:deletion></text:changed-region></text:tracked-changes>
		<text:h>Title</text:h><text:p>One<text:s text:c="1000000000"/>word<text:tab/>x<text:line-break/>next<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>foot</text:p></text:note-body></text:note> end<office:annotation><dc:creator>Ann</dc:creator><dc:date>2020-01-01</dc:date><text:p>why?</text:p></office:annotation>.</text:p>
		<text:list><text:list-item><text:p>item</text:p></text:list-item></text:list>
		<text:p>a<draw:frame><draw:text-box><text:p>box</text:p></draw:text-box><svg:title>picture</svg:title></draw:frame></text:p>
		<table:table><table:table-row><table:table-cell table:number-columns-spanned="2"><text:p>wide</text:p></table:table-cell><table:covered-table-cell/><table:table-cell><text:p>C1</text:p><text:p>more</text:p></table:table-cell></table:table-row>
		<table:table-row><table:table-cell/><table:table-cell><text:p>B2</text:p></table:table-cell></table:table-row></table:table>`).with(zipParts{
		"styles.xml": `<office:document-styles><office:styles><text:p>no</text:p></office:styles><office:master-styles><style:master-page><style:header><text:p>head</text:p></style:header><style:footer><text:p>foot <text:page-number>1</text:page-number></text:p></style:footer></style:master-page></office:master-styles></office:document-styles>`,
	})
	got, err := readOffice(readODF, buildZIP(t, files))
	require.NoError(t, err)
	require.Equal(t, joinLines("Title", "One word\tx", "next end.", "item", "a", "box", "", "wide\t\tC1 more", "\tB2", "", "foot", "Ann: why?", "", "head", "", "foot 1"), got)
}

func TestODS(t *testing.T) {
	files := buildODF("spreadsheet", `<table:content-validations><table:content-validation><table:help-message><text:p>help</text:p></table:help-message></table:content-validation></table:content-validations>
		<table:table table:name="First">
		<table:table-row><table:table-cell office:value-type="string"><text:p>a</text:p><text:p>b</text:p><office:annotation><dc:creator>Bo</dc:creator><text:p>check</text:p></office:annotation></table:table-cell>
		<table:table-cell table:number-columns-repeated="2"/><table:table-cell office:value-type="float" office:value="0.30000000000000004"><text:p>0.30</text:p></table:table-cell>
		<table:table-cell office:value-type="date" office:date-value="2024-01-01T00:00:00"><text:p>01/01/24</text:p></table:table-cell>
		<table:table-cell office:value-type="time" office:time-value="PT08H30M00S"><text:p>8:30</text:p></table:table-cell>
		<table:table-cell office:value-type="boolean" office:boolean-value="true"><text:p>WAHR</text:p></table:table-cell>
		<table:table-cell office:value-type="percentage" office:value="0.5"><text:p>50%</text:p></table:table-cell><table:table-cell table:number-columns-repeated="16000"/></table:table-row>
		<table:table-row table:number-rows-repeated="2"><table:table-cell/><table:table-cell office:value-type="string" table:number-columns-repeated="3"><text:p>x</text:p></table:table-cell></table:table-row>
		<table:table-row table:number-rows-repeated="1048576"><table:table-cell table:number-columns-repeated="1024"/></table:table-row>
		<table:table-row><table:table-cell table:number-columns-repeated="900"/><table:table-cell office:value-type="string"><text:p>far</text:p></table:table-cell></table:table-row>
		</table:table>
		<table:table table:name="Second" table:style-name="hidden"><table:table-row table:number-rows-repeated="1000000000000"><table:table-cell office:value-type="string" table:number-columns-repeated="999999"><text:p>y</text:p></table:table-cell></table:table-row></table:table>`)
	got, err := readOffice(readODF, buildZIP(t, files))
	require.NoError(t, err)
	row := strings.TrimSuffix(strings.Repeat("y\t", 16), "\t")
	require.Equal(t, joinLines("First", "a b\t\t\t0.3\t2024-01-01\t08:30:00\tTRUE\t50%", "\tx\tx\tx", "\tx\tx\tx", "\tfar", "", "Bo: check", "", "Second",
		strings.TrimSuffix(strings.Repeat(row+"\n", 16), "\n")), got)
}

func TestODP(t *testing.T) {
	files := buildODF("presentation", `<presentation:footer-decl>no</presentation:footer-decl>
		<draw:page draw:name="p1"><draw:frame><draw:text-box><text:p>Title</text:p></draw:text-box></draw:frame><draw:custom-shape><text:p>shape</text:p></draw:custom-shape>
		<presentation:notes><draw:frame><draw:text-box><text:p>say</text:p><text:p><text:page-number>&lt;number&gt;</text:page-number></text:p></draw:text-box></draw:frame></presentation:notes></draw:page>
		<draw:page><draw:frame><table:table><table:table-row><table:table-cell><text:p>A</text:p></table:table-cell><table:table-cell><text:p>B</text:p></table:table-cell></table:table-row></table:table></draw:frame></draw:page>`)
	got, err := readOffice(readODF, buildZIP(t, files))
	require.NoError(t, err)
	require.Equal(t, joinLines("Title", "shape", "say", "", "A\tB"), got)
}

func TestODFEncrypted(t *testing.T) {
	files := buildODF("text", "").with(zipParts{"META-INF/manifest.xml": `<manifest><file-entry full-path="content.xml"><encryption-data/></file-entry></manifest>`})
	_, err := readOffice(readODF, buildZIP(t, files))
	require.Equal(t, errEncrypted, err)
}

func TestXML(t *testing.T) {
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(`<?xml version="1.0" encoding="UTF-16"?><a>Grüße 日本</a>`)
	require.NoError(t, err)
	bare, err := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewEncoder().String(`<a>Grüße</a>`)
	require.NoError(t, err)
	latin, err := charmap.Windows1252.NewEncoder().String(`<?xml version="1.0" encoding="windows-1252"?><a>Grüße – €</a>`)
	require.NoError(t, err)
	for name, test := range map[string][2]string{
		"records":       {`<unload><incident><number>INC1</number><short_description>It is &lt;slow&gt;</short_description></incident></unload>`, "INC1\nIt is <slow>"},
		"running text":  {`<p>a <b>bold</b> word<br/> here</p>`, "a bold word here"},
		"cdata":         {`<a><![CDATA[x < y]]></a>`, "x < y"},
		"entities":      {`<!DOCTYPE a [<!ENTITY e "x">]><a>&nbsp;&eacute;&unknown;</a>`, "é&unknown;"},
		"utf-8 mark":    {"\ufeff<a>x</a>", "x"},
		"utf-16":        {utf16, "Grüße 日本"},
		"utf-16 bare":   {bare, "Grüße"},
		"windows-1252":  {latin, "Grüße – €"},
		"claims utf-16": {`<?xml version="1.0" encoding="UTF-16"?><a>x</a>`, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readOffice(readXML, []byte(test[0]))
			require.NoError(t, err)
			require.Equal(t, test[1], got)
		})
	}
	got, err := readOffice(readXML, []byte(`<a><b>kept</b><c>`))
	require.Error(t, err)
	require.Equal(t, "kept", got)
}

func TestZIP(t *testing.T) {
	got, err := readOffice(readZIP, buildZIP(t, zipParts{"a.txt": "secret", "dir/": "", "dir/b c.log": "", "dir/\x81.txt": ""}))
	require.NoError(t, err)
	require.Equal(t, joinLines("a.txt", "dir/b c.log", "dir/ü.txt"), got)
}

func TestZIPKind(t *testing.T) {
	for kind, files := range map[string]zipParts{
		"docx": buildDOCX("", nil),
		"pptx": buildPPTX("x"),
		"xlsx": buildXLSX("", "").with(zipParts{"xl/embeddings/a.bin": ""}),
		"xlsb": {"[Content_Types].xml": contentTypes, "xl/workbook.bin": "x"},
		"odt":  buildODF("text", ""),
		"ods":  {"META-INF/manifest.xml": "", "content.xml": buildODF("spreadsheet", "")["content.xml"]},
		"odp":  buildODF("presentation-template", ""),
		"epub": {"mimetype": "application/epub+zip", "META-INF/container.xml": "<container/>"},
		"zip":  {"word/notes.txt": "x", "content.xml": "x"},
	} {
		content := buildZIP(t, files)
		require.Equal(t, kind, zipKind(&document{ReaderAt: bytes.NewReader(content), size: int64(len(content))}), kind)
		half := content[:len(content)/2]
		require.Empty(t, zipKind(&document{ReaderAt: bytes.NewReader(half), size: int64(len(half))}))
	}
	renamed := buildDOCX("", nil)
	renamed["[Content_Types].xml"] = `<Types><Override PartName="/main.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>`
	renamed["main.xml"] = renamed["word/document.xml"]
	renamed["_rels/.rels"] = buildRelationships("officeDocument", "main.xml")
	delete(renamed, "word/document.xml")
	content := buildZIP(t, renamed)
	require.Equal(t, "docx", zipKind(&document{ReaderAt: bytes.NewReader(content), size: int64(len(content))}))
}
