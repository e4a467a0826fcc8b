package extract

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/wlynxg/chardet"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
	"golang.org/x/text/transform"
)

const (
	// charsetSample is how many bytes the detector looks at.
	charsetSample = 16 << 10
	// minConfidence is the detector's certainty below which windows-1252 is the better guess.
	minConfidence = 0.8
)

// decode reads a document of an unknown charset as UTF-8. In this order: a byte order mark, the pattern of UTF-16, UTF-8 when
// the whole file is valid, what was stated (declared, else the content type's charset), what detection is sure of, and
// windows-1252. The file is read once for this, and then again as it is decoded.
func decode(ctx context.Context, d *document, declared string) (io.Reader, error) {
	if declared == "" {
		declared = statedCharset(d.contentType)
	}
	s := scan{}
	if err := s.read(d.open(ctx)); err != nil {
		return nil, err
	}
	return transform.NewReader(d.open(ctx), s.charset(declared).NewDecoder()), nil
}

// decodeBytes is decode for a part that is in memory anyway.
func decodeBytes(b []byte, declared string) string {
	s := scan{}
	s.add(b)
	decoded, _ := s.charset(declared).NewDecoder().Bytes(b) // these decoders replace what they cannot read
	return string(decoded)
}

// statedCharset returns the charset parameter of a content type, "" without one.
func statedCharset(contentType string) string {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return ""
	}
	return params["charset"]
}

// scan gathers what tells a charset.
type scan struct {
	head    []byte // the first charsetSample bytes
	sample  []byte // bytes from near the first one that is not ASCII
	tail    []byte // the start of a character whose end has not come yet
	chars   int    // valid characters of UTF-8 beyond ASCII
	invalid int    // bytes that are no UTF-8
	escapes bool   // the escape sequences of ISO-2022-JP
}

func (s *scan) read(r io.Reader) error {
	block := make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(r, block)
		s.add(block[:n])
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		default:
			return err
		}
	}
}

func (s *scan) add(b []byte) {
	if room := charsetSample - len(s.head); room > 0 {
		s.head = append(s.head, b[:min(room, len(b))]...)
	}
	s.escapes = s.escapes || bytes.Contains(b, []byte("\x1b$B")) || bytes.Contains(b, []byte("\x1b$@"))
	if len(s.tail) > 0 {
		joined := append(s.tail, b[:min(len(b), utf8.UTFMax)]...)
		b = b[s.count(joined, len(s.tail)):]
	}
	start := asciiPrefix(b)
	if s.chars+s.invalid == 0 && start < len(b) {
		s.sample = append(s.sample, b[max(0, start-64):min(len(b), start+charsetSample)]...)
	} else if n := len(s.sample); n > 0 && n < charsetSample {
		s.sample = append(s.sample, b[:min(len(b), charsetSample-n)]...)
	}
	s.tail = nil
	for b = b[start:]; len(b) > 0; b = b[asciiPrefix(b):] {
		if !utf8.FullRune(b) {
			s.tail = bytes.Clone(b)
			return
		}
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			s.invalid++
		} else {
			s.chars++
		}
		b = b[n:]
	}
}

// count counts the character at the start of joined, whose first held bytes came with the block before, and returns how
// many of the new bytes it took.
func (s *scan) count(joined []byte, held int) int {
	if !utf8.FullRune(joined) {
		s.invalid++
		return 0
	}
	r, n := utf8.DecodeRune(joined)
	if r == utf8.RuneError && n == 1 || n <= held {
		s.invalid++
		return 0
	}
	s.chars++
	return n - held
}

// asciiPrefix returns the index of the first byte of b that is not ASCII, or b's length.
func asciiPrefix(b []byte) int {
	for i, c := range b {
		if c >= utf8.RuneSelf {
			return i
		}
	}
	return len(b)
}

// charset decides.
func (s *scan) charset(declared string) encoding.Encoding {
	if e := byteOrderMark(s.head); e != nil {
		return e
	}
	if e := nulPattern(s.head); e != nil {
		return e
	}
	stated := charsetNamed(declared)
	ascii := s.chars+s.invalid == 0
	switch {
	case ascii && s.escapes, ascii && stated == japanese.ISO2022JP:
		return japanese.ISO2022JP
	case s.invalid == 0: // a character cut by the file's end is no sign against UTF-8
		if s.chars > 0 || len(s.tail) == 0 {
			return unicode.UTF8BOM
		}
	// One stray byte in a long log does not make it another charset.
	case s.chars >= 20*s.invalid:
		return unicode.UTF8BOM
	}
	if stated != nil && stated != unicode.UTF8 && !strings.EqualFold(declared, "us-ascii") && !strings.EqualFold(declared, "ascii") {
		return stated
	}
	// Stating UTF-8 is a default of many programs, so that what is not UTF-8 is not believed.
	if found := chardet.Detect(s.sample); found.Confidence >= minConfidence {
		if e := charsetNamed(found.Encoding); e != nil {
			return e
		}
		if e := charsetNamed(found.Charset); e != nil {
			return e
		}
	}
	return charmap.Windows1252
}

