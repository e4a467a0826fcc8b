package arrowjson

import (
	"bytes"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"
)

// joinHalves writes every half that is there: "stored/shown;stored/shown", and nothing where all are empty.
func joinHalves(dst []byte, values []Halves) []byte {
	start, found := len(dst), false
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ';')
		}
		found = found || len(v.Stored)+len(v.Shown) > 0
		dst = append(append(append(dst, v.Stored...), '/'), v.Shown...)
	}
	if !found {
		return dst[:start]
	}
	return dst
}

func composed(of ...string) Column { return Column{Source: Composed, Of: of, Compose: joinHalves} }

// rowsOf appends records, each with its given values, and returns the batch and the bytes that the builder counted.
func rowsOf(t *testing.T, l *layout, records []string, given ...[][]byte) (arrow.RecordBatch, int) {
	t.Helper()
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	b, err := NewBuilder(mem, arrow.NewSchema(l.fields, nil), l.columns)
	require.NoError(t, err)
	for i, record := range records {
		var values [][]byte
		if i < len(given) {
			values = given[i]
		}
		require.NoError(t, b.Append([]byte(record), values...))
	}
	size := b.Bytes()
	batch := b.Batch()
	require.Zero(t, b.Bytes())
	b.Release()
	t.Cleanup(func() {
		batch.Release()
		mem.AssertSize(t, 0)
	})
	return batch, size
}

func TestComposed(t *testing.T) {
	l := &layout{}
	l.add("before", Text.DataType(), composed("b", "a", "missing"))
	l.add("a", Text.DataType(), Column{Field: "a"})
	l.add("a_display", Text.DataType(), Column{Source: Display, Field: "a"})
	l.add("again", Text.DataType(), composed("a", "a", "sys_id"))
	l.add("none", Text.DataType(), composed())
	for _, test := range []struct{ name, record, before, again string }{
		{"both halves", `{"a":{"value":"1","display_value":"one"},"b":{"display_value":"two","value":"2"},"sys_id":"x"}`, "2/two;1/one;/", "1/one;1/one;x/"},
		{"one half", `{"sys_id":{"value":"x"},"a":{"display_value":"one"},"b":"2"}`, "2/;/one;/", "/one;/one;x/"},
		{"missing fields", `{"sys_id":"x","c":"3"}`, "(null)", "/;/;x/"},
		{"empty and null", `{"sys_id":"x","a":{"value":"","display_value":null},"b":null}`, "(null)", "/;/;x/"},
		{"the first value counts", `{"a":{"value":"1"},"sys_id":"x","a":{"value":"2"},"b":"","b":"late"}`, "/;1/;/", "1/;1/;x/"},
		{"escapes", `{"sys_id":"x","a":{"value":"\"\u0000\n\ud800","display_value":"\ud83d\ude00"},"b":"BAD"}`, "\uFFFD/;\"\n\uFFFD/😀;/", "\"\n\uFFFD/😀;\"\n\uFFFD/😀;x/"},
		{"what is no text", `{"sys_id":"x","a":7,"b":true}`, "true/;7/;/", "7/;7/;x/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			// A full record in front proves that nothing of it is left over.
			batch, _ := rowsOf(t, l, []string{`{"sys_id":"first","a":{"value":"old","display_value":"OLD"},"b":{"value":"old","display_value":"OLD"}}`, strings.ReplaceAll(test.record, "BAD", "\xff")})
			require.Equal(t, "old/OLD;old/OLD;/", batch.Column(0).ValueStr(0))
			require.Equal(t, test.before, batch.Column(0).ValueStr(1))
			require.Equal(t, test.again, batch.Column(3).ValueStr(1))
			require.True(t, batch.Column(4).IsNull(1))
		})
	}
}

// Values stay whole while later fields make the memory behind them grow.
func TestComposedOfLargeValues(t *testing.T) {
	l := &layout{}
	l.add("text", Text.DataType(), composed("a", "b", "c"))
	a, b, c := strings.Repeat("a", 10), strings.Repeat("b", 100_000), strings.Repeat("\\n", 50_000)
	batch, _ := rowsOf(t, l, []string{`{"sys_id":"x","a":"` + a + `","b":"` + b + `","c":"` + c + `"}`})
	require.Equal(t, a+"/;"+b+"/;"+strings.Repeat("\n", 50_000)+"/", batch.Column(0).ValueStr(0))
}

func TestGiven(t *testing.T) {
	l := &layout{}
	l.add("content", arrow.BinaryTypes.Binary, Column{Source: Given})
	l.add("sys_id", Text.DataType(), Column{Field: "sys_id"})
	l.add("words", Text.DataType(), Column{Source: Given})
	record := `{"sys_id":"x"}`
	batch, _ := rowsOf(t, l, []string{record, record, record, record, record},
		[][]byte{{0, 0xff}, []byte("ü")}, [][]byte{nil, {}}, [][]byte{{}, nil}, [][]byte{[]byte("only")}, nil)
	content, words := batch.Column(0).(*array.Binary), batch.Column(2).(*array.String)
	require.Equal(t, []byte{0, 0xff}, content.Value(0))
	require.Equal(t, "ü", words.Value(0))
	require.True(t, content.IsNull(1))
	require.True(t, words.IsValid(1))
	require.Empty(t, words.Value(1))
	require.True(t, content.IsValid(2))
	require.Empty(t, content.Value(2))
	require.True(t, words.IsNull(2))
	require.Equal(t, "only", string(content.Value(3)))
	require.True(t, words.IsNull(3), "a value that is not given is NULL")
	require.True(t, content.IsNull(4) && words.IsNull(4))
}

// The next record may come in the memory of the last, and given values too.
func TestGivenAndComposedAreCopied(t *testing.T) {
	l := &layout{}
	l.add("content", arrow.BinaryTypes.Binary, Column{Source: Given})
	l.add("text", Text.DataType(), composed("a"))
	b, err := NewBuilder(memory.DefaultAllocator, arrow.NewSchema(l.fields, nil), l.columns)
	require.NoError(t, err)
	defer b.Release()
	record, content := []byte(`{"sys_id":"x","a":"1"}`), []byte("one")
	require.NoError(t, b.Append(record, content))
	copy(record, `{"sys_id":"x","a":"2"}`)
	copy(content, "two")
	require.NoError(t, b.Append(record, content))
	batch := b.Batch()
	defer batch.Release()
	require.Equal(t, "one", string(batch.Column(0).(*array.Binary).Value(0)))
	require.Equal(t, []string{"1/", "2/"}, []string{batch.Column(1).ValueStr(0), batch.Column(1).ValueStr(1)})
}

func TestBytesCountComposedAndGiven(t *testing.T) {
	l := &layout{}
	l.add("content", arrow.BinaryTypes.Binary, Column{Source: Given})
	l.add("text", Text.DataType(), composed("a"))
	record := `{"sys_id":"x","a":"12345"}`
	_, size := rowsOf(t, l, []string{record, `{"sys_id":"x"}`}, [][]byte{bytes.Repeat([]byte("c"), 1000)}, [][]byte{nil})
	require.Equal(t, 2*len(record)+len("12345/")+1000+2*len(`{"sys_id":"x"}`), size)
}

func TestComposedAndGivenNeedTheirTypes(t *testing.T) {
	for _, c := range []Column{composed("a"), {Source: Given}} {
		l := &layout{}
		l.add("broken", Int.DataType(), c)
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		_, err := NewBuilder(mem, arrow.NewSchema(l.fields, nil), l.columns)
		require.ErrorContains(t, err, "column broken")
		mem.AssertSize(t, 0)
	}
}
