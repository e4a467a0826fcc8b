package client

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/cqservicenow/cq-source-servicenow/internal/cursor"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// CodeTooManyAgain is the code of the warning about more failed files than a cursor remembers.
const CodeTooManyAgain = "SN-FILE-006"

const (
	// extrasAhead is how many records are worked on beside each other: enough to keep the instance's slots and the readers
	// of text busy while one large file is on its way.
	extrasAhead = 16
	// marksKept bounds what a cursor remembers; what is beyond is brought again.
	marksKept = 5000
	// againKept bounds the records that the next sync tries again.
	againKept = 5000
)

// recall is what a reading remembers of records with extras, from the last sync and for the next one.
type recall struct {
	known     map[string]bool // marks of the last sync
	marks     []string
	failed    map[string]bool // sys_ids to read again
	forgotten int             // records to read again that are too many to remember
	from      string          // marks are kept of records with a stamp from here on, since the next window meets these
}

// remember takes over what the last sync left: records to be tried again come first, and others are known to be sent.
func (s *sink) remember(ctx context.Context, start servicenow.Key, stored *cursor.Cursor) error {
	if s.reading.Beside == nil {
		return nil
	}
	c := s.client
	s.recall = recall{
		known: map[string]bool{}, failed: map[string]bool{},
		from: (&cursor.Cursor{Position: servicenow.Key{UpdatedOn: c.Now}, ReadAt: c.Now}).Start(c.Spec.Overlap.Duration()).UpdatedOn,
	}
	if stored == nil || start == (servicenow.Key{}) {
		return nil
	}
	for _, mark := range stored.Sent {
		s.recall.known[mark] = true
	}
	for _, id := range stored.Again {
		s.recall.failed[id] = true
	}
	for ids := range slices.Chunk(stored.Again, idsPerRequest) {
		again := servicenow.Read{
			Table: s.reading.From, Query: servicenow.Where(in("sys_id", ids)), Fields: s.reading.Fields, Display: s.reading.Display,
			Window: servicenow.Window{Through: c.Through}, Pages: s.pageSize, Warn: c.Warn,
		}
		found := map[string]bool{}
		for page, err := range c.ServiceNow.ReadPages(ctx, again) {
			if err != nil {
				return fmt.Errorf("reading again what could not be had: %w", err)
			}
			for _, record := range page.Records {
				id, _ := record.Text("sys_id")
				found[id] = true
			}
			if err := s.add(ctx, page.Records); err != nil {
				return err
			}
		}
		for _, id := range ids {
			if !found[id] {
				delete(s.recall.failed, id) // it is gone
			}
		}
	}
	return nil
}

// addWithExtras brings the extras of several records beside each other, and adds the rows in their order.
func (s *sink) addWithExtras(ctx context.Context, records []servicenow.Record) error {
	ctx, cancel := context.WithCancel(ctx)
	type outcome struct {
		extra Extra
		err   error
	}
	var pending []chan outcome
	next := 0
	begin := func() {
		if next >= len(records) {
			return
		}
		record, done := records[next], make(chan outcome, 1)
		next++
		pending = append(pending, done)
		if s.recall.known[mark(record)] {
			done <- outcome{} // sent by the last sync, and unchanged
			return
		}
		go func() {
			extra, err := s.reading.Beside(ctx, record)
			done <- outcome{extra, err}
		}()
	}
	defer func() {
		cancel()
		for _, done := range pending {
			if o := <-done; o.extra != nil {
				o.extra.Close()
			}
		}
	}()
	for range extrasAhead {
		begin()
	}
	for _, record := range records {
		o := <-pending[0]
		pending = pending[1:]
		begin()
		if o.err != nil {
			return o.err
		}
		if err := s.addWithExtra(ctx, record, o.extra); err != nil {
			return err
		}
	}
	return nil
}

// addWithExtra adds one row; a record without an extra was sent before.
func (s *sink) addWithExtra(ctx context.Context, record servicenow.Record, extra Extra) error {
	again := false
	if extra != nil {
		defer extra.Close()
		values, err := extra.Values()
		if err != nil {
			return fmt.Errorf("filling %s: %w", s.table.Name, err)
		}
		again = extra.Again()
		if err := s.append(ctx, record, values); err != nil {
			return err
		}
	}
	s.recall.note(record, again)
	return nil
}

// mark identifies a record in one of its states.
func mark(record servicenow.Record) string {
	var parts []string
	for _, field := range []string{"sys_id", "sys_updated_on", "sys_mod_count", "state", "hash"} {
		text, _ := record.Text(field)
		parts = append(parts, text)
	}
	return cursor.Hash(parts...)
}

// note remembers what became of a record.
func (r *recall) note(record servicenow.Record, again bool) {
	key, ok := record.Key()
	switch {
	case !ok:
	case again && len(r.failed) >= againKept && !r.failed[key.SysID]:
		r.forgotten++
	case again:
		r.failed[key.SysID] = true
	default:
		delete(r.failed, key.SysID)
		// The next window meets the records of its overlap, and those that lie in no window.
		if (key.UpdatedOn == "" || key.UpdatedOn >= r.from) && len(r.marks) < marksKept {
			r.marks = append(r.marks, mark(record))
			r.known[mark(record)] = true
		}
	}
}

func (r *recall) warn(warn func(code, message string)) {
	if r.forgotten > 0 {
		warn(CodeTooManyAgain, fmt.Sprintf("%d files could not be had and are not tried again before they change: a cursor remembers %d", r.forgotten, againKept))
	}
}

// sent returns the marks for the cursor.
func (r *recall) sent() []string {
	slices.Sort(r.marks)
	r.marks = slices.Compact(r.marks)
	return r.marks
}

// again returns the sys_ids for the cursor.
func (r *recall) again() []string {
	return slices.Sorted(maps.Keys(r.failed))
}
