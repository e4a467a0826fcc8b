package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	pb "github.com/cloudquery/plugin-pb-go/pb/plugin/v3"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/cursor"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
	"github.com/cqservicenow/cq-source-servicenow/resources"
)

const stateTable = "cq_state"

// stateBackend answers for the destination's state table with what syncs have sent of it.
type stateBackend struct {
	pb.UnimplementedPluginServer
	mu   sync.Mutex
	rows [][]byte
}

func (b *stateBackend) Read(_ *pb.Read_Request, stream grpc.ServerStreamingServer[pb.Read_Response]) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, row := range b.rows {
		if err := stream.Send(&pb.Read_Response{Record: row}); err != nil {
			return err
		}
	}
	return nil
}

// filesWorld is an instance whose attachments are synced, with a state.
type filesWorld struct {
	*emulator.Emulator
	t       *testing.T
	url     string
	spec    map[string]any
	tables  []string
	backend *plugin.BackendOptions
	state   *stateBackend
	clock   *atomic.Int64
	spool   string
	busy    atomic.Int32 // requests in flight
	busiest atomic.Int32
	// watch sees every message; an error of it ends the sync.
	watch func(message.SyncMessage)
}

func newFilesWorld(t *testing.T, cfg emulator.Config) *filesWorld {
	t.Helper()
	w := &filesWorld{t: t, tables: []string{resources.AttachmentsTable}, state: &stateBackend{}, clock: &atomic.Int64{}, spool: t.TempDir()}
	t.Setenv("TMPDIR", w.spool)
	w.clock.Store(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC).Unix())
	cfg.Now = func() time.Time { return time.Unix(w.clock.Load(), 0).UTC() }
	w.Emulator = emulator.New(cfg)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		now := w.busy.Add(1)
		defer w.busy.Add(-1)
		for most := w.busiest.Load(); now > most; most = w.busiest.Load() {
			w.busiest.CompareAndSwap(most, now)
		}
		w.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { require.Empty(t, w.Violations()) })
	w.url = server.URL
	w.spec = map[string]any{
		"auth": map[string]any{"grant_type": "api_key", "api_key": "emulator-key"}, "attachments": map[string]any{"extract_text": false, "formats": "all"},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	rpc := grpc.NewServer()
	pb.RegisterPluginServer(rpc, w.state)
	go func() { _ = rpc.Serve(listener) }()
	t.Cleanup(rpc.Stop)
	w.backend = &plugin.BackendOptions{TableName: stateTable, Connection: listener.Addr().String()}
	return w
}

// attachments sets keys of the spec's block.
func (w *filesWorld) attachments(keys map[string]any) {
	block := maps.Clone(w.spec["attachments"].(map[string]any))
	maps.Copy(block, keys)
	w.spec["attachments"] = block
}

// fileRow is a synced row by its columns; NULL is absent.
type fileRow map[string]string

// sync runs a sync and returns its rows by sys_id. A row that comes twice is a fault.
func (w *filesWorld) sync(ctx context.Context) (map[string]fileRow, error) {
	w.t.Helper()
	w.ResetRequests()
	data := specFor(w.t, w.url, func(s map[string]any) { maps.Copy(s, w.spec) })
	parsed, err := spec.Parse(data)
	require.NoError(w.t, err)
	s := &source{spec: parsed, logger: zerolog.Nop(), retry: servicenow.Retry{Tries: 4, First: time.Millisecond, Longest: 2 * time.Millisecond, Budget: time.Minute}}
	res := make(chan message.SyncMessage)
	done := make(chan error, 1)
	go func() {
		defer close(res)
		done <- s.Sync(ctx, plugin.SyncOptions{Tables: w.tables, BackendOptions: w.backend}, res)
	}()
	rows := map[string]fileRow{}
	for m := range res {
		if w.watch != nil {
			w.watch(m)
		}
		insert, ok := m.(*message.SyncInsert)
		if !ok {
			continue
		}
		if name, _ := insert.Record.Schema().Metadata().GetValue("cq:table_name"); name == stateTable {
			row, err := pb.RecordToBytes(insert.Record)
			require.NoError(w.t, err)
			w.state.mu.Lock()
			w.state.rows = append(w.state.rows, row)
			w.state.mu.Unlock()
			continue
		}
		for i := range int(insert.Record.NumRows()) {
			row := fileRow{}
			for c, field := range insert.Record.Schema().Fields() {
				if column := insert.Record.Column(c); column.IsValid(i) {
					row[field.Name] = cellText(column, i)
				}
			}
			require.NotContains(w.t, rows, row["sys_id"], "a row comes twice")
			rows[row["sys_id"]] = row
		}
	}
	err = <-done
	left, dirErr := os.ReadDir(w.spool)
	require.NoError(w.t, dirErr)
	require.Empty(w.t, left, "files in transit are left behind")
	return rows, err
}

