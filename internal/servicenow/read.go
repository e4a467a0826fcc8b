package servicenow

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
)

// Read asks for the records of a window of a table, each once.
type Read struct {
	Table   string
	Query   Query
	Fields  []string // nil: all; must hold sys_id and sys_updated_on otherwise
	Display Display
	Window  Window
	// Rest are the ranges to read instead of the whole window: what an earlier reading left of it. They do not overlap.
	Rest []Range
	// IDs are the sys_ids to read, of all of them.
	IDs   IDRange
	Pages *PageSize
	// Stamp is the field that orders records in time; "" is sys_updated_on. Tables whose records never change have only
	// sys_created_on.
	Stamp string
	// AtOnce is how many ranges are read side by side at most, as the instance leaves room for them; up to 1 reads in
	// keyset order.
	AtOnce int
	// Settled is where rows side by side end: records that change during the reading get a stamp behind it, and what lies
	// behind it is read last and in order, so that none of them is missed. Needed with AtOnce.
	Settled string
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
	// Open asks instead for what lies behind After without an end, and for the records without a sys_updated_on, in no order:
	// all that the window and its strays hold. See ReadOpen.
	Open bool
	// ByID asks instead for all records, whatever their stamps, in the order of their sys_ids: those that change meanwhile
	// keep their place.
	ByID bool
}

// ordersByID reports whether time plays no part in the order.
func (w Window) ordersByID() bool { return w.Stray || w.ByID }

// ranges are the parts of the window to read.
func (r *Read) ranges() []Range {
	switch {
	case r.Window.ByID:
		return []Range{{After: Key{SysID: r.IDs.Above}, Through: Key{SysID: r.IDs.Through}}}
	case r.Rest != nil:
		return r.Rest
	}
	return []Range{{After: r.Window.After, Through: Key{UpdatedOn: r.Window.Through}}}
}

// Range is a part of a window: behind After, through to the end of the second of Through, or within that second to a
// sys_id. An After without a sys_id includes its second.
type Range struct {
	After   Key `json:"after"`
	Through Key `json:"through"`
}

// IDRange is a range of sys_ids: those above Above, up to and including Through; "" is open.
type IDRange struct{ Above, Through string }

// Page is a response's records, checked: each is inside its range, and in order. A page without records comes only
// first, where the instance counted rows and showed none of them.
type Page struct {
	Records []Record
	// Counted is how many rows the instance counted in the window, or in one of the ranges of Rest, if this is its first
	// page; -1 when it did not say, and 0 on all other pages.
	Counted int
	// Rest are the ranges of the window that are not read behind this page, in keyset order.
	Rest []Range
}

const (
	updatedOn = "sys_updated_on"
	sysID     = "sys_id"
)

func (r Read) stamp() string { return cmp.Or(r.Stamp, updatedOn) }

// ReadPages reads a window page by page, each behind the last key of the one before it; offsets play no part. The next
// page is on its way while one is worked on. With AtOnce, a range of several pages is halved between two of them, where a
// look ahead finds its middle, and the second half read beside the first, as often as the instance leaves room for one
// request more; so ranges that lag behind are halved again.
//
// Row security drops rows after the limit was applied, so that a page may be short or empty with more rows behind it.
// A range therefore ends only when the instance's own count proves it: the count of what remains, asked for with the
// first page of a range, after an empty page, and where the first count says that the end is near. A page that came back
// empty although rows remain has no key to go on from: its range is halved, by time and within one second by sys_id,
// until every part is either read or proven to be hidden.
func (c *Client) ReadPages(ctx context.Context, r Read) iter.Seq2[*Page, error] {
	return func(yield func(*Page, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		reader := &reader{client: c, read: r, events: make(chan event)}
		unread := reader.begin(ctx)
		defer func() {
			cancel()
			for range reader.events { // until every worker has ended
			}
			reader.asked.Wait()
		}()
		for e := range reader.events {
			switch {
			case e.err != nil:
				yield(nil, e.err)
				return
			case e.page != nil:
				unread[e.of] = e.left
				e.page.Rest = inOrder(unread)
				if !yield(e.page, nil) {
					return
				}
			case e.ended:
				delete(unread, e.of)
			default: // halved
				unread[e.of], unread[e.second] = e.left, e.right
			}
		}
		if ctx.Err() != nil {
			yield(nil, context.Cause(ctx))
		}
	}
}

func inOrder(unread map[int]Range) []Range {
	return slices.SortedFunc(maps.Values(unread), func(a, b Range) int {
		return cmp.Or(a.After.Compare(b.After), a.Through.Compare(b.Through))
	})
}
