package client

import (
	"context"
	"slices"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/cursor"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Estimate is what a sync would read of one table of one instance.
type Estimate struct {
	// Table is the destination table; Instance names the instance to people, and Address is its own.
	Table, Instance, Address string
	// From is where the window starts, "" in a full sync. Interrupted says that it goes on with an interrupted one.
	From        string
	Interrupted bool
	// Rows is how many rows the instance counts, -1 when it does not tell; Files, how many files about are fetched for them,
	// -1 also where there are none to fetch.
	Rows, Files int
	// Estimated is set where rows are counted that need not come: Rows is then an estimate from the first of them.
	Estimated bool
	// Requests is about how many requests it takes, -1 when the rows are not known. Setup, what an instance takes beside
	// its tables.
	Requests, Setup int
	// Took is about how long that takes while nothing holds requests back. PerHour is the budget that may; 0 is none.
	Took    time.Duration
	PerHour int
}

const (
	// sampled is how many rows are looked at, and sampledWithFiles the same where the rows are small and differ more.
	sampled          = 100
	sampledWithFiles = 1000
	// expectedAtOnce is how many requests are taken to be in flight: what one node of an instance serves. How far the
	// limiter gets beyond that only a sync shows.
	expectedAtOnce = 4
)

// estimate says what Run would do, and reads no more than the first rows.
func (c *Client) estimate(ctx context.Context, r Reading, start servicenow.Key, stored *cursor.Cursor) error {
	e := c.newEstimate(r.Table.Name)
	e.From = start.UpdatedOn
	var rest []servicenow.Range
	if stored != nil {
		e.Interrupted = !stored.Complete
		rest = stored.Unread(c.Spec.Overlap.Duration(), c.Through)
	}
	pageRows := servicenow.NewPageSize(c.Spec.PageSize).Rows()
	pages := 0
	var look sample
	for _, q := range r.Queries {
		counted, inTwo := 0, 0 // requests for strays and window by themselves
		for _, read := range []servicenow.Read{
			c.read(r, q, servicenow.Window{Through: c.Through, Stray: true}, nil),
			c.read(r, q, servicenow.Window{After: start, Through: c.Through}, rest),
		} {
			n, err := c.ServiceNow.CountRead(ctx, read)
			if hidden(err) {
				return c.planned(e, -1) // without counts nothing more can be said
			}
			if err != nil {
				return err
			}
			counted += n
			inTwo += max(requestsFor(n, pageRows), 1)
			if n > 0 && len(look.records) < r.sampled() {
				if err := look.take(ctx, c, read, r.sampled()); err != nil {
					return err
				}
			}
		}
		e.Rows += counted
		switch {
		case rest != nil || !fitsOnePage(start):
			pages += inTwo
		case counted <= pageRows:
			pages++
		default:
			pages += 1 + inTwo
		}
	}
	requests := pages
	if len(look.records) > 0 {
		kept, asked, err := c.kept(ctx, r, look.records, stored)
		if err != nil {
			return err
		}
		// What the first rows show is scaled up.
		requests += scaled(asked, e.Rows, len(look.records))
		e.Estimated = len(kept) < len(look.records) || r.Keep != nil && len(look.records) < e.Rows
		e.Rows = scaled(len(kept), e.Rows, len(look.records))
		if r.Wants != nil {
			e.Files = scaled(wanted(r, kept), e.Rows, len(kept))
		}
	}
	if r.Beside != nil && stored != nil && len(stored.Again) > 0 && start != (servicenow.Key{}) {
		if err := c.estimateAgain(ctx, r, stored.Again, e); err != nil {
			return err
		}
		requests += requestsFor(len(stored.Again), idsPerRequest)
	}
	if r.AlsoTakes != nil && start != (servicenow.Key{}) {
		more, err := r.AlsoTakes(ctx, start)
		if err != nil {
			return err
		}
		requests += more
	}
	perPage := look.single + look.perRow*time.Duration(min(e.Rows, pageRows))
	atOnce := time.Duration(max(min(c.atOnce(r), expectedAtOnce, pages), 1))
	e.Took = time.Duration(pages)*perPage/atOnce + time.Duration(requests-pages)*look.single
	if files := max(e.Files, 0); files > 0 {
		requests += files
		e.Took += time.Duration(files) * look.single / expectedAtOnce
	}
	return c.planned(e, requests)
}

// kept returns the records that a sync would send, and how many requests it took to know.
func (c *Client) kept(ctx context.Context, r Reading, records []servicenow.Record, stored *cursor.Cursor) (kept []servicenow.Record, asked int, err error) {
	kept = slices.Clone(records)
	if r.Keep != nil {
		before := c.ServiceNow.Stats().Requests
		if kept, err = r.Keep(ctx, kept); err != nil {
			return nil, 0, err
		}
		asked = int(c.ServiceNow.Stats().Requests - before)
	}
	if r.Beside != nil && stored != nil {
		last := recall{known: map[string]bool{}}
		for _, mark := range stored.Sent {
			last.known[mark] = true
		}
		kept = slices.DeleteFunc(kept, last.sent)
	}
	return kept, asked, nil
}

// estimateAgain adds the records that the last sync could not have in whole, by a look at the first of them.
func (c *Client) estimateAgain(ctx context.Context, r Reading, ids []string, e *Estimate) error {
	first := ids[:min(len(ids), idsPerRequest)]
	records, _, err := c.ServiceNow.FirstPage(ctx, c.again(r, first, servicenow.NewPageSize(idsPerRequest)))
	if err != nil {
		return err
	}
	e.Rows += scaled(len(records), len(ids), len(first))
	if r.Wants != nil {
		e.Files = max(e.Files, 0) + scaled(wanted(r, records), len(ids), len(first))
	}
	return nil
}

func wanted(r Reading, records []servicenow.Record) int {
	n := 0
	for _, record := range records {
		if r.Wants(record) {
			n++
		}
	}
	return n
}

// sampled is how many rows of a reading are looked at.
func (r *Reading) sampled() int {
	if r.Wants != nil {
		return sampledWithFiles
	}
	return sampled
}

// estimateCatalogue describes the tables as a sync would, since that takes counts alone.
func (c *Client) estimateCatalogue(ctx context.Context, table string) error {
	e := c.newEstimate(table)
	began, before := time.Now(), c.ServiceNow.Stats().Requests
	for _, name := range catalogued() {
		if _, err := c.describe(ctx, name); err != nil {
			return err
		}
		e.Rows++
	}
	e.Took = time.Since(began)
	return c.planned(e, int(c.ServiceNow.Stats().Requests-before))
}

// newEstimate begins one, with the requests that the instance and the table took before the first row.
func (c *Client) newEstimate(table string) *Estimate {
	asked := c.ServiceNow.Stats().Requests
	return &Estimate{Table: table, Instance: c.Label(), Address: c.BaseURL.String(), Setup: int(c.prepared), Files: -1, Requests: int(asked - c.began)}
}

// planned hands an estimate over, with the requests that the rows take; -1 where nobody knows.
func (c *Client) planned(e *Estimate, requests int) error {
	if requests < 0 {
		e.Rows, e.Files, e.Requests = -1, -1, -1
	} else {
		e.Requests += requests
	}
	e.PerHour = c.ServiceNow.Stats().PerHour
	c.sync.options.Plan(*e)
	return nil
}

// sample is the first records of a reading, and how long records take.
type sample struct {
	records        []servicenow.Record
	single, perRow time.Duration // of a request with one row, and of each row more
}

// take looks at the first rows of a window. The first look has no row but one, which tells what a request takes anyway.
func (s *sample) take(ctx context.Context, c *Client, read servicenow.Read, most int) error {
	if s.single == 0 {
		read.Pages = servicenow.NewPageSize(1)
		_, took, err := c.ServiceNow.FirstPage(ctx, read)
		if err != nil {
			return err
		}
		s.single = took
	}
	read.Pages = servicenow.NewPageSize(most)
	records, took, err := c.ServiceNow.FirstPage(ctx, read)
	if err != nil {
		return err
	}
	if len(records) > 1 && s.perRow == 0 {
		s.perRow = max(took-s.single, 0) / time.Duration(len(records)-1)
	}
	s.records = append(s.records, records...)
	return nil
}

// requestsFor is how many requests a number of things takes, so many with each.
func requestsFor(n, each int) int { return (n + each - 1) / each }

// scaled takes what is true of some for true of all.
func scaled(n, all, some int) int {
	if some == 0 {
		return 0
	}
	return (n*all + some/2) / some
}

// hidden reports whether the instance does not tell counts to this user.
func hidden(err error) bool {
	switch usererror.CodeOf(err) {
	case servicenow.CodeTableForbidden, servicenow.CodeQueryForbidden, servicenow.CodeRefused:
		return true
	}
	return false
}
