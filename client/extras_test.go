package client

import (
	"context"
	"fmt"
	"testing"

	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

func numbered(i int) servicenow.Record {
	return servicenow.Record(fmt.Sprintf(`{"sys_id":"%032d","sys_updated_on":"2026-01-01 00:00:00"}`, i))
}

func newRecall(from string) *recall {
	return &recall{known: map[string]bool{}, failed: map[string]bool{}, from: from}
}

func TestCursorRemembersABoundedNumber(t *testing.T) {
	var warnings []string
	warn := func(code, message string) { warnings = append(warnings, code+" "+message) }
	r := newRecall("2026-01-01 00:00:00")
	for i := range againKept {
		r.note(numbered(i), true)
	}
	r.warn(warn)
	require.Empty(t, warnings)
	r.note(numbered(0), true) // the same again
	for i := range 3 {
		r.note(numbered(againKept+i), true)
	}
	require.Len(t, r.again(), againKept)
	r.warn(warn)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], CodeTooManyAgain+" 3 files")

	r = newRecall("2026-01-01 00:00:00")
	for i := range 2 * marksKept {
		r.note(numbered(i), false)
	}
	require.Len(t, r.marksToKeep(), marksKept)
}

// What the next window needs comes before what it might meet, and the latest before what is older.
func TestCursorRemembersTheLatest(t *testing.T) {
	r := newRecall("2026-01-01 00:00:01")
	r.keepOther = true
	for i := range 5 * marksKept {
		r.note(numbered(i), false)
	}
	needed := servicenow.Record(`{"sys_id":"a","sys_updated_on":"2026-01-01 00:00:02"}`)
	r.note(needed, false)
	kept := map[string]bool{}
	for _, m := range r.marksToKeep() {
		kept[m] = true
	}
	require.Len(t, kept, marksKept)
	require.True(t, kept[mark(needed)])
	require.True(t, kept[mark(numbered(5*marksKept-1))])
	require.False(t, kept[mark(numbered(0))])
}

func TestMarkIsOfAllThatARecordSays(t *testing.T) {
	a := servicenow.Record(`{"sys_id":"1","sys_updated_on":"2026-01-01 00:00:00","state":"pending"}`)
	require.Equal(t, mark(a), mark(servicenow.Record(`{ "state":"pending", "sys_updated_on":"2026-01-01 00:00:00","sys_id":"1" }`)), "in whatever order")
	for _, other := range []string{
		`{"sys_id":"1","sys_updated_on":"2026-01-01 00:00:00","state":"available"}`, `{"sys_id":"1","sys_updated_on":"2026-01-01 00:00:00"}`,
		`{"sys_id":"2","sys_updated_on":"2026-01-01 00:00:00","state":"pending"}`, `{"sys_id":"1","sys_updated_on":"2026-01-01 00:00:01","state":"pending"}`,
	} {
		require.NotEqual(t, mark(a), mark(servicenow.Record(other)))
	}
}

func TestARowThatPanicsIsAnError(t *testing.T) {
	s := &sink{table: &schema.Table{Name: "files"}, reading: Reading{
		Beside: func(context.Context, servicenow.Record) (Extra, error) { panic("boom") },
	}}
	s.recall = *newRecall("")
	err := s.addWithExtras(t.Context(), []servicenow.Record{numbered(1), numbered(2)})
	require.ErrorContains(t, err, "filling files")
	require.ErrorContains(t, err, "boom")
}
