package attachment_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/attachment"
	"github.com/cqservicenow/cq-source-servicenow/internal/blobstore"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/extract"
	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

type apiKey struct{ next http.RoundTripper }

func (a apiKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("x-sn-apikey", "emulator-key")
	return a.next.RoundTrip(r)
}

// reader is an Extractor that takes files by the end of their names and reads them as they are.
type reader struct {
	mu      sync.Mutex
	result  extract.Result // in place of the content, where it has a status
	hold    chan struct{}  // what a reading waits for, when set
	reading chan struct{}  // told of a reading that begins, when set
	sizes   []int64
	modes   []os.FileMode
}

func (*reader) Reads(name, _ string) bool { return !strings.HasSuffix(name, ".exe") }

func (r *reader) Read(ctx context.Context, path, _, _ string, size int64) extract.Result {
	if r.reading != nil {
		r.reading <- struct{}{}
	}
	if r.hold != nil {
		select {
		case <-r.hold:
		case <-ctx.Done():
			return extract.Result{Status: extract.Failed, Reason: "cancelled"}
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return extract.Result{Status: extract.Failed, Reason: err.Error()}
	}
	info, _ := os.Stat(path)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sizes, r.modes = append(r.sizes, size), append(r.modes, info.Mode().Perm())
	if r.result.Status != "" {
		return r.result
	}
	return extract.Result{Status: extract.Extracted, Text: string(content)}
}

// world is an instance with one incident.
type world struct {
	*emulator.Emulator
	t   *testing.T
	cfg attachment.Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	e := emulator.New(emulator.Config{Incidents: 1, Attachments: -1})
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	transport := httpclient.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	client, err := httpclient.New(httpclient.Config{
		Logger: zerolog.Nop(), MaxBody: 1 << 20, MaxInFlight: 2, UserAgent: "test", Base: transport,
		Auth: func(next http.RoundTripper) http.RoundTripper { return apiKey{next} },
	})
	require.NoError(t, err)
	w := &world{Emulator: e, t: t, cfg: attachment.Config{
		ServiceNow: servicenow.New(servicenow.Config{
			BaseURL: base, HTTP: client, Logger: zerolog.Nop(),
			Refused: func(*http.Response) error { return usererror.New("SN-AUTH-015", "refused", "sign in") },
			Retry:   servicenow.Retry{Tries: 4, First: time.Millisecond, Longest: 2 * time.Millisecond, Budget: 10 * time.Second},
		}),
		Instance: "example", MaxSize: 1 << 20, Spool: t.TempDir(), Column: true, Extractor: &reader{}, All: true,
	}}
	t.Cleanup(func() {
		require.Empty(t, e.Violations())
		w.requireNoSpool()
	})
	return w
}

func (w *world) requireNoSpool() {
	w.t.Helper()
	left, err := os.ReadDir(w.cfg.Spool)
	require.NoError(w.t, err)
	require.Empty(w.t, left, "files in transit are left behind")
}

// store puts a directory in place of the column.
func (w *world) store() string {
	dir := w.t.TempDir()
	s, err := blobstore.Open(w.t.Context(), "file://"+filepath.ToSlash(dir), time.Hour)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = s.Close() })
	w.cfg.Store, w.cfg.Column = s, false
	return dir
}

func (w *world) attach(name, content string) string {
	return w.Attach("incident", w.SysIDs("incident")[0], name, "text/plain", []byte(content))
}

// set changes a file's row without a trace in its time stamp, as the platform does.
func (w *world) set(id string, values map[string]string) {
	w.t.Helper()
	before, ok := w.Record("sys_attachment", id)
	require.True(w.t, ok)
	for _, field := range []string{"sys_updated_on", "sys_updated_by", "sys_mod_count"} {
		values[field] = before[field]
	}
	w.Update("sys_attachment", id, values)
}

// record is a file's row as a list shows it.
func (w *world) record(id string) servicenow.Record {
	w.t.Helper()
	values, ok := w.Record("sys_attachment", id)
	require.True(w.t, ok)
	record, err := json.Marshal(values)
	require.NoError(w.t, err)
	return record
}

func (w *world) fetch(id string) *attachment.Content {
	w.t.Helper()
	c, err := attachment.New(w.cfg).Fetch(w.t.Context(), w.record(id))
	require.NoError(w.t, err)
	w.t.Cleanup(c.Close)
	return c
}

