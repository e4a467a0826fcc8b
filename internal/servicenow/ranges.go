package servicenow

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// worthHalving is how many pages a range must have left to be halved: each half then has a page of its own at least.
const worthHalving = 2

// segment is a range while it is read.
type segment struct {
	Range
	id      int
	whole   bool // nothing of it is counted yet
	left    int  // rows left by the instance's count; -1: unknown
	checked int  // pages in a row that did not pass the check
	middle  *middle
}

// event tells the reading's consumer, in order, what became of a segment: a page of it, its end, or that it was halved.
type event struct {
	of    int
	page  *Page
	left  Range // what is unread of it, behind the page or before the cut
	ended bool
	// second is the segment behind the cut, and right its range.
	second int
	right  Range
	err    error
}

// reader runs the workers of one reading. Each works on one segment at a time, from its first page to its last.
type reader struct {
	client  *Client
	read    Read
	events  chan event
	served  atomic.Int64 // the largest page so far: something between here and the instance may cap pages
	checked atomic.Int64 // pages in a row, of all ranges, that did not pass the check
	// Rows that were counted, in ranges of which nothing was read yet, and rows that were shown.
	counted, seen atomic.Int64
	uncounted     atomic.Bool // a range came without a count

	mu      sync.Mutex
	ids     int
	waiting []*segment // a stack; the earliest lies on top
	last    *segment   // what is behind Settled, once it is cut off; it waits for all others
	working int
	asking  int            // requests for middles
	asked   sync.WaitGroup // for them to end
}

// begin starts the first workers, and returns the ranges that are unread.
func (r *reader) begin(ctx context.Context) map[int]Range {
	ranges := r.read.ranges()
	if r.read.Window.ByID {
		r.read.IDs = IDRange{} // they are the range
	}
	unread := map[int]Range{}
	for _, each := range ranges {
		s := &segment{Range: each, id: r.ids, whole: true, left: -1}
		r.ids++
		unread[s.id] = s.Range
		r.waiting = append([]*segment{s}, r.waiting...)
	}
	if end := r.waiting[0]; len(ranges) > 1 && r.sideBySide() { // the last in the order
		if r.reserve(end) {
			unread[end.id], unread[r.last.id] = end.Range, r.last.Range
		} else if r.unsettled(end) {
			r.last, r.waiting = end, r.waiting[1:]
		}
	}
	r.working = 1
	go r.work(ctx)
	return unread
}

func (r *reader) sideBySide() bool { return r.read.AtOnce > 1 && !r.read.Window.ordersByID() }

// work reads one segment after the other. The last worker to find none ends the reading.
func (r *reader) work(ctx context.Context) {
	for s := r.next(); s != nil; s = r.next() {
		if err := r.segment(ctx, s); err != nil {
			r.emit(ctx, event{err: err})
			r.mu.Lock()
			r.waiting, r.last = nil, nil
			r.mu.Unlock()
		}
	}
}

// next takes a segment; nil when nothing is left for this worker.
func (r *reader) next() *segment {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.waiting); n > 0 {
		s := r.waiting[n-1]
		r.waiting = r.waiting[:n-1]
		return s
	}
	if r.working == 1 && r.last != nil {
		s := r.last
		r.last, r.read.AtOnce = nil, 1 // in order, to its end
		return s
	}
	if r.working--; r.working == 0 {
		close(r.events)
	}
	return nil
}

