package servicenow

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// What the decoder takes is a list of whole objects, and what encoding/json takes of that form, it takes as well.
func FuzzDecodeList(f *testing.F) {
	f.Add([]byte(`{"result":[{"sys_id":"a"},{"sys_id":"b","x":[{"y":"}]"}]}]}`))
	f.Add([]byte(`{"result":[{"sys_id":"a"}],"error":{"message":"Transaction cancelled","detail":null},"status":"failure"}`))
	f.Add([]byte("{\"result\":[{\"a\":\"\x00\\\"\x01\\\\\"}]}"))
	f.Add([]byte("{\"result\":[{\"\xff\":\"\xfe\",\"\xff\":1}],\"result\":[]}"))
	f.Add([]byte(`{"result":{}}`))
	f.Add([]byte(`{"result":[null]} x`))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := string(body)
		records, keys, err := decodeList(body, "sys_updated_on")
		require.Equal(t, before, string(body), "the body is not changed")
		if err == nil {
			require.Len(t, keys, len(records))
			for _, record := range records {
				require.True(t, jsontext.Value(record).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)), "%q", record)
				require.Equal(t, byte('{'), record[0])
				_, _ = record.Key()
			}
		}
		var plain map[string]json.RawMessage
		var rows []map[string]any
		if json.Unmarshal(body, &plain) == nil && len(plain) == 1 && json.Unmarshal(plain["result"], &rows) == nil && rows != nil &&
			strings.Count(before, `"result"`) == 1 && !strings.Contains(string(plain["result"]), "null") {
			require.NoError(t, err)
			require.Len(t, records, len(rows))
		}
		escaped, found := escapeControls(body)
		if !found {
			require.Equal(t, before, string(escaped))
		}
		if again, left := escapeControls(escaped); left || string(again) != string(escaped) {
			t.Fatalf("not all of %q was escaped", escaped)
		}
	})
}

// A key is found in whatever record a writer of JSON makes, in both forms of a field.
func FuzzRecordKey(f *testing.F) {
	f.Add("0123", "2026-01-01 00:00:00", `"sys_id":"other"`, true)
	f.Add("a", "", "}{\\\"", false)
	f.Fuzz(func(t *testing.T, id, stamp, text string, both bool) {
		form := func(value string) any {
			if both {
				return map[string]string{"display_value": value + text, "value": value}
			}
			return value
		}
		record, err := json.Marshal(map[string]any{"a": form(text), "sys_id": form(id), "sys_updated_on": form(stamp), "z": form(text)})
		require.NoError(t, err)
		for _, value := range []string{id, stamp} {
			if quoted, _ := json.Marshal(value); string(quoted) != `"`+value+`"` {
				t.Skip("keys have no escapes")
			}
		}
		_, keys, err := decodeList(append(append([]byte(`{"result":[`), record...), "]}"...), "sys_updated_on")
		require.NoError(t, err)
		require.Equal(t, []Key{{UpdatedOn: stamp, SysID: id}}, []Key{keys[0].key()})
		if both && strings.Contains(id+stamp+text, "}") {
			t.Skip("nor have they or their display values a brace")
		}
		key, ok := Record(record).Key()
		require.Equal(t, id != "", ok)
		if ok {
			require.Equal(t, Key{UpdatedOn: stamp, SysID: id}, key)
		}
		require.True(t, Record(record).Has("z"))
	})
}

// Whatever an instance sends as an id, halving a range ends, and both halves lie inside.
func FuzzMidID(f *testing.F) {
	f.Add("", "")
	f.Add("00", "zz")
	f.Add("\xff-", "0123456789abcdef0123456789abcdef")
	f.Fuzz(func(t *testing.T, after, through string) {
		steps := 0
		for mid, ok := midID(after, through); ok; mid, ok = midID(mid, through) {
			require.Len(t, mid, idLength)
			if steps++; steps > 400 {
				t.Fatal("no end")
			}
		}
	})
}