func content(t *testing.T, c *attachment.Content) string {
	t.Helper()
	raw, err := c.Bytes()
	require.NoError(t, err)
	require.NotNil(t, raw)
	return string(raw)
}

func TestContentAndText(t *testing.T) {
	w := newWorld(t)
	id := w.attach("a.txt", "hello")
	c := w.fetch(id)
	require.Equal(t, "hello", content(t, c))
	require.Equal(t, "hello", *c.Text)
	require.Equal(t, attachment.Stored, c.Status)
	require.Equal(t, attachment.TextExtracted, c.TextStatus)
	require.Empty(t, c.Error+c.TextError+c.URL+c.SignedURL)
	require.Equal(t, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", c.SHA256)
	require.False(t, c.Again)
	c.Close()
	c.Close()
	w.requireNoSpool()
}

func TestEmptyFileIsOne(t *testing.T) {
	w := newWorld(t)
	id := w.attach("empty.txt", "")
	c := w.fetch(id)
	require.Empty(t, content(t, c), "and not nil, which is no content")
	require.Equal(t, attachment.Stored, c.Status)
	require.NotNil(t, c.Text)
	require.Empty(t, *c.Text)
	require.Equal(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", c.SHA256)

	dir := w.store()
	c = w.fetch(id)
	require.Equal(t, attachment.Stored, c.Status)
	info, err := os.Stat(strings.TrimPrefix(c.URL, "file://"))
	require.NoError(t, err)
	require.Zero(t, info.Size())
	require.Contains(t, c.URL, filepath.ToSlash(dir))
}

func TestEveryStatus(t *testing.T) {
	forbidden := emulator.Fault{Kind: emulator.FaultForbidden, Files: true}
	for name, test := range map[string]struct {
		file                       string
		set                        map[string]string
		change                     func(*world)
		fault                      emulator.Fault
		status, textStatus, reason string
		again                      bool
		requests                   int // for the file; -1 any
	}{
		"pending":                 {set: map[string]string{"state": "pending"}, status: "unavailable", textStatus: "unavailable", reason: "SN-FILE-001", again: true},
		"blocked":                 {set: map[string]string{"state": "not_available"}, status: "unavailable", textStatus: "unavailable", reason: "SN-FILE-001"},
		"an unknown state":        {set: map[string]string{"state": "quarantined\n"}, status: "unavailable", textStatus: "unavailable", reason: `quarantined\n`},
		"no state":                {set: map[string]string{"state": ""}, status: "stored", textStatus: "extracted", requests: 1},
		"too large":               {change: func(w *world) { w.cfg.MaxSize = 4 }, status: "too_large", textStatus: "too_large", reason: "SN-FILE-004"},
		"as large as can be":      {change: func(w *world) { w.cfg.MaxSize = 5 }, status: "stored", textStatus: "extracted", requests: 1},
		"too large, unstated":     {set: map[string]string{"size_bytes": ""}, change: func(w *world) { w.cfg.MaxSize = 4 }, status: "too_large", textStatus: "too_large", reason: "SN-FILE-004", requests: 1},
		"a size that is none":     {set: map[string]string{"size_bytes": "-7"}, status: "stored", textStatus: "extracted", requests: 1},
		"a hash in capitals":      {set: map[string]string{"hash": "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824"}, status: "stored", textStatus: "extracted", requests: 1},
		"a hash of another kind":  {set: map[string]string{"hash": "5d41402abc4b2a76b9719d911017c592"}, status: "stored", textStatus: "extracted", requests: 1},
		"no hash":                 {set: map[string]string{"hash": ""}, status: "stored", textStatus: "extracted", requests: 1},
		"another hash":            {set: map[string]string{"hash": strings.Repeat("0", 64)}, status: "failed", textStatus: "failed", reason: "SN-FILE-003", again: true, requests: 4},
		"cut each time":           {fault: emulator.Fault{Kind: emulator.FaultCutBody, Files: true}, status: "failed", textStatus: "failed", reason: "SN-FILE-003", again: true, requests: 4},
		"refused":                 {fault: forbidden, status: "unavailable", textStatus: "unavailable", reason: "SN-FILE-001", again: true, requests: 1},
		"not served":              {fault: emulator.Fault{Kind: emulator.FaultUnavailable, Files: true}, status: "failed", textStatus: "failed", reason: "SN-INST-002", again: true, requests: 4},
		"a page in its place":     {fault: emulator.Fault{Kind: emulator.FaultHibernating, Files: true}, status: "failed", textStatus: "failed", reason: "SN-INST-001", again: true, requests: 4},
		"cancelled":               {fault: emulator.Fault{Kind: emulator.FaultCancelled, Files: true}, status: "failed", textStatus: "failed", reason: "SN-INST-005", again: true, requests: 4},
		"not wanted":              {file: "run.exe", change: func(w *world) { w.cfg.Column, w.cfg.All = false, false }, textStatus: "unsupported"},
		"not wanted, and pending": {file: "run.exe", set: map[string]string{"state": "pending"}, change: func(w *world) { w.cfg.Column = false }, textStatus: "unsupported"},
		"all wanted":              {file: "run.exe", status: "stored", textStatus: "extracted", requests: 1},
		"content alone":           {change: func(w *world) { w.cfg.Extractor = nil }, status: "stored", requests: 1},
		"content alone, pending":  {set: map[string]string{"state": "pending"}, change: func(w *world) { w.cfg.Extractor = nil }, status: "unavailable", again: true, reason: "SN-FILE-001"},
		"text alone":              {change: func(w *world) { w.cfg.Column = false }, textStatus: "extracted", requests: 1},
		"text alone, blocked":     {set: map[string]string{"state": "not_available"}, change: func(w *world) { w.cfg.Column = false }, textStatus: "unavailable", reason: "SN-FILE-001"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.file == "" {
				test.file = "a.txt"
			}
			id := w.attach(test.file, "hello")
			if test.set != nil {
				w.set(id, test.set)
			}
			if test.change != nil {
				test.change(w)
			}
			if test.fault.Kind != "" {
				w.SetFaults(test.fault)
			}
			c := w.fetch(id)
			require.Equal(t, test.status, c.Status, "%+v", c)
			require.Equal(t, test.textStatus, c.TextStatus)
			require.Equal(t, test.again, c.Again)
			reason := c.Error + c.TextError
			require.Contains(t, reason, test.reason)
			if test.reason == "" {
				require.Empty(t, reason)
			}
			require.NotContains(t, reason, "\n")
			require.Len(t, w.Requests(), test.requests)
			raw, err := c.Bytes()
			require.NoError(t, err)
			require.Equal(t, test.status == "stored", raw != nil)
			require.Equal(t, test.textStatus == "extracted", c.Text != nil)
			c.Close()
		})
	}
}

func TestTextStatuses(t *testing.T) {
	for name, test := range map[string]struct {
		result extract.Result
		text   bool
		reason string
	}{
		"cut":         {extract.Result{Status: extract.Extracted, Text: "x", Reason: "it is longer"}, true, "SN-TEXT-002: it is longer"},
		"no words":    {extract.Result{Status: extract.Extracted}, true, ""},
		"unsupported": {extract.Result{Status: extract.Unsupported, Reason: "no reader knows its format"}, false, "no reader knows its format"},
		"encrypted":   {extract.Result{Status: extract.Encrypted, Reason: "it needs a password"}, false, "SN-TEXT-002: it needs a password"},
		"failed":      {extract.Result{Status: extract.Failed, Reason: "broken"}, false, "SN-TEXT-002: broken"},
		"passing":     {extract.Result{Status: extract.Failed, Reason: "the service is down", Passing: true}, false, "SN-TEXT-002: the service is down"},
		"some text":   {extract.Result{Status: extract.Failed, Text: "x", Reason: "broken"}, true, "SN-TEXT-002: broken"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.cfg.Extractor = &reader{result: test.result}
			c := w.fetch(w.attach("a.txt", "hello"))
			require.Equal(t, string(test.result.Status), c.TextStatus)
			require.Equal(t, test.text, c.Text != nil)
			require.Equal(t, test.reason, c.TextError)
			require.Equal(t, attachment.Stored, c.Status, "the content is there all the same")
			require.Equal(t, test.result.Passing, c.Again, "what was no fault of the file is tried again")
			c.Close()
		})
	}
}

