package client

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/scheduler/metrics"
	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/internal/arrowjson"
	"github.com/cqservicenow/cq-source-servicenow/internal/cursor"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// Codes of warnings about what a sync saw.
const (
	CodeRowsHidden   = "SN-READ-011" // rows counted, but not shown
	CodeValueInvalid = "SN-READ-012" // values that did not fit their column
)

const (
	// rowsPerBatch and bytesPerBatch bound a record batch: about 1,000 rows are cheapest on the wire, and no message may
	// come near gRPC's limit.
	rowsPerBatch  = 1000
	bytesPerBatch = 8 << 20
	// rowsPerCheckpoint is how many rows an interrupted load reads again at most.
	rowsPerCheckpoint = 20000
	// extrasPerCheckpoint is the same for rows with files, which take longer.
	extrasPerCheckpoint = 2000
)

// Reading is a ServiceNow table on its way into a destination table.
type Reading struct {
	// Table is the destination table; Columns says how each of its columns is filled.
	Table   *schema.Table
	Columns map[string]arrowjson.Column
	// From is the ServiceNow table, Queries what to read of it: disjoint queries, one behind the other.
	From    string
	Queries []servicenow.Query
	Fields  []string
	Display servicenow.Display
	// Of identifies what is read beside the table: cursors of something else do not count.
	Of cursor.Fingerprint
	// Classes are the names that deletes of the table's records are filed under, and Followers the columns of other destination
	// tables that name the record that their rows go with.
	Classes   []string
	Followers map[string]string
	// KeepFields are the fields that Keep needs.
	KeepFields []string
	// Keep drops records that are not wanted; nil keeps them all.
	Keep func(context.Context, []servicenow.Record) ([]servicenow.Record, error)
	// Also reads more records when a sync is incremental: those that the change of another record brings in. It is given
	// the key where the incremental window starts.
	Also func(context.Context, servicenow.Key) iter.Seq2[*servicenow.Page, error]
	// Beside brings what a row holds beside its record; nil when there is nothing. It is called for several records at
	// once, and dear: a record that a sync has sent is not brought again as long as it does not change.
	Beside func(context.Context, servicenow.Record) (Extra, error)
	// Wants reports whether Beside asks the instance for something, and AlsoTakes how many requests Also makes, about. Both
	// are for estimates, and may be nil.
	Wants     func(servicenow.Record) bool
	AlsoTakes func(context.Context, servicenow.Key) (int, error)
}

// Run reads the table from its cursor to the sync's clock, sends what it finds as record batches, and leaves a cursor
// behind them.
func (c *Client) Run(ctx context.Context, r Reading) error {
	began := time.Now()
	start, stored, err := c.start(ctx, r)
	if err != nil {
		return err
	}
	if c.sync.options.Plan != nil {
		return c.estimate(ctx, r, start, stored)
	}
	var rest []servicenow.Range
	if stored != nil {
		rest = stored.Unread(c.Spec.Overlap.Duration(), c.Through)
	}
	out, err := c.newSink(ctx, r)
	if err != nil {
		return err
	}
	defer out.close()
	out.before = stored
	out.tally.begin(r, start, stored)
	if err := c.countBefore(ctx, out.tally); err != nil {
		return err
	}
	if err := out.remember(ctx, start, stored); err != nil {
		return err
	}
	for _, q := range r.Queries {
		if rest == nil && fitsOnePage(start) {
			if whole, err := c.changes(ctx, r, out, q, start); err != nil || whole {
				if err != nil {
					return err
				}
				continue
			}
		}
		if err := c.window(ctx, r, out, q, servicenow.Window{Through: c.Through, Stray: true}, nil, false); err != nil {
			return err
		}
		// Only one query has all that is unread in its ranges, and what Also reads depends on the start.
		checkpoints := len(r.Queries) == 1 && (r.Also == nil || start == servicenow.Key{})
		if err := c.window(ctx, r, out, q, servicenow.Window{After: start, Through: c.Through}, rest, checkpoints); err != nil {
			return err
		}
		if c.sync.options.State == nil {
			if err := c.catchUp(ctx, r, out, q); err != nil {
				return err
			}
		}
	}
	if r.Also != nil && start != (servicenow.Key{}) {
		if err := out.pages(ctx, r.Also(ctx, start)); err != nil {
			return err
		}
	}
	if err := out.flush(ctx); err != nil {
		return err
	}
	if err := out.commit(ctx, nil, true); err != nil {
		return err
	}
	if err := c.countAfter(ctx, out.tally); err != nil {
		return err
	}
	out.recall.warn(c.warner(ctx))
	c.summarise(ctx, r, out, time.Since(began))
	return nil
}