func byteOrderMark(head []byte) encoding.Encoding {
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		return unicode.UTF8BOM
	case bytes.HasPrefix(head, []byte("\xff\xfe\x00\x00")):
		return utf32.UTF32(utf32.LittleEndian, utf32.UseBOM)
	case bytes.HasPrefix(head, []byte("\x00\x00\xfe\xff")):
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	}
	return nil
}

// nulPattern finds UTF-16 without a byte order mark: in Western text every other byte is NUL, and in any text the other half
// of the bytes holds none. Text that a line end or a space interrupts only now and then has few of them, but still.
func nulPattern(head []byte) encoding.Encoding {
	pairs := len(head) / 2
	if pairs < 2 {
		return nil
	}
	var even, odd, control int // NUL bytes at even and odd offsets, and characters that no text holds
	for i := 0; i+1 < len(head); i += 2 {
		a, b := head[i], head[i+1]
		if a == 0 {
			even++
		}
		if b == 0 {
			odd++
		}
		if a == 0 && isControl(b) || b == 0 && isControl(a) {
			control++
		}
	}
	few := pairs / 50
	switch {
	case control > few:
	case odd > pairs/5 && even <= few:
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case even > pairs/5 && odd <= few:
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	}
	return nil
}

// isControl reports a byte that is in binary files and in no text. An escape begins the colours of a terminal's log.
func isControl(c byte) bool {
	switch c {
	case '\t', '\n', '\v', '\f', '\r', '\b', 0x1a, 0x1b:
		return false
	}
	return c < ' ' || c == 0x7f
}

// charsetNamed returns the encoding of a charset's name, nil for an unknown one.
func charsetNamed(name string) encoding.Encoding {
	name = strings.ToLower(strings.TrimSpace(name))
	switch name {
	case "":
		return nil
	case "gb2312", "gbk", "gb_2312-80", "x-gbk", "cp936", "ms936":
		return simplifiedchinese.GB18030 // holds them all
	case "hz-gb-2312":
		return simplifiedchinese.HZGB2312
	case "cp949", "ms949", "johab":
		return korean.EUCKR
	case "cp932", "ms932", "windows-932":
		return japanese.ShiftJIS
	case "cp950", "ms950":
		return traditionalchinese.Big5
	case "utf-8-sig":
		return unicode.UTF8
	}
	e, err := htmlindex.Get(name)
	if err != nil || e == encoding.Replacement {
		if e, err = ianaindex.IANA.Encoding(name); err != nil || e == encoding.Replacement {
			return nil
		}
	}
	return e
}

// codePage returns the encoding of a Windows or DOS code page, nil for an unknown one.
func codePage(number int) encoding.Encoding {
	switch number {
	case 437:
		return charmap.CodePage437
	case 850:
		return charmap.CodePage850
	case 852:
		return charmap.CodePage852
	case 855:
		return charmap.CodePage855
	case 858:
		return charmap.CodePage858
	case 860:
		return charmap.CodePage860
	case 862:
		return charmap.CodePage862
	case 863:
		return charmap.CodePage863
	case 865:
		return charmap.CodePage865
	case 866:
		return charmap.CodePage866
	case 874:
		return charmap.Windows874
	case 932:
		return japanese.ShiftJIS
	case 936, 54936:
		return simplifiedchinese.GB18030
	case 949, 1361:
		return korean.EUCKR
	case 950:
		return traditionalchinese.Big5
	case 1200:
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case 1201:
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	case 1250:
		return charmap.Windows1250
	case 1251:
		return charmap.Windows1251
	case 1252:
		return charmap.Windows1252
	case 1253:
		return charmap.Windows1253
	case 1254:
		return charmap.Windows1254
	case 1255:
		return charmap.Windows1255
	case 1256:
		return charmap.Windows1256
	case 1257:
		return charmap.Windows1257
	case 1258:
		return charmap.Windows1258
	case 10000:
		return charmap.Macintosh
	case 10007:
		return charmap.MacintoshCyrillic
	case 20127, 28591:
		return charmap.Windows1252
	case 20866:
		return charmap.KOI8R
	case 21866:
		return charmap.KOI8U
	case 28592:
		return charmap.ISO8859_2
	case 28595:
		return charmap.ISO8859_5
	case 28597:
		return charmap.ISO8859_7
	case 28599:
		return charmap.ISO8859_9
	case 28605:
		return charmap.ISO8859_15
	case 50220, 50221, 50222:
		return japanese.ISO2022JP
	case 51932:
		return japanese.EUCJP
	case 51949:
		return korean.EUCKR
	case 65001:
		return unicode.UTF8
	}
	return nil
}
