package extract

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"
)

func TestDetect(t *testing.T) {
	const (
		docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
		xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
		mail = "From: a@example.com\r\nTo: b@example.com\r\nSubject: hi\r\n\r\ntext"
		page = "<!DOCTYPE html><html><body>x</body></html>"
	)
	word := string(zipped(t, "[Content_Types].xml", "<Types/>", "word/document.xml", "<document/>"))
	png := "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
	binary := strings.Repeat("\x00\x01\x02\x03\xff\xfe\xfd\x80", 100)
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder().String("plain text of two bytes each")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		content, named, stated string
		want                   string
		reads                  bool
	}{
		"pdf":                          {"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "a.pdf", "", "application/pdf", true},
		"pdf by another name":          {"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "a.docx", docx, "application/pdf", true},
		"pdf behind rubbish":           {"rubbish\x00\x01" + strings.Repeat(" ", 900) + "%PDF-1.4\n", "", "", "application/pdf", true},
		"pdf named too far behind":     {strings.Repeat(" x", 600) + "%PDF-1.4\n", "", "", "text/plain", true},
		"a text about pdf":             {"The header is %PDF-1.7, as you know.", "a.md", "", "text/markdown", true},
		"docx":                         {word, "a.docx", docx, docx, true},
		"docx as txt":                  {word, "a.txt", "text/plain", docx, true},
		"docx without a name":          {word, "", "", docx, true},
		"docx, cut":                    {word[:len(word)/2], "a.docx", "", docx, true},
		"docx, cut, by its type":       {word[:len(word)/2], "a", docx, docx, true},
		"zip, cut":                     {word[:len(word)/2], "a.bin", "", "application/zip", true},
		"zip":                          {string(zipped(t, "a.txt", "a")), "a.zip", "", "application/zip", true},
		"zip named docx":               {string(zipped(t, "a.txt", "a")), "a.docx", "", "application/zip", true},
		"epub":                         {string(sampleBook(t)), "a", "", "application/epub+zip", true},
		"ole that is nothing":          {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a", "", "application/x-ole-storage", false},
		"ole named doc":                {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.DOC", "", "application/msword", false},
		"ole named msg":                {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.msg", "", "application/vnd.ms-outlook", true},
		"rtf":                          {`{\rtf1 x}`, "a.doc", "application/msword", "application/rtf", true},
		"rtf with a mark":              {"\xef\xbb\xbf\r\n" + `{\rtf1 x}`, "a.txt", "", "application/rtf", true},
		"html as xls":                  {page, "report.xls", "application/vnd.ms-excel", "text/html", true},
		"html as txt":                  {"\r\n" + page, "a.txt", "text/plain", "text/html", true},
		"html as md":                   {page, "a.md", "", "text/markdown", true},
		"html as log":                  {page, "a.log", "", "text/plain", true},
		"html without a name":          {page, "", "", "text/html", true},
		"html, a part":                 {"<p>part</p>", "a.html", "", "text/html", true},
		"html by its type":             {"part", "", "text/html; charset=utf-8", "text/html", true},
		"xhtml as xml":                 {`<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>`, "a.xml", "", "text/html", true},
		"xml":                          {`<?xml version="1.0"?><a/>`, "", "", "application/xml", true},
		"xml by its name":              {`<a/>`, "a.bpmn", "", "application/xml", true},
		"svg":                          {`<svg xmlns="http://www.w3.org/2000/svg"/>`, "a.svg", "image/svg+xml", "image/svg+xml", true},
		"mail":                         {mail, "", "", "message/rfc822", true},
		"mail named eml":               {"X-Odd: 1\n\ntext", "a.eml", "", "message/rfc822", true},
		"mail named doc":               {"MIME-Version: 1.0\nContent-Type: multipart/related\n\n", "a.doc", "application/msword", "message/rfc822", true},
		"mail of a mailbox":            {"From a@example.com Mon Jan 1 00:00:00 2024\n" + mail, "", "text/plain", "message/rfc822", true},
		"mailbox":                      {"From a@example.com Mon Jan 1 00:00:00 2024\n" + mail, "a.mbox", "", "application/mbox", true},
		"mail saved as txt":            {mail, "a.txt", "", "text/plain", true},
		"a text with colons":           {"Note: one\nDate: two words\n\nx", "", "", "text/plain", true},
		"json":                         {`{"a": 1}`, "", "", "application/json", true},
		"json named log":               {`{"a": 1}`, "a.log", "", "text/plain", true},
		"csv":                          {"a,b\n1,2\n", "a.csv", "text/plain", "text/csv", true},
		"csv by its type":              {"a b", "a.dat", "text/csv", "text/csv", true},
		"text":                         {"words", "README", "", "text/plain", true},
		"text that lies":               {"words", "a.docx", docx, "text/plain", true},
		"text in utf-16":               {utf16, "README", "", "text/plain", true},
		"text that begins like a bmp":  {"BM is a word, and MZ too", "a.txt", "", "text/plain", true},
		"text that begins like an exe": {"MZ is a word", "notes.txt", "", "text/plain", true},
		"picture":                      {png, "a.png", "image/png", "image/png", false},
		"picture as docx":              {png, "a.docx", docx, "image/png", false},
		"sound":                        {"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00", "a.mp3", "audio/mpeg", "audio/wav", false},
		"film":                         {"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "a.mp4", "", "video/mp4", false},
		"program":                      {"MZ" + binary, "a.exe", "", "application/vnd.microsoft.portable-executable", false},
		"program as pdf":               {"MZ" + binary, "a.pdf", "", "application/vnd.microsoft.portable-executable", false},
		"gzip":                         {"\x1f\x8b\x08\x00" + binary, "a.txt.gz", "", "application/gzip", false},
		"rar":                          {"Rar!\x1a\x07\x00" + binary, "a.zip", "", "application/vnd.rar", false},
		"bytes of nothing":             {binary, "a.dat", "", "application/octet-stream", false},
		"bytes named txt":              {binary, "a.txt", "text/plain", "application/octet-stream", false},
		"bytes named docx":             {binary, "a.docx", "", docx, true},
		"bytes of a stated type":       {binary, "a", xlsx, xlsx, true},
		"bytes of a stated text":       {binary, "a", "text/plain", "application/octet-stream", false},
		"empty":                        {"", "a.pdf", "", "application/pdf", true},
		"empty, and nothing known":     {"", "", "", "", false},
		"odd name and type":            {"words", "....", ";;;/", "text/plain", true},
		"a name with a dot at its end": {"a;b", "list.CSV.", "", "text/csv", true},
		"a type in capitals":           {"<p>", "", "TEXT/HTML", "text/html", true},
	} {
		t.Run(name, func(t *testing.T) {
			found := detect(testDocument([]byte(c.content), c.named, c.stated))
			require.Equal(t, c.want, found.mediaType)
			if c.content != "" {
				require.Equal(t, c.reads, found.read != nil)
			}
		})
	}
}

func TestReadPlain(t *testing.T) {
	for name, c := range map[string]struct {
		content, named string
		status         Status
		text, reason   string
	}{
		"as it is":         {"  two  spaces\r\n\r\n\r\n\tend \r\rold\x00\x07", "a.log", Extracted, "  two  spaces\n\n\n\tend \n\nold", ""},
		"terminal colours": {strings.Repeat("\x1b[31mred\x1b[0m\n", 50), "a.log", Extracted, strings.Repeat("[31mred[0m\n", 50), ""},
		"binary":           {"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00", "a.log", Unsupported, "", "no reader"},
		"empty":            {"", "a.txt", Extracted, "", "the file is empty"},
		"invisible":        {"\ufeff", "a.txt", Extracted, "", "the file holds no text"},
	} {
		t.Run(name, func(t *testing.T) {
			r := readBytes([]byte(c.content), c.named, "")
			require.Equal(t, c.status, r.Status)
			require.Equal(t, c.text, r.Text)
			require.Contains(t, r.Reason, c.reason)
			require.Equal(t, c.reason == "", r.Reason == "")
		})
	}
	// Characters that lie across the blocks that are read stay whole.
	for shift := range 4 {
		content := strings.Repeat("x", 32<<10-shift) + strings.Repeat("𝄞", 20<<10)
		require.True(t, content == readBytes([]byte(content), "a.txt", "").Text)
	}
}

// Text that is passed through keeps its distance from what was written before.
func TestVerbatimBehindOther(t *testing.T) {
	w := &text{}
	_, _ = w.WriteString("head")
	w.Paragraph()
	require.NoError(t, w.Verbatim("  body\r"))
	require.NoError(t, w.Verbatim("\nend\u0085x"))
	require.Equal(t, "head\n\n  body\nend\nx", w.String())
}

func TestRTFOfNothing(t *testing.T) {
	require.Error(t, writeRTF(t.Context(), bytes.NewReader(nil), &text{}))
}

func TestHTMLOfAFragment(t *testing.T) {
	require.Equal(t, "a b\nc", HTML("<b>a</b>&nbsp;b<br>c<script>d</script>"))
	require.Empty(t, HTML(""))
	require.Equal(t, "plain", HTML("plain"))
}

func TestClean(t *testing.T) {
	require.Equal(t, "a b\n\nc", Clean(" a  b \r\n\r\n\r\n\r\nc\x00\n"))
	long := Clean(strings.Repeat("word ", maxText/4))
	require.True(t, Full(long))
	require.LessOrEqual(t, len(long), maxText)
	require.False(t, Full("word"))
}
