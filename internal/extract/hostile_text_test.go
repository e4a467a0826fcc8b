package extract

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// repeated is a file of a head, a piece many times, and a tail, that takes no memory.
type repeated struct {
	head, piece, tail string
	times             int
}

func (r repeated) size() int64 { return int64(len(r.head) + len(r.piece)*r.times + len(r.tail)) }

func (r repeated) ReadAt(p []byte, offset int64) (int, error) {
	block := strings.Repeat(r.piece, max(1, 64<<10/max(1, len(r.piece))))
	n := 0
	for n < len(p) && offset < r.size() {
		at, pieces := int(offset)-len(r.head), len(r.piece)*r.times
		var copied int
		switch {
		case at < 0:
			copied = copy(p[n:], r.head[offset:])
		case at < pieces:
			begin := at % len(r.piece)
			copied = copy(p[n:], block[begin:min(len(block), begin+pieces-at)])
		default:
			copied = copy(p[n:], r.tail[at-pieces:])
		}
		n += copied
		offset += int64(copied)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Files that are built to exhaust a reader end soon, with a status that says so.
func TestHostile(t *testing.T) {
	const million = 1_000_000
	for name, c := range map[string]struct {
		file   repeated
		named  string
		status Status
		text   string // that is among what is read
		reason string
	}{
		"rtf, 10 M groups":            {repeated{head: `{\rtf1 before `, piece: "{", times: 10 * million}, "a.rtf", Extracted, "before", "nested"},
		"rtf, 10 M ends":              {repeated{head: `{\rtf1 before `, piece: "}", times: 10 * million}, "a.rtf", Extracted, "before", ""},
		"rtf, a huge picture":         {repeated{head: `{\rtf1 before\bin2147483647 x`, piece: "x", times: 10}, "a.rtf", Extracted, "before", "too early"},
		"rtf, a picture out of range": {repeated{head: `{\rtf1 before\bin99999999999999999999 `, piece: "x", times: 10}, "a.rtf", Extracted, "before", "too early"},
		"rtf, a negative picture":     {repeated{head: `{\rtf1 before\bin-5 after}`}, "a.rtf", Extracted, "beforeafter", ""},
		"rtf, 5 M characters":         {repeated{head: `{\rtf1 `, piece: `\u8364?`, times: 5 * million, tail: "}"}, "a.rtf", Extracted, "€€", ""},
		"rtf, halves of characters":   {repeated{head: `{\rtf1 `, piece: `\u-10179?`, times: 300_000, tail: "}"}, "a.rtf", Extracted, "\ufffd", ""},
		"rtf, one endless word":       {repeated{head: `{\rtf1 before\`, piece: "a", times: 20 * million}, "a.rtf", Extracted, "before", "too early"},
		"rtf, endless digits":         {repeated{head: `{\rtf1 before\u`, piece: "9", times: 20 * million}, "a.rtf", Extracted, "before", "too early"},
		"rtf, many fonts":             {repeated{head: `{\rtf1{\fonttbl`, piece: `{\f1\fcharset204 x;}`, times: million, tail: "}after}"}, "a.rtf", Extracted, "after", ""},
		"rtf, text without end":       {repeated{head: `{\rtf1 `, piece: `\'e9`, times: 10 * million, tail: "}"}, "a.rtf", Extracted, "éé", "16 MiB"},
		"html, 5 M nested div":        {repeated{head: "<html>before", piece: "<div>", times: 5 * million}, "a.html", Extracted, "before", ""},
		"html, nested tables":         {repeated{head: "<html>before", piece: "<table><tr><td>", times: 300_000, tail: "x"}, "a.html", Extracted, "before", ""},
		"html, nested skipped":        {repeated{head: "<html>before", piece: "<template>", times: 300_000}, "a.html", Extracted, "before", ""},
		"html, empty cells":           {repeated{head: "<html><table><tr>before", piece: "<td></td>", times: 300_000, tail: "<td>x"}, "a.html", Extracted, "before", ""},
		"html, one tag":               {repeated{head: "<html>before<p ", piece: "a ", times: 20 * million}, "a.html", Extracted, "before", "4 MiB"},
		"html, one attribute":         {repeated{head: `<html>before<p a="`, piece: "x", times: 50 * million}, "a.html", Extracted, "before", "4 MiB"},
		"html, one comment":           {repeated{head: "<html>before<!--", piece: "x", times: 30 * million}, "a.html", Extracted, "before", "4 MiB"},
		"html, one text":              {repeated{head: "<html>before", piece: "x ", times: 10 * million}, "a.html", Extracted, "before", "4 MiB"},
		"html, entities":              {repeated{head: "<html>before", piece: "&amp;<b>", times: million}, "a.html", Extracted, "before&&", ""},
		"text without end":            {repeated{piece: "words and words\n", times: 3 * million}, "a.txt", Extracted, "words and", "16 MiB"},
		"text of signs to decode":     {repeated{piece: "\xe9t\xe9\r", times: 12 * million}, "a.txt", Extracted, "été\n", "16 MiB"},
		"nothing but line ends":       {repeated{head: "a", piece: "\r", times: 30 * million}, "a.txt", Extracted, "a\n\n", "16 MiB"},
		"nothing but zeros":           {repeated{piece: "\x00", times: 5 * million}, "a.txt", Unsupported, "", "no reader"},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			r := Read(context.Background(), File{Content: c.file, Size: c.file.size(), Name: c.named})
			t.Logf("%v, %d bytes of text", time.Since(begin), len(r.Text))
			require.Less(t, time.Since(begin), time.Minute) // with the race detector on a busy machine
			require.Equal(t, c.status, r.Status, r.Reason)
			require.LessOrEqual(t, len(r.Text), maxText)
			require.True(t, strings.Contains(r.Text, c.text), "the text so far is kept")
			if c.reason == "" {
				require.Empty(t, r.Reason)
			}
			require.Contains(t, r.Reason, c.reason)
		})
	}
}

// Whatever is cut off or flipped, a reader ends and says something.
func TestDamaged(t *testing.T) {
	page := []byte("<!DOCTYPE html><html><head><title>A</title></head><body><table><tr><td>one<td>two</table><p>three &amp; four</body></html>")
	rich := []byte(`{\rtf1\ansi{\fonttbl{\f0\fcharset128 A;}}\f0 one \u8364?\'83v{\footnote two}\cell{\*\x y}\bin2 ab three\par}`)
	random := rand.New(rand.NewPCG(1, 2))
	for name, content := range map[string][]byte{"a.html": page, "a.rtf": rich, "a.epub": sampleBook(t), "a.txt": []byte(russian)} {
		for range 300 {
			cut := content[:random.IntN(len(content))]
			flipped := bytes.Clone(content)
			for range 1 + random.IntN(3) {
				flipped[random.IntN(len(flipped))] ^= 1 << random.IntN(8)
			}
			for _, broken := range [][]byte{cut, flipped} {
				r := readBytes(broken, name, "")
				require.NotContains(t, r.Reason, "broke down", "%s %q", name, broken)
				require.True(t, r.Status != Extracted || r.Text != "" || r.Reason != "", "%s %q", name, broken)
			}
		}
	}
}

func TestReadersEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, content := range map[string]string{"a.html": "<p>text", "a.rtf": `{\rtf1 text}`, "a.txt": "text", "a.epub": string(sampleBook(t))} {
		r := Read(ctx, File{Content: strings.NewReader(content), Size: int64(len(content)), Name: name})
		require.Equal(t, Failed, r.Status, name)
		require.Contains(t, r.Reason, "context canceled", name)
	}
	require.ErrorIs(t, writeHTML(ctx, strings.NewReader("<p>text"), &text{}), context.Canceled)
	require.ErrorIs(t, writeRTF(ctx, strings.NewReader(`{\rtf1 text}`), &text{}), context.Canceled)
}

func TestDecompressRTF(t *testing.T) {
	packed := func(kind string, size int, data string) []byte {
		b := binary.LittleEndian.AppendUint32(nil, uint32(len(data)+12))
		b = binary.LittleEndian.AppendUint32(b, uint32(size))
		return append(append(append(b, kind...), 0, 0, 0, 0), data...)
	}
	// The example of MS-OXRTFCP 4.1.1.
	example := "\x03\x00\x0a\x00rcpg125\x42\x32\x0a\xf3\x20hel\x09\x00\x20bw\x05\xb0ld\x7d\x0a\x80\x0f\xa0"
	for name, c := range map[string]struct {
		content []byte
		want    string
		err     string
	}{
		"the example":     {packed("LZFu", 43, example), "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n", ""},
		"stored":          {packed("MELA", 9, `{\rtf1 a}rest`), `{\rtf1 a}`, ""},
		"stored, cut":     {packed("MELA", 90, `{\rtf1 a}`), `{\rtf1 a}`, "cut"},
		"cut":             {packed("LZFu", 43, example[:12]), `{\rtf1\ansi\ansicpg125`, "cut"},
		"claims 4 GB":     {packed("LZFu", -1, example), "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n", ""},
		"stored, 4 GB":    {packed("MELA", -1, "x"), "x", "cut"},
		"unknown":         {packed("ZZZZ", 1, "x"), "", "unknown way"},
		"no header":       {[]byte("LZFu"), "", "header"},
		"without its end": {packed("LZFu", 2, "\x00ab"), "ab", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decompressRTF(c.content)
			require.Equal(t, c.want, string(got))
			if c.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.err)
			}
		})
	}
	bomb, at := []byte{}, len(lzfuDictionary)
	for n := range 1 << 22 {
		if n%8 == 0 {
			bomb = append(bomb, 0xff)
		}
		offset := byte(1)
		if at == 1 { // there, it would mean the end
			offset = 2
		}
		bomb = append(bomb, offset>>4, offset<<4|15)
		at = (at + 17) % 4096
	}
	got, err := decompressRTF(packed("LZFu", -1, string(bomb)))
	require.ErrorContains(t, err, "64 MiB")
	require.Less(t, len(got), maxRTF+64)
}

func FuzzHTML(f *testing.F) {
	f.Add([]byte("<table><tr><td>a<td>b<p>c</table><pre>x\n y</pre><title/>&amp;"))
	f.Add([]byte("<?xml version='1.0'?><html><title/><![CDATA[a]]>"))
	f.Add([]byte("<script>a</script><noscript><template></noscript>b<textarea>"))
	f.Fuzz(func(t *testing.T, content []byte) {
		w := &text{}
		_ = writeHTML(context.Background(), bytes.NewReader(content), w)
		requireTidy(t, w.String())
	})
}

func FuzzRTF(f *testing.F) {
	f.Add([]byte(`{\rtf1\ansi{\fonttbl{\f0\fcharset128 A;}}\f0\u8364?\'83v{\footnote a}\cell{\*\x}\bin1 a\par}`))
	f.Add([]byte(`{\rtf1{\header a}{\v b}\uc2\u-10179??\u-8704??}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		w := &text{}
		_ = writeRTF(context.Background(), bytes.NewReader(content), w)
		requireTidy(t, w.String())
	})
}

func FuzzDecompressRTF(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x20\x00\x00\x00LZFu\x00\x00\x00\x00\x03\x00\x0a\x00rcpg125\x42\x32"))
	f.Add([]byte("\x00\x00\x00\x00\x02\x00\x00\x00MELA\x00\x00\x00\x00ab"))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, _ := decompressRTF(content)
		require.LessOrEqual(t, len(got), 16*len(content))
	})
}

// requireTidy checks what holds of any text that is collected.
func requireTidy(t *testing.T, s string) {
	t.Helper()
	require.NotContains(t, s, "  ")
	require.NotContains(t, s, " \n")
	require.NotContains(t, s, "\n\n\n")
	require.NotContains(t, s, "\x00")
}
