package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func pdfReader(t *testing.T) *Reader {
	r := NewReader()
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

func readWith(ctx context.Context, r *Reader, content []byte, name string) Result {
	return r.Read(ctx, File{Content: bytes.NewReader(content), Size: int64(len(content)), Name: name})
}

// TestPDF runs all tests of PDFs with one reader: each would start PDFium anew, which takes seconds here, where nothing is
// kept on disk.
func TestPDF(t *testing.T) {
	r := pdfReader(t)
	t.Run("text", func(t *testing.T) { testPDFText(t, r) })
	t.Run("limits", func(t *testing.T) { testPDFLimits(t, r) })
	t.Run("damaged", func(t *testing.T) { testPDFDamaged(t, r) })
	t.Run("stops", func(t *testing.T) { testPDFStops(t, r) })
	t.Run("scans", func(t *testing.T) { testPDFOCR(t, r) })
}

func testPDFText(t *testing.T, r *Reader) {
	widget := "<</Type/Annot /Subtype/Widget /FT/Tx /T(name) /V(Ada Lovelace) /Rect [0 0 9 9]>>"
	tests := []struct {
		name    string
		content []byte
		want    Result
	}{
		{"lines", textPDF("First line\nSecond (line)"), Result{Status: Extracted, Text: "First line\nSecond (line)"}},
		{"two pages", textPDF("Page one", "Page two"), Result{Status: Extracted, Text: "Page one\n\nPage two"}},
		{"an empty page between", textPDF("Page one", "", "Page three"), Result{Status: Extracted, Text: "Page one\n\nPage three"}},
		{"letters beyond ASCII", textPDF("Gr\xfc\xdfe \x80 5"), Result{Status: Extracted, Text: "Grüße € 5"}},
		{"a hyphenated word", textPDF("The printer is under-\nstood by nobody at all"), Result{Status: Extracted, Text: "The printer is understood by nobody at all"}},
		{"a form field", annotatedPDF("Name:", widget), Result{Status: Extracted, Text: "Name:\nAda Lovelace"}},
		{"a note", annotatedPDF("Some text", "<</Type/Annot /Subtype/Text /Contents(Please check) /Rect [0 0 9 9]>>"), Result{Status: Extracted, Text: "Some text\nPlease check"}},
		{"a note in UTF-16", annotatedPDF("Some text", "<</Type/Annot /Subtype/Text /Contents<FEFF00E9007400E9> /Rect [0 0 9 9]>>"), Result{Status: Extracted, Text: "Some text\nété"}},
		{"an unticked box", annotatedPDF("Agreed?", "<</Type/Annot /Subtype/Widget /FT/Btn /V(Off) /Rect [0 0 9 9]>>", "7", "99 0 R"), Result{Status: Extracted, Text: "Agreed?"}},
		{"only a form", annotatedPDF("", widget), Result{Status: Extracted, Text: "Ada Lovelace"}},
		{"a scan", scanPDF(2), Result{Status: Unsupported, Reason: "it has no text layer (a scan?)"}},
		{"a scan with page numbers", scanPDF(1, "1"), Result{Status: Unsupported, Text: "1", Reason: "it has no text layer (a scan?)"}},
		{"text and a scan", scanPDF(1, "A cover page"), Result{Status: Extracted, Text: "A cover page", Reason: "1 of 2 pages have no text layer (scans?)"}},
		{"no pages", newPDF().build(), Result{Status: Unsupported, Reason: "it has no text layer (a scan?)"}},
		{"a password", encryptedPDF("Secret words", "user", "owner"), Result{Status: Encrypted, Reason: "it needs a password"}},
		{"an owner's password only", encryptedPDF("Secret words", "", "owner"), Result{Status: Extracted, Text: "Secret words"}},
		{"bytes before the header", append([]byte("junk\n"), textPDF("Some text")...), Result{Status: Extracted, Text: "Some text"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Type = "application/pdf"
			require.Equal(t, tt.want, readWith(t.Context(), r, tt.content, "a.pdf"))
		})
	}
}

func testPDFLimits(t *testing.T, r *Reader) {
	good := textPDF("Still well")
	tests := []struct {
		name    string
		content []byte
		check   func(t *testing.T, got Result)
	}{
		{"more pages than are read", manyPagesPDF(300_000), func(t *testing.T, got Result) {
			require.Equal(t, Extracted, got.Status)
			require.Equal(t, "the text is cut: it has more than 5000 pages", got.Reason)
			require.Equal(t, maxPages, strings.Count(got.Text, "Same page"))
		}},
		{"more text than a result holds", largeTextPDF(), func(t *testing.T, got Result) {
			require.Equal(t, Extracted, got.Status)
			require.Equal(t, "the text is cut: it is longer than 16 MiB", got.Reason)
			require.Greater(t, len(got.Text), maxText-100)
		}},
		{"more notes than are read", annotatedPDF("Some text", strings.Repeat("<</Type/Annot /Subtype/Text /Contents(x)>>", 60_000)), func(t *testing.T, got Result) {
			require.Equal(t, Extracted, got.Status)
			require.Equal(t, "the text is cut: it has more than 50000 annotations", got.Reason)
		}},
		{"a bomb", flateBombPDF(300 << 20), func(t *testing.T, got Result) {
			require.NotEqual(t, Extracted, got.Status)
			require.Empty(t, got.Text)
		}},
		{"pages in a circle", []byte(strings.ReplaceAll(string(newPDF("2 0 R").build()), "/Count 1", "/Count 9")), nil},
		{"a page that is its parent", newPDF("1 0 R", "2 0 R", "3 0 R").build(), nil},
		{"cross references in a circle", func() []byte {
			b := newPDF("5 0 R")
			b.page(shown("In a circle"), "")
			at := bytes.Index(b.build(), []byte("xref\n"))
			b.trailer = fmt.Sprintf("/Prev %d", at)
			return b.build()
		}(), nil},
		{"arrays in arrays", annotatedPDF("Some text", strings.Repeat("[", 1_000_000)), nil},
		{"only the header", []byte("%PDF-1.7\n"), func(t *testing.T, got Result) { require.Equal(t, Failed, got.Status) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got := readWith(ctx, r, tt.content, "a.pdf")
			require.NoError(t, ctx.Err())
			require.NotEmpty(t, got.Status)
			if tt.check != nil {
				tt.check(t, got)
			}
			require.Equal(t, "Still well", readWith(t.Context(), r, good, "a.pdf").Text)
		})
	}
}

// manyPagesPDF refers to one page as many times.
func manyPagesPDF(n int) []byte {
	b := newPDF()
	b.objects[1] = fmt.Sprintf("<</Type/Pages /Count %d /Kids [%s]>>", n, strings.Repeat("5 0 R ", n))
	b.page(shown("Same page"), "")
	return b.build()
}

// largeTextPDF has one long note more often than a result can hold.
func largeTextPDF() []byte {
	b := newPDF("6 0 R")
	b.add("<</Type/Annot /Subtype/Text /Contents(" + strings.Repeat("many words ", 100_000) + ")>>")
	b.page(shown("Some text"), "/Annots ["+strings.Repeat("4 0 R ", 20)+"]")
	return b.build()
}

func testPDFDamaged(t *testing.T, r *Reader) {
	whole := textPDF("Some text that is long enough", "And a second page")
	for i := range 24 {
		cut := whole[:len(whole)*i/24]
		flipped := bytes.Clone(whole)
		for j := range 6 {
			at := (i*7919 + j*104729) % len(flipped)
			flipped[at] ^= 1 << (j % 8)
		}
		for name, content := range map[string][]byte{"cut": cut, "flipped": flipped} {
			got := readWith(t.Context(), r, content, "a.pdf")
			require.NotEmpty(t, got.Status, "%s %d", name, i)
			require.NotContains(t, got.Reason, "panic", "%s %d", name, i)
		}
	}
	require.Equal(t, Extracted, readWith(t.Context(), r, whole, "a.pdf").Status)
}

func testPDFStops(t *testing.T, r *Reader) {
	endless := fanOutPDF(9)
	require.Equal(t, "Before", readWith(t.Context(), r, textPDF("Before"), "a.pdf").Text)
	t.Run("when its time is up", func(t *testing.T) {
		ctx, cancel := WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		got := readWith(ctx, r, endless, "a.pdf")
		require.Equal(t, Result{Status: Failed, Type: "application/pdf", Reason: "it took longer than 0.3 s"}, got)
		require.Less(t, time.Since(start), 5*time.Second)
	})
	t.Run("when it is cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(100*time.Millisecond, func() { cancel(errors.New("enough")) })
		require.Equal(t, "enough", readWith(ctx, r, endless, "a.pdf").Reason)
	})
	t.Run("while others wait", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				if i%2 == 0 {
					ctx, cancel := WithTimeout(t.Context(), 200*time.Millisecond)
					defer cancel()
					if got := readWith(ctx, r, endless, "a.pdf"); got.Status != Failed {
						t.Errorf("read %v", got)
					}
					return
				}
				if got := readWith(t.Context(), r, textPDF("In between"), "a.pdf"); got.Text != "In between" {
					t.Errorf("read %v", got)
				}
			})
		}
		all.Wait()
	})
	require.Equal(t, "Behind", readWith(t.Context(), r, textPDF("Behind"), "a.pdf").Text)
}

