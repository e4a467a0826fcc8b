package extract

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const bookContainer = `<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">` +
	`<rootfiles><rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>`

const bookPackage = `<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata/><manifest>
<item id="c2" href="text/two.xhtml" media-type="application/xhtml+xml"/>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="c1" href="Text/one%20first.xhtml#top" media-type="application/xhtml+xml"/>
<item id="pic" href="cover.jpg" media-type="image/jpeg"/>
</manifest><spine><itemref idref="c1"/><itemref idref="pic"/><itemref idref="c2"/><itemref idref="c1"/></spine></package>`

const chapterOne = `<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body><h1>One</h1><p>First — words</p></body></html>`

const chapterTwo = `<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title>Two</title></head><body><p>Second</p></body></html>`

func bookParts() []string {
	return []string{
		"mimetype", "application/epub+zip", "META-INF/container.xml", bookContainer, "OEBPS/content.opf", bookPackage,
		"OEBPS/text/two.xhtml", chapterTwo, "OEBPS/text/one first.xhtml", chapterOne, "OEBPS/nav.xhtml", "<html>contents</html>",
		"OEBPS/cover.jpg", "\xff\xd8",
	}
}

func sampleBook(t testing.TB) []byte { return zipped(t, bookParts()...) }

func encryption(algorithm, uri string) string {
	return `<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" xmlns:enc="http://www.w3.org/2001/04/xmlenc#">` +
		`<enc:EncryptedData><enc:EncryptionMethod Algorithm="` + algorithm + `"/><enc:CipherData><enc:CipherReference URI="` + uri +
		`"/></enc:CipherData></enc:EncryptedData></encryption>`
}

func TestEPUB(t *testing.T) {
	const aes = "http://www.w3.org/2001/04/xmlenc#aes256-cbc"
	broken := strings.Replace(bookPackage, "text/two.xhtml", "missing.xhtml", 1)
	for name, c := range map[string]struct {
		parts  []string
		status Status
		text   string
		reason string
	}{
		"in reading order":    {bookParts(), Extracted, "One\n\nFirst — words\n\nTwo\n\nSecond", ""},
		"locked":              {append(bookParts(), "META-INF/encryption.xml", encryption(aes, "OEBPS/text/two.xhtml")), Encrypted, "One\n\nFirst — words", "password"},
		"picture locked":      {append(bookParts(), "META-INF/encryption.xml", encryption(aes, "OEBPS/cover.jpg")), Extracted, "One\n\nFirst — words\n\nTwo\n\nSecond", ""},
		"fonts scrambled":     {append(bookParts(), "META-INF/encryption.xml", encryption("http://www.idpf.org/2008/embedding", "OEBPS/text/two.xhtml")), Extracted, "One\n\nFirst — words\n\nTwo\n\nSecond", ""},
		"a chapter missing":   {append(bookParts()[:4], "OEBPS/content.opf", broken, "OEBPS/text/one first.xhtml", chapterOne), Extracted, "One\n\nFirst — words", "damaged"},
		"no package document": {bookParts()[:4], Failed, "", "package document is missing"},
		"no container names it": {append([]string{"mimetype", "application/epub+zip", "META-INF/container.xml", "<container/>"}, bookParts()[4:]...), Extracted,
			"One\n\nFirst — words\n\nTwo\n\nSecond", ""},
		"package document broken": {append(bookParts()[:4], "OEBPS/content.opf", "<package><manifest", "OEBPS/text/two.xhtml", chapterTwo), Failed, "", "content.opf"},
		"container leaves the archive": {append([]string{"mimetype", "application/epub+zip", "META-INF/container.xml", strings.Replace(bookContainer, "OEBPS/", "../../etc/", 1)}, bookParts()[6:]...),
			Failed, "", "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			r := readBytes(zipped(t, c.parts...), "book.epub", "")
			require.Equal(t, c.status, r.Status, r.Reason)
			require.Equal(t, c.text, r.Text)
			require.Equal(t, "application/epub+zip", r.Type)
			if c.reason == "" {
				require.Empty(t, r.Reason)
			} else {
				require.Contains(t, r.Reason, c.reason)
			}
		})
	}
}

func FuzzEPUB(f *testing.F) {
	f.Add(bookContainer, bookPackage, chapterOne, "")
	f.Add("<container>", "<package", "<p>", encryption("a", "b"))
	f.Fuzz(func(t *testing.T, container, pack, chapter, encryption string) {
		parts := append(bookParts(), "META-INF/encryption.xml", encryption)
		parts[3], parts[5], parts[9] = container, pack, chapter
		r := readBytes(zipped(t, parts...), "book.epub", "")
		require.NotContains(t, r.Reason, "broke down")
	})
}
