package extract

import (
	"archive/zip"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
)

// zipped makes an archive of names and contents.
func zipped(t testing.TB, parts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		w, err := z.Create(parts[i])
		require.NoError(t, err)
		_, err = w.Write([]byte(parts[i+1]))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func readBytes(content []byte, name, contentType string) Result {
	return Read(context.Background(), File{Content: bytes.NewReader(content), Size: int64(len(content)), Name: name, ContentType: contentType})
}

// The sources are in testdata, but for those that are no text. UPDATE_GOLDEN=1 writes the texts anew.
func TestGolden(t *testing.T) {
	sources, err := filepath.Glob("testdata/text/*")
	require.NoError(t, err)
	samples := map[string][]byte{
		"book.epub":        sampleBook(t),
		"windows-1251.txt": encoded(t, charmap.Windows1251, russian+"\r\n\tвторая строка\r\n"),
	}
	for _, source := range sources {
		if filepath.Ext(source) == ".golden" {
			continue
		}
		content, err := os.ReadFile(source)
		require.NoError(t, err)
		samples[filepath.Base(source)] = content
	}
	for name, content := range samples {
		t.Run(name, func(t *testing.T) {
			r := readBytes(content, name, "")
			require.Equal(t, Extracted, r.Status, r.Reason)
			require.Empty(t, r.Reason)
			golden := filepath.Join("testdata/text", name+".golden")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				require.NoError(t, os.WriteFile(golden, []byte(r.Text), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), r.Text)
		})
	}
}
