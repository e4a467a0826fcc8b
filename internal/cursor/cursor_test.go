package cursor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

func TestRoundTrip(t *testing.T) {
	c := &Cursor{
		Seq: 7, Source: Fingerprint{"example", "incident", Hash("active=true"), Hash()},
		Position: servicenow.Key{UpdatedOn: "2026-01-02 03:04:05", SysID: "ab"}, ReadAt: "2026-02-01 00:00:00",
	}
	again, err := Parse(c.String())
	require.NoError(t, err)
	require.Equal(t, c, again)
}

func TestStart(t *testing.T) {
	at := func(updatedOn, sysID string) servicenow.Key {
		return servicenow.Key{UpdatedOn: updatedOn, SysID: sysID}
	}
	const readAt = "2026-02-01 12:00:00"
	for name, test := range map[string]struct{ position, want servicenow.Key }{
		"a complete window starts again by the overlap":         {at(readAt, ""), at("2026-02-01 11:55:00", "")},
		"an old position goes on exactly":                       {at("2025-06-01 00:00:00", "ab"), at("2025-06-01 00:00:00", "ab")},
		"a position among what may be late starts again before": {at("2026-02-01 11:59:59", "ab"), at("2026-02-01 11:55:00", "")},
	} {
		c := Cursor{Position: test.position, ReadAt: readAt}
		require.Equal(t, test.want, c.Start(5*time.Minute), name)
	}
}

func TestUnread(t *testing.T) {
	const readAt, through = "2026-02-01 12:00:00", "2026-02-02 00:05:00"
	between := func(after, to string) servicenow.Range {
		return servicenow.Range{After: servicenow.Key{UpdatedOn: after}, Through: servicenow.Key{UpdatedOn: to}}
	}
	open := between("2026-02-01 11:55:00", through)
	for name, test := range map[string]struct{ rest, want []servicenow.Range }{
		"nothing is left": {nil, nil},
		"settled ranges are kept as they are": {
			[]servicenow.Range{between("", "2025-01-01 00:00:00"), between("2025-06-01 00:00:00", "2026-02-01 11:54:59")},
			[]servicenow.Range{between("", "2025-01-01 00:00:00"), between("2025-06-01 00:00:00", "2026-02-01 11:54:59"), open},
		},
		"one that reaches into what is not settled goes on to the new end": {
			[]servicenow.Range{between("2026-01-01 00:00:00", "2026-02-01 12:05:00")},
			[]servicenow.Range{between("2026-01-01 00:00:00", through)},
		},
		"what is not settled is read again, be it read or not": {
			[]servicenow.Range{between("", "2025-01-01 00:00:00"), between("2026-02-01 11:59:00", "2026-02-01 12:05:00")},
			[]servicenow.Range{between("", "2025-01-01 00:00:00"), open},
		},
	} {
		c := Cursor{Rest: test.rest, ReadAt: readAt}
		require.Equal(t, test.want, c.Unread(5*time.Minute, through), name)
	}
}

func TestParseRefuses(t *testing.T) {
	for value, code := range map[string]string{
		``:   CodeInvalid,
		`{}`: CodeInvalid,
		`{"v":1,"position":{"updated_on":"yesterday"},"read_at":"2026-02-01 12:00:00"}`: CodeInvalid,
		`{"v":3}`: CodeNewer,
	} {
		_, err := Parse(value)
		require.Equal(t, code, usererror.CodeOf(err), value)
	}
}

func TestDifference(t *testing.T) {
	f := Fingerprint{"a", "incident", "q", "f"}
	require.Empty(t, f.Difference(f))
	require.Contains(t, f.Difference(Fingerprint{"a", "incident", "x", "f"}), "incidents")
	require.Contains(t, f.Difference(Fingerprint{"a", "incident", "q", "x"}), "fields")
}

func FuzzParse(f *testing.F) {
	f.Add(`{"v":1,"seq":3,"of":{},"position":{"updated_on":"2026-01-01 00:00:00","sys_id":""},"read_at":"2026-01-01 00:00:00","complete":true}`)
	f.Add(`{"v":2,"seq":3,"of":{},"position":{"updated_on":"","sys_id":""},"read_at":"2026-01-01 00:00:00","rest":[{"after":{},"through":{"updated_on":"2025-01-01 00:00:00"}}]}`)
	f.Fuzz(func(t *testing.T, value string) {
		c, err := Parse(value)
		if err != nil {
			require.NotEmpty(t, usererror.CodeOf(err))
			return
		}
		again, err := Parse(c.String())
		require.NoError(t, err)
		require.Equal(t, c, again)
		require.LessOrEqual(t, c.Start(time.Minute).UpdatedOn, c.Position.UpdatedOn)
	})
}