func cellText(column arrow.Array, i int) string {
	switch column := column.(type) {
	case *array.Binary:
		return string(column.Value(i))
	case *array.String:
		return column.Value(i)
	}
	return column.ValueStr(i)
}

func (w *filesWorld) mustSync() map[string]fileRow {
	w.t.Helper()
	rows, err := w.sync(w.t.Context())
	require.NoError(w.t, err)
	return rows
}

// mustBringNothing runs a sync that finds nothing new: it tries again what waits for its scan, and no more.
func (w *filesWorld) mustBringNothing(why ...any) {
	w.t.Helper()
	for _, row := range w.mustSync() {
		require.Equal(w.t, "pending", row["state"], why...)
	}
	require.Zero(w.t, w.downloads(), why...)
}

// downloads counts the requests for the content of files in the last sync.
func (w *filesWorld) downloads() int {
	n := 0
	for _, r := range w.Requests() {
		if strings.HasSuffix(r.Path, "/file") {
			n++
		}
	}
	return n
}

// cursor returns the last cursor that was sent for a table.
func (w *filesWorld) cursor(table string) *cursor.Cursor {
	w.t.Helper()
	var last *cursor.Cursor
	for _, row := range w.state.rows {
		record, err := pb.NewRecordFromBytes(row)
		require.NoError(w.t, err)
		if strings.HasSuffix(record.Column(0).ValueStr(0), "/"+table) {
			last, err = cursor.Parse(record.Column(1).(*array.String).Value(0))
			require.NoError(w.t, err)
		}
	}
	return last
}

func (w *filesWorld) pass(d time.Duration) { w.clock.Add(int64(d / time.Second)) }

// quietly changes a file's row without a trace in its time stamp.
func (w *filesWorld) quietly(id string, values map[string]string) {
	w.t.Helper()
	before, ok := w.Record("sys_attachment", id)
	require.True(w.t, ok)
	for _, field := range []string{"sys_updated_on", "sys_updated_by", "sys_mod_count"} {
		if _, given := values[field]; !given {
			values[field] = before[field]
		}
	}
	w.Update("sys_attachment", id, values)
}

func (w *filesWorld) attach(incident int, name string, content []byte) string {
	return w.Attach("incident", w.SysIDs("incident")[incident], name, "text/plain", content)
}

// requireContent checks every row against the source.
func (w *filesWorld) requireContent(rows map[string]fileRow, content func(fileRow) string) {
	w.t.Helper()
	stored := 0
	for id, row := range rows {
		a, ok := w.Record("sys_attachment", id)
		require.True(w.t, ok)
		if a["state"] != "available" {
			require.Equal(w.t, "unavailable", row["content_status"])
			require.Contains(w.t, row["content_error"], servicenow.CodeFileUnavailable)
			continue
		}
		want, _ := w.Content(id)
		require.Equal(w.t, "stored", row["content_status"], "%v", row)
		sum := sha256.Sum256(want)
		require.Equal(w.t, hex.EncodeToString(sum[:]), row["content_sha256"])
		if got := content(row); got != string(want) {
			w.t.Fatalf("%s has another content: %d bytes, not %d", a["file_name"], len(got), len(want))
		}
		stored++
	}
	require.NotZero(w.t, stored)
}

func inColumn(row fileRow) string { return row["content"] }

