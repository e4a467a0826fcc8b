package client

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// Verdicts on what one sync did to a table.
const (
	verdictComplete   = "complete"
	verdictIncomplete = "incomplete"
	verdictFailed     = "failed"
)

// Finish ends a sync whose tables were read. It finds what was deleted, now that no rows are on their way; it says in the log
// what was done to each table, and sends the same as rows where the config names the table of reports.
func (s *Sync) Finish(ctx context.Context) error {
	if s.options.Plan != nil {
		return nil
	}
	s.mu.Lock()
	tallies := s.sorted()
	s.mu.Unlock()
	for _, t := range tallies {
		if t.err == nil && t.reading != nil && t.client.settles(t) && ctx.Err() == nil {
			t.end(t.client.settle(t.context(ctx), t))
		}
	}
	var rows []map[string]any
	for _, t := range tallies {
		t.log()
		rows = append(rows, t.report(s.options.Run))
	}
	if err := ctx.Err(); err != nil {
		return err // nobody takes messages any more
	}
	if s.options.Report == nil || len(rows) == 0 {
		return nil
	}
	if err := s.sendRows(ctx, s.options.Report, rows); err != nil {
		return fmt.Errorf("reporting: %w", err)
	}
	return nil
}

// countBefore and countAfter ask the Aggregate API for the rows of the reading, for the report. An incremental sync is not
// to cost the instance a count of whole tables.
func (c *Client) countBefore(ctx context.Context, t *tally) (err error) {
	t.before, err = c.countSource(ctx, t)
	return err
}

func (c *Client) countAfter(ctx context.Context, t *tally) (err error) {
	t.after, err = c.countSource(ctx, t)
	return err
}

func (c *Client) countSource(ctx context.Context, t *tally) (int, error) {
	if c.sync.options.Report == nil || t.mode == modeIncremental || t.reading == nil || len(t.reading.Queries) != 1 {
		return -1, nil
	}
	return c.tryCount(ctx, t.reading.From, t.reading.Queries[0].And(c.wholeRange().Clauses()...))
}

// unexplained is how many rows were counted and never shown, less those that went away during the sync.
func (t *tally) unexplained() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hidden - t.gone()
}

// gone is how many of the rows that did not come no longer exist, as the counts before and after tell.
func (t *tally) gone() int {
	if t.before < 0 || t.after < 0 {
		return 0
	}
	return min(max(t.before-t.after, 0), t.hidden)
}

// verdict says whether the table is complete, and why not.
func (t *tally) verdict() (verdict, reason string) {
	var reasons []string
	say := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	verdict = verdictComplete
	switch {
	case t.err != nil:
		return verdictFailed, t.err.Error()
	case t.gone() > 0:
		say("%d rows were deleted while the table was read", t.gone())
	}
	if hidden := t.hidden - t.gone(); hidden > 0 {
		verdict = verdictIncomplete
		say("%d rows were counted, but not shown: row security hides them, or they changed during the sync (%s)", hidden, CodeRowsHidden)
	}
	if t.warnings[servicenow.CodeNoCounts] > 0 {
		verdict = verdictIncomplete
		say("the instance tells no row counts, so the end of the table is not proven (%s)", servicenow.CodeNoCounts)
	}
	return verdict, strings.Join(append(reasons, t.notes...), "; ")
}

// report is the tally as a row of the table of reports.
func (t *tally) report(run string) map[string]any {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, used := t.client, t.usage.Counts()
	verdict, reason := t.verdict()
	row := map[string]any{
		"instance": c.InstanceName, "name": c.Name, "table_name": t.table, "run_id": run,
		"started_at": t.began.UTC(), "ended_at": t.finished().UTC(),
		"verdict": verdict, "rows_sent": t.sent, "rows_distinct": t.sent - t.twice, "rows_duplicate": t.twice,
		"rows_deleted": t.deleted, "rows_repaired": t.repaired, "requests": used.Requests, "retries": used.Retries, "waited_ms": used.Waited.Milliseconds(), "bytes": used.Bytes,
	}
	optional := func(column, value string) {
		if value != "" {
			row[column] = value
		}
	}
	optional("reason", reason)
	optional("mode", t.mode)
	optional("warnings", asJSON(t.warnings))
	optional("values_null", asJSON(t.invalid))
	if t.reading == nil {
		return row
	}
	row["pages"], row["pages_short"] = used.Pages, used.ShortPages
	row["rows_counted"], row["rows_shown"], row["rows_hidden"] = t.counted, t.shown, t.hidden
	row["window_end"] = parsed(c.Through)
	if t.start.UpdatedOn != "" {
		row["window_start"] = parsed(t.start.UpdatedOn)
	}
	if t.mode == modeIncremental {
		row["rows_new"], row["rows_changed"] = t.created, t.changed
	}
	for column, n := range map[string]int{"source_count_before": t.before, "source_count_after": t.after} {
		if n >= 0 {
			row[column] = n
		}
	}
	if fields := t.neverReturned(); len(fields) > 0 {
		row["fields_hidden"] = fields
	}
	return row
}

// finished is when the table was read; now, when it never was.
func (t *tally) finished() time.Time {
	if t.ended.IsZero() {
		return time.Now()
	}
	return t.ended
}

func parsed(stamp string) any {
	at, err := time.Parse(servicenow.DateTime, stamp)
	if err != nil {
		return nil
	}
	return at
}

// asJSON writes counts by name; "" for none.
func asJSON(counts map[string]int) string {
	if len(counts) == 0 {
		return ""
	}
	text, err := json.Marshal(counts)
	if err != nil {
		panic(err) // texts and numbers
	}
	return string(text)
}

// log says in one line what a sync did to the table.
func (t *tally) log() {
	t.mu.Lock()
	defer t.mu.Unlock()
	used := t.usage.Counts()
	verdict, _ := t.verdict()
	line := t.client.Logger.Info().Str("table", t.table).Str("instance", t.client.Label()).Str("verdict", verdict).Str("mode", t.mode).
		Int("rows", t.sent).Int("deleted", t.deleted).Int("repaired", t.repaired).Int64("requests", used.Requests).Int64("retries", used.Retries).
		Int64("bytes", used.Bytes).Int64("waited_ms", used.Waited.Milliseconds()).Int64("duration_ms", t.finished().Sub(t.began).Milliseconds())
	if t.mode == modeIncremental {
		line = line.Int("new", t.created).Int("changed", t.changed)
	}
	var warnings []string
	for _, code := range slices.Sorted(maps.Keys(t.warnings)) {
		warnings = append(warnings, fmt.Sprintf("%s (%d)", code, t.warnings[code]))
	}
	if len(warnings) > 0 {
		line = line.Str("warnings", strings.Join(warnings, ", "))
	}
	line.Msg("sync summary")
}
