package extract

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeTesseract puts a script in the place of tesseract, and returns its path.
func fakeTesseract(t *testing.T, script string) string {
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in is a shell script")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "tesseract")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700))
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	require.Equal(t, path, FindTesseract())
	return path
}

func pngOf(t *testing.T, width, height int) []byte {
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, image.NewGray(image.Rect(0, 0, width, height))))
	return out.Bytes()
}

// seeingOCR is an OCR that writes what it is given to a file and reads two lines from every picture.
func seeingOCR(t *testing.T) (*OCR, string) {
	seen := filepath.Join(t.TempDir(), "seen")
	return &OCR{Languages: "eng+deu", Program: fakeTesseract(t, `
{ echo "$*"; env | sort | grep -v -E '^(PATH|HOME|TMPDIR|PWD|_|SHLVL|OLDPWD)='; head -c 8 | od -An -c; } > "`+seen+`"
cat > /dev/null
echo "Read  by
OCR"; printf '\f'`)}, seen
}

func TestOCR(t *testing.T) {
	ocr, seen := seeingOCR(t)
	r := &Reader{OCR: ocr}
	t.Setenv("OCR_TEST_SECRET", "hunter2")

	t.Run("an image", func(t *testing.T) {
		got := readWith(t.Context(), r, pngOf(t, 10, 10), "a.png")
		require.Equal(t, Result{Status: Extracted, Type: "image/png", Text: "Read by\nOCR"}, got)
		said, err := os.ReadFile(seen)
		require.NoError(t, err)
		require.Equal(t, "stdin stdout -l eng+deu\nOMP_THREAD_LIMIT=1\n 211   P   N   G  \\r  \\n 032  \\n\n", string(said))
	})
	t.Run("the other formats", func(t *testing.T) {
		pixel := image.NewPaletted(image.Rect(0, 0, 3, 3), color.Palette{color.Black, color.White})
		var asGIF, asJPEG bytes.Buffer
		require.NoError(t, gif.Encode(&asGIF, pixel, nil))
		require.NoError(t, jpeg.Encode(&asJPEG, pixel, nil))
		for _, content := range [][]byte{asGIF.Bytes(), asJPEG.Bytes(), bmpOf(3, -3), webpOf(3, 3), tiffOf(binary.LittleEndian, 3, 3), tiffOf(binary.BigEndian, 3, 3)} {
			got := readWith(t.Context(), r, content, "")
			require.Equal(t, "Read by\nOCR", got.Text, "%+v", got)
		}
	})
}

// testPDFOCR reads PDFs without a text layer.
func testPDFOCR(t *testing.T, r *Reader) {
	ocr, seen := seeingOCR(t)
	r.OCR = ocr
	t.Cleanup(func() { r.OCR = nil })
	t.Run("a scan", func(t *testing.T) {
		got := readWith(t.Context(), r, scanPDF(1, "A cover page"), "a.pdf")
		require.Equal(t, Result{Status: Extracted, Type: "application/pdf", Text: "A cover page\n\nRead by\nOCR"}, got)
		said, err := os.ReadFile(seen)
		require.NoError(t, err)
		require.Contains(t, string(said), "--dpi 200\n")
		require.Contains(t, string(said), "P   N   G")
	})
	t.Run("more pages than are read", func(t *testing.T) {
		got := readWith(t.Context(), r, scanPDF(23), "a.pdf")
		require.Equal(t, 20, strings.Count(got.Text, "Read by"))
		require.Equal(t, "the text is cut: OCR read 20 pages without text, and left out 3", got.Reason)
	})
	t.Run("a page as large as a house", func(t *testing.T) {
		huge := bytes.ReplaceAll(scanPDF(1), []byte("595 842]"), []byte("5000 5000]"))
		require.Equal(t, "Read by\nOCR", readWith(t.Context(), r, huge, "a.pdf").Text)
		said, err := os.ReadFile(seen)
		require.NoError(t, err)
		require.Contains(t, string(said), "--dpi 83\n")
		huge = bytes.ReplaceAll(scanPDF(1), []byte("595 842]"), []byte("14400 14400]"))
		require.Equal(t, Unsupported, readWith(t.Context(), r, huge, "a.pdf").Status)
	})
	t.Run("a text needs none", func(t *testing.T) {
		require.NoError(t, os.Remove(seen))
		require.Equal(t, "Some text", readWith(t.Context(), r, textPDF("Some text", ""), "a.pdf").Text)
		require.NoFileExists(t, seen)
	})
	t.Run("the real program", func(t *testing.T) {
		t.Setenv("PATH", filepath.Join("/usr", "bin"))
		program := FindTesseract()
		if program == "" {
			t.Skip("tesseract is not installed")
		}
		// What the page shows is drawn first, and then read as a picture alone.
		kept := filepath.Join(t.TempDir(), "page.png")
		r.OCR = &OCR{Program: fakeTesseract(t, "cat > '"+kept+"'")}
		_ = readWith(t.Context(), r, drawnPDF(), "a.pdf")
		content, err := os.ReadFile(kept)
		require.NoError(t, err)
		r.OCR = &OCR{Program: program}
		got := readWith(t.Context(), r, content, "a.png")
		require.Equal(t, Result{Status: Extracted, Type: "image/png", Text: "HILL"}, got)
		require.Equal(t, "HILL", readWith(t.Context(), r, drawnPDF(), "a.pdf").Text)
	})
}

