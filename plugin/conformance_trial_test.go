package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	pb "github.com/cloudquery/plugin-pb-go/pb/plugin/v3"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/cursor"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// trial is an instance and a destination with a state table, into which one table is synced. Its methods return errors
// and call no test, so that many trials can run beside each other.
type trial struct {
	*emulator.Emulator
	table conforming
	spec  map[string]any
	retry servicenow.Retry
	clock *atomic.Int64
	url   string
	// handler answers in the emulator's place; nil is the emulator.
	handler atomic.Pointer[http.Handler]

	// hidden and hiddenFields are what row and field security keep from the user; set by hide and hideFields.
	hidden       func(sysID string) bool
	hiddenFields map[string]bool

	rows    map[string]map[string]string // the destination table by sys_id; NULL is absent
	columns []string                     // of the last record batch
	cursor  *cursor.Cursor               // the last that was stored
	log     bytes.Buffer                 // of the last sync
	// final says that answers were spoiled that a sync believes, gone that files were denied, and unproven that bytes were
	// changed in files, of which some come without a hash.
	final, gone, unproven bool
	// termsDrop allows terms of queries to be dropped, which fields that may not be read cause.
	termsDrop bool
	// moving switches off the check of each cursor against the rows that it stands for: rows change meanwhile.
	moving bool
	// watch sees every message, counted from 1.
	watch func(n int, m message.SyncMessage)

	name    string
	syncs   int
	state   *stateBackend
	backend *plugin.BackendOptions
	close   func()
}

// trials counts them, so that each has a name of its own.
var trials atomic.Int64

// tick is what the clock of a trial moves on between two syncs: longer than the overlap, so that windows do not meet.
const tick = 10 * time.Minute

func newTrial(table conforming, cfg emulator.Config) *trial {
	w := &trial{
		table: table, clock: &atomic.Int64{}, rows: map[string]map[string]string{}, state: &stateBackend{},
		name: "trial-" + strconv.FormatInt(trials.Add(1), 10),
		// Requests side by side can fall into step with faults that come at every n-th one.
		retry: servicenow.Retry{Tries: 30, First: time.Millisecond, Longest: 2 * time.Millisecond, Budget: time.Minute},
		spec: map[string]any{
			"auth":        map[string]any{"grant_type": "client_credentials", "client_id": "emulator-client", "client_secret": "emulator-secret"},
			"attachments": map[string]any{"extract_text": false, "formats": "all"},
			"page_size":   6,
		},
	}
	w.clock.Store(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC).Unix())
	cfg.Now = func() time.Time { return time.Unix(w.clock.Load(), 0).UTC() }
	w.Emulator = emulator.New(cfg)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if handler := w.handler.Load(); handler != nil {
			(*handler).ServeHTTP(rw, r)
			return
		}
		w.ServeHTTP(rw, r)
	}))
	w.url = server.URL
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	rpc := grpc.NewServer()
	pb.RegisterPluginServer(rpc, w.state)
	go func() { _ = rpc.Serve(listener) }()
	w.backend = &plugin.BackendOptions{TableName: stateTable, Connection: listener.Addr().String()}
	w.close = func() {
		rpc.Stop()
		server.CloseClientConnections()
		server.Close()
	}
	return w
}

