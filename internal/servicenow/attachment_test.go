package servicenow_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// memorySpool keeps a file in memory, and the length of what each attempt began with.
type memorySpool struct {
	bytes.Buffer
	resets int
	full   error // what a write fails with
}

func (s *memorySpool) Write(p []byte) (int, error) {
	if s.full != nil {
		return 0, s.full
	}
	return s.Buffer.Write(p)
}

func (s *memorySpool) Reset() error {
	s.resets++
	s.Buffer.Reset()
	return nil
}

// attached returns an instance with one file, and what it states about it.
func attached(t *testing.T, content []byte) (*emulator.Emulator, *servicenow.Client, servicenow.FileFacts) {
	t.Helper()
	e, c := connect(t, emulator.Config{Incidents: 1, Attachments: -1})
	id := e.Attach("incident", e.SysIDs("incident")[0], "a.bin", "application/octet-stream", content)
	sum := sha256.Sum256(content)
	return e, c, servicenow.FileFacts{SysID: id, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
}

// sample is content that neither compresses to nothing nor repeats within a fault's step.
func sample(n int) []byte {
	content := make([]byte, n)
	state := uint32(1)
	for i := range content {
		state = state*1664525 + 1013904223
		content[i] = byte(state >> 24)
	}
	return content
}

const megabyte = 1 << 20

func TestDownloadSurvivesPassingFaults(t *testing.T) {
	content := sample(300_000)
	for _, kind := range []emulator.FaultKind{
		emulator.FaultCutBody, emulator.FaultCutReset, emulator.FaultCutGzip, emulator.FaultCorruptFile, emulator.FaultRateLimited,
		emulator.FaultQueueFull, emulator.FaultBadGateway, emulator.FaultUnavailable, emulator.FaultGatewayTimeout, emulator.FaultCancelled,
		emulator.FaultHibernating, emulator.FaultAccepted, emulator.FaultReset,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			e, c, facts := attached(t, content)
			times := 3
			if kind == emulator.FaultRateLimited {
				times = 1 // it says to wait for a second
			}
			e.SetFaults(emulator.Fault{Kind: kind, Times: times})
			var to memorySpool
			size, sum, err := c.DownloadFile(t.Context(), facts, megabyte, &to)
			require.NoError(t, err)
			require.True(t, bytes.Equal(content, to.Bytes()), "the spool was emptied between attempts")
			require.Equal(t, facts.SHA256, sum)
			require.Equal(t, facts.Size, size)
			require.Greater(t, to.resets, 1)
		})
	}
	t.Run("a slow body", func(t *testing.T) {
		e, c, facts := attached(t, content)
		e.SetFaults(emulator.Fault{Kind: emulator.FaultSlowBody, Delay: 200 * time.Millisecond})
		var to memorySpool
		_, _, err := c.DownloadFile(t.Context(), facts, megabyte, &to)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, to.Bytes()))
		require.Equal(t, 1, to.resets)
	})
}

func TestDownloadNamesLastingFaults(t *testing.T) {
	for kind, test := range map[emulator.FaultKind]struct {
		code     string
		attempts int // 0 is any number
	}{
		emulator.FaultCutBody:        {servicenow.CodeFileMismatch, 4},
		emulator.FaultCutReset:       {servicenow.CodeFileMismatch, 0}, // net/http may repeat a request itself
		emulator.FaultCutGzip:        {servicenow.CodeFileMismatch, 4},
		emulator.FaultCorruptFile:    {servicenow.CodeFileMismatch, 4},
		emulator.FaultForbidden:      {servicenow.CodeFileUnavailable, 1},
		emulator.FaultNotFound:       {servicenow.CodeFileGone, 1},
		emulator.FaultHibernating:    {servicenow.CodeNotJSON, 6},
		emulator.FaultBadGateway:     {servicenow.CodeUnavailable, 6},
		emulator.FaultReset:          {servicenow.CodeUnavailable, 0},
		emulator.FaultCancelled:      {servicenow.CodeCancelled, 6},
		emulator.FaultQueueFull:      {servicenow.CodeRateLimited, 0}, // a 429 uses up the time, and no attempt
		emulator.FaultAccepted:       {servicenow.CodeSessionQueueFull, 6},
		emulator.FaultPaginationURL:  {servicenow.CodeURLTooLong, 1},
		emulator.FaultTokenExpired:   {"SN-AUTH-015", 1}, // nothing signs in again here
		emulator.FaultEmptyWithError: {"", 1},            // a fault of lists alone
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			e, c, facts := attached(t, sample(100_000))
			e.SetFaults(emulator.Fault{Kind: kind})
			_, _, err := c.DownloadFile(t.Context(), facts, megabyte, &memorySpool{})
			require.Equal(t, test.code, usererror.CodeOf(err), "%v", err)
			if test.attempts > 0 {
				// The emulator notes a request behind its answer.
				require.Eventually(t, func() bool { return len(e.Requests()) >= test.attempts }, time.Second, time.Millisecond)
				require.Len(t, e.Requests(), test.attempts)
			}
		})
	}
}

// Doubts about the content and failures to serve it are counted apart.
func TestOutagesAreNoDoubtsAboutAFile(t *testing.T) {
	e, c, facts := attached(t, sample(100_000))
	e.SetFaults(emulator.Fault{Kind: emulator.FaultUnavailable, Times: 3}, emulator.Fault{Kind: emulator.FaultCutBody, Times: 1})
	_, _, err := c.DownloadFile(t.Context(), facts, megabyte, &memorySpool{})
	require.NoError(t, err)
	require.Len(t, e.Requests(), 5)
}

