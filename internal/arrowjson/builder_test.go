package arrowjson

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/types"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

type layout struct {
	fields  []arrow.Field
	columns []Column
}

func (l *layout) add(name string, dataType arrow.DataType, c Column) {
	l.fields = append(l.fields, arrow.Field{Name: name, Type: dataType, Nullable: true})
	l.columns = append(l.columns, c)
}

func everyKind() *layout {
	l := &layout{}
	l.add("_cq_id", types.ExtensionTypes.UUID, Column{Source: ID, Text: "example"})
	l.add("_cq_parent_id", types.ExtensionTypes.UUID, Column{Source: Null})
	l.add("instance", arrow.BinaryTypes.String, Column{Source: Constant, Text: "example"})
	l.add("sys_id", Text.DataType(), Column{Field: "sys_id"})
	l.add("short_description", Text.DataType(), Column{Field: "short_description"})
	l.add("active", Bool.DataType(), Column{Field: "active", Kind: Bool})
	l.add("priority", Int.DataType(), Column{Field: "priority", Kind: Int})
	l.add("priority_display", Text.DataType(), Column{Source: Display, Field: "priority"})
	l.add("u_score", Float.DataType(), Column{Field: "u_score", Kind: Float})
	l.add("opened_at", DateTime.DataType(), Column{Field: "opened_at", Kind: DateTime})
	l.add("u_day", Date.DataType(), Column{Field: "u_day", Kind: Date})
	l.add("calendar_duration", Duration.DataType(), Column{Field: "calendar_duration", Kind: Duration})
	l.add("watch_list", List.DataType(), Column{Field: "watch_list", Kind: List})
	l.add("comments", Text.DataType(), Column{Source: Journal, Field: "comments"})
	l.add("url", Text.DataType(), Column{Source: Link, Text: "https://x/incident.do?sys_id="})
	l.add("record", types.ExtensionTypes.JSON, Column{Source: Whole})
	l.add("text", Text.DataType(), Column{Source: Composed, Of: []string{"short_description", "priority", "comments", "sys_id"}, Compose: joinHalves})
	return l
}

// build appends records and returns the batch as texts by column name, "(null)" for NULL.
func build(t *testing.T, records ...string) (rows []map[string]string, invalid map[string]int) {
	t.Helper()
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	l := everyKind()
	b, err := NewBuilder(mem, arrow.NewSchema(l.fields, nil), l.columns)
	require.NoError(t, err)
	defer b.Release()
	for _, record := range records {
		require.NoError(t, b.Append([]byte(record)))
	}
	require.Equal(t, len(records), b.Rows())
	batch := b.Batch()
	defer batch.Release()
	require.EqualValues(t, len(records), batch.NumRows())
	for i := range len(records) {
		row := map[string]string{}
		for c, column := range batch.Columns() {
			row[batch.ColumnName(c)] = column.ValueStr(i)
		}
		rows = append(rows, row)
	}
	return rows, b.Invalid()
}

func TestAppendBothHalves(t *testing.T) {
	record := `{"sys_id":{"display_value":"a1","value":"a1"},"active":{"display_value":"true","value":"true"},` +
		`"priority":{"display_value":"3 - Moderate","value":"3"},"short_description":{"display_value":"x","value":"Line \"1\"\nü 😀"},` +
		`"u_score":{"display_value":"1,234.5","value":"1234.5"},"opened_at":{"display_value":"12/31/1969 04:00 PM","value":"1970-01-01 00:00:00"},` +
		`"u_day":{"display_value":"","value":"2024-02-29"},"calendar_duration":{"display_value":"1 Day","value":"1970-01-02 04:23:17"},` +
		`"watch_list":{"display_value":"A, b@c.d","value":"id1,b@c.d"},"comments":{"display_value":"2026 - A (Comments)\ntext","value":""},` +
		`"caller_id":{"display_value":"","link":"https://x","value":""},"u_extra":{"value":"1"}}`
	rows, invalid := build(t, record)
	require.Empty(t, invalid)
	row := rows[0]
	require.Equal(t, "true", row["active"])
	require.Equal(t, "3", row["priority"])
	require.Equal(t, "3 - Moderate", row["priority_display"])
	require.Equal(t, "Line \"1\"\nü 😀", row["short_description"])
	require.Equal(t, "1234.5", row["u_score"])
	require.Equal(t, "1970-01-01T00:00:00Z", row["opened_at"])
	require.Equal(t, "2024-02-29", row["u_day"])
	require.Equal(t, "102197", row["calendar_duration"])
	require.JSONEq(t, `["id1","b@c.d"]`, row["watch_list"])
	require.Equal(t, "2026 - A (Comments)\ntext", row["comments"])
	require.Equal(t, "https://x/incident.do?sys_id=a1", row["url"])
	require.JSONEq(t, record, row["record"])
	require.Equal(t, "(null)", row["_cq_parent_id"])
}

