package client

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/arrowjson"
	"github.com/cqservicenow/cq-source-servicenow/internal/cursor"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// Modes of a reading.
const (
	modeFull        = "full"
	modeIncremental = "incremental"
	modeResumed     = "resumed"
)

// tally counts what one sync did to one table of one instance. It is safe for concurrent use.
type tally struct {
	client *Client
	table  string
	usage  servicenow.Usage

	mu      sync.Mutex
	began   time.Time
	ended   time.Time
	reading *Reading // nil for a table that is not read in windows
	mode    string
	start   servicenow.Key
	since   string // the clock of the last sync, in an incremental one
	// Rows of the reading's queries, as the Aggregate API counts them; -1 when it was not asked or does not tell.
	before, after int
	counted       int // rows that the windows' first answers counted
	shown         int // rows that came of them
	hidden        int // the difference, window by window
	sent          int
	twice         int            // rows sent that had been sent before
	created       int            // rows sent of records that are younger than the last sync
	changed       int            // rows sent of records that changed since the last sync
	deleted       int            // rows of deleted records
	seen          *sightings     // of sent rows
	absent        map[string]int // by field: builders that never met it
	builders      int            // that met a record
	invalid       map[string]int // by column
	warnings      map[string]int // by code
	held          *held          // what the destination held; nil when that is not asked for
	repaired      int            // rows sent again because the destination lacked them or had them in another state
	notes         []string       // what explains a difference
	err           error
}

// note adds to the reason that the report gives.
func (t *tally) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (t *tally) repair(rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.repaired += rows
}

// known counts a record that need not be sent, since it was before.
func (t *tally) known(record servicenow.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held != nil {
		t.held.sent(record, t.start)
	}
}

func newTally(c *Client, table string) *tally {
	t := &tally{
		client: c, table: table, began: time.Now(), before: -1, after: -1, err: errRunning,
		absent: map[string]int{}, invalid: map[string]int{}, warnings: map[string]int{},
	}
	if c != nil {
		t.held = c.sync.held[heldKey{table, c}]
	}
	return t
}

type tallyKey struct{}

// tallyOf returns the tally of the table that is being read, or one that nobody looks at.
func tallyOf(ctx context.Context) *tally {
	if t, ok := ctx.Value(tallyKey{}).(*tally); ok {
		return t
	}
	return newTally(nil, "")
}

// context returns a context in which requests and warnings are counted.
func (t *tally) context(ctx context.Context) context.Context {
	return servicenow.WithUsage(context.WithValue(ctx, tallyKey{}, t), &t.usage)
}

// warner returns what logs a warning and counts it for the table that is being read.
func (c *Client) warner(ctx context.Context) func(code, message string) {
	t := tallyOf(ctx)
	return func(code, message string) {
		t.mu.Lock()
		t.warnings[code]++
		t.mu.Unlock()
		c.Warn(code, message)
	}
}

// begin notes what is read, and from where.
func (t *tally) begin(r Reading, start servicenow.Key, stored *cursor.Cursor) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reading, t.start = &r, start
	switch {
	case stored == nil:
		t.mode = modeFull
	case stored.Complete:
		t.mode, t.since = modeIncremental, stored.ReadAt
	default:
		t.mode = modeResumed
	}
}

// end notes how the table's reading went.
func (t *tally) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err, t.ended = err, time.Now()
}

// span counts what a window shows.
type span struct {
	tally          *tally
	unordered      bool
	counted, shown int
}

func (t *tally) span(w servicenow.Window) *span { return &span{tally: t, unordered: w.Stray || w.Open} }

// page counts a page. It reports whether rows of it may have been sent before: within a window keys only grow, so a row
// comes twice only if its stamp moved during the sync, or if it lies in no window of time.
func (s *span) page(p *servicenow.Page) (recent bool) {
	s.counted += max(p.Counted, 0)
	s.shown += len(p.Records)
	t := s.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = newSightings(p.Counted)
	}
	if s.unordered || len(p.Records) == 0 {
		return true
	}
	last, _ := p.Records[len(p.Records)-1].Key()
	return last.UpdatedOn >= t.client.settled()
}

// end closes a window that was read to its end.
func (s *span) end() {
	t := s.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counted += s.counted
	t.shown += s.shown
	t.hidden += max(s.counted-s.shown, 0)
}

// row counts a row that is sent; recent says that it may have been sent before.
func (t *tally) row(record servicenow.Record, sysID []byte, recent bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent++
	if t.held != nil {
		t.held.sent(record, t.start)
	}
	if t.seen == nil {
		t.seen = newSightings(0)
	}
	if before := t.seen.add(sysID); before && recent {
		t.twice++
		return
	}
	if t.mode != modeIncremental {
		return
	}
	created, _ := record.Text("sys_created_on")
	updated, _ := record.Text("sys_updated_on")
	switch {
	case created >= t.since:
		t.created++
	case updated >= t.since:
		t.changed++
	}
}

// columns takes over what a builder learned about the columns.
func (t *tally) columns(b *arrowjson.Builder) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for column, n := range b.Invalid() {
		t.invalid[column] += n
	}
	if len(b.SysID()) == 0 {
		return // it met no record
	}
	t.builders++
	for _, field := range b.Absent() {
		t.absent[field]++
	}
}

// neverReturned are the fields of the dictionary that no record had, although all were asked for.
func (t *tally) neverReturned() []string {
	var fields []string
	if t.reading == nil {
		return nil
	}
	known := t.client.Tables.Table(t.reading.From)
	for field, n := range t.absent {
		_, ok := known.Field(field)
		if n == t.builders && ok && (t.reading.Fields == nil || slices.Contains(t.reading.Fields, field)) {
			fields = append(fields, field)
		}
	}
	slices.SortFunc(fields, cmp.Compare[string])
	return fields
}