func TestDownloadChecksWhatIsStated(t *testing.T) {
	content := sample(5000)
	other := sha256.Sum256([]byte("other"))
	for name, test := range map[string]struct {
		content []byte
		change  func(*servicenow.FileFacts)
		limit   int64
		code    string
	}{
		"at the limit":                          {content, nil, 5000, ""},
		"below the limit":                       {content, nil, 5001, ""},
		"above the limit":                       {content, nil, 4999, servicenow.CodeFileTooLarge},
		"no hash":                               {content, func(f *servicenow.FileFacts) { f.SHA256 = "" }, megabyte, ""},
		"no size":                               {content, func(f *servicenow.FileFacts) { f.Size = -1 }, megabyte, ""},
		"neither":                               {content, func(f *servicenow.FileFacts) { f.Size, f.SHA256 = -1, "" }, megabyte, ""},
		"a hash in capitals":                    {content, func(f *servicenow.FileFacts) { f.SHA256 = string(bytes.ToUpper([]byte(f.SHA256))) }, megabyte, ""},
		"no size, at the limit":                 {content, func(f *servicenow.FileFacts) { f.Size = -1 }, 5000, ""},
		"no size, above the limit":              {content, func(f *servicenow.FileFacts) { f.Size = -1 }, 4999, servicenow.CodeFileTooLarge},
		"another size":                          {content, func(f *servicenow.FileFacts) { f.Size = 5001 }, megabyte, servicenow.CodeFileMismatch},
		"more bytes than stated":                {content, func(f *servicenow.FileFacts) { f.Size = 10 }, megabyte, servicenow.CodeFileMismatch},
		"more bytes than stated, and the limit": {content, func(f *servicenow.FileFacts) { f.Size = 10 }, 1000, servicenow.CodeFileMismatch},
		"another hash":                          {content, func(f *servicenow.FileFacts) { f.SHA256 = hex.EncodeToString(other[:]) }, megabyte, servicenow.CodeFileMismatch},
		"another hash, no size":                 {content, func(f *servicenow.FileFacts) { f.Size, f.SHA256 = -1, hex.EncodeToString(other[:]) }, megabyte, servicenow.CodeFileMismatch},
		"zero bytes":                            {nil, nil, 1024, ""},
		"zero bytes that are stated as some":    {nil, func(f *servicenow.FileFacts) { f.Size = 3 }, 1024, servicenow.CodeFileMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, c, facts := attached(t, test.content)
			if test.change != nil {
				test.change(&facts)
			}
			var to memorySpool
			size, sum, err := c.DownloadFile(t.Context(), facts, test.limit, &to)
			require.Equal(t, test.code, usererror.CodeOf(err), "%v", err)
			if test.code != "" {
				require.Error(t, err)
				require.LessOrEqual(t, int64(to.Len()), test.limit, "no more than the limit is written")
				if facts.Size > test.limit {
					require.Empty(t, e.Requests(), "what is stated to be too large is not asked for")
				}
				return
			}
			want := sha256.Sum256(test.content)
			require.Equal(t, hex.EncodeToString(want[:]), sum)
			require.EqualValues(t, len(test.content), size)
			require.True(t, bytes.Equal(test.content, to.Bytes()))
		})
	}
}

// A page for people has status 200. Without a stated length it is no longer a matter of its length alone.
func TestPagesAreNoFiles(t *testing.T) {
	for name, facts := range map[string]servicenow.FileFacts{
		"with size and hash": {SysID: "x", Size: 5, SHA256: hex.EncodeToString(make([]byte, 32))},
		"nothing is known":   {SysID: "x", Size: -1},
		"longer than it":     {SysID: "x", Size: 100_000},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html;charset=UTF-8")
			_, _ = w.Write([]byte("<html><head><title>Log in</title></head></html>" + string(make([]byte, 3000))))
		}))
		_, _, err := clientOf(t, server.URL, megabyte).DownloadFile(t.Context(), facts, 2000, &memorySpool{})
		server.Close()
		if facts.Size > 2000 {
			require.Equal(t, servicenow.CodeFileTooLarge, usererror.CodeOf(err))
			continue
		}
		require.Equal(t, servicenow.CodeNotJSON, usererror.CodeOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, "Log in", name)
	}
	// A file of that type is one, as its metadata come with it.
	e, c := connect(t, emulator.Config{Incidents: 1, Attachments: -1})
	page := []byte("<html><head><title>Instance Hibernating page</title></head></html>")
	id := e.Attach("incident", e.SysIDs("incident")[0], "page.html", "text/html", page)
	var to memorySpool
	_, _, err := c.DownloadFile(t.Context(), servicenow.FileFacts{SysID: id, Size: -1}, megabyte, &to)
	require.NoError(t, err)
	require.Equal(t, page, to.Bytes())
}

func TestDownloadEndsWithItsSpoolAndItsContext(t *testing.T) {
	e, c, facts := attached(t, sample(200_000))
	full := errors.New("no space left on device")
	_, _, err := c.DownloadFile(t.Context(), facts, megabyte, &memorySpool{full: full})
	require.ErrorIs(t, err, full)
	require.Empty(t, usererror.CodeOf(err), "it is no matter of the instance")
	require.LessOrEqual(t, len(e.Requests()), 1) // it is noted when it has ended

	e.SetFaults(emulator.Fault{Kind: emulator.FaultSlowBody, Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, _, err = c.DownloadFile(ctx, facts, megabyte, &memorySpool{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), 10*time.Second)
}
