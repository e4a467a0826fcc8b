package listing

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// row is a record with its place in the order.
type row struct {
	at     position
	fields map[string]half
}

// half is a field's stored value and what the signed-in user sees of it.
type half struct {
	Value        string `json:"value"`
	DisplayValue string `json:"display_value"`
}

func (h *half) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		type plain half
		return json.Unmarshal(data, (*plain)(h))
	}
	if err := json.Unmarshal(data, &h.Value); err != nil {
		return err
	}
	h.DisplayValue = h.Value
	return nil
}

// rows reads on from a position, at most want rows; 0 for all of them.
//
// Every page is asked for behind the key of the one before it. The rows with a value of the order's field come first, by
// (value, sys_id), then those without one by sys_id alone: no comparison finds an empty value. Row security drops rows
// after the limit was applied, so that only the instance's count proves an end; behind a page that came back empty although
// more is counted there is no key to go on from, and an offset leads over what is hidden.
func (l *Lister) rows(ctx context.Context, p *plan, at position, want int) iter.Seq2[row, error] {
	if p.picked != nil {
		return l.pickedRows(ctx, p, at)
	}
	return func(yield func(row, error) bool) {
		yielded := 0
		for {
			reader := phase{lister: l, plan: p, at: at, total: -1}
			for r, err := range reader.rows(ctx, want, &yielded) {
				if !yield(r, err) || err != nil || yielded == want {
					return
				}
			}
			if at.Empty || p.order.field == "sys_id" {
				return
			}
			at = position{Empty: true}
		}
	}
}

// phase reads the rows with a value, or those without one.
type phase struct {
	lister *Lister
	plan   *plan
	at     position
	total  int
}

// rechecks is how often a page may come out of order: a record that changes meanwhile may show its new value in its old
// place.
const rechecks = 4

func (f *phase) rows(ctx context.Context, want int, yielded *int) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		count, seen, offset, failed := true, 0, 0, 0
		for {
			limit := f.lister.cfg.PageSize
			if want > 0 {
				limit = min(limit, want-*yielded)
			}
			q, err := f.plan.window(f.at)
			if err != nil {
				yield(row{}, err)
				return
			}
			list, err := f.lister.cfg.ServiceNow.ListRecords(ctx, f.plan.table, servicenow.ListOptions{
				Query: q, Fields: f.plan.fields, Display: servicenow.Both, Limit: limit, Offset: offset, Count: count,
			})
			if err != nil {
				yield(row{}, err)
				return
			}
			page, err := f.plan.check(f.at, list.Records)
			if err != nil {
				if failed++; failed < rechecks && usererror.CodeOf(err) == servicenow.CodeOutOfOrder {
					continue
				}
				yield(row{}, err)
				return
			}
			failed = 0
			for _, r := range page {
				*yielded++
				if !yield(r, nil) {
					return
				}
				f.at = r.at
			}
			if count && list.Total < 0 && len(page) == 0 {
				if list.Total, err = f.count(ctx, q); err != nil {
					yield(row{}, err)
					return
				}
			}
			seen += len(page)
			if f.total < 0 {
				f.total = list.Total
			}
			switch {
			case want > 0 && *yielded >= want:
				return
			case count && list.Total >= 0 && offset+limit >= list.Total:
				return // every row that was left had its place in this page
			case len(page) > 0:
				offset = 0
				count = seen+limit >= f.total
			case !count:
				count = true // an empty page: only a count tells what it means
			default:
				offset += limit
			}
		}
	}
}

// count asks the Aggregate API where a list's answer carries no count. 0, for the end, is a guess that is said once.
func (f *phase) count(ctx context.Context, q servicenow.Query) (int, error) {
	n, err := f.lister.cfg.ServiceNow.Count(ctx, f.plan.table, q.OrderBy())
	switch usererror.CodeOf(err) {
	case servicenow.CodeTableForbidden, servicenow.CodeQueryForbidden, servicenow.CodeRefused:
		f.lister.warnOnce(servicenow.CodeNoCounts, "the instance tells no row counts to this user, so an empty page of "+f.plan.table+" is taken for the end; rows behind a page that row security emptied would be missed")
		return 0, nil
	}
	return n, err
}