// inStore reads a row's file of the directory.
func (w *filesWorld) inStore(row fileRow) string {
	w.t.Helper()
	u, err := url.Parse(row["content_url"])
	require.NoError(w.t, err)
	content, err := os.ReadFile(filepath.FromSlash(u.Path))
	require.NoError(w.t, err)
	return string(content)
}

func TestContentFollowsItsRow(t *testing.T) {
	for _, where := range []string{"column", "blob"} {
		t.Run(where, func(t *testing.T) {
			w := newFilesWorld(t, emulator.Config{Incidents: 40, Attachments: 120})
			content := inColumn
			if where == "blob" {
				w.attachments(map[string]any{"content": "blob", "blob_url": "file://" + filepath.ToSlash(t.TempDir())})
				content = w.inStore
			}
			w.attach(0, "../../hostile\n☃.attrs", []byte("hostile"))
			rows := w.mustSync()
			require.Greater(t, len(rows), 80)
			w.requireContent(rows, content)
			images := 0
			for _, row := range rows {
				if strings.HasPrefix(row["table_name"], "ZZ_YY") {
					images++
				}
			}
			require.NotZero(t, images, "files in fields of the form are there as well")
			first := w.downloads()
			require.Greater(t, first, 60)

			// Nothing has changed: a sync inside the overlap, and one long after it.
			w.mustBringNothing()
			w.pass(time.Hour)
			w.mustBringNothing()

			// What was scanned meanwhile arrives, as its state alone says.
			pending := 0
			for _, id := range w.SysIDs("sys_attachment") {
				if a, _ := w.Record("sys_attachment", id); a["state"] == "pending" && rows[id] != nil {
					w.quietly(id, map[string]string{"state": "available"})
					pending++
				}
			}
			require.NotZero(t, pending)
			rows = w.mustSync()
			require.Len(t, rows, pending)
			w.requireContent(rows, content)

			// A new file on an old incident, and a new version of an old file.
			id := w.attach(1, "new.txt", []byte("new"))
			rows = w.mustSync()
			require.Len(t, rows, 1)
			require.Equal(t, "new", content(rows[id]))
			require.Equal(t, 1, w.downloads())
			w.mustBringNothing("it lies in the overlap now")
			w.pass(time.Minute)
			w.Update("sys_attachment", id, map[string]string{"file_name": "renamed.txt"})
			rows = w.mustSync()
			require.Len(t, rows, 1)
			require.Equal(t, "renamed.txt", rows[id]["file_name"])
		})
	}
}

func TestMetadataAlone(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 10, Attachments: 60})
	w.attachments(map[string]any{"content": "none"})
	rows := w.mustSync()
	require.NotEmpty(t, rows)
	require.Zero(t, w.downloads())
	for _, row := range rows {
		for _, column := range []string{"content", "content_url", "content_status", "content_error", "content_sha256", "text", "text_status", "text_error"} {
			require.NotContains(t, row, column)
		}
	}
}

func TestPendingFileArrivesWithoutAChangeOfItsStamp(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 10, Attachments: -1})
	id := w.attach(0, "a.txt", []byte("hello"))
	w.quietly(id, map[string]string{"state": "pending"})
	w.pass(24 * time.Hour) // out of every overlap
	rows := w.mustSync()
	require.Equal(t, "unavailable", rows[id]["content_status"])
	require.NotContains(t, rows[id], "content")
	require.Equal(t, []string{id}, w.cursor(resources.AttachmentsTable).Again)

	w.pass(24 * time.Hour)
	rows = w.mustSync()
	require.Equal(t, "unavailable", rows[id]["content_status"])

	w.quietly(id, map[string]string{"state": "available"})
	w.pass(24 * time.Hour)
	rows = w.mustSync()
	require.Len(t, rows, 1)
	require.Equal(t, "hello", rows[id]["content"])
	require.Empty(t, w.cursor(resources.AttachmentsTable).Again)
	require.Empty(t, w.mustSync())
}

