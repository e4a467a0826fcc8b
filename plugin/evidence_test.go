package plugin

import (
	"errors"
	"testing"
	"time"

	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// newLossy returns a warehouse whose destination may lose incidents, and a sync of it that tells how many were sent.
func newLossy(t *testing.T, verify string) (w *warehouse, sync func() int) {
	t.Helper()
	w = newWarehouse(t, emulator.Config{Incidents: 400, Attachments: -1})
	w.spec["verify_writes"] = verify
	w.tables = []string{resources.IncidentsTable}
	var sent int
	w.watch = func(m message.SyncMessage) {
		insert, ok := m.(*message.SyncInsert)
		if !ok {
			return
		}
		if name, _ := insert.Record.Schema().Metadata().GetValue("cq:table_name"); name == resources.IncidentsTable {
			sent += int(insert.Record.NumRows())
		}
	}
	return w, func() int {
		t.Helper()
		sent = 0
		w.pass(time.Hour) // beyond the overlap
		w.mustSync()
		return sent
	}
}

// losing makes the destination lose the first incidents of the next syncs.
func (w *warehouse) losing(n int) {
	w.lose = func(string) bool {
		n--
		return n >= 0
	}
}

func TestRowsThatDidNotArriveAreSentAgain(t *testing.T) {
	w, sync := newLossy(t, "auto")
	w.losing(100)
	require.Equal(t, 400, sync())
	require.Equal(t, "300", w.value(`SELECT count(*) FROM servicenow_incidents`))
	require.Equal(t, 400, sync(), "a full load without all of its rows is repeated")
	require.Contains(t, w.log.String(), "SN-STATE-002")
	w.requireIncidents()
	require.Zero(t, sync())
	require.NotContains(t, w.log.String(), "SN-STATE")

	for i, id := range w.SysIDs("incident")[:40] {
		if i%2 == 0 {
			w.Update("incident", id, map[string]string{"state": "3"})
		} else {
			w.Insert("incident", map[string]string{"short_description": "new"})
		}
	}
	w.losing(5)
	require.Equal(t, 40, sync())
	require.Equal(t, 40, sync(), "only the window without its rows is repeated")
	require.Contains(t, w.log.String(), "SN-STATE-002")
	w.requireIncidents()
	require.Zero(t, sync())
	require.NotContains(t, w.log.String(), "SN-STATE")
}

func TestRowsThatNeverArriveAreNotSentForever(t *testing.T) {
	w, sync := newLossy(t, "auto")
	bad := w.SysIDs("incident")[7]
	w.lose = func(id string) bool { return id == bad }
	require.Equal(t, 400, sync())
	require.Equal(t, 400, sync(), "once")
	require.Zero(t, sync())
	require.Contains(t, w.log.String(), "SN-STATE-002")
	require.Zero(t, sync())
	require.NotContains(t, w.log.String(), "SN-STATE-002", "there is nothing new to prove")
}

func TestWritesAreVerifiedWhereTheyAreNotSure(t *testing.T) {
	for name, test := range map[string]struct {
		verify, destination string
		reads               bool
	}{
		"a destination that swallows errors":  {"auto", "duckdb", true},
		"one that nobody knows":               {"auto", "new", true},
		"one that fails the sync":             {"auto", "postgresql", false},
		"one that fails, and a cautious user": {"always", "postgresql", true},
		"a user who does not want it":         {"never", "sqlite", false},
	} {
		t.Run(name, func(t *testing.T) {
			w, sync := newLossy(t, test.verify)
			w.name = test.destination
			sync()
			sync()
			_, read := w.reads.Load(resources.IncidentsTable)
			require.Equal(t, test.reads, read)
		})
	}
}

func TestADestinationThatCannotBeAskedIsBelieved(t *testing.T) {
	w, sync := newLossy(t, "auto")
	sync()
	w.unread = errors.New("not now")
	require.Zero(t, sync())
	require.Contains(t, w.log.String(), "SN-STATE-003")
}
