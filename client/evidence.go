package client

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/cursor"
)

// Codes of warnings about the arrival of rows.
const (
	CodeNotArrived = "SN-STATE-002" // the destination has fewer rows of the last sync than were sent
	CodeNotChecked = "SN-STATE-003" // it could not be asked
)

const (
	// evidenceTimeout bounds the reading of a destination table, which is as long as the table.
	evidenceTimeout = 5 * time.Minute
	// mostCounted bounds the distinct rows that a sync remembers of a table, at some 10 bytes each.
	mostCounted = 4_000_000
)

// evidence proves that the rows of the last sync arrived, before its cursor is believed. The destination stamps the rows and
// the cursor of a sync with the same _cq_sync_time, so what it has of that sync can be counted.
type evidence struct {
	state *State
	times map[string]int64 // when the cursor of a key was written

	mu     sync.Mutex
	counts map[string]arrivals // by destination table, each read once
}

// arrivals are a table's rows counted by instance and sync, or why they could not be.
type arrivals struct {
	rows map[arrival]int
	err  error
}

// arrival is a sync's part in a table.
type arrival struct {
	instance string
	syncTime int64
}

// toBeProven reports whether the arrival of rows has to be proven: as the spec says, or by the destination's name.
func (s *State) toBeProven(ctx context.Context, verify string) bool {
	switch verify {
	case spec.VerifyAlways:
		return true
	case spec.VerifyNever:
		return false
	}
	name, err := s.destination(ctx)
	return err == nil && !reportsFailedWrites(name)
}

// believe returns the cursor that a sync may go on from: the stored one, when all of its rows are there, or the one before
// it. A sync that lost rows is repeated once; if the next one finds as few, they were deleted or changed since, or they
// cannot be written at all, and repeating would never end.
func (s *State) believe(ctx context.Context, key, table, instance string, stored *cursor.Cursor, warn func(code, message string)) *cursor.Cursor {
	if s.evidence == nil || stored == nil || stored.Rows == 0 {
		return stored
	}
	found, err := s.evidence.count(ctx, key, table, instance)
	switch {
	case err != nil:
		warn(CodeNotChecked, fmt.Sprintf("whether the last sync's %d rows of %s arrived could not be checked: %s", stored.Rows, table, err))
		return stored
	case found >= stored.Rows:
		return stored
	case stored.Repeated:
		warn(CodeNotArrived, fmt.Sprintf("of the last sync's %d rows of %s the destination has %d, as before it was repeated: they were deleted or changed there, or it cannot write them", stored.Rows, table, found))
		return stored
	}
	warn(CodeNotArrived, fmt.Sprintf("of the last sync's %d rows of %s the destination has %d: this sync reads them again", stored.Rows, table, found))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repeating[key] = true
	return stored.Before
}

// count returns how many rows of the sync that wrote a key's cursor a table has.
func (e *evidence) count(ctx context.Context, key, table, instance string) (int, error) {
	at, ok := e.times[key]
	if !ok {
		return 0, errors.New("the state table does not tell when the cursor was written")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	found, ok := e.counts[table]
	if !ok {
		found.rows, found.err = e.read(ctx, table)
		e.counts[table] = found
	}
	return found.rows[arrival{instance, at}], found.err
}

// read counts a table's rows by instance and sync.
func (e *evidence) read(ctx context.Context, name string) (map[arrival]int, error) {
	ctx, cancel := context.WithTimeout(ctx, evidenceTimeout)
	defer cancel()
	table := &schema.Table{Name: name, Columns: schema.ColumnList{
		{Name: "instance", Type: arrow.BinaryTypes.String}, schema.CqSyncTimeColumn,
	}}
	counts := map[arrival]int{}
	err := e.state.rows(ctx, table, func(record arrow.RecordBatch) error {
		instances, ok1 := record.Column(0).(*array.String)
		times, ok2 := record.Column(1).(*array.Timestamp)
		if !ok1 || !ok2 {
			return errors.New("the table has other columns")
		}
		for i := range int(record.NumRows()) {
			counts[arrival{instances.Value(i), int64(times.Value(i))}]++
		}
		return nil
	})
	return counts, err
}

// readTimes finds out when each stored cursor was written.
func (e *evidence) readTimes(ctx context.Context) error {
	table := stateTable(e.state.table.Name)
	table.Columns = append(table.Columns, schema.CqSyncTimeColumn)
	return e.state.rows(ctx, table, func(record arrow.RecordBatch) error {
		keys, ok1 := record.Column(0).(*array.String)
		versions, ok2 := record.Column(2).(*array.Uint64)
		times, ok3 := record.Column(3).(*array.Timestamp)
		if !ok1 || !ok2 || !ok3 {
			return errors.New("the state table has other columns")
		}
		for i := range int(record.NumRows()) {
			if c := e.state.stored[keys.Value(i)]; c != nil && c.Seq == versions.Value(i) {
				e.times[keys.Value(i)] = int64(times.Value(i))
			}
		}
		return nil
	})
}

// tellsRows reports whether any stored cursor has rows to prove.
func (s *State) tellsRows() bool {
	for _, c := range s.stored {
		if c.Rows > 0 {
			return true
		}
	}
	return false
}

// sent counts the distinct rows that a sync sends of a table, by hashes: 8 bytes a row, and what is set aside to grow.
type sent struct {
	seed   maphash.Seed
	sorted []uint64 // each once
	fresh  []uint64 // since they were sorted in
	lost   bool     // too many to remember
}

// mostFresh is how many are sorted in at once.
const mostFresh = 1 << 16

func newSent() *sent { return &sent{seed: maphash.MakeSeed()} }

func (s *sent) note(id []byte) {
	if s == nil || s.lost {
		return
	}
	if s.fresh = append(s.fresh, maphash.Bytes(s.seed, id)); len(s.fresh) < mostFresh {
		return
	}
	if s.sortIn(); len(s.sorted) > mostCounted {
		s.sorted, s.fresh, s.lost = nil, nil, true
	}
}

// sortIn merges the fresh ones into the others, from the largest down, so that it needs no other memory.
func (s *sent) sortIn() {
	slices.Sort(s.fresh)
	i, j := len(s.sorted)-1, len(s.fresh)-1
	s.sorted = append(s.sorted, s.fresh...)
	for at := len(s.sorted) - 1; j >= 0; at-- {
		if i >= 0 && s.sorted[i] > s.fresh[j] {
			s.sorted[at] = s.sorted[i]
			i--
		} else {
			s.sorted[at] = s.fresh[j]
			j--
		}
	}
	s.sorted, s.fresh = slices.Compact(s.sorted), s.fresh[:0]
}

func (s *sent) count() int {
	if s == nil {
		return 0
	}
	s.sortIn()
	return len(s.sorted)
}