// A file that is tried again comes once, though the window meets it as well; so does one that still fails.
func TestTriedAgainOnceASync(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 10, Attachments: -1})
	available := w.attach(0, "a.txt", []byte("hello"))
	failing := w.attach(0, "b.txt", []byte("never"))
	w.quietly(available, map[string]string{"state": "pending"})
	w.quietly(failing, map[string]string{"hash": strings.Repeat("0", 64)})
	rows := w.mustSync()
	require.Equal(t, "failed", rows[failing]["content_status"])
	w.quietly(available, map[string]string{"state": "available"})
	for _, wait := range []time.Duration{0, 2 * time.Minute, 20 * time.Minute} { // the next overlap holds them, or no longer
		w.pass(wait)
		rows = w.mustSync() // which refuses rows that come twice
		require.Equal(t, "failed", rows[failing]["content_status"])
		require.Equal(t, []string{failing}, w.cursor(resources.AttachmentsTable).Again)
		for _, r := range w.Requests() {
			require.False(t, strings.Contains(r.Path, available) && wait > 0, "it has arrived")
		}
	}
	w.Delete("sys_attachment", failing)
	require.Empty(t, w.mustSync())
	require.Empty(t, w.cursor(resources.AttachmentsTable).Again, "what is gone is forgotten")
}

// What is no longer covered is not tried for ever.
func TestTriedAgainAsLongAsCovered(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 10, Attachments: -1})
	w.spec["incidents"] = map[string]any{"query": "short_description=covered"}
	incident := w.SysIDs("incident")[0]
	w.Update("incident", incident, map[string]string{"short_description": "covered"})
	id := w.attach(0, "a.txt", []byte("hello"))
	w.quietly(id, map[string]string{"state": "pending"})
	w.pass(time.Hour)
	require.Len(t, w.mustSync(), 1)
	require.Equal(t, []string{id}, w.cursor(resources.AttachmentsTable).Again)
	w.pass(time.Hour)
	w.Update("incident", incident, map[string]string{"short_description": "not any more"})
	w.pass(time.Hour)
	require.Empty(t, w.mustSync())
	require.Empty(t, w.cursor(resources.AttachmentsTable).Again)
}

func TestRowsOutsideEveryWindowAreSentOnce(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 10, Attachments: -1})
	stray := w.attach(0, "a.txt", []byte("hello"))
	w.quietly(stray, map[string]string{"sys_updated_on": ""})
	w.pass(time.Hour)
	require.Len(t, w.mustSync(), 1)
	for range 3 {
		w.pass(time.Hour)
		require.Empty(t, w.mustSync())
		require.Zero(t, w.downloads())
	}
	w.quietly(stray, map[string]string{"sys_updated_on": "", "file_name": "b.txt"})
	require.Equal(t, "b.txt", w.mustSync()[stray]["file_name"], "a change is seen without a stamp")
}

// Two changes within a second carry one stamp: what the first sync saw is not what the second one sees.
func TestSecondChangeWithinASecond(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 10, Attachments: -1})
	dir := t.TempDir()
	w.attachments(map[string]any{"content": "none", "blob_url": "file://" + filepath.ToSlash(dir)})
	w.spec["incidents"] = map[string]any{"record": "both", "fields": []string{"number", "short_description"}}
	w.tables = []string{resources.IncidentsTable}
	id := w.SysIDs("incident")[0]
	w.pass(time.Hour)
	w.Update("incident", id, map[string]string{"short_description": "first"})
	require.Equal(t, "first", w.mustSync()[id]["short_description"])
	require.Empty(t, w.mustSync())
	w.Update("incident", id, map[string]string{"short_description": "second"})
	rows := w.mustSync()
	require.Equal(t, "second", rows[id]["short_description"])
	require.Contains(t, rows[id]["record"], "second")
}

