package extract

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		name, stated                      string
		readable, image, media, oldOffice bool
	}{
		{"a.docx", "", true, false, false, false},
		{"a.pdf", "application/octet-stream", true, false, false, false},
		{"a", "", true, false, false, false},
		{"", "", true, false, false, false},
		{"a.unheard-of", "application/x-unheard-of", true, false, false, false},
		{"a", "application/octet-stream", true, false, false, false},
		{"a.png", "image/png", false, true, false, false},
		{"a.PNG", "", false, true, false, false},
		{"a.png", "application/octet-stream", false, true, false, false},
		{"a", "image/jpeg; x=1", false, true, false, false},
		{"a.unheard-of", "image/jpeg", false, true, false, false},
		{"a.docx", "image/png", true, false, false, false},
		{"a.png", "text/plain", true, false, false, false},
		{"a.svg", "image/svg+xml", true, false, false, false},
		{"a.mp3", "audio/mpeg", false, false, true, false},
		{"a.mp4", "", false, false, true, false},
		{"a", "video/webm", false, false, true, false},
		{"a.mp4", "audio/mp4", false, false, true, false},
		{"a.png", "audio/mpeg", false, true, false, false},
		{"a.exe", "application/x-msdownload", false, false, false, false},
		{"a.exe", "", false, false, false, false},
		{"a.exe", "image/png", false, false, false, false},
		{"a.7z", "application/octet-stream", false, false, false, false},
		{"a.tar.gz", "application/gzip", false, false, false, false},
		{"a.zip", "application/x-zip-compressed", true, false, false, false},
		{"a", "font/woff2", false, false, false, false},
		{"a.doc", "application/msword", true, false, false, true},
		{"a.xls", "", true, false, false, true},
		{"a", "application/vnd.ms-powerpoint", true, false, false, true},
		{"a.doc", "application/octet-stream", true, false, false, true},
		{"a.doc", "image/png", true, false, false, false},
		{"a.csv", "application/vnd.ms-excel", true, false, false, false}, // as browsers on Windows state it
		{"a.log", "text/plain", true, false, false, false},
	} {
		require.Equal(t, c.readable, Readable(c.name, c.stated), "readable: %s %s", c.name, c.stated)
		require.Equal(t, c.image, Image(c.name, c.stated), "image: %s %s", c.name, c.stated)
		require.Equal(t, c.media, Media(c.name, c.stated), "media: %s %s", c.name, c.stated)
		require.Equal(t, c.oldOffice, OldOffice(c.name, c.stated), "old office: %s %s", c.name, c.stated)
	}
}