func TestPDFClosed(t *testing.T) {
	r := NewReader()
	require.NoError(t, r.Close())
	require.Equal(t, "the reader is closed", readWith(t.Context(), r, textPDF("x"), "a.pdf").Reason)
}

func TestPDFNeedsReader(t *testing.T) {
	content := textPDF("x")
	got := Read(t.Context(), File{Content: bytes.NewReader(content), Size: int64(len(content))})
	require.Equal(t, Unsupported, got.Status)
}

func TestCacheDir(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("directories have no mode here")
	}
	const version = "1.2.3+4.5.6"
	base := t.TempDir()
	t.Setenv("HOME", base)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(base, "cache"))
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	ours := filepath.Join(cache, "cq-source-servicenow")
	dir := filepath.Join(ours, "wasm-"+version)
	reset := func() {
		require.NoError(t, os.RemoveAll(cache))
	}
	t.Run("made", func(t *testing.T) {
		got, err := cacheDir(version)
		require.NoError(t, err)
		require.Equal(t, dir, got)
		for _, made := range []string{ours, dir} {
			info, err := os.Lstat(made)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
		}
		again, err := cacheDir(version)
		require.NoError(t, err)
		require.Equal(t, dir, again)
	})
	for name, spoil := range map[string]func() error{
		"others may write":        func() error { return os.Chmod(dir, 0o777) },
		"others may read":         func() error { return os.Chmod(dir, 0o755) },
		"others may write above":  func() error { return os.Chmod(ours, 0o770) },
		"others may write to all": func() error { return os.Chmod(cache, 0o777) },
		"a link": func() error {
			if err := os.Rename(dir, dir+".real"); err != nil {
				return err
			}
			return os.Symlink(dir+".real", dir)
		},
		"a file": func() error {
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, nil, 0o600)
		},
		"another owner": func() error {
			if os.Geteuid() != 0 {
				return os.Chmod(dir, 0o777)
			}
			return os.Chown(dir, 12345, 12345)
		},
	} {
		t.Run(name, func(t *testing.T) {
			reset()
			_, err := cacheDir(version)
			require.NoError(t, err)
			require.NoError(t, spoil())
			_, err = cacheDir(version)
			require.Error(t, err)
		})
	}
	t.Run("no directory", func(t *testing.T) {
		t.Setenv("HOME", "")
		t.Setenv("XDG_CACHE_HOME", "")
		require.Nil(t, compilationCache())
	})
}