func TestChangedWishesCauseAFullSync(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 20, Attachments: -1})
	for i := range 20 {
		id := w.attach(i, "a.txt", []byte("words"))
		if i%7 == 0 {
			w.Update("sys_attachment", id, map[string]string{"state": "pending"})
		}
	}
	all := len(w.mustSync())
	require.Equal(t, 20, all)
	w.mustBringNothing()
	w.attachments(map[string]any{"signed_urls": "5m"}) // a matter of addresses alone
	w.mustBringNothing()
	for _, keys := range []map[string]any{
		{"max_size": "1MiB"}, {"formats": "text"}, {"extract_text": true}, {"ocr": "off"}, {"ocr_languages": "deu"}, {"tika_url": "http://tika:9998"},
		{"transcription_url": "http://whisper"}, {"content": "blob", "blob_url": "file://" + filepath.ToSlash(t.TempDir())},
		{"blob_url": "file://" + filepath.ToSlash(t.TempDir())}, {"content": "none"}, {"extract_text": false},
	} {
		w.attachments(keys)
		require.Len(t, w.mustSync(), all, "%v", keys)
		block := w.spec["attachments"].(map[string]any)
		if text, _ := block["extract_text"].(bool); text || block["content"] != "none" { // else rows of the overlap come again
			w.mustBringNothing("%v", keys)
		}
	}
}

// A selection by a query reads the files of every incident that changed, as the change may have let it in; those that were
// sent are not downloaded once more.
func TestFilesOfChangedIncidentsOfASelection(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 10, Attachments: -1})
	w.spec["incidents"] = map[string]any{"query": "short_descriptionSTARTSWITHcovered"}
	ids := w.SysIDs("incident")
	w.Update("incident", ids[0], map[string]string{"short_description": "covered"})
	w.attach(0, "a.txt", []byte("a"))
	later := w.attach(1, "b.txt", []byte("b"))
	w.pass(24 * time.Hour)
	require.Len(t, w.mustSync(), 1)
	for range 3 {
		w.pass(24 * time.Hour)
		w.Update("incident", ids[0], map[string]string{"short_description": "covered again"})
		require.Empty(t, w.mustSync())
		require.Zero(t, w.downloads())
	}
	w.pass(24 * time.Hour)
	w.Update("incident", ids[1], map[string]string{"short_description": "covered too"})
	rows := w.mustSync()
	require.Len(t, rows, 1)
	require.Equal(t, "b", rows[later]["content"])
}

func TestInterruptedLoadKeepsWhatIsToBeTriedAgain(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 50, Attachments: -1})
	pending := w.attach(0, "pending.txt", []byte("pending"))
	w.quietly(pending, map[string]string{"state": "pending"})
	stray := w.attach(0, "stray.txt", []byte("stray"))
	w.quietly(stray, map[string]string{"sys_updated_on": ""})
	for i := range 4500 {
		w.clock.Add(1)
		w.attach(i%50, fmt.Sprintf("%d.txt", i), []byte("x"))
	}
	w.pass(time.Hour)

	ctx, cancel := context.WithCancel(t.Context())
	w.watch = func(m message.SyncMessage) {
		if insert, ok := m.(*message.SyncInsert); ok {
			if name, _ := insert.Record.Schema().Metadata().GetValue("cq:table_name"); name == stateTable {
				cancel()
			}
		}
	}
	rows, err := w.sync(ctx)
	require.Error(t, err)
	require.Less(t, len(rows), 4502)
	c := w.cursor(resources.AttachmentsTable)
	require.False(t, c.Complete)
	require.Equal(t, []string{pending}, c.Again)

	w.watch = nil
	w.quietly(pending, map[string]string{"state": "available"})
	rest := w.mustSync()
	require.Equal(t, "pending", rest[pending]["content"])
	require.NotContains(t, rest, stray, "it was sent before the interruption")
	require.LessOrEqual(t, len(rest), 2502, "what the cursor stands behind is not read again")
	maps.Copy(rows, rest)
	require.Len(t, rows, 4502)
	require.Empty(t, w.cursor(resources.AttachmentsTable).Again)
	require.Empty(t, w.mustSync())
}

// largeFile is a file of 48 MiB.
func largeFile() []byte {
	content := make([]byte, 48<<20)
	state := uint64(1)
	for i := 0; i+8 <= len(content); i += 8 {
		state = state*6364136223846793005 + 1442695040888963407
		for j := range 8 {
			content[i+j] = byte(state >> (8 * j))
		}
	}
	return content
}

