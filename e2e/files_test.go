package e2e

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

// envFiles names a directory of real files; see docs/dev/benchmarks.md.
const envFiles = "E2E_FILES"

func TestFilesInABlobStore(t *testing.T) {
	w := newWorld(t, emulator.Config{Incidents: 120, Attachments: 120})
	dir := t.TempDir()
	w.spec["attachments"] = map[string]any{"ocr": "off", "content": "blob", "blob_url": "file://" + filepath.ToSlash(dir)}
	w.spec["incidents"] = map[string]any{"record": "blob"}
	w.mustSync()
	stored := func(address string) []byte {
		u, err := url.Parse(address)
		require.NoError(t, err)
		content, err := os.ReadFile(u.Path)
		require.NoError(t, err)
		info, err := os.Stat(u.Path)
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm())
		return content
	}
	files := w.rows(`SELECT sys_id, content_url, content, text_status, coalesce(text, '') FROM servicenow_attachments WHERE content_status = 'stored'`)
	require.Greater(t, len(files), 50)
	for _, row := range files {
		want, _ := w.Content(row[0])
		require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(stored(row[1])))
		require.Equal(t, "NULL", row[2], "the content is in the store alone")
	}
	incidents := w.rows(`SELECT sys_id, record_url, record FROM servicenow_incidents`)
	require.Len(t, incidents, 120)
	for _, row := range incidents {
		require.Contains(t, string(stored(row[1])), row[0])
		require.Equal(t, "NULL", row[2])
	}

	// A full sync takes what the store has.
	w.database = filepath.Join(t.TempDir(), "again.db")
	w.ResetRequests()
	w.mustSync()
	fetched := w.requests() - w.lists()
	withoutHash := 0
	for _, row := range files {
		if a, _ := w.Record("sys_attachment", row[0]); a["hash"] == "" {
			withoutHash++
		}
	}
	require.Equal(t, withoutHash, fetched, "only files whose hash the instance does not state are fetched again")
	require.Equal(t, files, w.rows(`SELECT sys_id, content_url, content, text_status, coalesce(text, '') FROM servicenow_attachments WHERE content_status = 'stored'`))
}

// What no reader here knows goes to the services that the spec names, and to nobody else.
func TestFilesForServices(t *testing.T) {
	png := "\x89PNG\r\n\x1a\n picture"
	mp3 := "ID3\x03\x00\x00\x00\x00\x00\x00 sound"
	up := false
	var asked []string
	service := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.URL.Path)
		switch {
		case !up:
			rw.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/rmeta/text" && strings.Contains(string(body), "picture"):
			_, _ = io.WriteString(rw, `[{"Content-Type":"image/png","X-TIKA:content":"seen in the picture"}]`)
		case r.URL.Path == "/v1/audio/transcriptions" && strings.Contains(string(body), "sound") && r.Header.Get("Authorization") == "Bearer speech-key":
			rw.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(rw, `{"text":"heard in the sound"}`)
		default:
			rw.WriteHeader(http.StatusUnsupportedMediaType)
		}
	}))
	t.Cleanup(service.Close)
	w := newWorld(t, emulator.Config{Incidents: 3, Attachments: -1})
	id := w.SysIDs("incident")[0]
	picture := w.Attach("incident", id, "a.png", "image/png", []byte(png))
	sound := w.Attach("incident", id, "a.mp3", "audio/mpeg", []byte(mp3))
	w.Attach("incident", id, "a.txt", "text/plain", []byte("words"))
	says := func(sysID string) []string {
		return w.rows(`SELECT text_status, coalesce(text, ''), coalesce(text_error, '') FROM servicenow_attachments WHERE sys_id = ?`, sysID)[0]
	}
	w.mustSync()
	require.Equal(t, "unsupported", says(picture)[0])
	require.Equal(t, "unsupported", says(sound)[0])

	w.spec["attachments"] = map[string]any{
		"ocr": "off", "tika_url": service.URL, "transcription_url": service.URL, "transcription_key": "speech-key",
	}
	w.mustSync()
	require.Equal(t, "failed", says(picture)[0], "the service is down")
	require.Contains(t, says(picture)[2], "SN-TEXT-002")
	require.NotContains(t, says(sound)[2], "speech-key")

	up = true
	w.mustSync() // nothing has changed on the instance
	require.Equal(t, []string{"extracted", "seen in the picture", ""}, says(picture))
	require.Equal(t, []string{"extracted", "heard in the sound", ""}, says(sound))
	require.NotContains(t, strings.Join(asked, " "), "/tika", "a service without a path of its own is not asked twice")

	asked = nil
	w.mustSync()
	require.Empty(t, asked, "what was read is not read again")
}

// TestRealFiles syncs every file of a directory and says how fast that was.
func TestRealFiles(t *testing.T) {
	dir := os.Getenv(envFiles)
	if dir == "" {
		t.Skip(envFiles + " names no directory")
	}
	w := newWorld(t, emulator.Config{Incidents: 100, Attachments: -1})
	incidents := w.SysIDs("incident")
	var files, bytes int
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		w.Attach("incident", incidents[files%len(incidents)], filepath.Base(path), "", content)
		files, bytes = files+1, bytes+len(content)
		return err
	}))
	began := time.Now()
	w.mustSync()
	took := time.Since(began)
	t.Logf("%d files, %.1f MB: %.1f s, %.1f files/s, %.1f MB/s", files, float64(bytes)/1e6, took.Seconds(), float64(files)/took.Seconds(), float64(bytes)/1e6/took.Seconds())
	for _, row := range w.rows(`SELECT text_status, count(*), sum(length(text)) FROM servicenow_attachments GROUP BY 1`) {
		t.Logf("%s: %s files, %s characters", row[0], row[1], row[2])
	}
	require.Equal(t, []string{"0"}, w.rows(`SELECT count(*) FROM servicenow_attachments WHERE text_error LIKE '%broke down%' OR text_error LIKE '%longer than%'`)[0])
	for _, row := range w.rows(`SELECT sys_id, hex(content) FROM servicenow_attachments WHERE content_status = 'stored'`) {
		want, _ := w.Content(row[0])
		require.Equal(t, strings.ToUpper(hex.EncodeToString(want)), row[1])
	}
}
