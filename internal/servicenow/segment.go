package servicenow

import (
	"context"
	"fmt"

	"github.com/cenkalti/backoff/v5"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

const (
	// trustedPage is a page size that nothing caps: an empty page proves that so many rows are hidden.
	trustedPage = 100
	// rechecks is how often pages may fail the check in a row before that is an error; mostRechecks, those of one range
	// while the pages of others pass.
	rechecks, mostRechecks = 8, 24
	// beyondCount is how many rows more than twice their number a reading may have: those that are added meanwhile. An
	// instance that makes up rows has no end.
	beyondCount = 500_000
)

// segment reads a segment to its proven end, or to where the rest of it is left to wait for a worker.
func (r *reader) segment(ctx context.Context, s *segment) error {
	count := true
	r.share(ctx, s, r.read.Pages.Rows())
	for {
		list, limit, err := r.fetch(ctx, s, count)
		if err != nil {
			return err
		}
		rows := len(list.Records)
		last, err := r.check(s, list.keys)
		if err != nil {
			// A record that changes while its page is written may show its new stamp in its old place.
			s.checked++
			if inRow := r.checked.Add(1); s.checked < rechecks || int(inRow) < rechecks && s.checked < mostRechecks {
				continue
			}
			return err
		}
		s.checked = 0
		r.checked.Store(0)
		usageOf(ctx).page(rows < limit && (list.Total > rows || list.Total < 0 && s.left > rows))
		if rows > 0 {
			if s.After = last; r.read.Window.ordersByID() {
				s.After.UpdatedOn = ""
			}
		}
		counted := 0
		if s.whole {
			s.whole, counted = false, list.Total
		}
		if r.endless(rows, counted) {
			return usererror.New(CodeEndless, "the instance returns rows of "+r.read.Table+" without end, far more than it counts",
				"look for a proxy or a script that changes its answers")
		}
		if (rows > 0 || counted > 0) && !r.emit(ctx, event{of: s.id, page: &Page{Records: list.Records, Counted: counted}, left: s.Range}) {
			return nil // the reading is over
		}
		remaining := list.Total
		if count && remaining < 0 && rows == 0 {
			if remaining, err = r.countRest(ctx, s); err != nil {
				return err
			}
		}
		switch {
		case remaining == rows && remaining >= 0:
			r.emit(ctx, event{of: s.id, ended: true})
			return nil // every row that is left was in this page
		case rows == 0 && count && remaining <= min(limit, max(r.largest(0), trustedPage)):
			r.emit(ctx, event{of: s.id, ended: true})
			return nil // what is left was in this page, and is hidden
		case rows == 0 && count:
			return r.split(ctx, s)
		}
		r.largest(rows)
		if s.left -= rows; list.Total >= 0 {
			s.left = list.Total - rows
		}
		r.share(ctx, s, limit)
		// The count is dear for the instance, so it is asked for only where it may prove the end.
		count = rows == 0 || s.left <= limit
	}
}

// endless adds what a page showed and what its request counted, and reports whether there are too many rows to be true.
// Where nothing is counted nobody can tell.
func (r *reader) endless(rows, counted int) bool {
	if counted < 0 {
		r.uncounted.Store(true)
		counted = 0
	}
	total, seen := r.counted.Add(int64(counted)), r.seen.Add(int64(rows))
	return !r.uncounted.Load() && seen-beyondCount > 2*total
}

// largest notes the rows of a page, and returns the most that a page had so far.
func (r *reader) largest(rows int) int {
	for {
		served := r.served.Load()
		if int64(rows) <= served || r.served.CompareAndSwap(served, int64(rows)) {
			return int(max(int64(rows), served))
		}
	}
}

// split puts both halves of a segment back, which has rows and a page that shows none of them.
func (r *reader) split(ctx context.Context, s *segment) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	second, ok := r.halve(s)
	if !ok {
		return usererror.New(CodeCountUnproven, "the instance counts rows of "+r.read.Table+" in a range that holds none",
			"give the signed-in user query_range access to sys_id and "+r.read.stamp()+", and check incidents.query")
	}
	r.emit(ctx, event{of: s.id, left: s.Range, second: second.id, right: second.Range})
	r.waiting = append(r.waiting, second, s)
	return nil
}

// countRest asks the Aggregate API how many rows are left, for instances whose list answers carry no count. 0 means that
// nothing could be proven, which is said once.
func (r *reader) countRest(ctx context.Context, s *segment) (int, error) {
	n, err := r.client.Count(ctx, r.read.Table, s.query(r.read, false))
	if err == nil {
		return n, nil
	}
	switch usererror.CodeOf(err) {
	case CodeTableForbidden, CodeQueryForbidden, CodeRefused:
	default:
		return 0, err // a count that fails for another reason proves nothing, and is not the end
	}
	if r.read.Warn != nil {
		r.read.Warn(CodeNoCounts, "the instance tells no row counts to this user, so an empty page of "+r.read.Table+" is taken for the end; rows behind a page that row security emptied would be missed")
	}
	return 0, nil
}

func (s *segment) spansSeconds() bool {
	return s.Through.SysID == "" && s.After.UpdatedOn < s.Through.UpdatedOn
}

