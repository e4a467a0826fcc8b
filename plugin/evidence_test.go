package plugin

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
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
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// lossyDestination keeps rows by primary key, with the time of their sync, and answers Read as destinations do. Rows that
// lose names never arrive, and nobody is told.
type lossyDestination struct {
	pb.UnimplementedPluginServer
	name string
	lose func(table, id string) bool

	mu     sync.Mutex
	time   arrow.Timestamp
	tables map[string]map[string][]arrow.Array // table, key: the row, its columns by the schema below
	fields map[string][]string
	reads  map[string]int
	fail   error // of every Read of a table other than the state's
}

func (d *lossyDestination) GetName(context.Context, *pb.GetName_Request) (*pb.GetName_Response, error) {
	return &pb.GetName_Response{Name: d.name}, nil
}

// write takes a batch in, as after a flush.
func (d *lossyDestination) write(record arrow.RecordBatch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	table, _ := record.Schema().Metadata().GetValue("cq:table_name")
	if d.tables[table] == nil {
		d.tables[table] = map[string][]arrow.Array{}
	}
	var names []string
	keys := map[string]int{}
	for i, f := range record.Schema().Fields() {
		names = append(names, f.Name)
		if f.Name == "sys_id" || f.Name == "key" || f.Name == "instance" {
			keys[f.Name] = i
		}
	}
	d.fields[table] = names
	for row := range int(record.NumRows()) {
		var id string
		for _, name := range slices.Sorted(maps.Keys(keys)) {
			id += record.Column(keys[name]).ValueStr(row) + "|"
		}
		if d.lose != nil && d.lose(table, id) {
			continue
		}
		cells := make([]arrow.Array, 0, len(names)+1)
		for _, column := range record.Columns() {
			cells = append(cells, array.NewSlice(column, int64(row), int64(row+1)))
		}
		times := array.NewTimestampBuilder(memory.DefaultAllocator, schema.CqSyncTimeColumn.Type.(*arrow.TimestampType))
		times.Append(d.time)
		d.tables[table][id] = append(cells, times.NewArray())
	}
}

func (d *lossyDestination) Read(req *pb.Read_Request, stream grpc.ServerStreamingServer[pb.Read_Response]) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	wanted, err := pb.NewSchemaFromBytes(req.Table)
	if err != nil {
		return err
	}
	table, _ := wanted.Metadata().GetValue("cq:table_name")
	d.reads[table]++
	if d.tables[table] == nil {
		return errors.New("no such table")
	}
	if d.fail != nil && table != stateTable {
		return d.fail
	}
	for _, row := range d.tables[table] {
		var columns []arrow.Array
		for _, f := range wanted.Fields() {
			at := slices.Index(append(slices.Clone(d.fields[table]), schema.CqSyncTimeColumn.Name), f.Name)
			columns = append(columns, row[at])
		}
		data, err := pb.RecordToBytes(array.NewRecordBatch(wanted, columns, 1))
		if err != nil {
			return err
		}
		if err := stream.Send(&pb.Read_Response{Record: data}); err != nil {
			return err
		}
	}
	return nil
}

// evidenceWorld syncs an emulator into a destination that may lose rows.
type evidenceWorld struct {
	*emulator.Emulator
	*lossyDestination
	t    *testing.T
	spec []byte
	at   string
	log  strings.Builder
}

func newEvidenceWorld(t *testing.T, verify string) *evidenceWorld {
	t.Helper()
	w := &evidenceWorld{t: t, Emulator: emulator.New(emulator.Config{Incidents: 400, Attachments: -1}), lossyDestination: &lossyDestination{
		name: "sqlite", tables: map[string]map[string][]arrow.Array{}, fields: map[string][]string{}, reads: map[string]int{},
	}}
	server := httptest.NewServer(w.Emulator)
	t.Cleanup(server.Close)
	w.spec = specFor(t, server.URL, func(s map[string]any) { s["verify_writes"] = verify })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	rpc := grpc.NewServer()
	pb.RegisterPluginServer(rpc, w.lossyDestination)
	go func() { _ = rpc.Serve(listener) }()
	t.Cleanup(rpc.Stop)
	w.at = listener.Addr().String()
	return w
}