// fitsOnePage reports whether what lies behind a start may be few enough for one page: after a sync that was read to its end.
func fitsOnePage(start servicenow.Key) bool { return start.UpdatedOn != "" && start.SysID == "" }

// changes reads what changed behind start, and the strays, with one request. whole is false when that did not show all of
// them.
func (c *Client) changes(ctx context.Context, r Reading, out *sink, q servicenow.Query, start servicenow.Key) (whole bool, err error) {
	w := servicenow.Window{After: start, Through: c.Through, Open: true}
	read := c.read(r, q, w, nil)
	read.Pages, read.Warn = out.pageSize, c.warner(ctx)
	page, err := c.ServiceNow.ReadOpen(ctx, read)
	if err != nil || page == nil {
		return false, err
	}
	seen := out.tally.span(w)
	out.recent = seen.page(page)
	if err := out.add(ctx, page.Records); err != nil {
		return false, err
	}
	seen.end()
	return true, nil
}

// catchUp reads what changed after the window's end, while its pages were read. With a cursor, the next sync would meet these
// rows; without one, the destination takes what a sync did not bring for stale and deletes it.
func (c *Client) catchUp(ctx context.Context, r Reading, out *sink, q servicenow.Query) error {
	for through := c.Through; ; {
		now, err := c.clock(ctx, false)
		if err != nil {
			return err
		}
		if now.Format(servicenow.DateTime) <= through {
			return nil
		}
		w := servicenow.Window{After: servicenow.Key{UpdatedOn: through}, Through: now.Add(c.Spec.Overlap.Duration()).Format(servicenow.DateTime)}
		if err := c.window(ctx, r, out, q, w, nil, false); err != nil {
			return err
		}
		through = w.Through
	}
}

// start finds where the table's window starts; the zero key is a full sync. stored is the cursor that it goes on from, nil in
// a full sync. The log says which of both it is, and why.
func (c *Client) start(ctx context.Context, r Reading) (start servicenow.Key, stored *cursor.Cursor, err error) {
	if c.sync.options.State == nil {
		return servicenow.Key{}, nil, nil
	}
	stored, err = c.sync.options.State.Cursor(c.cursorKey(r))
	if err != nil {
		return servicenow.Key{}, nil, fmt.Errorf("reading the cursor of %s: %w", r.Table.Name, err)
	}
	if stored != nil && stored.Source == r.Of {
		stored = c.sync.options.State.believe(ctx, c.cursorKey(r), r.Table.Name, c.InstanceName, stored, c.warner(ctx))
	}
	log := c.Logger.Info().Str("table", r.Table.Name).Str("instance", c.Label())
	switch {
	case stored == nil:
		log.Msg("full sync: no cursor is stored, or none that can be gone on from")
		return servicenow.Key{}, nil, nil
	case stored.Source != r.Of:
		log.Str("reason", stored.Source.Difference(r.Of)).Msg("full sync: the stored cursor is of another selection")
		return servicenow.Key{}, nil, nil
	case stored.ReadAt > c.Through:
		// Where the clock really stood at the last sync is not known, nor what has changed since.
		log.Str("stored", stored.ReadAt).Str("now", c.Now).Msg("full sync: the instance's clock was set back since the cursor was stored")
		return servicenow.Key{}, nil, nil
	}
	start = stored.Start(c.Spec.Overlap.Duration())
	if stored.Complete {
		log.Str("from", start.UpdatedOn).Msg("incremental sync")
	} else {
		log.Str("from", start.UpdatedOn).Msg("going on with an interrupted sync")
	}
	return start, stored, nil
}

func (c *Client) cursorKey(r Reading) string { return c.cursorKeyOf(r.Table.Name) }

func (c *Client) cursorKeyOf(table string) string {
	return cursor.Key(c.InstanceName, c.Name, table) + c.sync.options.Shard.key()
}