// drawnPDF shows the letters HILL as rectangles.
func drawnPDF() []byte {
	b := newPDF("5 0 R")
	b.page(`100 600 8 60 re 130 600 8 60 re 108 627 22 8 re
160 600 8 60 re
190 600 8 60 re 198 600 26 8 re
240 600 8 60 re 248 600 26 8 re f`, "")
	return b.build()
}

func TestOCRLimits(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	r := &Reader{OCR: &OCR{Program: fakeTesseract(t, "touch '"+ran+"'")}}
	huge := pngOf(t, 1, 1)
	binary.BigEndian.PutUint32(huge[16:], 20_000) // the width in the first chunk, whose checksum no longer fits
	for name, content := range map[string][]byte{
		"bmp": bmpOf(20_000, 20_000), "webp": webpOf(16_000, 16_000),
		"tiff": tiffOf(binary.LittleEndian, 1<<31, 1<<31), "png": huge, "gif": []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			got := readWith(t.Context(), r, content, "")
			require.Equal(t, Failed, got.Status)
			if name != "png" {
				require.Contains(t, got.Reason, "more than 100 megapixels")
			}
		})
	}
	t.Run("tiff in a circle", func(t *testing.T) {
		circle := tiffOf(binary.LittleEndian, 3, 3)
		binary.LittleEndian.PutUint32(circle[len(circle)-4:], 8)
		require.Contains(t, readWith(t.Context(), r, circle, "").Reason, "more than 20 pictures")
	})
	require.NoFileExists(t, ran)
}

func TestOCRFails(t *testing.T) {
	t.Run("without a program", func(t *testing.T) {
		require.Equal(t, Unsupported, readWith(t.Context(), NewReader(), pngOf(t, 3, 3), "").Status)
	})
	t.Run("none to be found", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		require.Empty(t, FindTesseract())
	})
	t.Run("with a complaint", func(t *testing.T) {
		r := &Reader{OCR: &OCR{Program: fakeTesseract(t, "echo no such language >&2; exit 1")}}
		got := readWith(t.Context(), r, pngOf(t, 3, 3), "")
		require.Equal(t, Result{Status: Failed, Type: "image/png", Reason: "tesseract: exit status 1: no such language"}, got)
	})
	t.Run("without an end", func(t *testing.T) {
		r := &Reader{OCR: &OCR{Program: fakeTesseract(t, "yes words")}}
		got := readWith(t.Context(), r, pngOf(t, 3, 3), "")
		require.Equal(t, "the text is cut: it is longer than 16 MiB", got.Reason)
		require.NotEmpty(t, got.Text)
	})
	t.Run("cancelled", func(t *testing.T) {
		alive := filepath.Join(t.TempDir(), "alive")
		// The script's child must be killed with it.
		r := &Reader{OCR: &OCR{Program: fakeTesseract(t, "(while :; do touch '"+alive+"'; sleep 0.05; done) & wait")}}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(300*time.Millisecond, func() { cancel(errors.New("enough")) })
		start := time.Now()
		got := readWith(ctx, r, pngOf(t, 3, 3), "")
		require.Equal(t, Result{Status: Failed, Type: "image/png", Reason: "enough"}, got)
		require.Less(t, time.Since(start), 2*time.Second)
		require.FileExists(t, alive)
		require.NoError(t, os.Remove(alive))
		time.Sleep(300 * time.Millisecond)
		require.NoFileExists(t, alive)
	})
}

func bmpOf(width, height int32) []byte {
	out := make([]byte, 54)
	copy(out, "BM")
	out[14] = 40
	binary.LittleEndian.PutUint32(out[18:], uint32(width))
	binary.LittleEndian.PutUint32(out[22:], uint32(height))
	return out
}

func webpOf(width, height uint32) []byte {
	out := make([]byte, 40)
	copy(out, "RIFF\x20\x00\x00\x00WEBPVP8L")
	binary.LittleEndian.PutUint32(out[21:], width-1|(height-1)<<14)
	return out
}

func tiffOf(order binary.ByteOrder, width, height uint32) []byte {
	out := []byte("II*\x00")
	if order == binary.BigEndian {
		out = []byte("MM\x00*")
	}
	put := func(n int, value uint32) {
		var b [4]byte
		if n == 2 {
			order.PutUint16(b[:], uint16(value))
		} else {
			order.PutUint32(b[:], value)
		}
		out = append(out, b[:n]...)
	}
	put(4, 8)
	put(2, 2)
	for tag, value := range []uint32{width, height} {
		put(2, uint32(256+tag))
		put(2, 4)
		put(4, 1)
		put(4, value)
	}
	put(4, 0)
	return out
}
