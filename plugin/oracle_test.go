package plugin

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/scalar"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// The SDK's own path, one scalar a cell over encoding/json, is slow and known to be right: both have to fill the same
// record batches, bit by bit.
func TestRecordBatchesEqualTheSDKsRowPath(t *testing.T) {
	e := emulator.New(emulator.Config{Incidents: 1500})
	server := httptest.NewServer(e)
	defer server.Close()
	p := Plugin()
	require.NoError(t, p.Init(t.Context(), specFor(t, server.URL, nil), plugin.NewClientOptions{}))
	messages, err := p.SyncAll(t.Context(), plugin.SyncOptions{Tables: []string{resources.IncidentsTable}})
	require.NoError(t, err)

	records := rawRecords(t, server.URL)
	table := resources.Incidents(resources.OutOfBoxIncidentFields())
	instance := strings.TrimPrefix(server.URL, "http://")
	rows := 0
	for _, m := range messages {
		insert, ok := m.(*message.SyncInsert)
		if !ok {
			continue
		}
		ids := insert.Record.Column(table.Columns.Index("sys_id")).(*array.String)
		builder := array.NewRecordBuilder(memory.DefaultAllocator, table.ToArrowSchema())
		for i := range ids.Len() {
			raw := records[ids.Value(i)]
			require.NotNil(t, raw)
			scalar.AppendToRecordBuilder(builder, row(t, table, instance, server.URL, raw).GetValues())
		}
		want := builder.NewRecordBatch()
		for i, c := range table.Columns {
			if c.Name == "text" {
				continue // internal/textview has its own tests
			}
			require.True(t, array.Equal(want.Column(i), insert.Record.Column(i)), "column %s:\n%v\n%v", c.Name, want.Column(i), insert.Record.Column(i))
		}
		rows += ids.Len()
	}
	require.Equal(t, 1500, rows)
}

// rawRecords asks the instance for every incident with one plain request, for all of its fields and the one of another
// record that the form shows.
func rawRecords(t *testing.T, address string) map[string]json.RawMessage {
	t.Helper()
	fields := append(slices.Collect(maps.Keys(decoded(t, get(t, address, "sysparm_limit=1")[0]))), "caller_id.email")
	slices.Sort(fields)
	records := map[string]json.RawMessage{}
	for _, raw := range get(t, address, "sysparm_limit=5000&sysparm_fields="+strings.Join(fields, ",")) {
		records[decoded(t, raw)["sys_id"].Value] = raw
	}
	return records
}

func get(t *testing.T, address, params string) []json.RawMessage {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/api/now/table/incident?sysparm_display_value=all&sysparm_exclude_reference_link=true&"+params, nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("x-sn-apikey", "emulator-key")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	var list struct {
		Result []json.RawMessage `json:"result"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&list))
	return list.Result
}

// cell is a field as the instance sends it.
type cell struct {
	Value   string `json:"value"`
	Display string `json:"display_value"`
}

func decoded(t *testing.T, raw json.RawMessage) map[string]cell {
	t.Helper()
	var fields map[string]cell
	require.NoError(t, json.Unmarshal(raw, &fields))
	return fields
}

func row(t *testing.T, table *schema.Table, instance, address string, raw json.RawMessage) *schema.Resource {
	t.Helper()
	fields := decoded(t, raw)
	r := schema.NewResourceData(table, nil, nil)
	for _, c := range table.Columns {
		var value any
		name, display := strings.CutSuffix(c.Name, "_display")
		if _, own := fields[c.Name]; own {
			name, display = c.Name, false
		}
		text := fields[name].Value
		switch {
		case c.Name == "instance":
			value = instance
		case c.Name == "url":
			value = address + "/incident.do?sys_id=" + fields["sys_id"].Value
		case c.Name == "record_url":
		case c.Name == "record":
			value = []byte(raw)
		case display:
			value = orNil(fields[name].Display)
		case name == "comments", name == "work_notes", name == "comments_and_work_notes", name == "approval_history":
			value = orNil(fields[name].Display)
		case text == "":
		case strings.HasSuffix(name, "_duration"), name == "time_worked":
			at, err := time.Parse(time.DateTime, text)
			require.NoError(t, err)
			value = at.Unix()
		case arrow.TypeEqual(c.Type, arrow.FixedWidthTypes.Timestamp_us):
			at, err := time.Parse(time.DateTime, text)
			require.NoError(t, err)
			value = at
		case arrow.TypeEqual(c.Type, arrow.PrimitiveTypes.Int64):
			n, err := strconv.ParseInt(text, 10, 64)
			require.NoError(t, err)
			value = n
		case arrow.TypeEqual(c.Type, arrow.FixedWidthTypes.Boolean):
			value = text == "true"
		case strings.HasSuffix(name, "_list"):
			value = strings.Split(text, ",")
		default:
			value = text
		}
		require.NoError(t, r.Set(c.Name, value), c.Name)
	}
	require.NoError(t, r.CalculateCQID(true))
	return r
}

func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}