func TestPendingFileArrivesLater(t *testing.T) {
	w := newWorld(t)
	id := w.attach("a.txt", "hello")
	w.set(id, map[string]string{"state": "pending"})
	c := w.fetch(id)
	require.True(t, c.Again)
	w.set(id, map[string]string{"state": "available"})
	c = w.fetch(id)
	require.Equal(t, "hello", content(t, c))
	require.False(t, c.Again)
	c.Close()
}

func TestStateChangesBetweenListingAndDownload(t *testing.T) {
	w := newWorld(t)
	id := w.attach("a.txt", "hello")
	listed := w.record(id)
	w.set(id, map[string]string{"state": "pending"})
	c, err := attachment.New(w.cfg).Fetch(t.Context(), listed)
	require.NoError(t, err)
	require.Equal(t, attachment.Unavailable, c.Status)
	require.True(t, c.Again)

	w.Delete("sys_attachment", id)
	c, err = attachment.New(w.cfg).Fetch(t.Context(), listed)
	require.NoError(t, err)
	require.Equal(t, attachment.Unavailable, c.Status)
	require.Contains(t, c.Error, servicenow.CodeFileGone)
	require.False(t, c.Again, "what is deleted does not come back")
}

func TestHostileNamesStayInTheStore(t *testing.T) {
	w := newWorld(t)
	dir := w.store()
	for _, name := range []string{"../../../etc/passwd", "", "..", "/abs", "a.attrs", "x\x00y", "line\nbreak", strings.Repeat("☃", 500), "CON", `..\..\x`} {
		id := w.attach(name, "content of "+name)
		c := w.fetch(id)
		require.Equal(t, attachment.Stored, c.Status, "%q: %s", name, c.Error)
		address, err := url.Parse(c.URL)
		require.NoError(t, err)
		relative, err := filepath.Rel(dir, filepath.FromSlash(address.Path))
		require.NoError(t, err)
		require.True(t, filepath.IsLocal(relative), "%q", name)
		stored, err := os.ReadFile(filepath.FromSlash(address.Path))
		require.NoError(t, err)
		require.Equal(t, "content of "+name, string(stored))
	}
}

