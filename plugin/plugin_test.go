package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

func specFor(t *testing.T, address string, change func(map[string]any)) []byte {
	t.Helper()
	s := map[string]any{
		"instance_url": address,
		"auth":         map[string]any{"grant_type": "client_credentials", "client_id": "emulator-client", "client_secret": "emulator-secret"},
		// A test binary compiles the reader of PDFs anew in every process, for a minute under the race detector.
		"attachments": map[string]any{"extract_text": false},
	}
	if change != nil {
		change(s)
	}
	data, err := json.Marshal(s)
	require.NoError(t, err)
	return data
}

func TestTablesWithoutAConnection(t *testing.T) {
	p := Plugin()
	require.NoError(t, p.Init(t.Context(), nil, plugin.NewClientOptions{NoConnection: true}))
	tables, err := p.Tables(t.Context(), plugin.TableOptions{Tables: []string{"*"}})
	require.NoError(t, err)
	require.Len(t, tables, 5)
	_, err = p.Tables(t.Context(), plugin.TableOptions{Tables: []string{"nope"}})
	require.Equal(t, CodeUnknownTable, usererror.CodeOf(err))
	require.ErrorContains(t, err, "servicenow_incidents")
}

func TestInitRefusesABadSpecBeforeAnyRequest(t *testing.T) {
	err := Plugin().Init(t.Context(), []byte(`{"instance_subdomain":"x","pagesize":3}`), plugin.NewClientOptions{})
	require.Equal(t, spec.CodeInvalid, usererror.CodeOf(err))
}

func TestConnectionTest(t *testing.T) {
	e := emulator.New(emulator.Config{})
	server := httptest.NewServer(e)
	defer server.Close()
	test := func(change func(map[string]any)) string {
		err := TestConnection(t.Context(), zerolog.Nop(), specFor(t, server.URL, change))
		var coded *plugin.TestConnError
		if errors.As(err, &coded) {
			return coded.Code
		}
		require.NoError(t, err)
		return ""
	}
	require.Empty(t, test(nil))
	require.Equal(t, testInvalidSpec, test(func(s map[string]any) { s["unknown"] = 1 }))
	require.Equal(t, testUnauthorized, test(func(s map[string]any) { s["auth"].(map[string]any)["client_secret"] = "wrong" }))
	e.DenyTable("sys_attachment", emulator.DenyForbidden)
	require.Equal(t, testForbidden, test(nil))
	e.DenyTable("sys_attachment", emulator.DenyNone)
	e.SetFaults(emulator.Fault{Kind: emulator.FaultUnavailable})
	require.Equal(t, testFailed, test(nil))
	require.Empty(t, e.Violations())
}

// The order of messages is what crash safety rests on.
func TestMessagesComeInOrder(t *testing.T) {
	e := emulator.New(emulator.Config{Incidents: 2500})
	server := httptest.NewServer(e)
	defer server.Close()
	p := Plugin()
	require.NoError(t, p.Init(t.Context(), specFor(t, server.URL, nil), plugin.NewClientOptions{}))
	messages, err := p.SyncAll(t.Context(), plugin.SyncOptions{Tables: []string{"*"}})
	require.NoError(t, err)
	rows := map[string]int64{}
	for i, m := range messages {
		switch m := m.(type) {
		case *message.SyncMigrateTable:
			require.True(t, i < 5 || i == len(messages)-1, "without a backend the tables are migrated once, that of reports once more behind its rows")
			require.True(t, m.Table.IsIncremental)
		case *message.SyncInsert:
			require.LessOrEqual(t, m.Record.NumRows(), int64(1000))
			name, _ := m.Record.Schema().Metadata().GetValue("cq:table_name")
			rows[name] += m.Record.NumRows()
		default:
			t.Fatalf("a message of type %T", m)
		}
	}
	require.EqualValues(t, 2500, rows["servicenow_incidents"])
	require.EqualValues(t, 2, rows["servicenow_tables"])
	require.EqualValues(t, 3, rows["servicenow_sync_report"])
	last, ok := messages[len(messages)-2].(*message.SyncInsert)
	require.True(t, ok)
	name, _ := last.Record.Schema().Metadata().GetValue("cq:table_name")
	require.Equal(t, "servicenow_sync_report", name, "the reports come behind the tables that they are about")
}

func TestCancelledSyncIsAnError(t *testing.T) {
	e := emulator.New(emulator.Config{Incidents: 2500})
	server := httptest.NewServer(e)
	defer server.Close()
	p := Plugin()
	require.NoError(t, p.Init(t.Context(), specFor(t, server.URL, nil), plugin.NewClientOptions{}))
	ctx, cancel := context.WithCancel(t.Context())
	res := make(chan message.SyncMessage)
	done := make(chan error, 1)
	go func() { done <- p.Sync(ctx, plugin.SyncOptions{Tables: []string{"servicenow_incidents"}}, res) }()
	<-res
	cancel()
	for {
		select {
		case <-res:
		case err := <-done:
			require.Error(t, err)
			return
		}
	}
}

// Shards run at the same time, and together stay below what the config allows for an instance.
func TestShardsDivideInstancesOrTheirCeilings(t *testing.T) {
	instances := make([]spec.NamedInstance, 3)
	for i := range instances {
		instances[i].Name = string(rune('a' + i))
		instances[i].MaxRequestsPerHour, instances[i].Concurrency = 1000, 6
	}
	names := func(some []spec.NamedInstance) (names string) {
		for _, i := range some {
			names += i.Name
		}
		return names
	}
	mine, shard := share(instances, nil)
	require.Equal(t, "abc", names(mine))
	require.Zero(t, shard)

	mine, shard = share(instances, &plugin.Shard{Num: 1, Total: 2})
	require.Equal(t, "ac", names(mine))
	require.Zero(t, shard, "whole instances")
	require.Equal(t, 1000, mine[0].MaxRequestsPerHour)
	mine, _ = share(instances, &plugin.Shard{Num: 2, Total: 2})
	require.Equal(t, "b", names(mine))

	mine, shard = share(instances, &plugin.Shard{Num: 2, Total: 4})
	require.Equal(t, "abc", names(mine))
	require.Equal(t, client.Shard{Num: 2, Total: 4}, shard)
	require.Equal(t, []int{250, 1}, []int{mine[0].MaxRequestsPerHour, mine[0].Concurrency})
	require.Equal(t, 1000, instances[0].MaxRequestsPerHour, "the spec's own stays")
}
