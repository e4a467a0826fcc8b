package servicenow

import (
	"fmt"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// answer is one of so many records, each of a hundred fields with both values.
func answer(records int) []byte {
	body := []byte(`{"result":[`)
	for n := range records {
		if n > 0 {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"sys_id":{"display_value":"%032x","value":"%032x"},"sys_updated_on":{"display_value":"2026-01-02 03:04:05","value":"2026-01-02 02:04:05"}`, n, n)
		for i := range 98 {
			body = fmt.Appendf(body, `,"a_field_%d":{"display_value":"%s","value":"%d"}`, i, "shown as a text"[:i%16], i%3*n)
		}
		body = append(body, '}')
	}
	return append(body, "]}"...)
}

func TestDecodeListFindsKeys(t *testing.T) {
	records, keys, err := decodeList(answer(3), "sys_updated_on")
	require.NoError(t, err)
	require.Len(t, records, 3)
	for n, record := range records {
		key, ok := record.Key()
		require.True(t, ok)
		require.Equal(t, Key{UpdatedOn: "2026-01-02 02:04:05", SysID: fmt.Sprintf("%032x", n)}, key)
		require.Equal(t, key, keys[n].key())
	}
	_, keys, err = decodeList([]byte(`{"result":[{"sys_id":"a","sys_created_on":""},{"sys_id":null}]}`), "sys_created_on")
	require.NoError(t, err)
	require.Equal(t, rawKey{stamp: []byte{}, sysID: []byte("a")}, keys[0])
	require.Equal(t, rawKey{}, keys[1])
}

// BenchmarkDecodeList compares the decoder with one that only checks that the answer is JSON.
func BenchmarkDecodeList(b *testing.B) {
	body := answer(1000)
	b.Run("decodeList", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if _, _, err := decodeList(body, "sys_updated_on"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("jsontext, checking alone", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if !jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
				b.Fatal("not valid")
			}
		}
	})
}