func TestAppendPlainValuesAndOrderChanges(t *testing.T) {
	rows, _ := build(t,
		`{"sys_id":"a","active":"false","priority":"1"}`,
		`{"priority":"2","sys_id":"b"}`,
		` { "x" : [ {"]":"}"} , 1 ], "active" : "true" , "sys_id" : "c" } `)
	require.Equal(t, []string{"a", "b", "c"}, []string{rows[0]["sys_id"], rows[1]["sys_id"], rows[2]["sys_id"]})
	require.Equal(t, []string{"false", "(null)", "true"}, []string{rows[0]["active"], rows[1]["active"], rows[2]["active"]})
	require.Equal(t, []string{"1", "2", "(null)"}, []string{rows[0]["priority"], rows[1]["priority"], rows[2]["priority"]})
}

func TestBadValuesBecomeNullAndAreCounted(t *testing.T) {
	rows, invalid := build(t, `{"sys_id":"a","active":"maybe","priority":"102,197","u_score":"NaN","opened_at":"0000-00-00 00:00:00",`+
		`"u_day":"2023-02-29","calendar_duration":"1 Day","short_description":"fine"}`)
	for _, column := range []string{"active", "priority", "u_score", "opened_at", "u_day", "calendar_duration"} {
		require.Equal(t, "(null)", rows[0][column], column)
		require.Equal(t, 1, invalid[column], column)
	}
	require.Equal(t, "fine", rows[0]["short_description"])
}

func TestHostileText(t *testing.T) {
	rows, _ := build(t,
		"{\"sys_id\":\"a\",\"short_description\":\"nul\\u0000 lone\\ud800 bad\xff pair\\ud83d\\ude00\"}",
		`{"sys_id":"b","short_description":"literal \\u0000"}`,
		`{"sys_id":"c","sys_id":"d","short_description":null,"priority":7}`)
	require.Equal(t, "nul lone\uFFFD bad\uFFFD pair😀", rows[0]["short_description"])
	require.NotContains(t, rows[0]["record"], `\u0000`)
	require.NotContains(t, strings.ToLower(rows[0]["record"]), `\ud800`)
	require.Equal(t, `literal \u0000`, rows[1]["short_description"])
	require.Contains(t, rows[1]["record"], `literal \\u0000`)
	require.Equal(t, "c", rows[2]["sys_id"])
	require.Equal(t, "(null)", rows[2]["short_description"])
	require.Equal(t, "7", rows[2]["priority"])
}

// A value of a shape that no field has is NULL in its columns, is counted, and stays in the record.
func TestNestedValues(t *testing.T) {
	deep := strings.Repeat(`{"a":[`, 4000) + `"\u0000"` + strings.Repeat(`]}`, 4000)
	rows, invalid := build(t,
		`{"sys_id":"a","short_description":["x"],"priority":{"value":{"y":1},"display_value":["z"]},"comments":{"other":"o"}}`,
		`{"sys_id":"b","short_description":{"value":`+deep+`,"display_value":"shown"},"priority":"1"}`,
		`{"sys_id":"c","sys_id":"d","short_description":{},"text":"fine"}`)
	for _, column := range []string{"short_description", "priority", "priority_display", "comments"} {
		require.Equal(t, "(null)", rows[0][column], column)
	}
	require.Equal(t, "/;/;/;a/", rows[0]["text"])
	require.JSONEq(t, `{"sys_id":"a","short_description":["x"],"priority":{"value":{"y":1},"display_value":["z"]},"comments":{"other":"o"}}`, rows[0]["record"])
	require.Equal(t, map[string]int{"short_description": 2, "priority": 1, "priority_display": 1, "comments": 1}, invalid)
	var record map[string]string
	require.NoError(t, json.Unmarshal([]byte(rows[1]["record"]), &record))
	require.Contains(t, record["short_description"], deep[:len(deep)/2-20])
	require.Equal(t, "1", rows[1]["priority"])
	require.Equal(t, RowID("example", "c").String(), rows[2]["_cq_id"])
	require.Equal(t, "https://x/incident.do?sys_id=c", rows[2]["url"])
}

