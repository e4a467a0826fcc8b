package extract

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// document makes a document of bytes.
func testDocument(content []byte, name, contentType string) *document {
	return &document{ReaderAt: bytes.NewReader(content), size: int64(len(content)), name: name, contentType: contentType, budget: newBudget()}
}

func encoded(t testing.TB, e encoding.Encoding, s string) []byte {
	t.Helper()
	b, err := e.NewEncoder().Bytes([]byte(s))
	require.NoError(t, err)
	return b
}

const (
	german  = "Der Drucker im zweiten Stock übernimmt größere Aufträge für die Büros; bitte prüfen Sie die Einträge täglich."
	russian = "Принтер на втором этаже снова не печатает, пожалуйста, проверьте подключение к сети и замените картридж."
	nihongo = "二階のプリンターが印刷できません。ネットワーク接続を確認してください。お願いします。"
	hangul  = "이층 프린터가 인쇄되지 않습니다. 네트워크 연결을 확인해 주시기 바랍니다."
	chinese = "二楼的打印机无法打印，请检查网络连接并更换墨盒。谢谢您的帮助。"
	taiwan  = "二樓的印表機無法列印，請檢查網路連線並更換墨水匣。謝謝您的協助。"
	polish  = "Drukarka na drugim piętrze znów nie działa, proszę sprawdzić połączenie z siecią i wymienić wkład."
)

func TestDecode(t *testing.T) {
	le := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	be := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	for name, c := range map[string]struct {
		content []byte
		stated  string
		want    string
	}{
		"utf-8":                      {[]byte(german + russian), "", german + russian},
		"utf-8 with a mark":          {[]byte("\xef\xbb\xbf" + german), "", german},
		"utf-8 that states latin1":   {[]byte(german), "text/plain; charset=iso-8859-1", german},
		"utf-8, cut":                 {[]byte(german + "ü")[:len(german)+1], "", german + "\ufffd"},
		"utf-8, one stray byte":      {[]byte(strings.Repeat(german, 10) + "\xff"), "", strings.Repeat(german, 10) + "\ufffd"},
		"ascii":                      {[]byte("plain"), "text/plain; charset=us-ascii", "plain"},
		"ascii that states utf-16":   {[]byte("plain text"), "text/plain; charset=utf-16", "plain text"},
		"utf-16le":                   {encoded(t, le, "The printer on the second floor does not print."), "", "The printer on the second floor does not print."},
		"utf-16be":                   {encoded(t, be, "The printer on the second floor does not print."), "", "The printer on the second floor does not print."},
		"utf-16le with a mark":       {encoded(t, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), chinese), "", chinese},
		"utf-16be with a mark":       {encoded(t, unicode.UTF16(unicode.BigEndian, unicode.UseBOM), russian), "", russian},
		"utf-32le with a mark":       {encoded(t, utf32.UTF32(utf32.LittleEndian, utf32.UseBOM), russian), "", russian},
		"windows-1252":               {encoded(t, charmap.Windows1252, german+" „so“ – 5 €"), "", german + " „so“ – 5 €"},
		"windows-1252 as utf-8":      {encoded(t, charmap.Windows1252, german), "text/plain; charset=utf-8", german},
		"windows-1251":               {encoded(t, charmap.Windows1251, russian), "", russian},
		"koi8-r":                     {encoded(t, charmap.KOI8R, russian), "", russian},
		"iso-8859-2, stated":         {encoded(t, charmap.ISO8859_2, polish), `text/plain; charset="iso-8859-2"`, polish},
		"windows-1250, stated":       {encoded(t, charmap.Windows1250, polish), "text/plain; charset=cp1250", polish},
		"big5":                       {encoded(t, traditionalchinese.Big5, taiwan), "", taiwan},
		"gbk":                        {encoded(t, simplifiedchinese.GBK, chinese), "", chinese},
		"gb18030 that states gb2312": {encoded(t, simplifiedchinese.GB18030, chinese+"𠀀"), "text/plain; charset=gb2312", chinese + "𠀀"},
		"shift_jis":                  {encoded(t, japanese.ShiftJIS, nihongo), "", nihongo},
		"euc-jp":                     {encoded(t, japanese.EUCJP, nihongo), "", nihongo},
		"iso-2022-jp":                {encoded(t, japanese.ISO2022JP, nihongo), "", nihongo},
		"euc-kr":                     {encoded(t, korean.EUCKR, hangul), "", hangul},
		"unknown charset stated":     {encoded(t, charmap.Windows1252, german), "text/plain; charset=x-nonsense", german},
		"broken content type":        {[]byte(german), "text/plain; charset", german},
		"a long ascii head":          {append(bytes.Repeat([]byte("ascii only\n"), 20000), encoded(t, charmap.Windows1251, russian)...), "", strings.Repeat("ascii only\n", 20000) + russian},
		"utf-8 far behind":           {[]byte(strings.Repeat("ascii only\n", 20000) + german), "", strings.Repeat("ascii only\n", 20000) + german},
		"one byte":                   {[]byte("\xe9"), "", "é"},
		"empty":                      {nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := decode(context.Background(), testDocument(c.content, "", c.stated), "")
			require.NoError(t, err)
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, c.want, strings.TrimPrefix(string(got), "\ufeff"))
			require.Equal(t, c.want, strings.TrimPrefix(decodeBytes(c.content, statedCharset(c.stated)), "\ufeff"), "in memory")
		})
	}
}

// Characters that lie across the blocks of the scan are no sign against UTF-8.
func TestDecodeAcrossBlocks(t *testing.T) {
	for shift := range 4 {
		content := strings.Repeat("x", 64<<10-shift) + "𝄞" + strings.Repeat("y", 64<<10) + "ü"
		r, err := decode(context.Background(), testDocument([]byte(content), "", "text/plain; charset=windows-1252"), "")
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, content, string(got))
	}
}

func TestDecodeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := decode(ctx, testDocument([]byte("text"), "", ""), "")
	require.ErrorIs(t, err, context.Canceled)
}

func TestCodePage(t *testing.T) {
	require.Equal(t, charmap.Windows1252, codePage(1252))
	require.Equal(t, japanese.ShiftJIS, codePage(932))
	require.Nil(t, codePage(0))
	require.Nil(t, codePage(-1))
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(german), "")
	f.Add(encoded(f, charmap.Windows1251, russian), "utf-8")
	f.Add([]byte("\xff\xfea\x00b"), "utf-16")
	f.Add([]byte("\x1b$B\x46\x7c"), "iso-2022-jp")
	f.Fuzz(func(t *testing.T, content []byte, declared string) {
		r, err := decode(context.Background(), testDocument(content, "", ""), declared)
		require.NoError(t, err)
		streamed, err := io.ReadAll(r)
		require.NoError(t, err)
		require.LessOrEqual(t, len(streamed), 4*len(content)+16)
		require.Equal(t, string(streamed), decodeBytes(content, declared))
	})
}