// window reads one window of one query, or what is left of it.
func (c *Client) window(ctx context.Context, r Reading, out *sink, q servicenow.Query, w servicenow.Window, rest []servicenow.Range, checkpoints bool) error {
	seen := out.tally.span(w)
	every := rowsPerCheckpoint
	if r.Beside != nil {
		every = extrasPerCheckpoint
	}
	read := c.read(r, q, w, rest)
	read.Pages, read.Warn = out.pageSize, c.warner(ctx)
	for page, err := range c.ServiceNow.ReadPages(ctx, read) {
		if err != nil {
			return err
		}
		out.recent = seen.page(page)
		out.sinceCommit += len(page.Records)
		if err := out.add(ctx, page.Records); err != nil {
			return err
		}
		if checkpoints && len(page.Records) > 0 && out.sinceCommit >= every {
			if err := out.flush(ctx); err != nil {
				return err
			}
			if err := out.commit(ctx, page.Rest, false); err != nil {
				return err
			}
		}
	}
	seen.end()
	return nil
}

// read asks for a window of a query.
func (c *Client) read(r Reading, q servicenow.Query, w servicenow.Window, rest []servicenow.Range) servicenow.Read {
	return servicenow.Read{
		Table: r.From, Query: q, Fields: r.Fields, Display: r.Display, Window: w, Rest: rest, IDs: c.sync.options.Shard.IDs(),
		AtOnce: c.atOnce(r), Settled: c.settled(), Warn: c.Warn,
	}
}

// mostAtOnce is how many ranges of a table are read side by side at most.
const mostAtOnce = 16

// atOnce is that number for a reading. Several queries, and records that wait for something beside them, gain nothing;
// and what Also reads depends on the order.
func (c *Client) atOnce(r Reading) int {
	switch {
	case len(r.Queries) > 1 || r.Beside != nil || r.Also != nil:
		return 1
	case c.Spec.Concurrency > 0:
		return min(c.Spec.Concurrency, mostAtOnce)
	}
	return mostAtOnce
}

// settled is the time before which no record is committed any more: from there on a window is read in order, and last.
func (c *Client) settled() string {
	return (&cursor.Cursor{ReadAt: c.Now}).Settled(c.Spec.Overlap.Duration())
}

// sink turns records into batches in the stream.
type sink struct {
	client      *Client
	reading     Reading
	builder     *arrowjson.Builder
	table       *schema.Table // as the destination sees it
	pageSize    *servicenow.PageSize
	metrics     *metrics.Metrics
	rows        int
	sinceCommit int    // rows read since the last cursor, those included that Keep drops
	tally       *tally // of the table in this sync
	recent      bool   // whether rows of the current page may have been sent before
	recall      recall // of what is beside records
	sent        *sent  // the rows, where their arrival is to be proven
	before      *cursor.Cursor
}

func (c *Client) newSink(ctx context.Context, r Reading) (*sink, error) {
	table := r.Table.Copy(nil)
	if c.sync.options.DeterministicID {
		schema.CqIDAsPK(table)
	}
	columns := make([]arrowjson.Column, len(table.Columns))
	for i, column := range table.Columns {
		how, ok := r.Columns[column.Name]
		if !ok {
			return nil, fmt.Errorf("filling %s: nothing fills the column %s", table.Name, column.Name)
		}
		switch how.Source {
		case arrowjson.ID, arrowjson.Constant:
			how.Text = c.InstanceName
		case arrowjson.Link:
			how.Text = c.BaseURL.String() + how.Text
		}
		columns[i] = how
	}
	builder, err := arrowjson.NewBuilder(c.sync.options.Allocator, table.ToArrowSchema(), columns)
	if err != nil {
		return nil, fmt.Errorf("filling %s: %w", table.Name, err)
	}
	counters := metrics.NewMetrics()
	counters.InitWithClients(table, []schema.ClientMeta{c})
	out := &sink{
		client: c, reading: r, builder: builder, table: table, pageSize: servicenow.NewPageSize(c.Spec.PageSize), metrics: counters,
		tally: tallyOf(ctx), recent: true,
	}
	if state := c.sync.options.State; state != nil && state.evidence != nil {
		out.sent = newSent()
	}
	return out, nil
}