// startTrial is newTrial for a test that has one trial.
func startTrial(t *testing.T, table conforming, cfg emulator.Config) *trial {
	t.Helper()
	w := newTrial(table, cfg)
	t.Cleanup(w.close)
	t.Cleanup(func() {
		if err := w.refused(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// refused returns what ServiceNow would have refused of the requests so far, or dropped of their queries.
func (w *trial) refused() error {
	if bad := w.Violations(); len(bad) > 0 {
		return fmt.Errorf("requests that ServiceNow would refuse: %q", bad)
	}
	if bad := w.InvalidTerms(); len(bad) > 0 && !w.termsDrop {
		return fmt.Errorf("terms that ServiceNow would drop: %q", bad)
	}
	return nil
}

// hide keeps rows from the user; nil shows them all.
func (w *trial) hide(hidden func(sysID string) bool) {
	w.hidden = hidden
	if hidden == nil {
		w.HideRows(w.table.records, nil)
		return
	}
	w.HideRows(w.table.records, func(id string, _ func(string) string) bool { return hidden(id) })
}

func (w *trial) hideFields(fields ...string) {
	w.hiddenFields = map[string]bool{}
	for _, field := range fields {
		w.hiddenFields[field] = true
	}
	w.HideFields(w.table.records, fields...)
}

func (w *trial) pass(d time.Duration) { w.clock.Add(int64(d / time.Second)) }

func (w *trial) now() string { return time.Unix(w.clock.Load(), 0).UTC().Format(time.DateTime) }

// brokenError is a fault of the product, where other errors are what a sync may end with.
type brokenError struct{ error }

func broken(format string, args ...any) error { return brokenError{fmt.Errorf(format, args...)} }

// sync runs one sync into the destination. Whatever its end, it must leave no goroutine and no Arrow buffer behind, and
// no cursor beyond the rows that have arrived: such a fault is a brokenError.
func (w *trial) sync(ctx context.Context) error {
	w.log.Reset()
	settings := map[string]any{"instance_url": w.url}
	maps.Copy(settings, w.spec)
	data, err := json.Marshal(settings)
	if err != nil {
		return broken("%w", err)
	}
	parsed, err := spec.Parse(data)
	if err != nil {
		return broken("%w", err)
	}
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	logger := zerolog.New(zerolog.SyncWriter(&w.log)).Level(zerolog.InfoLevel)
	s := &source{spec: parsed, logger: logger, retry: w.retry, allocator: mem}
	res := make(chan message.SyncMessage)
	done := make(chan error, 1)
	w.syncs++
	label := w.name + "/" + strconv.Itoa(w.syncs)
	pprof.Do(ctx, pprof.Labels("trial", label), func(ctx context.Context) {
		go func() {
			defer close(res)
			done <- s.Sync(ctx, plugin.SyncOptions{Tables: []string{w.table.name}, BackendOptions: w.backend}, res)
		}()
	})
	var faults []error
	n := 0
	for m := range res {
		n++
		if err := w.take(m); err != nil {
			faults = append(faults, err)
		}
		if w.watch != nil {
			w.watch(n, m)
		}
	}
	err = <-done
	if left := mem.CurrentAlloc(); left != 0 {
		faults = append(faults, broken("%d bytes of Arrow buffers are left behind", left))
	}
	if left := goroutinesOf(label, err != nil); left != "" {
		faults = append(faults, broken("goroutines are left behind:\n%s", left))
	}
	if len(faults) > 0 {
		return errors.Join(append(faults, err)...)
	}
	return err
}

// take is the destination: it writes rows by their primary key, and keeps the state table.
func (w *trial) take(m message.SyncMessage) error {
	insert, ok := m.(*message.SyncInsert)
	if !ok {
		return nil
	}
	defer insert.Record.Release()
	fields := insert.Record.Schema().Fields()
	switch name, _ := insert.Record.Schema().Metadata().GetValue("cq:table_name"); name {
	case stateTable:
		row, err := pb.RecordToBytes(insert.Record)
		if err != nil {
			return broken("%w", err)
		}
		w.state.mu.Lock()
		w.state.rows = append(w.state.rows, row)
		w.state.mu.Unlock()
		return w.store(insert.Record.Column(1).(*array.String).Value(0))
	case w.table.name:
	default:
		return broken("rows of %s arrived", name)
	}
	w.columns = w.columns[:0]
	for _, field := range fields {
		w.columns = append(w.columns, field.Name)
	}
	for i := range int(insert.Record.NumRows()) {
		row := make(map[string]string, len(fields))
		for c, field := range fields {
			if column := insert.Record.Column(c); column.IsValid(i) {
				row[field.Name] = plain(column, i)
			}
		}
		w.rows[row["sys_id"]] = row
	}
	return nil
}

// plain is a value as ServiceNow would store it.
func plain(column arrow.Array, i int) string {
	switch column := column.(type) {
	case *array.Timestamp:
		return column.Value(i).ToTime(arrow.Microsecond).UTC().Format(time.DateTime)
	case *array.Date32:
		return column.Value(i).ToTime().UTC().Format(time.DateOnly)
	}
	return cellText(column, i)
}

// store keeps a cursor, and holds it against the rows that have arrived.
func (w *trial) store(text string) error {
	c, err := cursor.Parse(text)
	if err != nil {
		return broken("%w", err)
	}
	w.cursor = c
	if w.moving {
		return nil
	}
	missing := 0
	for id, key := range w.table.keys(w) {
		beyond := key.UpdatedOn > c.ReadAt
		for _, r := range c.Rest {
			behind := key.Compare(r.After) > 0 || r.After.SysID == "" && key.UpdatedOn >= r.After.UpdatedOn
			beyond = beyond || behind && (key.Compare(r.Through) <= 0 || r.Through.SysID == "" && key.UpdatedOn <= r.Through.UpdatedOn)
		}
		if row := w.rows[id]; !beyond && key.UpdatedOn != "" && row["sys_updated_on"] != key.UpdatedOn {
			missing++
		}
	}
	if missing > 0 {
		return broken("a cursor at %v with %d ranges left was stored, but %d rows that it stands for have not arrived", c.Position, len(c.Rest), missing)
	}
	return nil
}

// goroutinesOf waits until no goroutine of a sync is left, and returns those that stay. Goroutines hand their labels on
// to those that they start. A sign-in that is under way at the end of a sync that failed may leave a connection, which ends
// by itself.
func goroutinesOf(name string, idleToo bool) string {
	label := []byte(`"trial":"` + name + `"`)
	deadline := time.Now().Add(10 * time.Second)
	for pause := time.Millisecond; ; pause *= 2 {
		var profile bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
		var left []string
		for stack := range bytes.SplitSeq(profile.Bytes(), []byte("\n\n")) {
			idle := bytes.Contains(stack, []byte("(*persistConn).writeLoop")) ||
				bytes.Contains(stack, []byte("(*persistConn).readLoop")) && bytes.Contains(stack, []byte("(*Reader).Peek"))
			if bytes.Contains(stack, label) && !(idle && idleToo) {
				left = append(left, string(stack))
			}
		}
		if len(left) == 0 {
			return ""
		}
		if time.Now().After(deadline) {
			return strings.Join(left, "\n\n")
		}
		<-time.After(pause)
	}
}

// compare holds the destination against the source, value by value. Rows that are in the source no more may stay, as
// deletes are not synced; a row with a file that could not be had may wait for the next sync, when that is expected.
func (w *trial) compare(filesMayWait bool) error {
	want := w.table.want(w)
	for id, row := range want {
		got := w.rows[id]
		if got == nil {
			return broken("%s of the source has not arrived; %d of %d rows have", id, len(w.rows), len(want))
		}
		if filesMayWait && w.waits(got) || w.unproven && got["hash"] == "" {
			row, got = withoutFile(row), withoutFile(got)
		}
		if err := w.difference(row, got); err != nil {
			return broken("%s: %w", id, err)
		}
	}
	for id := range w.rows {
		if _, ok := w.Record(w.table.records, id); ok && want[id] == nil {
			return broken("%s arrived, but should not have", id)
		}
	}
	return nil
}

// compareArrived is compare for a sync that did not read everything: what is there is right.
func (w *trial) compareArrived() error {
	want := w.table.want(w)
	for id, got := range w.rows {
		row := want[id]
		if row == nil || row["sys_updated_on"] != got["sys_updated_on"] {
			continue // deleted, or of a sync before
		}
		if w.waits(got) {
			row, got = withoutFile(row), withoutFile(got)
		}
		if err := w.difference(row, got); err != nil {
			return broken("%s: %w", id, err)
		}
	}
	return nil
}

// waits reports whether a row's file could not be had, so that the next sync tries again.
func (w *trial) waits(row map[string]string) bool {
	return row["content_status"] == "failed" || w.final && row["content_status"] == "unavailable"
}

func withoutFile(row map[string]string) map[string]string {
	row = maps.Clone(row)
	for name := range row {
		if strings.HasPrefix(name, "content_") || name == "content" {
			delete(row, name)
		}
	}
	return row
}

// null stands for NULL in a row that is wanted.
const null = "\x00NULL"

// difference compares the columns that are wanted.
func (w *trial) difference(want, got map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		value, ok := got[name]
		if !ok {
			value = null
		}
		if name == "record" {
			if err := w.sameJSON(want[name], value); err != nil {
				return fmt.Errorf("record: %w", err)
			}
		} else if value != want[name] {
			return fmt.Errorf("%s is %.80q and not %.80q", name, value, want[name])
		}
	}
	return nil
}

func (w *trial) sameJSON(want, got string) error {
	var a, b map[string]cell
	if err := json.Unmarshal([]byte(want), &a); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(got), &b); err != nil {
		return err
	}
	if _, ok := b["caller_id.email"]; w.final && !ok {
		delete(a, "caller_id.email") // the form's layout was refused
	}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if value, ok := b[name]; !ok || value != a[name] {
			return fmt.Errorf("%s is %+v and not %+v", name, b[name], a[name])
		}
	}
	if len(a) != len(b) {
		return fmt.Errorf("it has %d fields and not %d", len(b), len(a))
	}
	return nil
}
