package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// synced is what a sync of the incidents brought: text and record by sys_id, and the codes of the warnings.
type synced struct {
	texts, records map[string]string
	warnings       []string
}

func syncIncidents(t *testing.T, e *emulator.Emulator, incidents map[string]any) synced {
	t.Helper()
	server := httptest.NewServer(e)
	defer server.Close()
	var log bytes.Buffer
	p := Plugin()
	p.SetLogger(zerolog.New(&log))
	require.NoError(t, p.Init(t.Context(), specFor(t, server.URL, func(s map[string]any) {
		if incidents != nil {
			s["incidents"] = incidents
		}
	}), plugin.NewClientOptions{}))
	messages, err := p.SyncAll(t.Context(), plugin.SyncOptions{Tables: []string{resources.IncidentsTable}})
	require.NoError(t, err)
	require.Empty(t, e.Violations())
	got := synced{texts: map[string]string{}, records: map[string]string{}}
	for _, m := range messages {
		insert, ok := m.(*message.SyncInsert)
		if !ok {
			continue
		}
		column := func(name string) arrow.Array {
			return insert.Record.Column(insert.Record.Schema().FieldIndices(name)[0])
		}
		for i := range int(insert.Record.NumRows()) {
			id := column("sys_id").ValueStr(i)
			got.records[id] = column("record").ValueStr(i)
			if column("text").IsValid(i) {
				got.texts[id] = column("text").(*array.String).Value(i)
			}
		}
	}
	for line := range strings.Lines(log.String()) {
		var entry struct{ Level, Code string }
		require.NoError(t, json.Unmarshal([]byte(line), &entry))
		if entry.Level == "warn" {
			got.warnings = append(got.warnings, entry.Code)
		}
	}
	return got
}

// withIncident returns an instance with one more incident, of which everything is known.
func withIncident(config emulator.Config) (*emulator.Emulator, string) {
	e := emulator.New(config)
	caller := e.Insert("sys_user", map[string]string{"user_name": "zoe", "name": "Zoë (Sales) - North", "email": "zoe@example.com"})
	id := e.Insert("incident", map[string]string{
		"number": "INC7777777", "caller_id": caller, "short_description": "The printer blinks", "description": "It is on floor 3.\r\nIt blinks.",
		"state": "2", "u_region": "EMEA",
	})
	for i, entry := range []string{"comments", "work_notes", "comments"} {
		e.Insert("sys_journal_field", map[string]string{
			"name": "incident", "element_id": id, "element": entry, "value": fmt.Sprintf("Entry %d", i), "sys_created_on": fmt.Sprintf("2026-01-0%d 12:00:00", i+1), "sys_created_by": "zoe",
		})
	}
	return e, id
}

const activitiesText = "Activities:\n" +
	"2026-01-01 04:00:00 - Zoë (Sales) - North (Additional comments)\nEntry 0\n\n" +
	"2026-01-02 04:00:00 - Zoë (Sales) - North (Work notes)\nEntry 1\n\n" +
	"2026-01-03 04:00:00 - Zoë (Sales) - North (Additional comments)\nEntry 2\n"

func TestTextShowsTheForm(t *testing.T) {
	e, id := withIncident(emulator.Config{Incidents: 300})
	got := syncIncidents(t, e, nil)
	require.Len(t, got.texts, 301)
	require.Empty(t, got.warnings)
	text := got.texts[id]
	require.True(t, strings.HasPrefix(text, "Number: INC7777777\nCaller: Zoë (Sales) - North\n"), text)
	require.Contains(t, text, "\nState: In Progress\n")
	require.Contains(t, text, "\nShort description: The printer blinks\nDescription:\nIt is on floor 3.\nIt blinks.\n\nNotes\n"+activitiesText+"\nRelated Records\nEmail: zoe@example.com\n")
	require.Contains(t, text, "Region: EMEA\n")
	require.Contains(t, got.records[id], `"caller_id.email"`)
	require.Contains(t, got.records[id], `"u_region"`, "custom fields stay in the record")
	for id, text := range got.texts {
		require.True(t, utf8.ValidString(text))
		record, _ := e.Record("incident", id)
		require.True(t, strings.HasPrefix(text, "Number: "+record["number"]+"\n"), text)
		require.NotContains(t, text, "UNKNOWN")
	}
	// The same records give the same texts.
	require.Equal(t, got.texts, syncIncidents(t, e, nil).texts)
}