func TestLargeFile(t *testing.T) {
	content := largeFile()
	for _, where := range []string{"column", "blob"} {
		t.Run(where, func(t *testing.T) {
			w := newFilesWorld(t, emulator.Config{Incidents: 10, Attachments: -1})
			get := inColumn
			if where == "blob" {
				w.attachments(map[string]any{"content": "blob", "blob_url": "file://" + filepath.ToSlash(t.TempDir())})
				get = w.inStore
			}
			ids := []string{w.attach(0, "large.log", content), w.attach(0, "small.log", []byte("x"))}
			rows := w.mustSync()
			require.Len(t, rows, 2)
			require.Equal(t, len(content), len(get(rows[ids[0]])))
			require.True(t, get(rows[ids[0]]) == string(content), "the bytes are the same")
			require.Equal(t, "x", get(rows[ids[1]]))
			w.attachments(map[string]any{"max_size": "40MiB"})
			rows = w.mustSync()
			require.Equal(t, "too_large", rows[ids[0]]["content_status"])
			require.Contains(t, rows[ids[0]]["content_error"], servicenow.CodeFileTooLarge)
			require.NotContains(t, rows[ids[0]], "content")
			require.Equal(t, "stored", rows[ids[1]]["content_status"])
		})
	}
}

// Messages of more than 100 MiB are dropped on their way: rows of large files go alone.
func TestBatchesOfLargeFilesStaySmall(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 10, Attachments: -1})
	content := largeFile()[:20<<20]
	for i := range 5 {
		w.attach(i, "large.log", content)
	}
	w.watch = func(m message.SyncMessage) {
		if insert, ok := m.(*message.SyncInsert); ok {
			encoded, err := pb.RecordToBytes(insert.Record)
			require.NoError(t, err)
			require.Less(t, len(encoded), 50<<20)
		}
	}
	require.Len(t, w.mustSync(), 5)
}

func TestRecordsInTheStore(t *testing.T) {
	for _, where := range []string{"both", "blob"} {
		t.Run(where, func(t *testing.T) {
			w := newFilesWorld(t, emulator.Config{Incidents: 300, Attachments: -1})
			dir := t.TempDir()
			w.attachments(map[string]any{"content": "none", "blob_url": "file://" + filepath.ToSlash(dir) + "?prefix=a/"})
			w.spec["incidents"] = map[string]any{"record": where}
			w.tables = []string{resources.IncidentsTable}
			rows := w.mustSync()
			require.Len(t, rows, 300)
			for id, row := range rows {
				u, err := url.Parse(row["record_url"])
				require.NoError(t, err)
				stored, err := os.ReadFile(filepath.FromSlash(u.Path))
				require.NoError(t, err)
				require.True(t, strings.HasPrefix(u.Path, filepath.ToSlash(dir)+"/a/"), u.Path)
				raw := rawRecord(t, w.url, id)
				require.JSONEq(t, raw, string(stored))
				if where == "both" {
					require.JSONEq(t, row["record"], string(stored))
				} else {
					require.NotContains(t, row, "record")
				}
			}
			n := 0
			require.NoError(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					n++
				}
				return err
			}))
			require.Equal(t, 300, n)
		})
	}
}

// rawRecord asks the instance for what a sync asks for.
func rawRecord(t *testing.T, address, id string) string {
	t.Helper()
	fields := slices.Sorted(maps.Keys(decoded(t, get(t, address, "sysparm_limit=1")[0])))
	return string(get(t, address, "sysparm_query=sys_id="+id+"&sysparm_fields="+strings.Join(append(fields, "caller_id.email"), ","))[0])
}

func TestParallelismIsBounded(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 20, Attachments: 100, RequestLatency: 3 * time.Millisecond})
	w.spec["concurrency"] = 3
	w.mustSync()
	require.EqualValues(t, 3, w.busiest.Load(), "downloads run beside each other, and within the instance's limit")
}

func TestSignInIsRenewedInTheMiddle(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 20, Attachments: 60})
	delete(w.spec, "auth") // client_credentials
	expired := emulator.Fault{Kind: emulator.FaultTokenExpired, Files: true, Times: 1}
	early, late := expired, expired
	early.From, late.From = 3, 35
	w.SetFaults(early, late)
	w.requireContent(w.mustSync(), inColumn)
}

