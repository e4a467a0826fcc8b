package plugin

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	pb "github.com/cloudquery/plugin-pb-go/pb/plugin/v3"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/localsync/sqlitedest"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// warehouse is an instance and a database that it is synced into, over the messages of a sync and a destination's gRPC.
type warehouse struct {
	*emulator.Emulator
	t        *testing.T
	url      string
	database string
	name     string // of the destination, as it tells
	spec     map[string]any
	tables   []string
	backend  bool
	shard    *plugin.Shard
	clock    atomic.Int64
	log      bytes.Buffer              // of the last sync
	watch    func(message.SyncMessage) // sees every message before the destination
	syncTime arrow.Timestamp           // by which rows of a sync are told, as the CLI stamps them

	// lose names incidents whose writes fail, and nobody is told; unread makes Read of all tables but the state's fail.
	lose   func(sysID string) bool
	unread error
	reads  sync.Map // the tables that were read back
}

func newWarehouse(t *testing.T, cfg emulator.Config) *warehouse {
	t.Helper()
	w := &warehouse{t: t, database: filepath.Join(t.TempDir(), "sync.db"), name: "sqlite", backend: true, tables: []string{"*"}, spec: map[string]any{
		"page_size": 100, "verify_writes": "never", "attachments": map[string]any{"content": "none", "extract_text": false},
	}}
	w.clock.Store(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC).Unix())
	cfg.Now = func() time.Time { return time.Unix(w.clock.Load(), 0).UTC() }
	w.Emulator = emulator.New(cfg)
	server := httptest.NewServer(dated{w})
	t.Cleanup(server.Close)
	t.Cleanup(func() { require.Empty(t, w.Violations(), "requests that ServiceNow would refuse") })
	w.url = server.URL
	return w
}

// dated serves the emulator with its own clock in the Date header.
type dated struct{ w *warehouse }

func (d dated) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Date", time.Unix(d.w.clock.Load(), 0).UTC().Format(http.TimeFormat))
	d.w.Emulator.ServeHTTP(rw, r)
}

// pass lets time go by.
func (w *warehouse) pass(d time.Duration) { w.clock.Add(int64(d / time.Second)) }

func (w *warehouse) sync() error {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	dest, err := sqlitedest.Open(ctx, zerolog.Nop(), sqlitedest.Spec{ConnectionString: w.database}, nil)
	require.NoError(w.t, err)
	defer func() { require.NoError(w.t, dest.Close(ctx)) }()
	options := plugin.SyncOptions{Tables: w.tables, Shard: w.shard}
	if w.backend {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(w.t, err)
		rpc := grpc.NewServer()
		pb.RegisterPluginServer(rpc, &destination{dest: dest, w: w})
		go func() { _ = rpc.Serve(listener) }()
		defer rpc.Stop()
		options.BackendOptions = &plugin.BackendOptions{TableName: stateTable, Connection: listener.Addr().String()}
	}
	parsed, err := spec.Parse(specFor(w.t, w.url, func(s map[string]any) { maps.Copy(s, w.spec) }))
	require.NoError(w.t, err)
	w.log.Reset()
	w.syncTime++
	s := &source{spec: parsed, logger: zerolog.New(zerolog.SyncWriter(&w.log)), retry: servicenow.Retry{Tries: 4, First: time.Millisecond, Longest: 2 * time.Millisecond, Budget: time.Minute}}
	messages, writes := make(chan message.SyncMessage), make(chan message.WriteMessage)
	done, written := make(chan error, 1), make(chan error, 1)
	go func() {
		defer close(messages)
		done <- s.Sync(ctx, options, messages)
	}()
	go func() { written <- dest.Write(ctx, writes) }()
	for m := range messages {
		if w.watch != nil {
			w.watch(m)
		}
		switch m := m.(type) {
		case *message.SyncMigrateTable:
			table := m.Table.Copy(nil)
			table.Columns = append(table.Columns, schema.CqSyncTimeColumn)
			writes <- &message.WriteMigrateTable{Table: table}
		case *message.SyncInsert:
			for _, record := range w.kept(w.stamped(m.Record)) {
				writes <- &message.WriteInsert{Record: record}
			}
		case *message.SyncDeleteRecord:
			writes <- &message.WriteDeleteRecord{DeleteRecord: m.DeleteRecord}
		}
	}
	close(writes)
	require.NoError(w.t, <-written)
	return <-done
}

func (w *warehouse) mustSync() {
	w.t.Helper()
	require.NoError(w.t, w.sync(), w.log.String())
}

// stamped adds the time of the sync.
func (w *warehouse) stamped(record arrow.RecordBatch) arrow.RecordBatch {
	column := schema.CqSyncTimeColumn
	times := array.NewTimestampBuilder(memory.DefaultAllocator, column.Type.(*arrow.TimestampType))
	for range record.NumRows() {
		times.Append(w.syncTime)
	}
	fields := append(slices.Clone(record.Schema().Fields()), arrow.Field{Name: column.Name, Type: column.Type, Nullable: true})
	metadata := record.Schema().Metadata()
	return array.NewRecordBatch(arrow.NewSchema(fields, &metadata), append(slices.Clone(record.Columns()), times.NewArray()), record.NumRows())
}

