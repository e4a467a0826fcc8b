package client

import (
	"context"
	"encoding/json"
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
	known     map[string]bool // marks of what was sent
	marks     []string        // of records that the next window meets again
	others    []string        // of other records, the latest last
	keepOther bool            // whether records are read for other reasons than their own change
	failed    map[string]bool // sys_ids to read again
	forgotten int             // records to read again that are too many to remember
	rereading bool            // what could not be had comes first, and may come once more in the window
	from      string          // marks are kept of records with a stamp from here on, since the next window meets these
}

// remember takes over what the last sync left: records to be tried again come first, and others are known to be sent.
func (s *sink) remember(ctx context.Context, start servicenow.Key, stored *cursor.Cursor) error {
	if s.reading.Beside == nil {
		return nil
	}
	c := s.client
	s.recall = recall{
		known: map[string]bool{}, failed: map[string]bool{}, keepOther: s.reading.Also != nil,
		from: c.settled(),
	}
	if stored == nil || start == (servicenow.Key{}) {
		return nil
	}
	for _, mark := range stored.Sent {
		s.recall.known[mark] = true
	}
	if s.recall.keepOther {
		s.recall.others = slices.Clone(stored.Sent)
	}
	s.recall.rereading = true
	defer func() { s.recall.rereading = false }()
	// Those that are gone, or covered no more, are not found, and so forgotten.
	for ids := range slices.Chunk(stored.Again, idsPerRequest) {
		again := c.again(s.reading, ids, s.pageSize)
		again.Warn = c.warner(ctx)
		if err := s.pages(ctx, c.ServiceNow.ReadPages(ctx, again)); err != nil {
			return fmt.Errorf("reading again what could not be had: %w", err)
		}
	}
	return nil
}

// again asks for records by their sys_ids.
func (c *Client) again(r Reading, ids []string, pages *servicenow.PageSize) servicenow.Read {
	return servicenow.Read{
		Table: r.From, Query: servicenow.Where(in("sys_id", ids)), Fields: r.Fields, Display: r.Display,
		Window: servicenow.Window{Through: c.Through}, Pages: pages, Warn: c.Warn,
	}
}

// addWithExtras brings the extras of several records beside each other, and adds the rows in their order.
func (s *sink) addWithExtras(ctx context.Context, records []servicenow.Record) error {
	ctx, cancel := context.WithCancel(ctx)
	var pending []chan outcome
	next := 0
	begin := func() {
		if next >= len(records) {
			return
		}
		record, done := records[next], make(chan outcome, 1)
		next++
		pending = append(pending, done)
		if s.recall.sent(record) {
			done <- outcome{} // sent by the last sync, and unchanged
			return
		}
		go func() { done <- s.bring(ctx, record) }()
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

// outcome is an extra, or why there is none; neither stands for a record that was sent before.
type outcome struct {
	extra Extra
	err   error
}

// bring calls Beside. A panic in a goroutine would end the program, and with it every other table.
func (s *sink) bring(ctx context.Context, record servicenow.Record) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = outcome{err: fmt.Errorf("filling %s: a row broke down: %v", s.table.Name, p)}
		}
	}()
	extra, err := s.reading.Beside(ctx, record)
	return outcome{extra, err}
}

// addWithExtra adds one row; a record without an extra was sent before.
func (s *sink) addWithExtra(ctx context.Context, record servicenow.Record, extra Extra) error {
	if extra == nil {
		s.recall.keep(record)
		s.tally.known(record)
		return nil
	}
	defer extra.Close()
	values, err := extra.Values()
	if err != nil {
		return fmt.Errorf("filling %s: %w", s.table.Name, err)
	}
	if err := s.append(ctx, record, values); err != nil {
		return err
	}
	s.recall.note(record, extra.Again())
	return nil
}

// mark identifies a record in one of its states: all that it says, since two changes within a second carry the same stamp.
func mark(record servicenow.Record) string {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(record, &members); err != nil {
		return cursor.Hash(string(record))
	}
	parts := make([]string, 0, 2*len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		parts = append(parts, name, string(members[name]))
	}
	return cursor.Hash(parts...)
}

// sent reports whether a record was sent in just this state.
func (r *recall) sent(record servicenow.Record) bool {
	return len(r.known) > 0 && r.known[mark(record)]
}

// note remembers what became of a record that was sent.
func (r *recall) note(record servicenow.Record, again bool) {
	key, ok := record.Key()
	switch {
	case !ok:
		return
	case again && len(r.failed) >= againKept && !r.failed[key.SysID]:
		r.forgotten++
	case again:
		r.failed[key.SysID] = true
	default:
		delete(r.failed, key.SysID)
		r.keep(record)
	}
	if r.rereading {
		r.known[mark(record)] = true // one try a sync
	}
}

// keep remembers the mark of a record that need not be sent again.
func (r *recall) keep(record servicenow.Record) {
	key, ok := record.Key()
	if !ok || r.failed[key.SysID] {
		return
	}
	// The next window meets the records of its overlap, and those that lie in no window.
	needed := (key.UpdatedOn == "" || key.UpdatedOn >= r.from) && len(r.marks) < marksKept
	if !needed && !r.keepOther {
		return
	}
	m := mark(record)
	if needed {
		r.known[m] = true
		r.marks = append(r.marks, m)
		return
	}
	if r.others = append(r.others, m); len(r.others) >= 4*marksKept {
		r.others = slices.Clone(latest(r.others, marksKept))
	}
}

func (r *recall) warn(warn func(code, message string)) {
	if r.forgotten > 0 {
		warn(CodeTooManyAgain, fmt.Sprintf("%d files could not be had and are not tried again before they change: a cursor remembers %d", r.forgotten, againKept))
	}
}

// marksToKeep returns the marks for the cursor, the latest last: those that the next window needs, and others as there is
// room.
func (r *recall) marksToKeep() []string {
	slices.Sort(r.marks)
	r.marks = slices.Compact(r.marks)
	taken := map[string]bool{}
	for _, m := range r.marks {
		taken[m] = true
	}
	var others []string
	for _, m := range slices.Backward(r.others) {
		if len(taken) >= marksKept {
			break
		}
		if !taken[m] {
			taken[m] = true
			others = append(others, m)
		}
	}
	slices.Reverse(others)
	return append(others, r.marks...)
}

// latest returns the last n marks at most.
func latest(marks []string, n int) []string { return marks[max(0, len(marks)-n):] }

// again returns the sys_ids for the cursor.
func (r *recall) again() []string {
	return slices.Sorted(maps.Keys(r.failed))
}
