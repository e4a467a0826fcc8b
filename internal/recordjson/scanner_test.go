package recordjson

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// read returns the fields of a record as a scanner finds them, as lines of "name stored shown".
func read(s *Scanner, names *[]string, body string) (fields []string, end int, clean bool, err error) {
	end, clean, err = s.Scan([]byte(body), 0, func(f Field) error {
		fields = append(fields, fmt.Sprintf("%s %s %s", (*names)[f.ID], f.Stored.Raw, f.Shown.Raw))
		for _, half := range []Half{f.Stored, f.Shown} {
			if half.Plain && strings.ContainsFunc(string(half.Raw[1:len(half.Raw)-1]), func(r rune) bool { return r < ' ' || r > 0x7f || r == '\\' || r == '"' }) {
				return fmt.Errorf("%q is not plain", half.Raw)
			}
		}
		return nil
	})
	return fields, end, clean, err
}

func naming() (*Scanner, *[]string) {
	names := &[]string{}
	return NewScanner(func(name []byte) int {
		*names = append(*names, string(name))
		return len(*names) - 1
	}), names
}

func TestScan(t *testing.T) {
	both := func(name, stored, shown string) string {
		return fmt.Sprintf(`%q:{"display_value":%q,"value":%q}`, name, shown, stored)
	}
	abc := "{" + both("a", "1", "one") + "," + both("b", "2", "two") + "," + both("c", "3", "three") + "}"
	for _, c := range []struct {
		name    string
		records []string
		want    [][]string
		clean   []bool
	}{
		{"texts and pairs, alike", []string{`{"a":"1","b":{"value":"2","display_value":"two"}}`, `{"a":"","b":{"value":"","display_value":"\n"}}`, `{"a":"x","b":{"value":"y","display_value":"z"}}`},
			[][]string{{`a "1" `, `b "2" "two"`}, {`a "" `, `b "" "\n"`}, {`a "x" `, `b "y" "z"`}}, []bool{false, true, true}},
		{"escapes by number", []string{`{"a":"\u0000"}`, `{"a":"\u0000"}`}, [][]string{{`a "\u0000" `}, {`a "\u0000" `}}, []bool{false, false}},
		{"the display value first", []string{abc, abc}, [][]string{{`a "1" "one"`, `b "2" "two"`, `c "3" "three"`}, {`a "1" "one"`, `b "2" "two"`, `c "3" "three"`}}, []bool{false, true}},
		{"the order of the halves changes", []string{`{"a":{"value":"1","display_value":"one"}}`, `{"a":{"display_value":"one","value":"1"}}`, `{"a":{"display_value":"two","value":"2"}}`},
			[][]string{{`a "1" "one"`}, {`a "1" "one"`}, {`a "2" "two"`}}, []bool{false, false, true}},
		{"fields left out and back again", []string{abc, "{" + both("a", "1", "one") + "," + both("c", "3", "three") + "}", "{" + both("c", "3", "three") + "}", abc},
			[][]string{{`a "1" "one"`, `b "2" "two"`, `c "3" "three"`}, {`a "1" "one"`, `c "3" "three"`}, {`c "3" "three"`}, {`a "1" "one"`, `b "2" "two"`, `c "3" "three"`}}, []bool{false, true, false, true}},
		{"a field more", []string{"{" + both("a", "1", "one") + "," + both("c", "3", "three") + "}", abc, abc},
			[][]string{{`a "1" "one"`, `c "3" "three"`}, {`a "1" "one"`, `b "2" "two"`, `c "3" "three"`}, {`a "1" "one"`, `b "2" "two"`, `c "3" "three"`}}, []bool{false, false, true}},
		{"no text now and then", []string{`{"a":"1","b":"2"}`, `{"a":null,"b":7}`, `{"a":{"value":null,"display_value":"x"},"b":true}`, `{"a":"1","b":"2"}`},
			[][]string{{`a "1" `, `b "2" `}, {`a null `, `b 7 `}, {`a null "x"`, `b true `}, {`a "1" `, `b "2" `}}, []bool{false, false, false, true}},
		{"links, lists and other objects", []string{`{"a":{"display_value":"x","link":"l","value":"y"},"b":[{"c":"]"}],"c":{},"d":{"e":1}}`},
			[][]string{{`a "y" "x"`, `b [{"c":"]"}] `, `c  `, `d {"e":1} {"e":1}`}}, []bool{false}},
		{"halves and names twice", []string{`{"a":{"value":"1","value":"2"},"a":"3"}`, `{"a":{"value":"1","value":"2"},"a":"3"}`},
			[][]string{{`a "1" `, `a "3" `}, {`a "1" `, `a "3" `}}, []bool{false, false}},
		{"blanks", []string{"{ \"a\" : \"1\"\n,\t\"b\":{ \"value\" :\"2\", \"display_value\": \"3\" } }", "{ \"a\" : \"4\"\n,\t\"b\":{ \"value\" :\"5\", \"display_value\": \"6\" } }"},
			[][]string{{`a "1" `, `b "2" "3"`}, {`a "4" `, `b "5" "6"`}}, []bool{false, true}},
		{"nothing", []string{`{}`, "{\n}"}, [][]string{nil, nil}, []bool{true, true}},
		{"beyond ASCII", []string{`{"ä":"1"}`, `{"ä":"1"}`, `{"ä":"ö1234567"}`}, [][]string{{`ä "1" `}, {`ä "1" `}, {`ä "ö1234567" `}}, []bool{false, false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, names := naming()
			for i, record := range c.records {
				fields, end, clean, err := read(s, names, record+" ,")
				require.NoError(t, err)
				require.Equal(t, c.want[i], fields, "record %d", i)
				require.Equal(t, len(record), end)
				require.Equal(t, c.clean[i], clean, "record %d", i)
			}
		})
	}
}