// kept leaves out the incidents that are lost.
func (w *warehouse) kept(record arrow.RecordBatch) []arrow.RecordBatch {
	name, _ := record.Schema().Metadata().GetValue("cq:table_name")
	if w.lose == nil || name != resources.IncidentsTable {
		return []arrow.RecordBatch{record}
	}
	var rows []arrow.RecordBatch
	ids := record.Column(record.Schema().FieldIndices("sys_id")[0])
	for i := range record.NumRows() {
		if !w.lose(ids.ValueStr(int(i))) {
			rows = append(rows, record.NewSlice(i, i+1))
		}
	}
	return rows
}

// destination is the gRPC side of the database.
type destination struct {
	pb.UnimplementedPluginServer
	dest *sqlitedest.Client
	w    *warehouse
}

func (d *destination) GetName(context.Context, *pb.GetName_Request) (*pb.GetName_Response, error) {
	return &pb.GetName_Response{Name: d.w.name}, nil
}

func (d *destination) Read(req *pb.Read_Request, stream pb.Plugin_ReadServer) error {
	sc, err := pb.NewSchemaFromBytes(req.Table)
	if err != nil {
		return err
	}
	table, err := schema.NewTableFromArrowSchema(sc)
	if err != nil {
		return err
	}
	d.w.reads.Store(table.Name, true)
	if d.w.unread != nil && table.Name != stateTable {
		return d.w.unread
	}
	batches := make(chan arrow.RecordBatch)
	done := make(chan error, 1)
	go func() {
		defer close(batches)
		done <- d.dest.Read(stream.Context(), table, batches)
	}()
	for batch := range batches {
		encoded, err := pb.RecordToBytes(batch)
		if err != nil {
			return err
		}
		if err := stream.Send(&pb.Read_Response{Record: encoded}); err != nil {
			return err
		}
	}
	return <-done
}

// rows runs a query and returns its rows as texts, NULL as "NULL".
func (w *warehouse) rows(query string, args ...any) [][]string {
	w.t.Helper()
	db, err := sql.Open("sqlite", w.database)
	require.NoError(w.t, err)
	defer db.Close()
	rows, err := db.QueryContext(w.t.Context(), query, args...)
	require.NoError(w.t, err)
	defer rows.Close()
	names, err := rows.Columns()
	require.NoError(w.t, err)
	var all [][]string
	for rows.Next() {
		cells := make([]any, len(names))
		for i := range cells {
			cells[i] = new(sql.NullString)
		}
		require.NoError(w.t, rows.Scan(cells...))
		row := make([]string, len(cells))
		for i, cell := range cells {
			row[i] = "NULL"
			if text := cell.(*sql.NullString); text.Valid {
				row[i] = text.String
			}
		}
		all = append(all, row)
	}
	require.NoError(w.t, rows.Err())
	return all
}

func (w *warehouse) value(query string, args ...any) string {
	w.t.Helper()
	rows := w.rows(query, args...)
	require.Len(w.t, rows, 1, query)
	return rows[0][0]
}

// exec changes the database behind the sync's back.
func (w *warehouse) exec(query string, args ...any) {
	w.t.Helper()
	db, err := sql.Open("sqlite", w.database)
	require.NoError(w.t, err)
	defer db.Close()
	_, err = db.ExecContext(w.t.Context(), query, args...)
	require.NoError(w.t, err)
}

// requireIncidents checks that the destination has just the incidents of the source, in the states in which they are.
func (w *warehouse) requireIncidents() {
	w.t.Helper()
	want, got := map[string]string{}, map[string]string{}
	for _, id := range w.SysIDs("incident") {
		record, _ := w.Record("incident", id)
		want[id] = record["sys_updated_on"] + " " + record["sys_mod_count"] + " " + record["short_description"]
	}
	for _, row := range w.rows(`SELECT sys_id, strftime('%Y-%m-%d %H:%M:%S', sys_updated_on), sys_mod_count, short_description FROM servicenow_incidents`) {
		got[row[0]] = row[1] + " " + row[2] + " " + row[3]
	}
	require.Equal(w.t, want, got)
}

// reportOn returns the newest report on a table, by column.
func (w *warehouse) reportOn(table string) map[string]string {
	w.t.Helper()
	var names []string
	for _, row := range w.rows(`SELECT name FROM pragma_table_info('servicenow_sync_report')`) {
		names = append(names, row[0])
	}
	rows := w.rows(fmt.Sprintf(`SELECT "%s" FROM servicenow_sync_report WHERE table_name = ? ORDER BY started_at DESC LIMIT 1`, strings.Join(names, `", "`)), table)
	require.Len(w.t, rows, 1, "no report on %s", table)
	report := map[string]string{}
	for i, name := range names {
		report[name] = rows[0][i]
	}
	return report
}

// requireReport checks some columns of the newest report on a table.
func (w *warehouse) requireReport(table string, want map[string]string) {
	w.t.Helper()
	report, got := w.reportOn(table), map[string]string{}
	for column := range want {
		require.Contains(w.t, report, column)
		got[column] = report[column]
	}
	require.Equal(w.t, want, got, "%v\n%s", report, w.log.String())
}
