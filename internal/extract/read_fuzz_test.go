package extract

import (
	"bytes"
	"context"
	"flag"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func requireSafe(t *testing.T, r Result) {
	t.Helper()
	require.NotContains(t, r.Reason, "broke down")
	require.LessOrEqual(t, len(r.Text), maxText)
	require.True(t, utf8.ValidString(r.Text) && utf8.ValidString(r.Reason))
	require.False(t, bytes.ContainsRune([]byte(r.Text), 0))
}

// FuzzRead gives files of any content, name and stated type to the reader that they seem to be for.
func FuzzRead(f *testing.F) {
	for name, kind := range officeKinds() {
		f.Add(buildZIP(f, kind.files), "file."+name, "")
	}
	f.Add(buildZIP(f, zipParts{"a/b.txt": "x", "..\\c": "y"}), "x.zip", "application/zip")
	f.Add([]byte("\xff\xfea\x00\x00\x00"), "a.txt", "text/plain; charset=utf-16")
	f.Add([]byte("{\\rtf1 \\'e9\\u8364?}"), "a.doc", "application/msword")
	f.Add([]byte("Subject: =?utf-8?q?=00?=\r\n\r\n\x00"), "a.eml", "message/rfc822")
	f.Add([]byte("<html><title>\x00</title>"), "", "text/html")
	f.Add([]byte("a,b\n\x00,\"c"), "x.csv", "")
	f.Fuzz(func(t *testing.T, content []byte, name, contentType string) {
		if bytes.Contains(content, []byte("%PDF")) {
			t.Skip("PDFs have a target of their own, FuzzPDF")
		}
		requireSafe(t, readBytes(content, name, contentType))
	})
}

// FuzzImagePixels reads the sizes of pictures, which decide whether they are recognised at all.
func FuzzImagePixels(f *testing.F) {
	f.Add([]byte("BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00\xff\xff\xff\x7f\xff\xff\xff\xff"))
	f.Add([]byte("RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("II*\x00\x08\x00\x00\x00\x02\x00\x00\x01\x04\x00\x01\x00\x00\x00\xff\xff\xff\xff\x01\x01\x04\x00\x01\x00\x00\x00\xff\xff\xff\xff"))
	f.Add([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x06\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		d := &document{ReaderAt: bytes.NewReader(content), size: int64(len(content))}
		if pixels, err := imagePixels(context.Background(), d); err == nil && pixels < 0 {
			t.Fatalf("%d pixels", pixels)
		}
	})
}

// FuzzPDF takes a few milliseconds for each file, in an interpreter of its own.
func FuzzPDF(f *testing.F) {
	f.Add(textPDF("First line\nSecond (line)"))
	f.Add(annotatedPDF("Name:", "<</Type/Annot /Subtype/Widget /FT/Tx /V(Ada) /Rect [0 0 9 9]>>"))
	f.Add(scanPDF(1, "A cover page"))
	if !fuzzing() {
		f.Skip("TestPDF reads such files, and starting PDFium takes seconds")
	}
	r := NewReader()
	f.Cleanup(func() { _ = r.Close() })
	_ = readWith(f.Context(), r, textPDF("a"), "a.pdf") // a file of the fuzzer may take 10 s, with PDFium's start
	f.Fuzz(func(t *testing.T, content []byte) {
		result := readWith(t.Context(), r, append([]byte("%PDF-1.7\n"), content...), "a.pdf")
		requireSafe(t, result)
	})
}

func fuzzing() bool {
	for _, name := range []string{"test.fuzz", "test.fuzzworker"} {
		if set := flag.Lookup(name); set != nil && set.Value.String() != "" && set.Value.String() != "false" {
			return true
		}
	}
	return false
}