// The SDK's own formula, run through the SDK, is the oracle.
func TestRowIDIsTheSDKsDeterministicID(t *testing.T) {
	table := &schema.Table{Name: "t", Columns: schema.ColumnList{
		schema.CqIDColumn,
		{Name: "sys_id", Type: arrow.BinaryTypes.String, PrimaryKey: true},
		{Name: "instance", Type: arrow.BinaryTypes.String, PrimaryKey: true},
	}}
	r := schema.NewResourceData(table, nil, nil)
	require.NoError(t, r.Set("instance", "example"))
	require.NoError(t, r.Set("sys_id", "a1"))
	require.NoError(t, r.CalculateCQID(true))
	require.Equal(t, r.Get("_cq_id").String(), RowID("example", "a1").String())
}

func TestParseSecondsAgreesWithTime(t *testing.T) {
	for at := time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC); at.Year() < 2500; at = at.Add(37*24*time.Hour + 3*time.Hour + 7*time.Second) {
		got, ok := parseSeconds([]byte(at.Format(time.DateTime)))
		require.True(t, ok)
		require.Equal(t, at.Unix(), got, at)
	}
}

func FuzzAppend(f *testing.F) {
	f.Add(`"sys_id":"a","active":{"value":"true","display_value":""},"x":[{"y":"}"}]`)
	f.Add(`"sys_id":{"value":""},"short_description":"\ud800\u0000"`)
	f.Add(`"priority":1e3,"opened_at":"1969-12-31 23:59:59","watch_list":",,a"`)
	f.Fuzz(func(t *testing.T, inner string) {
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		defer mem.AssertSize(t, 0)
		l := everyKind()
		b, err := NewBuilder(mem, arrow.NewSchema(l.fields, nil), l.columns)
		require.NoError(t, err)
		defer b.Release()
		record := []byte("{" + inner + "}")
		if !jsontext.Value(record).IsValid(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)) {
			t.Skip("Append takes valid JSON only")
		}
		if b.Append(record) == nil {
			batch := b.Batch()
			require.EqualValues(t, 1, batch.NumRows())
			for _, c := range batch.Columns() {
				require.Equal(t, 1, c.Len())
				if s, ok := c.(*array.String); ok {
					require.True(t, strings.ToValidUTF8(s.Value(0), "") == s.Value(0))
				}
			}
			batch.Release()
		}
	})
}

// Rows behind the first batch take no memory of their own, whatever their fields are.
func TestAppendTakesNoMemory(t *testing.T) {
	l := everyKind()
	b, err := NewBuilder(memory.DefaultAllocator, arrow.NewSchema(l.fields, nil), l.columns)
	require.NoError(t, err)
	defer b.Release()
	record := []byte(`{"sys_id":{"display_value":"a1","value":"a1"},"short_description":{"display_value":"line\nline \u00e9","value":"line\nline \u00e9"},` +
		`"active":{"display_value":"true","value":"true"},"priority":{"display_value":"3 - Moderate","value":"3"},"u_score":{"display_value":"1.5","value":"1.5"},` +
		`"opened_at":{"display_value":"x","value":"2026-01-01 00:00:00"},"u_day":{"display_value":"x","value":"2026-01-01"},` +
		`"calendar_duration":{"display_value":"1 Day","value":"1970-01-02 00:00:00"},"watch_list":{"display_value":"A, B","value":"a1,b2"},` +
		`"comments":{"display_value":"said","value":""},"u_other":{"display_value":"o","value":"o"}}`)
	const rows = 500
	fill := func() {
		for range rows {
			if err := b.Append(record); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill()
	b.Batch().Release()
	batch := testing.AllocsPerRun(1, func() { fill(); b.Batch().Release() })
	require.Less(t, batch, float64(rows), "the memory of the batch itself")
	require.Less(t, batch, 10*float64(len(l.columns)), "which does not depend on its rows")
}

func BenchmarkAppend(b *testing.B) {
	l := everyKind()
	builder, err := NewBuilder(memory.DefaultAllocator, arrow.NewSchema(l.fields, nil), l.columns)
	require.NoError(b, err)
	record := []byte(`{"sys_id":{"display_value":"0123456789abcdef0123456789abcdef","value":"0123456789abcdef0123456789abcdef"},"active":{"display_value":"true","value":"true"},` +
		`"priority":{"display_value":"3 - Moderate","value":"3"},"short_description":{"display_value":"printer on floor 3","value":"printer on floor 3"},` +
		`"opened_at":{"display_value":"12/31/1969 04:00 PM","value":"2026-01-01 00:00:00"},"u_other":{"display_value":"","value":""},"comments":{"display_value":"","value":""}}`)
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		if err := builder.Append(record); err != nil {
			b.Fatal(err)
		}
		if builder.Rows() == 1000 {
			builder.Batch().Release()
		}
	}
}