func (s *sink) close() {
	s.tally.columns(s.builder)
	s.builder.Release()
}

func (s *sink) pages(ctx context.Context, pages iter.Seq2[*servicenow.Page, error]) error {
	s.recent = true
	for page, err := range pages {
		if err != nil {
			return err
		}
		if err := s.add(ctx, page.Records); err != nil {
			return err
		}
	}
	return nil
}

func (s *sink) add(ctx context.Context, records []servicenow.Record) error {
	if s.reading.Keep != nil {
		var err error
		if records, err = s.reading.Keep(ctx, records); err != nil {
			return err
		}
	}
	if s.reading.Beside == nil {
		for _, record := range records {
			if err := s.append(ctx, record, nil); err != nil {
				return err
			}
		}
		return nil
	}
	return s.addWithExtras(ctx, records)
}

func (s *sink) append(ctx context.Context, record servicenow.Record, given [][]byte) error {
	if err := s.builder.Append(record, given...); err != nil {
		return fmt.Errorf("filling %s: %w", s.table.Name, err)
	}
	if s.sent != nil {
		s.sent.note(s.builder.SysID())
	}
	s.tally.row(record, s.builder.SysID(), s.recent)
	if s.builder.Rows() >= rowsPerBatch || s.builder.Bytes() >= bytesPerBatch {
		return s.flush(ctx)
	}
	return nil
}

// flush sends the rows collected so far.
func (s *sink) flush(ctx context.Context) error {
	rows := s.builder.Rows()
	if rows == 0 {
		return nil
	}
	if err := s.client.send(ctx, &message.SyncInsert{Record: s.builder.Batch()}); err != nil {
		return err
	}
	s.rows += rows
	// The scheduler counts only what resolvers hand to it; these rows do not pass through its hands.
	s.metrics.AddResources(ctx, int64(rows), s.metrics.NewSelector(s.client.ID(), s.table.Name))
	return nil
}

// commit stores a cursor behind the rows sent so far. rest is what is unread of the window.
func (s *sink) commit(ctx context.Context, rest []servicenow.Range, complete bool) error {
	state := s.client.sync.options.State
	if state == nil {
		return nil
	}
	s.sinceCommit = 0
	c := &cursor.Cursor{
		Source: s.reading.Of, Position: servicenow.Key{UpdatedOn: s.client.Now}, ReadAt: s.client.Now, Complete: complete,
		Rest: rest, Again: s.recall.again(), Sent: s.recall.marksToKeep(), Rows: s.sent.count(),
	}
	if len(rest) > 0 {
		c.Position = rest[0].After
	}
	return state.commit(s.client.sync.options.Allocator, s.client.cursorKey(s.reading), c, s.before, s.table, func(m message.SyncMessage) error { return s.client.send(ctx, m) })
}

// summarise says in one line what the sync of a table did, and warns of what a reader of the table should know.
func (c *Client) summarise(ctx context.Context, r Reading, out *sink, took time.Duration) {
	stats := c.ServiceNow.Stats()
	c.Logger.Info().Str("table", r.Table.Name).Str("instance", c.Label()).Int("rows", out.rows).Dur("duration_ms", took).
		Int64("instance_requests", stats.Requests).Int64("instance_retries", stats.Retries).Msg("table read to its end")
	warn := c.warner(ctx)
	if out.sent != nil && out.sent.lost {
		warn(CodeNotChecked, fmt.Sprintf("the rows of %s are too many to be counted, so the next sync cannot check that they arrived", r.Table.Name))
	}
	if hidden := out.tally.unexplained(); hidden > 0 {
		warn(CodeRowsHidden, fmt.Sprintf("%d rows of %s were counted, but not shown: row security hides them from the signed-in user, or they changed during the sync", hidden, r.From))
	}
	if invalid := out.builder.Invalid(); len(invalid) > 0 {
		var parts []string
		for _, column := range slices.Sorted(maps.Keys(invalid)) {
			parts = append(parts, fmt.Sprintf("%s (%d)", column, invalid[column]))
		}
		warn(CodeValueInvalid, "values of "+r.Table.Name+" that do not fit their column's type became NULL: "+strings.Join(parts, ", ")+"; `record` holds them as they are")
	}
}