// A user's format of date-times does not change the order.
func TestTextInAnotherDateFormat(t *testing.T) {
	for _, format := range []string{"dd/MM/yyyy", "MM-dd-yyyy", "dd.MM.yyyy"} {
		e, id := withIncident(emulator.Config{Incidents: -1, DateFormat: format})
		e.HideFields("incident", "comments_and_work_notes")
		text := syncIncidents(t, e, nil).texts[id]
		first, second, third := strings.Index(text, "Entry 0"), strings.Index(text, "Entry 1"), strings.Index(text, "Entry 2")
		require.True(t, 0 < first && first < second && second < third, text)
	}
}

func TestTextWithoutTheLayout(t *testing.T) {
	for _, table := range []string{"sys_ui_element", "sys_ui_form_section"} {
		e, id := withIncident(emulator.Config{Incidents: -1})
		e.DenyTable(table, emulator.DenyForbidden)
		got := syncIncidents(t, e, nil)
		require.Equal(t, []string{dictionary.CodeLayout}, got.warnings)
		text := got.texts[id]
		require.True(t, strings.HasPrefix(text, "Number: INC7777777\nCaller: Zoë (Sales) - North\n"), text)
		require.Contains(t, text, "\nNotes\n"+activitiesText)
		require.NotContains(t, text, "zoe@example.com")
	}
}

func TestTextOfRestrictedFields(t *testing.T) {
	e, id := withIncident(emulator.Config{Incidents: -1})
	for _, test := range []struct {
		fields []string
		want   string
	}{
		{[]string{"number", "short_description"}, "Number: INC7777777\nShort description: The printer blinks\n"},
		{[]string{"number", "caller_id"}, "Number: INC7777777\nCaller: Zoë (Sales) - North\n"},
		{[]string{"comments", "work_notes"}, "Notes\n" + activitiesText},
		{[]string{"opened_at"}, ""},
	} {
		got := syncIncidents(t, e, map[string]any{"fields": test.fields})
		require.Equal(t, test.want, got.texts[id], test.fields)
		require.Empty(t, got.warnings)
		if test.want == "" {
			require.NotContains(t, got.texts, id, "no text is NULL")
		}
	}
}

// Where every field cannot be named, those of other records are missing, and nothing else.
func TestTextOfTooManyFields(t *testing.T) {
	e, id := withIncident(emulator.Config{Incidents: -1})
	for i := range 120 {
		e.AddColumn("incident", fmt.Sprintf("u_a_custom_field_with_a_long_name_%03d string(40) Custom %d", i, i))
	}
	e.Update("incident", id, map[string]string{"u_a_custom_field_with_a_long_name_007": "seven"})
	got := syncIncidents(t, e, nil)
	require.Equal(t, []string{client.CodeWalkedFields}, got.warnings)
	require.NotContains(t, got.texts[id], "zoe@example.com")
	require.Contains(t, got.texts[id], "Notes\n"+activitiesText)
	require.Contains(t, got.records[id], "seven")
}

// The names of the fields share an address with the query, which can be long as well.
func TestRequestsStayShort(t *testing.T) {
	for name, incidents := range map[string]func(*emulator.Emulator) map[string]any{
		"many sys_ids": func(e *emulator.Emulator) map[string]any {
			return map[string]any{"sys_ids": e.SysIDs("incident")[:150]}
		},
		"a long query": func(*emulator.Emulator) map[string]any {
			return map[string]any{"query": "short_descriptionLIKE" + strings.Repeat("long words ", 300) + "^ORactive=true^NQpriority=1^NQpriority=2"}
		},
		"none": func(*emulator.Emulator) map[string]any { return nil },
	} {
		for _, custom := range []int{0, 20, 60} {
			e, _ := withIncident(emulator.Config{Incidents: 200})
			for i := range custom {
				e.AddColumn("incident", fmt.Sprintf("u_a_custom_field_with_a_long_name_%03d string(40) Custom %d", i, i))
			}
			got := syncIncidents(t, e, incidents(e))
			require.NotEmpty(t, got.texts)
			for _, r := range e.Requests() {
				require.Less(t, len((&url.URL{Path: r.Path, RawQuery: r.Query.Encode()}).RequestURI()), 6000, "%s, %d custom fields", name, custom)
			}
		}
	}
}

// Without the dictionary not every field is known by name.
func TestTextWithoutTheDictionary(t *testing.T) {
	e, id := withIncident(emulator.Config{Incidents: -1})
	e.DenyTable("sys_dictionary", emulator.DenyForbidden)
	got := syncIncidents(t, e, nil)
	require.Equal(t, []string{dictionary.CodeUnreadable, client.CodeWalkedFields}, got.warnings)
	require.Contains(t, got.texts[id], "Region: EMEA\n")
	require.NotContains(t, got.texts[id], "zoe@example.com")
}