// sync returns how many incidents were sent.
func (w *evidenceWorld) sync() int {
	w.t.Helper()
	w.log.Reset()
	parsed, err := spec.Parse(w.spec)
	require.NoError(w.t, err)
	s := &source{spec: parsed, logger: zerolog.New(&w.log), retry: servicenow.Retry{Tries: 2, First: time.Millisecond, Longest: time.Millisecond, Budget: time.Minute}}
	w.time++
	res := make(chan message.SyncMessage)
	done := make(chan error, 1)
	go func() {
		defer close(res)
		done <- s.Sync(w.t.Context(), plugin.SyncOptions{
			Tables: []string{resources.IncidentsTable}, BackendOptions: &plugin.BackendOptions{TableName: stateTable, Connection: w.at},
		}, res)
	}()
	rows := 0
	for m := range res {
		if insert, ok := m.(*message.SyncInsert); ok {
			w.write(insert.Record)
			if table, _ := insert.Record.Schema().Metadata().GetValue("cq:table_name"); table == resources.IncidentsTable {
				rows += int(insert.Record.NumRows())
			}
		}
	}
	require.NoError(w.t, <-done)
	return rows
}

func (w *evidenceWorld) arrived() int { return len(w.tables[resources.IncidentsTable]) }

// losing makes the destination lose some incidents of the next syncs.
func (w *evidenceWorld) losing(n int) {
	w.lose = func(table, _ string) bool {
		if table != resources.IncidentsTable {
			return false
		}
		n--
		return n >= 0
	}
}

func TestRowsThatDidNotArriveAreSentAgain(t *testing.T) {
	w := newEvidenceWorld(t, "auto")
	w.losing(100)
	require.Equal(t, 400, w.sync())
	require.Equal(t, 300, w.arrived())
	w.losing(0)
	require.Equal(t, 400, w.sync(), "a full load without all of its rows is repeated")
	require.Contains(t, w.log.String(), "SN-STATE-002")
	require.Equal(t, 400, w.arrived())
	require.Zero(t, w.sync())
	require.NotContains(t, w.log.String(), "SN-STATE")

	for i, id := range w.SysIDs("incident")[:40] {
		if i%2 == 0 {
			w.Update("incident", id, map[string]string{"state": "3"})
		} else {
			w.Insert("incident", map[string]string{"short_description": "new"})
		}
	}
	w.losing(5)
	require.Equal(t, 40, w.sync())
	w.losing(0)
	require.Equal(t, 40, w.sync(), "only the window without its rows is repeated")
	require.Contains(t, w.log.String(), "SN-STATE-002")
	require.Equal(t, 420, w.arrived())
	w.sync()
	require.NotContains(t, w.log.String(), "SN-STATE")
}

func TestRowsThatNeverArriveAreNotSentForever(t *testing.T) {
	w := newEvidenceWorld(t, "auto")
	bad := w.SysIDs("incident")[7]
	w.lose = func(table, id string) bool { return table == resources.IncidentsTable && strings.Contains(id, bad) }
	require.Equal(t, 400, w.sync())
	require.Equal(t, 400, w.sync(), "once")
	require.Zero(t, w.sync())
	require.Contains(t, w.log.String(), "SN-STATE-002")
	require.Zero(t, w.sync())
	require.NotContains(t, w.log.String(), "SN-STATE-002", "there is nothing new to prove")
}

func TestWritesAreVerifiedWhereTheyAreNotSure(t *testing.T) {
	for name, test := range map[string]struct {
		verify, destination string
		reads               bool
	}{
		"a destination that swallows errors":  {"auto", "duckdb", true},
		"one that nobody knows":               {"auto", "new", true},
		"one that fails the sync":             {"auto", "postgresql", false},
		"one that fails, and a cautious user": {"always", "postgresql", true},
		"a user who does not want it":         {"never", "sqlite", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newEvidenceWorld(t, test.verify)
			w.name = test.destination
			w.sync()
			w.sync()
			require.Equal(t, test.reads, w.reads[resources.IncidentsTable] > 0)
		})
	}
}

func TestADestinationThatCannotBeAskedIsBelieved(t *testing.T) {
	w := newEvidenceWorld(t, "auto")
	w.sync()
	w.fail = errors.New("not now")
	require.Zero(t, w.sync())
	require.Contains(t, w.log.String(), "SN-STATE-003")
}
