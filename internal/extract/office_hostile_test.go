package extract

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// buildBomb packs parts and one more, which is a beginning, a middle that repeats, and an end.
func buildBomb(t testing.TB, files zipParts, name, begin, middle string, times int, end string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	for part, content := range files {
		if part != name {
			f, err := z.Create(part)
			require.NoError(t, err)
			_, err = io.WriteString(f, content)
			require.NoError(t, err)
		}
	}
	f, err := z.Create(name)
	require.NoError(t, err)
	const block = 1 << 20
	many := max(block/len(middle), 1)
	repeated := strings.Repeat(middle, min(many, times))
	_, err = io.WriteString(f, begin)
	require.NoError(t, err)
	for left := times; left > 0; left -= many {
		_, err = io.WriteString(f, repeated[:min(left, many)*len(middle)])
		require.NoError(t, err)
	}
	_, err = io.WriteString(f, end)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return out.Bytes()
}

// officeKind is a format with a small document and the part that holds its text.
type officeKind struct {
	read                  reader
	files                 zipParts
	part                  string
	begin, paragraph, end string // of that part
}

func officeKinds() map[string]officeKind {
	return map[string]officeKind{
		"docx": {readDOCX, buildDOCX(`<w:p><w:r><w:t>word</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>cell</w:t></w:r></w:p></w:tc></w:tr></w:tbl>`, nil), "word/document.xml",
			`<w:document><w:body>`, `<w:p><w:r><w:t>word</w:t></w:r></w:p>`, `</w:body></w:document>`},
		"pptx": {readPPTX, buildPPTX(buildShape("word"), buildShape("other")), "ppt/slides/slide1.xml",
			`<p:sld><p:txBody>`, `<a:p><a:r><a:t>word</a:t></a:r></a:p>`, `</p:txBody></p:sld>`},
		"xlsx": {readXLSX, buildXLSX("", `<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" s="1"><v>45000.5</v></c></row>`).with(zipParts{
			"xl/sharedStrings.xml": `<sst><si><t>word</t></si></sst>`,
			"xl/styles.xml":        `<styleSheet><cellXfs><xf numFmtId="0"/><xf numFmtId="22"/></cellXfs></styleSheet>`,
		}), "xl/worksheets/sheet1.xml", `<worksheet><sheetData>`, `<row><c><v>1</v></c></row>`, `</sheetData></worksheet>`},
		"odt": {readODF, buildODF("text", `<text:p>word<office:annotation><text:p>note</text:p></office:annotation></text:p>`), "content.xml",
			`<d><office:body><office:text>`, `<text:p>word</text:p>`, `</office:text></office:body></d>`},
		"ods": {readODF, buildODF("spreadsheet", `<table:table table:name="S"><table:table-row table:number-rows-repeated="2"><table:table-cell office:value-type="float" office:value="1"><text:p>1</text:p></table:table-cell></table:table-row></table:table>`), "content.xml",
			`<d><office:body><office:spreadsheet><table:table>`, `<table:table-row table:number-rows-repeated="999"><table:table-cell table:number-columns-repeated="999"><text:p>x</text:p></table:table-cell></table:table-row>`, `</table:table></office:spreadsheet></office:body></d>`},
	}
}

