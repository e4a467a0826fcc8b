package servicenow

import (
	"context"
	"fmt"
	"iter"

	"github.com/cenkalti/backoff/v5"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Read asks for the records of a window of a table, in keyset order.
type Read struct {
	Table   string
	Query   Query
	Fields  []string // nil: all; must hold sys_id and sys_updated_on otherwise
	Display Display
	Window  Window
	Pages   *PageSize
	// Warn hears what a person should know: that the instance counts no rows, so that empty pages prove nothing.
	Warn func(code, message string)
}

// Window is a range of keys: behind After, up to and including the second Through. A zero After starts at the first
// record with a sys_updated_on.
type Window struct {
	After   Key
	Through string
	// Stray asks instead for the records that no such range holds, in the order of their sys_ids: those without a
	// sys_updated_on, and those with one from beyond Through, which scripts and imports can write.
	Stray bool
}

// Page is a response's records, checked: each is inside the window, and in order. A page without records comes only
// first, where the instance counted rows and showed none of them.
type Page struct {
	Records []Record
	// Last is the key of the last record; zero without records.
	Last Key
	// Total is how many rows the instance counted in the whole window; -1 when it did not say. The same on every page.
	Total int
}

const (
	updatedOn = "sys_updated_on"
	sysID     = "sys_id"
)

// ReadPages reads a window page by page, each behind the last key of the one before it; offsets play no part.
//
// Row security drops rows after the limit was applied, so that a page may be short or empty with more rows behind it.
// A range therefore ends only when the instance's own count proves it: the count of what remains, asked for with the
// first page, after an empty page, and where the first count says that the end is near. A page that came back empty
// although rows remain has no key to go on from: its range is halved, by time and within one second by sys_id, until
// every part is either read or proven to be hidden.
func (c *Client) ReadPages(ctx context.Context, r Read) iter.Seq2[*Page, error] {
	return func(yield func(*Page, error) bool) {
		reader := &reader{client: c, read: r, total: -1}
		reader.pending = []segment{{after: r.Window.After, through: Key{UpdatedOn: r.Window.Through}}}
		for len(reader.pending) > 0 {
			last := len(reader.pending) - 1
			s := reader.pending[last]
			reader.pending = reader.pending[:last]
			if !reader.segment(ctx, s, yield) {
				return
			}
		}
	}
}

// segment is a part of a window: behind after, through to the end of the second of through, or within that second to a
// sys_id.
type segment struct{ after, through Key }

type reader struct {
	client  *Client
	read    Read
	pending []segment // a stack; the earliest part lies on top
	seen    int       // rows of the window so far
	total   int       // rows counted in the window by the first page
	started bool
	// served is the largest page so far: something between here and the instance may cap pages below what was asked for.
	served    int
	rechecked int // pages fetched again in a row because they did not pass the check
}

const (
	// trustedPage is a page size that nothing caps: an empty page proves that so many rows are hidden.
	trustedPage = 100
	// rechecks is how often a page may fail the check before that is an error.
	rechecks = 4
)

// segment reads one segment to its proven end or halves it; it returns false when the reading is over.
func (r *reader) segment(ctx context.Context, s segment, yield func(*Page, error) bool) bool {
	count := true
	for {
		list, limit, err := r.fetch(ctx, s, count)
		if err != nil {
			yield(nil, err)
			return false
		}
		rows := len(list.Records)
		var last Key
		if last, err = r.check(s, list.Records); err != nil {
			// A record that changes while its page is written may show its new stamp in its old place.
			if r.rechecked++; r.rechecked < rechecks {
				continue
			}
			yield(nil, err)
			return false
		}
		r.rechecked, r.served = 0, max(r.served, rows)
		if !r.started {
			r.started, r.total = true, list.Total
			if rows == 0 && list.Total > 0 && !yield(&Page{Total: list.Total}, nil) {
				return false
			}
		}
		r.seen += rows
		if rows > 0 {
			if s.after = last; r.read.Window.Stray {
				s.after.UpdatedOn = ""
			}
			if !yield(&Page{Records: list.Records, Last: last, Total: r.total}, nil) {
				return false
			}
		}
		remaining := list.Total
		if count && remaining < 0 && rows == 0 {
			if remaining, err = r.countRest(ctx, s); err != nil {
				yield(nil, err)
				return false
			}
		}
		switch {
		case remaining == rows && remaining >= 0:
			return true // every row that is left was in this page
		case rows == 0 && count && remaining <= min(limit, max(r.served, trustedPage)):
			return true // what is left was in this page, and is hidden
		case rows == 0 && count:
			return r.halve(s, yield)
		}
		// The count is dear for the instance, so it is asked for only where it may prove the end.
		count = rows == 0 || r.seen+limit >= r.total
	}
}

// countRest asks the Aggregate API how many rows are left, for instances whose list answers carry no count. 0 means that
// nothing could be proven, which is said once.
func (r *reader) countRest(ctx context.Context, s segment) (int, error) {
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

// halve puts both halves of a segment on the stack.
func (r *reader) halve(s segment, yield func(*Page, error) bool) bool {
	if !r.read.Window.Stray && s.after.UpdatedOn == "" && midTime("", s.through.UpdatedOn) >= s.through.UpdatedOn {
		s.after.UpdatedOn = s.through.UpdatedOn // nothing is older: what is left lies in this second
	}
	first, second := s, s
	switch {
	case !r.read.Window.Stray && s.spansSeconds():
		mid := midTime(s.after.UpdatedOn, s.through.UpdatedOn)
		first.through = Key{UpdatedOn: mid}
		second.after = Key{UpdatedOn: addSecond(mid)}
	default:
		mid, ok := midID(s.after.SysID, s.through.SysID)
		if !ok {
			yield(nil, usererror.New(CodeCountUnproven, "the instance counts rows of "+r.read.Table+" in a range that holds none",
				"give the signed-in user query_range access to sys_id and sys_updated_on, and check incidents.query"))
			return false
		}
		first.through = Key{UpdatedOn: s.through.UpdatedOn, SysID: mid}
		second.after = Key{UpdatedOn: s.after.UpdatedOn, SysID: mid}
	}
	r.pending = append(r.pending, second, first)
	return true
}

func (s segment) spansSeconds() bool {
	return s.through.SysID == "" && s.after.UpdatedOn < s.through.UpdatedOn
}

// query writes the segment as clauses behind the user's query. `a^b^ORc` is a AND (b OR c), which is all that a keyset
// needs; ^NQ would have to repeat the whole query.
func (s segment) query(r Read, sorted bool) Query {
	var clauses []Clause
	switch {
	case r.Window.Stray:
		clauses = append(clauses,
			Clause{Field: updatedOn, Operator: "ISEMPTY"},
			Clause{Or: true, Field: updatedOn, Operator: ">", Value: r.Window.Through})
		if s.after.SysID != "" {
			clauses = append(clauses, Clause{Field: sysID, Operator: ">", Value: s.after.SysID})
		}
	case s.after.UpdatedOn == s.through.UpdatedOn:
		clauses = append(clauses, Clause{Field: updatedOn, Operator: "=", Value: s.through.UpdatedOn})
		if s.after.SysID != "" {
			clauses = append(clauses, Clause{Field: sysID, Operator: ">", Value: s.after.SysID})
		}
	default:
		if s.after.UpdatedOn != "" {
			clauses = append(clauses, Clause{Field: updatedOn, Operator: ">=", Value: s.after.UpdatedOn})
		}
		if s.after.SysID != "" {
			clauses = append(clauses,
				Clause{Field: updatedOn, Operator: ">", Value: s.after.UpdatedOn},
				Clause{Or: true, Field: sysID, Operator: ">", Value: s.after.SysID})
		}
		clauses = append(clauses, Clause{Field: updatedOn, Operator: "<=", Value: s.through.UpdatedOn})
	}
	if s.through.SysID != "" {
		clauses = append(clauses, Clause{Field: sysID, Operator: "<=", Value: s.through.SysID})
	}
	q := r.Query.And(clauses...)
	switch {
	case sorted && r.Window.Stray:
		q = q.OrderBy(sysID)
	case sorted:
		q = q.OrderBy(updatedOn, sysID)
	}
	return q
}

// fetch gets one page; a fault that a smaller page may cure halves the page before the next attempt.
func (r *reader) fetch(ctx context.Context, s segment, count bool) (*List, int, error) {
	pages := r.read.Pages
	limit := 0
	list, err := retrying(ctx, r.client, "reading "+r.read.Table, func() (*List, error) {
		for {
			limit = pages.current()
			r.client.counter.pageSize.Store(int64(limit))
			list, err := r.client.listOnce(ctx, r.read.Table, ListOptions{
				Query: s.query(r.read, true), Fields: r.read.Fields, Display: r.read.Display, Limit: limit, Count: count,
			})
			switch {
			case err == nil:
				pages.served(limit, len(list.Records), list.bytes, list.took)
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
func (r *reader) check(s segment, records []Record) (Key, error) {
	previous := s.after
	for _, record := range records {
		key, ok := record.Key()
		if !ok || key.UpdatedOn == "" && !r.read.Window.Stray {
			return Key{}, usererror.New(CodeKeyHidden, "records of "+r.read.Table+" come without sys_id or sys_updated_on",
				"give the signed-in user read access to both fields")
		}
		end := s.through
		inside := key.UpdatedOn <= end.UpdatedOn
		if r.read.Window.Stray {
			inside = key.UpdatedOn == "" || key.UpdatedOn > end.UpdatedOn
			key.UpdatedOn, end.UpdatedOn = "", ""
		}
		inside = inside && (end.SysID == "" || key.Compare(end) <= 0)
		behind := key.Compare(s.after) > 0 || s.after.SysID == "" && key.UpdatedOn >= s.after.UpdatedOn
		switch {
		case !inside || !behind:
			return Key{}, usererror.New(CodeOutsideWindow, "the instance returned records of "+r.read.Table+" that were not asked for, so it ignored a term of the query",
				"give the signed-in user query_range access to sys_id and sys_updated_on, and check incidents.query")
		case previous.SysID != "" && key.Compare(previous) <= 0:
			return Key{}, usererror.New(CodeOutOfOrder, "the instance returned records of "+r.read.Table+" that are not sorted by sys_updated_on and sys_id",
				"give the signed-in user query_range access to both fields, which sorting needs")
		}
		previous = key
	}
	return previous, nil
}