// query writes the segment as clauses behind the user's query. `a^b^ORc` is a AND (b OR c), which is all that a keyset
// needs; ^NQ would have to repeat the whole query.
func (s *segment) query(r Read, sorted bool) Query {
	var clauses []Clause
	updatedOn := r.stamp()
	switch {
	case r.Window.Open:
		clauses = append(clauses,
			Clause{Field: updatedOn, Operator: ">=", Value: s.After.UpdatedOn},
			Clause{Or: true, Field: updatedOn, Operator: "ISEMPTY"})
	case r.Window.ordersByID():
		if r.Window.Stray {
			clauses = append(clauses,
				Clause{Field: updatedOn, Operator: "ISEMPTY"},
				Clause{Or: true, Field: updatedOn, Operator: ">", Value: r.Window.Through})
		}
		if s.After.SysID != "" {
			clauses = append(clauses, Clause{Field: sysID, Operator: ">", Value: s.After.SysID})
		}
	case s.After.UpdatedOn == s.Through.UpdatedOn:
		clauses = append(clauses, Clause{Field: updatedOn, Operator: "=", Value: s.Through.UpdatedOn})
		if s.After.SysID != "" {
			clauses = append(clauses, Clause{Field: sysID, Operator: ">", Value: s.After.SysID})
		}
	default:
		if s.After.UpdatedOn != "" {
			clauses = append(clauses, Clause{Field: updatedOn, Operator: ">=", Value: s.After.UpdatedOn})
		}
		if s.After.SysID != "" {
			clauses = append(clauses,
				Clause{Field: updatedOn, Operator: ">", Value: s.After.UpdatedOn},
				Clause{Or: true, Field: sysID, Operator: ">", Value: s.After.SysID})
		}
		clauses = append(clauses, Clause{Field: updatedOn, Operator: "<=", Value: s.Through.UpdatedOn})
	}
	if s.Through.SysID != "" {
		clauses = append(clauses, Clause{Field: sysID, Operator: "<=", Value: s.Through.SysID})
	}
	clauses = append(clauses, r.IDs.Clauses()...)
	q := r.Query.And(clauses...)
	switch {
	case r.Window.Open:
	case sorted && r.Window.ordersByID():
		q = q.OrderBy(sysID)
	case sorted:
		q = q.OrderBy(updatedOn, sysID)
	}
	return q
}

// fetch gets one page; a fault that a smaller page may cure halves the page before the next attempt.
func (r *reader) fetch(ctx context.Context, s *segment, count bool) (*List, int, error) {
	pages := r.read.Pages
	limit := 0
	list, err := retrying(ctx, r.client, "reading "+r.read.Table, func() (*List, error) {
		for {
			limit = pages.current()
			r.client.counter.pageSize.Store(int64(limit))
			list, err := r.client.listOnce(ctx, r.read.Table, ListOptions{
				Query: s.query(r.read, true), Fields: r.read.Fields, Display: r.read.Display, Limit: limit, Count: count,
				expected: pages.expected(limit, s.left), stamp: r.read.stamp(),
			})
			switch {
			case err == nil:
				pages.served(limit, len(list.Records), list.bytes, list.took, r.workers())
				return list, nil
			case tooLarge(err) && pages.halve(limit):
				continue // at once: the instance is well, and only the page was too large
			case tooLarge(err):
				return nil, backoff.Permanent(usererror.Wrap(err, CodeRecordTooLarge,
					"one record of "+r.read.Table+" alone is larger than an answer may be", "leave its large fields out with incidents.fields"))
			case shrinkable(err):
				pages.halve(limit)
			}
			return nil, err
		}
	})
	if err != nil {
		return nil, 0, fmt.Errorf("reading %s: %w", r.read.Table, err)
	}
	return list, limit, nil
}

// check proves that every record lies in the segment and behind the one before it: an instance that ignores a term of
// the query would otherwise pass for one that has other rows.
func (r *reader) check(s *segment, keys []rawKey) (Key, error) {
	previous := s.After
	for _, raw := range keys {
		key := raw.key()
		if raw.stamp == nil || key.SysID == "" || key.UpdatedOn == "" && !r.read.Window.ordersByID() {
			return Key{}, usererror.New(CodeKeyHidden, "records of "+r.read.Table+" come without sys_id or "+r.read.stamp(),
				"give the signed-in user read access to both fields")
		}
		end := s.Through
		inside := key.UpdatedOn <= end.UpdatedOn
		if r.read.Window.Stray {
			inside = key.UpdatedOn == "" || key.UpdatedOn > end.UpdatedOn
		}
		if r.read.Window.ordersByID() {
			inside = inside || r.read.Window.ByID
			key.UpdatedOn, end.UpdatedOn = "", ""
		}
		inside = inside && (end.SysID == "" || key.Compare(end) <= 0) && r.read.IDs.holds(key.SysID)
		behind := key.Compare(s.After) > 0 || s.After.SysID == "" && key.UpdatedOn >= s.After.UpdatedOn
		switch {
		case !inside || !behind:
			return Key{}, OutsideWindow(r.read.Table)
		case previous.SysID != "" && key.Compare(previous) <= 0:
			return Key{}, usererror.New(CodeOutOfOrder, "the instance returned records of "+r.read.Table+" that are not sorted by "+r.read.stamp()+" and sys_id",
				"give the signed-in user query_range access to both fields, which sorting needs")
		}
		previous = key
	}
	return previous, nil
}

// OutsideWindow is the error about records that were not asked for.
func OutsideWindow(table string) error {
	return usererror.New(CodeOutsideWindow, "the instance returned records of "+table+" that were not asked for, so it ignored a term of the query",
		"give the signed-in user query_range access to sys_id and sys_updated_on, and check incidents.query")
}