// survives runs a reader over a file that is made to break it and checks what that may cost.
func survives(t *testing.T, read reader, content []byte) (string, error) {
	t.Helper()
	const (
		mostTime   = 20 * time.Second // all of them end within 3 seconds where nothing else keeps the machine busy
		mostMemory = 512 << 20
	)
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(mostMemory))
	ctx, cancel := context.WithTimeout(t.Context(), mostTime)
	defer cancel()
	peak := make(chan uint64)
	done := make(chan struct{})
	go func() {
		most := uint64(0)
		var stats runtime.MemStats
		for {
			runtime.ReadMemStats(&stats)
			most = max(most, stats.HeapInuse)
			select {
			case <-done:
				peak <- most
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	d := &document{ReaderAt: bytes.NewReader(content), size: int64(len(content)), budget: newBudget()}
	w := &text{}
	begin := time.Now()
	err := run(ctx, read, d, w)
	took := time.Since(begin)
	close(done)
	most := <-peak
	t.Logf("%v, %d MiB of heap, %d bytes of text, %v", took.Round(time.Millisecond), most>>20, w.out.Len(), err)
	require.NoError(t, ctx.Err(), "it takes too long")
	require.Less(t, most, uint64(mostMemory))
	require.LessOrEqual(t, w.out.Len(), maxText)
	if err != nil {
		require.NotContains(t, err.Error(), "broke down")
	}
	return w.String(), err
}

func requireLimit(t *testing.T, err error) {
	t.Helper()
	var l *limitError
	require.True(t, errors.As(err, &l), "a limit ends it, not %v", err)
}

// bomb is what is put into a part, over and over.
type bomb struct {
	begin, middle string
	times         int
	end           string
}

const bombSize = 300 << 20 // bytes, more than may be unpacked

func (k officeKind) explode(t *testing.T, b bomb) {
	t.Helper()
	_, err := survives(t, k.read, buildBomb(t, k.files, k.part, k.begin+b.begin, b.middle, b.times, b.end+k.end))
	requireLimit(t, err)
}

func TestOfficeBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("it unpacks gigabytes")
	}
	for name, kind := range officeKinds() {
		for what, b := range map[string]bomb{
			"paragraphs":    {"", kind.paragraph, bombSize / len(kind.paragraph), ""},
			"nested":        {"", `<w:p>`, 5_000_000, ""},
			"nested tables": {"", `<w:tbl><w:tr><w:tc>`, 5_000_000, ""},
			"one run":       {`<w:t>`, `a`, bombSize, `</w:t>`},
		} {
			t.Run(name+"/"+what, func(t *testing.T) { kind.explode(t, b) })
		}
		t.Run(name+"/billion laughs", func(t *testing.T) {
			laughs := `<!DOCTYPE x [<!ENTITY a "ha">`
			for c := 'b'; c < 'k'; c++ {
				laughs += `<!ENTITY ` + string(c) + ` "` + strings.Repeat("&"+string(c-1)+";", 10) + `">`
			}
			laughs += `]>` + kind.begin + strings.Replace(kind.paragraph, "word", "&j;", 1) + kind.end
			got, err := survives(t, kind.read, buildZIP(t, kind.files.with(zipParts{kind.part: laughs})))
			require.NoError(t, err)
			require.Less(t, len(got), 10_000)
		})
	}
}

// TestXMLBombs blows up what all formats share, the walker.
func TestXMLBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("it unpacks gigabytes")
	}
	for name, b := range map[string]bomb{
		"empty elements":  {"", `<p/>`, bombSize / 4, ""},
		"comments":        {"", `<!---->`, bombSize / 7, ""},
		"declarations":    {"", `<?xml version="1.0" encoding="gbk"?>`, bombSize / 36, ""},
		"entities":        {"<w:t>", `&amp;`, bombSize / 5, "</w:t>"},
		"ampersands":      {"<w:t>", `&`, bombSize, "</w:t>"},
		"one attribute":   {`<w:p a="`, `a`, bombSize, `"/>`},
		"many attributes": {`<w:p `, `a="" `, 10_000_000, `/>`},
		"bad attributes":  {`<w:fld `, `a `, 10_000_000, `/>`},
		"one comment":     {`<!--`, `a`, bombSize, `-->`},
		"one declaration": {`<!DOCTYPE x [`, `<!ENTITY a "b">`, bombSize / 15, `]>`},
		"one name":        {`<`, `a`, bombSize, `/>`},
		"many names":      {"", `<a/><b/><c/>`, bombSize / 12, ""},
		"cdata":           {`<![CDATA[`, `a`, bombSize, `]]>`},
	} {
		t.Run(name, func(t *testing.T) { officeKinds()["docx"].explode(t, b) })
	}
	t.Run("tags full of attributes", func(t *testing.T) {
		tag := `<w:fld ` + strings.Repeat(`a `, 1<<20) + `x="1"/>`
		officeKinds()["docx"].explode(t, bomb{"", tag, bombSize / len(tag), ""})
		tag = `<w:fld ` + strings.Repeat(`a="&lt;" `, 1<<18) + `/>`
		officeKinds()["docx"].explode(t, bomb{"", tag, bombSize / len(tag), ""})
	})
}

func TestSharedStringBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	book := officeKinds()["xlsx"]
	t.Run("one string a million times", func(t *testing.T) {
		files := book.files.with(zipParts{"xl/sharedStrings.xml": `<sst><si><t>` + strings.Repeat("abcdefg ", 4096) + `</t></si></sst>`})
		got, err := survives(t, readXLSX, buildBomb(t, files, book.part, `<worksheet><sheetData><row>`, `<c t="s"><v>0</v></c>`, 1_000_000, `</row></sheetData></worksheet>`))
		requireLimit(t, err)
		require.Greater(t, len(got), maxText-1000)
	})
	for name, s := range map[string]string{"long strings": `<si><t>` + strings.Repeat("abcdefg ", 4096) + `</t></si>`, "empty strings": `<si/>`} {
		t.Run(name, func(t *testing.T) {
			got, err := survives(t, readXLSX, buildBomb(t, book.files, "xl/sharedStrings.xml", `<sst>`, s, 90<<20/len(s), `</sst>`))
			requireLimit(t, err)
			require.Contains(t, got, "2023-03-15T12:00:00", "the sheet is read without the strings that were too many")
		})
	}
	t.Run("styles", func(t *testing.T) {
		_, err := survives(t, readXLSX, buildBomb(t, book.files, "xl/styles.xml", `<styleSheet><numFmts>`, `<numFmt numFmtId="200" formatCode="yyyy"/>`, 1_000_000, `</numFmts></styleSheet>`))
		require.NoError(t, err)
	})
	t.Run("a cell in the last column of many rows", func(t *testing.T) {
		got, err := survives(t, readXLSX, buildBomb(t, book.files, book.part, `<worksheet><sheetData>`, `<row><c r="XFD1048576"><v>1</v></c></row>`, 200_000, `</sheetData></worksheet>`))
		require.NoError(t, err)
		require.Less(t, len(got), 1_000_000)
	})
}

func TestListBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	t.Run("a slide that is listed a million times", func(t *testing.T) {
		files := buildPPTX(buildShape("word"))
		got, err := survives(t, readPPTX, buildBomb(t, files, "ppt/presentation.xml", `<p><sldIdLst>`, `<p:sldId id="1" r:id="r1"/>`, 1_000_000, `</sldIdLst></p>`))
		require.NoError(t, err)
		require.Equal(t, "word", got)
	})
	t.Run("a sheet that is listed a million times", func(t *testing.T) {
		files := officeKinds()["xlsx"].files
		got, err := survives(t, readXLSX, buildBomb(t, files, "xl/workbook.xml", `<workbook><sheets>`, `<sheet name="S" r:id="r1"/>`, 1_000_000, `</sheets></workbook>`))
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(got, "word"))
	})
	t.Run("a million relationships", func(t *testing.T) {
		files := buildDOCX(`<w:p><w:r><w:t>word</w:t></w:r></w:p>`, nil)
		got, err := survives(t, readDOCX, buildBomb(t, files, "word/_rels/document.xml.rels", `<Relationships>`, `<Relationship Id="x" Type="a/header" Target="document.xml"/>`, 1_000_000, `</Relationships>`))
		require.NoError(t, err)
		require.Equal(t, "word", got)
	})
}

func TestArchiveBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	many := func(n int) []byte {
		var out bytes.Buffer
		z := zip.NewWriter(&out)
		for range n {
			_, err := z.CreateRaw(&zip.FileHeader{Name: "word/document.xml"})
			require.NoError(t, err)
		}
		require.NoError(t, z.Close())
		return out.Bytes()
	}
	for name, kind := range officeKinds() {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{20_000, 60_000, 500_000} {
				_, err := survives(t, kind.read, many(n))
				requireLimit(t, err)
			}
		})
	}
	t.Run("names", func(t *testing.T) {
		got, err := survives(t, readZIP, many(20_000))
		requireLimit(t, err)
		require.Equal(t, maxEntries, strings.Count(got, "word/"), "those before the limit are listed")
		_, err = survives(t, readZIP, many(500_000))
		requireLimit(t, err)
	})
	t.Run("overlapping entries", func(t *testing.T) {
		for name, kind := range officeKinds() {
			content := overlap(t, buildBomb(t, kind.files, kind.part, kind.begin, kind.paragraph, 100_000, kind.end))
			_, err := survives(t, kind.read, content)
			t.Log(name, err)
		}
	})
}

// overlap lets all entries of an archive begin where the last one does.
func overlap(t *testing.T, content []byte) []byte {
	t.Helper()
	content = bytes.Clone(content)
	last := bytes.LastIndex(content, []byte("PK\x03\x04"))
	for i := last; ; {
		n := bytes.Index(content[i:], []byte("PK\x01\x02"))
		if n < 0 {
			return content
		}
		i += n
		binary.LittleEndian.PutUint32(content[i+42:], uint32(last))
		i += 46
	}
}

// TestDamagedOffice cuts small documents at every length, and turns bits in the archive and in each part.
func TestDamagedOffice(t *testing.T) {
	for name, kind := range officeKinds() {
		t.Run(name, func(t *testing.T) {
			whole := buildZIP(t, kind.files)
			check := func(content []byte) {
				t.Helper()
				begin := time.Now()
				_, err := readOffice(kind.read, content)
				require.Less(t, time.Since(begin), 5*time.Second)
				if err != nil {
					require.NotContains(t, err.Error(), "broke down")
				}
			}
			for n := range whole {
				if n%7 == 0 {
					_, err := readOffice(kind.read, whole[:n])
					require.Error(t, err)
				}
			}
			random := rand.New(rand.NewPCG(1, 2))
			for range 2000 {
				broken := bytes.Clone(whole)
				for range 1 + random.IntN(3) {
					broken[random.IntN(len(broken))] ^= 1 << random.IntN(8)
				}
				check(broken)
			}
			for part, content := range kind.files {
				check(buildZIP(t, kind.files.with(zipParts{part: ""})))
				check(buildZIP(t, kind.files.with(zipParts{part: content[:len(content)/2]})))
				for range 100 {
					broken := []byte(content)
					broken[random.IntN(len(broken))] ^= 1 << random.IntN(8)
					check(buildZIP(t, kind.files.with(zipParts{part: string(broken)})))
				}
				missing := kind.files.with(nil)
				delete(missing, part)
				check(buildZIP(t, missing))
			}
			for other, another := range officeKinds() {
				if other != name {
					check(buildZIP(t, another.files))
				}
			}
			check([]byte("%PDF-1.7"))
			check(nil)
		})
	}
}

func TestEncryptedPart(t *testing.T) {
	for name, kind := range officeKinds() {
		content := buildZIP(t, kind.files)
		for _, mark := range []struct {
			signature string
			flags     int
		}{{"PK\x01\x02", 8}, {"PK\x03\x04", 6}} {
			for i := 0; ; {
				n := bytes.Index(content[i:], []byte(mark.signature))
				if n < 0 {
					break
				}
				i += n
				content[i+mark.flags] |= 1
				i += 4
			}
		}
		_, err := readOffice(kind.read, content)
		require.ErrorIs(t, err, errEncrypted, name)
		got, err := readOffice(readZIP, content)
		require.NoError(t, err)
		require.Contains(t, got, kind.part)
	}
}