func TestStoredContentIsNotDownloadedAgain(t *testing.T) {
	w := newWorld(t)
	w.store()
	id := w.attach("a.txt", "hello")
	first := w.fetch(id)
	require.Len(t, w.Requests(), 1)
	second := w.fetch(id)
	require.Len(t, w.Requests(), 1, "the stored file is read in its place")
	require.Equal(t, "hello", *second.Text)
	require.Equal(t, first.URL, second.URL)
	require.Equal(t, first.SHA256, second.SHA256)
	w.set(id, map[string]string{"hash": strings.ToUpper(first.SHA256)})
	require.Equal(t, first.SHA256, w.fetch(id).SHA256)
	w.cfg.Extractor = nil
	require.Equal(t, first.SHA256, w.fetch(id).SHA256)
	require.Len(t, w.Requests(), 1)

	// Damage in the store is made good.
	require.NoError(t, os.WriteFile(strings.TrimPrefix(first.URL, "file://"), []byte("hallo"), 0o600))
	w.fetch(id)
	require.Len(t, w.Requests(), 2)
	stored, err := os.ReadFile(strings.TrimPrefix(first.URL, "file://"))
	require.NoError(t, err)
	require.Equal(t, "hello", string(stored))

	// Without a stated hash nothing proves that it is the same.
	w.set(id, map[string]string{"hash": ""})
	w.fetch(id)
	require.Len(t, w.Requests(), 3)
}

func TestStoreThatFailsEndsTheSync(t *testing.T) {
	w := newWorld(t)
	dir := w.store()
	id := w.attach("a.txt", "hello")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "example"), nil, 0o600)) // in the way of a directory
	_, err := attachment.New(w.cfg).Fetch(t.Context(), w.record(id))
	require.Equal(t, blobstore.CodeUnreachable, usererror.CodeOf(err), "%v", err)
	w.requireNoSpool()
}

// An instance that no longer serves is not the fault of one file after the other.
func TestThreeLostFilesInARowEndTheSync(t *testing.T) {
	w := newWorld(t)
	record := w.record(w.attach("a.txt", "hello"))
	f := attachment.New(w.cfg)
	fetch := func() (string, error) {
		c, err := f.Fetch(t.Context(), record)
		if err != nil {
			return "", err
		}
		defer c.Close()
		return c.Status, nil
	}
	lost := func(faults ...emulator.Fault) {
		t.Helper()
		w.SetFaults(faults...)
		status, err := fetch()
		require.NoError(t, err)
		require.Equal(t, attachment.Failed, status)
	}
	down := emulator.Fault{Kind: emulator.FaultUnavailable}
	lost(down)
	lost(down)
	w.SetFaults()
	status, err := fetch()
	require.NoError(t, err)
	require.Equal(t, attachment.Stored, status)
	lost(down)
	lost(down)
	w.SetFaults(down)
	_, err = fetch()
	require.Equal(t, servicenow.CodeUnavailable, usererror.CodeOf(err))

	// Files that alone are not served keep no sync from its end.
	for range 10 {
		lost(emulator.Fault{Kind: emulator.FaultUnavailable, Files: true})
	}
	// Nor do those that arrive as something else.
	for range 5 {
		lost(emulator.Fault{Kind: emulator.FaultCorruptFile})
	}
}