func TestFilesOverAFlakyConnection(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 20, Attachments: 60})
	w.SetFaults(
		emulator.Fault{Kind: emulator.FaultCutBody, Files: true, Every: 7}, emulator.Fault{Kind: emulator.FaultCutReset, Files: true, Every: 11},
		emulator.Fault{Kind: emulator.FaultCorruptFile, Files: true, Every: 13}, emulator.Fault{Kind: emulator.FaultCutGzip, Files: true, Every: 17},
		emulator.Fault{Kind: emulator.FaultHibernating, Files: true, Every: 19},
	)
	rows := w.mustSync()
	for id, row := range rows {
		a, _ := w.Record("sys_attachment", id)
		if a["hash"] == "" {
			continue // nothing tells a corrupted one from the file
		}
		if row["content_status"] == "stored" {
			want, _ := w.Content(id)
			require.Equal(t, string(want), row["content"])
		}
	}
}

func TestInstanceThatGoesDownEndsTheSync(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 20, Attachments: 100})
	w.OnRequest(func(_ int, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/file") {
			w.SetFaults(emulator.Fault{Kind: emulator.FaultHibernating})
		}
	})
	_, err := w.sync(t.Context())
	require.ErrorContains(t, err, servicenow.CodeNotJSON)
	require.Equal(t, CodeIncomplete, usererror.CodeOf(err))
	require.Nil(t, w.cursor(resources.AttachmentsTable))
	w.OnRequest(nil)
	w.SetFaults()
	w.requireContent(w.mustSync(), inColumn)
}

func TestFileThatIsDeletedAtItsDownload(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 10, Attachments: -1})
	id := w.attach(0, "a.txt", []byte("a"))
	kept := w.attach(0, "b.txt", []byte("b"))
	var once sync.Once
	w.OnRequest(func(_ int, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/file") {
			once.Do(func() { w.Delete("sys_attachment", id) })
		}
	})
	rows := w.mustSync()
	require.Equal(t, "stored", rows[kept]["content_status"])
	if rows[id]["content_status"] != "stored" { // unless it was the other's request that deleted it
		require.Equal(t, "unavailable", rows[id]["content_status"])
		require.Contains(t, rows[id]["content_error"], servicenow.CodeFileGone)
	}
	require.Empty(t, w.cursor(resources.AttachmentsTable).Again)
}

func TestStoreThatCannotBeUsedEndsTheSyncBeforeItsRows(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 10, Attachments: 20})
	file := filepath.Join(t.TempDir(), "a file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	w.attachments(map[string]any{"content": "blob", "blob_url": "file://" + filepath.ToSlash(file)})
	rows, err := w.sync(t.Context())
	require.ErrorContains(t, err, "SN-BLOB-001")
	require.Empty(t, rows)
}

// Two instances of a sync share a store, and its check.
func TestInstancesShareAStore(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 10, Attachments: 40})
	second := httptest.NewServer(w.Emulator)
	defer second.Close()
	dir := t.TempDir()
	w.attachments(map[string]any{"content": "blob", "blob_url": "file://" + filepath.ToSlash(dir)})
	var instances []any
	for name, address := range map[string]string{"one": w.url, "two": second.URL} {
		instances = append(instances, map[string]any{"name": name, "instance_url": address})
	}
	w.spec["instances"] = instances
	data := specFor(t, "", func(s map[string]any) { delete(s, "instance_url"); maps.Copy(s, w.spec) })
	p := Plugin()
	require.NoError(t, p.Init(t.Context(), data, plugin.NewClientOptions{}))
	_, err := p.SyncAll(t.Context(), plugin.SyncOptions{Tables: []string{"*"}})
	require.NoError(t, err)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "each has a folder of its own, and no check is left")
}

func TestCancelledDownloadsLeaveNothingBehind(t *testing.T) {
	w := newFilesWorld(t, emulator.Config{Incidents: 20, Attachments: 100})
	w.SetFaults(emulator.Fault{Kind: emulator.FaultSlowBody, Files: true, Delay: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	w.OnRequest(func(_ int, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/file") {
			once.Do(func() { time.AfterFunc(50*time.Millisecond, cancel) })
		}
	})
	began := time.Now()
	_, err := w.sync(ctx) // which looks at the spool
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, time.Since(began), 20*time.Second)
}