// emit hands an event to the consumer; false when the reading is over.
func (r *reader) emit(ctx context.Context, e event) bool {
	select {
	case r.events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// share lets another worker help, where the instance leaves room for it: with a segment that waits, or with half of this
// one, once its middle is known. limit is the size of a page.
func (r *reader) share(ctx context.Context, s *segment, limit int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.sideBySide() {
		return
	}
	if second, ok := r.halved(s); ok {
		r.emit(ctx, event{of: s.id, left: s.Range, second: second.id, right: second.Range})
		r.waiting = append(r.waiting, second)
	}
	switch {
	case r.working+r.asking >= r.client.room(r.read.AtOnce):
	case len(r.waiting) > 0:
		r.working++
		go r.work(ctx)
	case s.middle == nil && s.left > worthHalving*limit:
		left := s.left
		if r.reserve(s) {
			r.emit(ctx, event{of: s.id, left: s.Range, second: r.last.id, right: r.last.Range})
			s.left = left // or few less
		}
		if !r.unsettled(s) {
			r.ask(ctx, s, limit)
		}
	}
}

// reserve cuts off what is behind Settled, if the segment reaches there from before; the rest of the reading then goes on
// side by side.
func (r *reader) reserve(s *segment) bool {
	if s.After.UpdatedOn >= r.read.Settled || !r.unsettled(s) {
		return false
	}
	r.last = r.cut(s, Key{UpdatedOn: r.read.Settled}, Key{UpdatedOn: addSeconds(r.read.Settled, 1)})
	return true
}

// unsettled reports whether records that change during the reading get into the segment.
func (r *reader) unsettled(s *segment) bool { return s.Through.UpdatedOn > r.read.Settled }

// halve cuts a segment in two, by time or within one second by sys_id. It is false when there is nothing between its ends.
func (r *reader) halve(s *segment) (second *segment, ok bool) {
	if !r.read.Window.ordersByID() && s.After.UpdatedOn == "" && midTime("", s.Through.UpdatedOn) >= s.Through.UpdatedOn {
		s.After.UpdatedOn = s.Through.UpdatedOn // nothing is older: what is left lies in this second
	}
	if !r.read.Window.ordersByID() && s.spansSeconds() {
		mid := midTime(s.After.UpdatedOn, s.Through.UpdatedOn)
		return r.cut(s, Key{UpdatedOn: mid}, Key{UpdatedOn: addSeconds(mid, 1)}), true
	}
	mid, ok := midID(s.After.SysID, s.Through.SysID)
	if !ok {
		return nil, false
	}
	return r.cut(s, Key{UpdatedOn: s.Through.UpdatedOn, SysID: mid}, Key{UpdatedOn: s.After.UpdatedOn, SysID: mid}), true
}

// cut ends a segment at through and returns what is behind after. How many rows each has is not known then.
func (r *reader) cut(s *segment, through, after Key) *segment {
	second := &segment{Range: Range{After: after, Through: s.Through}, id: r.ids, whole: s.whole, left: -1}
	r.ids++
	s.Through, s.left = through, -1
	return second
}

func (r *reader) workers() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.working
}

// holds reports whether a sys_id lies in the range; the instance's collation folds letters to capitals.
func (r IDRange) holds(id string) bool {
	key := Key{SysID: id}
	return (r.Above == "" || key.Compare(Key{SysID: r.Above}) > 0) && (r.Through == "" || key.Compare(Key{SysID: r.Through}) <= 0)
}

// Clauses narrow a query to the range.
func (r IDRange) Clauses() []Clause {
	var clauses []Clause
	if r.Above != "" {
		clauses = append(clauses, Clause{Field: sysID, Operator: ">", Value: r.Above})
	}
	if r.Through != "" {
		clauses = append(clauses, Clause{Field: sysID, Operator: "<=", Value: r.Through})
	}
	return clauses
}

// Shard returns the nth of m ranges of sys_ids that are as long, counted from 1. Together they hold every sys_id.
func Shard(n, m int) IDRange {
	const prefix = 1 << 32 // eight hexadecimal digits
	bound := func(i int) string {
		if i == 0 || i == m {
			return ""
		}
		return fmt.Sprintf("%08x", prefix/m*i)
	}
	return IDRange{Above: bound(n - 1), Through: bound(n)}
}

// room is how many requests it makes sense to have on their way for one reading, of so many at most: one more than the
// limit lets pass, so that the limit finds out whether it could be higher, and no more than an hourly budget has use for
// with requests that take a second. Fewer ranges have larger pages, and make better use of a budget.
func (c *Client) room(most int) int {
	n := c.cfg.Counters
	if n == nil {
		return most
	}
	if limit := n.InFlightLimit(); limit > 0 {
		most = min(most, limit+1)
	}
	if perHour := n.PerHour(); perHour > 0 {
		most = min(most, 1+perHour/int(time.Hour.Seconds()))
	}
	return most
}
