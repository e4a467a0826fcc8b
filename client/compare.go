package client

import (
	"context"
	"slices"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

const (
	// rowsToList is how many rows of a range are listed rather than narrowed down further.
	rowsToList = 4000
	// lookups is how many requests for single records are cheaper than a list of the whole table.
	lookups = 50
)

// idRange is a range of sys_ids that begin with prefix.
type idRange struct {
	servicenow.IDRange
	prefix string
}

// wholeRange holds every sys_id that this sync reads.
func (c *Client) wholeRange() idRange { return idRange{IDRange: c.sync.options.Shard.IDs()} }

// split cuts a range in 16 parts at most, by the next hexadecimal digit; ids that begin with none of them lie in the first
// or the last.
func (r idRange) split() []idRange {
	const digits = "0123456789abcdef"
	var parts []idRange
	for i := range digits {
		part := idRange{IDRange: r.IDRange, prefix: r.prefix + digits[i:i+1]}
		if i > 0 {
			part.Above = max(r.Above, part.prefix)
		}
		if i < len(digits)-1 {
			next := r.prefix + digits[i+1:i+2]
			if r.Through == "" || next < r.Through {
				part.Through = next
			}
		}
		if part.Through == "" || part.Above < part.Through {
			parts = append(parts, part)
		}
	}
	return parts
}

// compare finds out how the destination differs from the instance: rows that are missing or were left in another state are
// sent again, and rows without a record are returned. In a sweep every row is compared; otherwise only the ranges
// whose counts and sums differ, and what is gone is named in the report alone.
func (c *Client) compare(ctx context.Context, t *tally, out *sink, sweeps bool) ([]deletion, error) {
	d := &differences{}
	ranges := []idRange{c.wholeRange()}
	if t.mode != modeFull { // which has just read every record
		var err error
		if !sweeps {
			if ranges, err = c.differing(ctx, t, ranges[0], 0); err != nil {
				return nil, err
			}
		}
		for _, r := range ranges {
			if err := c.list(ctx, t, r, d); err != nil {
				return nil, err
			}
		}
	}
	if err := c.readAgain(ctx, t, out, d.again); err != nil {
		return nil, err
	}
	if len(d.again) > 0 {
		t.note("%d rows were missing in the destination (%d) or differed there (%d), and were read again", len(d.again), d.missing, len(d.again)-d.missing)
		t.repair(len(d.again))
	}
	gone, err := c.unmet(ctx, t, ranges, sweeps)
	if err != nil || sweeps {
		return gone, err
	}
	if len(gone) > 0 {
		t.note("%d rows of the destination have no record any more", len(gone))
	}
	return nil, nil
}

// differences are what a comparison found.
type differences struct {
	again   []string // sys_ids to be read again
	missing int      // of them, those that the destination does not have
}

// list compares a range of the destination's rows with the records of the selection, one by one.
func (c *Client) list(ctx context.Context, t *tally, r idRange, d *differences) error {
	fields := append(alwaysAsked(), "sys_mod_count")
	fields = append(fields, t.reading.KeepFields...)
	for _, q := range t.reading.Queries {
		read := servicenow.Read{
			Table: t.reading.From, Query: q, Fields: fields, Display: servicenow.Values, Pages: servicenow.NewPageSize(c.Spec.PageSize), Warn: c.warner(ctx),
			Window: servicenow.Window{ByID: true}, IDs: r.IDRange,
		}
		for page, err := range c.ServiceNow.ReadPages(ctx, read) {
			if err != nil {
				return err
			}
			if err := c.comparePage(ctx, t, page.Records, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Client) comparePage(ctx context.Context, t *tally, records []servicenow.Record, d *differences) error {
	var unknown []servicenow.Record
	for _, record := range records {
		key, _ := record.Key()
		// What is behind the window's start was read by this sync, or will be by the next one; so is what lies in no window.
		settled := key.UpdatedOn != "" && key.Compare(t.start) <= 0
		switch row := t.held.find(key.SysID); {
		case row == nil && settled && !t.held.fresh[strings.ToLower(key.SysID)]:
			unknown = append(unknown, record)
		case row == nil || row.met:
		default:
			row.met = true
			if settled && row.differs(record) {
				d.again = append(d.again, key.SysID)
			}
		}
	}
	if t.reading.Keep != nil && len(unknown) > 0 {
		var err error
		if unknown, err = t.reading.Keep(ctx, unknown); err != nil {
			return err
		}
	}
	for _, record := range unknown {
		key, _ := record.Key()
		d.again = append(d.again, key.SysID)
		d.missing++
	}
	return nil
}

// unmet returns the rows of some ranges whose record no longer exists. Records that the selection does not cover any more
// exist all the same, and so do hidden ones.
func (c *Client) unmet(ctx context.Context, t *tally, ranges []idRange, guarded bool) ([]deletion, error) {
	if t.held.missing() > lookups*idsPerRequest {
		// Many rows that the selection no longer covers, perhaps: a list of all records is cheaper than looking up each.
		for _, r := range ranges {
			if err := c.listAll(ctx, t, r); err != nil {
				return nil, err
			}
		}
	}
	labels := map[string]string{}
	var ids []string
	for _, r := range ranges {
		rows := t.held.between(r)
		for i := range rows {
			if !rows[i].met {
				ids = append(ids, rows[i].sysID())
				labels[rows[i].sysID()] = t.held.label(&rows[i])
			}
		}
	}
	lost, hidden, err := c.existing(ctx, t.reading.From, ids, func(gone int) error {
		if !guarded {
			return nil
		}
		return c.guard(t, gone, len(t.held.between(c.wholeRange())))
	})
	if err != nil {
		return nil, err
	}
	if hidden > 0 {
		t.note("%d rows of the destination belong to records that are hidden from the signed-in user", hidden)
	}
	gone := make([]deletion, len(lost))
	for i, id := range lost {
		gone[i] = deletion{sysID: id, label: labels[id], found: foundBySweep}
	}
	return gone, nil
}

// listAll notes which records of a range exist, whatever the selection.
func (c *Client) listAll(ctx context.Context, t *tally, r idRange) error {
	read := servicenow.Read{
		Table: t.reading.From, Fields: alwaysAsked(), Display: servicenow.Values, Pages: servicenow.NewPageSize(c.Spec.PageSize), Warn: c.warner(ctx),
		Window: servicenow.Window{ByID: true}, IDs: r.IDRange,
	}
	for page, err := range c.ServiceNow.ReadPages(ctx, read) {
		if err != nil {
			return err
		}
		for _, record := range page.Records {
			if key, ok := record.Key(); ok {
				if row := t.held.find(key.SysID); row != nil {
					row.met = true
				}
			}
		}
	}
	return nil
}

// differing returns the ranges whose counts and sums are not those of the destination's rows, narrowed down step by step.
// Only records from before the window are compared: later ones have just been sent, or will be by the next sync.
func (c *Client) differing(ctx context.Context, t *tally, r idRange, depth int) ([]idRange, error) {
	switch {
	case t.start.UpdatedOn == "":
		return nil, nil // nothing is behind a load that was interrupted at its beginning
	case len(t.reading.Queries) != 1:
		return []idRange{r}, nil
	}
	clauses := append(r.Clauses(), servicenow.Clause{Field: "sys_updated_on", Operator: "<", Value: t.start.UpdatedOn})
	sums, ok, err := c.trySum(ctx, t.reading.From, t.reading.Queries[0].And(clauses...))
	if err != nil {
		return nil, err
	}
	have, counted := t.held.sums(r, t.start.UpdatedOn)
	if !counted {
		have.Updates, sums.Updates = 0, 0
	}
	switch {
	case !ok:
		return []idRange{r}, nil
	case sums == have:
		return nil, nil
	case max(sums.Rows, have.Rows) <= rowsToList || depth >= 4:
		return []idRange{r}, nil
	}
	var found []idRange
	for _, part := range r.split() {
		some, err := c.differing(ctx, t, part, depth+1)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return slices.Clip(found), nil
}