func TestSignInThatEndsEndsTheSync(t *testing.T) {
	w := newWorld(t)
	record := w.record(w.attach("a.txt", "hello"))
	for kind, code := range map[emulator.FaultKind]string{
		emulator.FaultTokenExpired: "SN-AUTH-015", emulator.FaultQueueFull: servicenow.CodeRateLimited, emulator.FaultAccepted: servicenow.CodeSessionQueueFull,
	} {
		w.SetFaults(emulator.Fault{Kind: kind})
		_, err := attachment.New(w.cfg).Fetch(t.Context(), record)
		require.Equal(t, code, usererror.CodeOf(err))
		w.requireNoSpool()
	}
}

func TestSpoolThatCannotBeMadeEndsTheSync(t *testing.T) {
	w := newWorld(t)
	record := w.record(w.attach("a.txt", "hello"))
	cfg := w.cfg
	cfg.Spool = filepath.Join(t.TempDir(), "gone")
	_, err := attachment.New(cfg).Fetch(t.Context(), record)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestSpoolIsForItsOwner(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	w := newWorld(t)
	r := &reader{}
	w.cfg.Extractor = r
	w.fetch(w.attach("a.txt", "hello")).Close()
	require.Equal(t, []os.FileMode{0o600}, r.modes)
	require.Equal(t, []int64{5}, r.sizes)
}

func TestCancellationLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("", func(t *testing.T) {
		w := newWorld(t)
		record := w.record(w.attach("a.txt", strings.Repeat("hello", 10_000)))
		f := attachment.New(w.cfg)
		// In the middle of downloads, some of which wait for a slot.
		w.SetFaults(emulator.Fault{Kind: emulator.FaultSlowBody, Delay: time.Minute})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		errs := make([]error, 6)
		for i := range errs {
			wg.Go(func() { _, errs[i] = f.Fetch(ctx, record) })
		}
		time.Sleep(50 * time.Millisecond)
		cancel()
		wg.Wait()
		for _, err := range errs {
			require.ErrorIs(t, err, context.Canceled)
		}
		w.requireNoSpool()

		// In the middle of a reading.
		w.SetFaults()
		r := &reader{hold: make(chan struct{}), reading: make(chan struct{}, 1)}
		w.cfg.Extractor = r
		ctx, cancel = context.WithCancel(t.Context())
		go func() { <-r.reading; cancel() }()
		_, err := attachment.New(w.cfg).Fetch(ctx, record)
		require.ErrorIs(t, err, context.Canceled)
		w.requireNoSpool()
	})
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 5*time.Second, 20*time.Millisecond, "goroutines are left behind")
}

// The instance's slots are for requests: a text that takes long to read holds none.
func TestReadingHoldsNoSlot(t *testing.T) {
	w := newWorld(t) // with 2 slots
	slow := &reader{hold: make(chan struct{}), reading: make(chan struct{}, 4)}
	w.cfg.Extractor = slow
	record := w.record(w.attach("a.txt", "hello"))
	f := attachment.New(w.cfg)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c, err := f.Fetch(t.Context(), record)
			if err == nil {
				c.Close()
			}
		})
	}
	for range 4 {
		select {
		case <-slow.reading: // all four were downloaded, more than there are slots
		case <-time.After(10 * time.Second):
			t.Error("a reading keeps others from being downloaded")
		}
	}
	close(slow.hold)
	wg.Wait()
}

func TestFactsThatAreNone(t *testing.T) {
	w := newWorld(t)
	_, err := attachment.New(w.cfg).Fetch(t.Context(), servicenow.Record(`{"sys_id":{}`))
	require.Error(t, err)
}

func TestFormatsThatAreNotWanted(t *testing.T) {
	w := newWorld(t)
	w.cfg.All = false
	id := w.Attach("incident", w.SysIDs("incident")[0], "run.exe", "application/x-msdownload", []byte("MZ"))
	c := w.fetch(id)
	require.Equal(t, attachment.Skipped, c.Status)
	require.Equal(t, attachment.TextUnsupported, c.TextStatus)
	require.Empty(t, c.Error+c.TextError)
	require.Empty(t, w.Requests())
}