// window is the query of what lies behind a position, in order.
func (p *plan) window(at position) (servicenow.Query, error) {
	// sys_id is sorted in the same direction, so that one index serves both.
	field, operator, sorted, ties := p.order.field, ">", p.order.field, "sys_id"
	if p.order.descending {
		operator, sorted, ties = "<", servicenow.Descending(field), servicenow.Descending("sys_id")
	}
	behind := servicenow.Clause{Field: "sys_id", Operator: ">", Value: at.SysID}
	q := p.query
	switch {
	case field == "sys_id":
		if behind.Operator = operator; at.SysID != "" {
			q = q.And(behind)
		}
		return q.OrderBy(sorted), nil
	case at.Empty:
		q = q.And(servicenow.Clause{Field: field, Operator: "ISEMPTY"})
		if at.SysID != "" {
			q = q.And(behind)
		}
		return q.OrderBy("sys_id"), nil
	case at.SysID != "":
		if !usable(at.Value) {
			return q, usererror.New(CodeSort, "the listing came to a value of "+field+" that no query can go on from",
				"sort by another field, such as sys_updated_on or number")
		}
		behind.Or, behind.Operator = true, operator
		return q.And(
			servicenow.Clause{Field: field, Operator: operator + "=", Value: at.Value},
			servicenow.Clause{Field: field, Operator: operator, Value: at.Value}, behind).OrderBy(sorted, ties), nil
	}
	return q.And(servicenow.Clause{Field: field, Operator: "ISNOTEMPTY"}).OrderBy(sorted, ties), nil
}

// check decodes a page and proves what can be proven of its order.
func (p *plan) check(at position, records []servicenow.Record) ([]row, error) {
	rows := make([]row, 0, len(records))
	for _, record := range records {
		r := row{}
		if err := json.Unmarshal(record, &r.fields); err != nil {
			return nil, fmt.Errorf("listing %s: a record cannot be decoded: %w", p.table, err)
		}
		id := r.fields["sys_id"].Value
		value, known := r.fields[p.order.field]
		if id == "" || !known {
			return nil, usererror.New(servicenow.CodeKeyHidden, fmt.Sprintf("records of %s come without sys_id or %s, which the listing is sorted by", p.table, p.order.field),
				"give the signed-in user read access to both fields, or sort by another one")
		}
		r.at = position{Empty: at.Empty, Value: value.Value, SysID: id}
		if at.Empty || p.order.field == "sys_id" {
			r.at.Value = ""
		}
		if !p.behind(at, r.at) {
			return nil, usererror.New(servicenow.CodeOutOfOrder, fmt.Sprintf("the instance returned records of %s that are not sorted by %s and sys_id, or that were not asked for", p.table, p.order.field),
				"give the signed-in user query_range access to both fields, or sort by another one")
		}
		at = r.at
		rows = append(rows, r)
	}
	return rows, nil
}

// behind reports whether b may follow a.
func (p *plan) behind(a, b position) bool {
	if a.SysID == "" {
		return true
	}
	ids := strings.Compare(strings.ToUpper(b.SysID), strings.ToUpper(a.SysID))
	if p.order.descending && !a.Empty {
		ids = -ids
	}
	if a.Empty || p.order.field == "sys_id" {
		return ids > 0
	}
	if p.order.compare == nil {
		return ids != 0 // at least not the same row again
	}
	values := p.order.compare(b.Value, a.Value)
	if p.order.descending {
		values = -values
	}
	return values > 0 || values == 0 && ids > 0
}

// pickedRows reads the sys_ids of a config that no single request can hold, and sorts them here: their number is the
// config's own.
func (l *Lister) pickedRows(ctx context.Context, p *plan, at position) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		var rows []row
		for ids := range slices.Chunk(p.picked, mostIDs) {
			list, err := l.cfg.ServiceNow.ListRecords(ctx, p.table, servicenow.ListOptions{
				Query: p.query.And(in("sys_id", ids)).OrderBy("sys_id"), Fields: p.fields, Display: servicenow.Both, Limit: len(ids),
			})
			if err != nil {
				yield(row{}, err)
				return
			}
			for _, record := range list.Records {
				found, err := p.check(position{}, []servicenow.Record{record})
				if err != nil {
					yield(row{}, err)
					return
				}
				found[0].at.Empty = found[0].at.Value == "" && p.order.field != "sys_id"
				rows = append(rows, found...)
			}
		}
		slices.SortFunc(rows, func(a, b row) int { return p.compare(a.at, b.at) })
		for _, r := range rows {
			if (at == position{} || p.compare(r.at, at) > 0) && !yield(r, nil) {
				return
			}
		}
	}
}

// compare orders positions without the instance; texts by their capitals.
func (p *plan) compare(a, b position) int {
	ids := strings.Compare(strings.ToUpper(a.SysID), strings.ToUpper(b.SysID))
	switch {
	case a.Empty != b.Empty && a.Empty:
		return 1
	case a.Empty != b.Empty:
		return -1
	case a.Empty:
		return ids
	case p.order.descending:
		ids = -ids
	}
	if p.order.field == "sys_id" {
		return ids
	}
	compare := p.order.compare
	if compare == nil {
		compare = func(a, b string) int { return strings.Compare(strings.ToUpper(a), strings.ToUpper(b)) }
	}
	values := compare(a.Value, b.Value)
	if p.order.descending {
		values = -values
	}
	if values != 0 {
		return values
	}
	return ids
}