// Of records that are alike no name is looked up again, and nothing takes memory.
func TestScanRemembers(t *testing.T) {
	var record []byte
	for i := range 100 {
		record = fmt.Appendf(record, `%c"field_%d":{"display_value":"shown %d","value":"%d"}`, "{,"[min(i, 1)], i, i, i)
	}
	record = append(record, '}')
	lookups := 0
	s := NewScanner(func([]byte) int { lookups++; return 0 })
	fields := 0
	each := func(Field) error { fields++; return nil }
	require.Zero(t, testing.AllocsPerRun(10, func() {
		if _, _, err := s.Scan(record, 0, each); err != nil {
			t.Fatal(err)
		}
	}))
	require.Equal(t, 100, lookups)
	require.Equal(t, 1100, fields)
}

func TestScanStops(t *testing.T) {
	s, _ := naming()
	for range 2 {
		calls := 0
		_, _, err := s.Scan([]byte(`{"a":"1","b":"2"}`), 0, func(Field) error { calls++; return errMalformed })
		require.ErrorIs(t, err, errMalformed)
		require.Equal(t, 1, calls)
	}
}

// What a scanner remembers is bounded.
func TestScanBounds(t *testing.T) {
	s, _ := naming()
	for i := range 3 * maxShapes {
		_, _, err := s.Scan(fmt.Appendf(nil, `{"f%d":"1"}`, i), 0, func(Field) error { return nil })
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(s.shapes), maxShapes)
}

// The end of a text is found wherever it, an escape, or a byte beyond ASCII stands among those that are looked at at once.
func TestTextEnd(t *testing.T) {
	for length := range 40 {
		for at := range length {
			for _, c := range []struct {
				put   string
				valid bool
				has   traits
			}{
				{"x", true, 0}, {`\"`, true, escaped}, {`\u00e4`, true, escaped | codepoint}, {`\x`, false, 0}, {`\u00g4`, false, 0},
				{"ä", true, beyond}, {"\xff", true, beyond}, {"\x1f", false, 0}, {"\x7f", true, 0}, {"!#[]", true, 0}, {`ä\n`, true, beyond | escaped},
			} {
				text := strings.Repeat("a", at) + c.put + strings.Repeat("b", length-at)
				end, has := textEnd([]byte(text+`"cdefghijk"`), 0)
				if !c.valid {
					require.Equal(t, -1, end, "%q", text)
					continue
				}
				require.Equal(t, len(text), end, "%q", text)
				require.Equal(t, c.has, has, "%q", text)
				end, _ = textEnd([]byte(text), 0)
				require.Equal(t, -1, end, "%q has no end", text)
			}
		}
	}
}

// Whatever was read before, a record is taken if it is valid JSON and an object, and its fields are those that encoding/json
// finds.
func FuzzScan(f *testing.F) {
	f.Add([]byte(`{"a":"1","b":{"value":"2","display_value":"two"}}`), []byte(`{"a":"\u00e4","b":{"value":"","display_value":""}}`))
	f.Add([]byte(`{"a":{"value":"1","display_value":"2","link":"3"}}`), []byte(`{"a":{"value":"1","display_value":"2"}}`))
	f.Add([]byte(`{"a":"1","b":"2"}`), []byte(`{"b":null}`))
	f.Add([]byte(`{"a":"1" , "b":"2" }`), []byte(`{"a":"1" , "b":"2\x"}`))
	f.Add([]byte(`{"a":{"value":"1"}}`), []byte("{\"a\":{\"value\":\"\xff\"},\"a\":[{}]}"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s, names := naming()
		for _, body := range [][]byte{first, second, first, second, second} {
			found, twice := map[string]Field{}, false
			end, clean, err := s.Scan(body, 0, func(f Field) error {
				_, before := found[(*names)[f.ID]]
				found[(*names)[f.ID]], twice = f, twice || before
				return nil
			})
			valid := len(body) > 0 && body[0] == '{' && jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
			if valid {
				require.NoError(t, err, "%q", body)
			}
			if err != nil {
				continue
			}
			record := body[:end]
			require.True(t, jsontext.Value(record).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)), "%q", record)
			if clean {
				require.NotContains(t, string(record), `\u`)
				require.False(t, strings.ContainsFunc(string(record), func(r rune) bool { return r >= 0x80 }), "%q", record)
			}
			var plainly map[string]json.RawMessage
			if twice || !utf8.Valid(record) || strings.Contains(string(record), `\`) || json.Unmarshal(record, &plainly) != nil {
				continue
			}
			require.Len(t, found, len(plainly))
			for name, value := range plainly {
				var halves map[string]json.RawMessage
				field := found[name]
				switch {
				case value[0] != '{':
					require.Equal(t, string(value), string(field.Stored.Raw))
				case json.Unmarshal(value, &halves) == nil && halves["value"] != nil && halves["display_value"] != nil && strings.Count(string(value), `value"`) == 2:
					require.Equal(t, string(halves["value"]), string(field.Stored.Raw))
					require.Equal(t, string(halves["display_value"]), string(field.Shown.Raw))
				}
			}
		}
	})
}
