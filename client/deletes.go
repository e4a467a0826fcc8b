package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/cursor"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Codes of deletes.
const (
	CodeDeletesNeedBackend = "SN-DELETE-001" // deletes or reconcile without backend_options
	CodeReadBack           = "SN-DELETE-002" // the destination does not answer reads
	CodeDeleteGuard        = "SN-DELETE-003" // too many rows would go
	CodeAuditForbidden     = "SN-DELETE-004" // sys_audit_delete is not for this user
	CodeAuditForgotten     = "SN-DELETE-005" // sys_audit_delete begins behind the cursor
	CodeAuditEmpty         = "SN-DELETE-006" // warning: sys_audit_delete shows nothing at all
	CodeDeletesNowhere     = "SN-DELETE-007" // deletes would leave no trace in the destination
)

// How a delete was found.
const (
	foundByAudit = "audit"
	foundBySweep = "sweep"
)

// CheckDeletes refuses, before any request, what deletes and reconcile cannot do without a backend.
func CheckDeletes(i *spec.Instance, state *State) error {
	if state != nil || i.Deletes == spec.DeletesNone && !i.Reconcile {
		return nil
	}
	return usererror.New(CodeDeletesNeedBackend, "deletes and reconcile compare the instance with what former syncs have left in the destination, and the config has no backend_options",
		"add backend_options with the destination's connection, or write deletes: none and reconcile: false")
}

// checkDeletes finds out whether rows can be removed.
func (s *Sync) checkDeletes(ctx context.Context) error {
	for _, c := range s.Instances {
		if c.Spec.Deletes == spec.DeletesNone {
			continue
		}
		switch c.Spec.DeletedRows {
		case spec.DeletedRowsRemove:
			c.removes = true
		case spec.DeletedRowsAuto:
			name, err := s.options.State.destination(ctx)
			if err != nil {
				c.Logger.Info().Str("cause", err.Error()).Msg("the destination does not tell its name")
			}
			c.removes = deletesRecords(name)
		}
		if !c.removes && s.options.Deleted == nil {
			return usererror.New(CodeDeletesNowhere, "deleted records would leave no trace: their rows are kept, and the config does not name the table servicenow_deleted_records",
				"add servicenow_deleted_records to tables, or write deleted_rows: remove if the destination deletes single records")
		}
	}
	return nil
}

// deletion is a record that is gone.
type deletion struct {
	sysID, label, by, found string
	on                      time.Time
}

// settles reports whether there is anything to find.
func (c *Client) settles(t *tally) bool {
	return c.Spec.Deletes != spec.DeletesNone || t.held != nil
}

// settle finds the deleted records of a table that was read, and what else the destination lacks.
func (c *Client) settle(ctx context.Context, t *tally) error {
	out, err := c.newSink(ctx, *t.reading)
	if err != nil {
		return err
	}
	defer out.close()
	out.recall = recall{known: map[string]bool{}, failed: map[string]bool{}}
	sweeps, err := c.sweepDue(t.table)
	if err != nil {
		return err
	}
	var gone []deletion
	if t.held != nil {
		if t.held.err != nil {
			return t.held.err
		}
		if gone, err = c.compare(ctx, t, out, sweeps); err != nil {
			return err
		}
	}
	var audited *cursor.Cursor
	if c.Spec.Deletes == spec.DeletesAudit && c.sync.options.Shard.First() { // once for all of them
		var noted []deletion
		if noted, audited, err = c.audit(ctx, t, out); err != nil {
			return err
		}
		gone = merge(gone, noted)
	}
	if err := out.flush(ctx); err != nil {
		return err
	}
	if err := c.remove(ctx, t, out, gone); err != nil {
		return err
	}
	if audited != nil {
		if err := c.commitBeside(ctx, out, auditCursor, audited); err != nil {
			return err
		}
	}
	return c.commitSweep(ctx, t, out, sweeps)
}

// merge joins what was found in two ways; the audit knows more.
func merge(swept, audited []deletion) []deletion {
	known := map[string]bool{}
	for _, d := range audited {
		known[strings.ToLower(d.sysID)] = true
	}
	return append(slices.DeleteFunc(swept, func(d deletion) bool { return known[strings.ToLower(d.sysID)] }), audited...)
}

// The names of the cursors beside a table's own.
const (
	auditCursor = "audit"
	sweepCursor = "sweep"
)

func (c *Client) commitBeside(ctx context.Context, out *sink, name string, at *cursor.Cursor) error {
	key := c.cursorKeyOf(out.reading.Table.Name) + "/" + name
	return c.sync.options.State.commit(c.sync.options.Allocator, key, at, nil, out.table, func(m message.SyncMessage) error { return c.send(ctx, m) })
}

// sweepDue reports whether the destination's rows of a table are to be compared with the instance in this sync.
func (c *Client) sweepDue(table string) (bool, error) {
	every := c.Spec.SweepEvery
	if c.Spec.Deletes == spec.DeletesNone || every == (spec.Every{}) {
		return false, nil
	}
	last, err := c.sync.options.State.Cursor(c.cursorKeyOf(table) + "/" + sweepCursor)
	switch {
	case err != nil:
		return false, fmt.Errorf("reading the cursor of the sweep of %s: %w", table, err)
	case last == nil:
		return true, nil
	case every.Syncs > 0:
		return last.Syncs+1 >= every.Syncs, nil
	}
	at, err := time.Parse(servicenow.DateTime, last.ReadAt)
	if err != nil {
		return true, nil //nolint:nilerr // a sweep is always right
	}
	now, err := time.Parse(servicenow.DateTime, c.Now)
	return err != nil || now.Sub(at) >= every.Time, nil //nolint:nilerr // the same
}

// commitSweep remembers when the table was swept; where that is counted in syncs, it counts.
func (c *Client) commitSweep(ctx context.Context, t *tally, out *sink, swept bool) error {
	at := &cursor.Cursor{Source: t.reading.Of, Position: servicenow.Key{UpdatedOn: c.Now}, ReadAt: c.Now, Complete: true}
	if !swept {
		last, err := c.sync.options.State.Cursor(c.cursorKeyOf(t.table) + "/" + sweepCursor)
		if err != nil || last == nil || c.Spec.SweepEvery.Syncs == 0 || c.Spec.Deletes == spec.DeletesNone {
			return err
		}
		counted := *last
		counted.Syncs++
		at = &counted
	}
	return c.commitBeside(ctx, out, sweepCursor, at)
}

// guard refuses to take too large a share of rows for deleted.
func (c *Client) guard(t *tally, gone, of int) error {
	share := *c.Spec.DeleteGuard
	if gone == 0 || float64(gone) <= float64(share)*float64(of) {
		return nil
	}
	return usererror.New(CodeDeleteGuard, fmt.Sprintf("%d of the %d rows of %s would count as deleted, which is more than delete_guard allows (%s); nothing was removed", gone, of, t.table, share),
		"see whether the signed-in user lost a role or access to a domain; if the records are really gone, set delete_guard higher for one sync")
}

// existing looks records up by their sys_ids, whatever the selection, and returns which of them are gone. What the instance
// counts and does not show is hidden, and not gone. stop ends the search, for instance when too many are gone.
func (c *Client) existing(ctx context.Context, table string, ids []string, stop func(gone int) error) (gone []string, hidden int, err error) {
	var look func(ids []string) error
	look = func(ids []string) error {
		query := servicenow.Where(in("sys_id", ids))
		list, err := c.ServiceNow.ListRecords(ctx, table, servicenow.ListOptions{
			Query: query, Fields: alwaysAsked(), Display: servicenow.Values, Limit: len(ids), Count: true,
		})
		if err != nil {
			return fmt.Errorf("looking for deleted records: %w", err)
		}
		counted := list.Total
		if counted < 0 {
			if counted, err = c.tryCount(ctx, table, query); err != nil {
				return err
			}
		}
		shown := map[string]bool{}
		for _, record := range list.Records {
			id, ok := record.Text("sys_id")
			if !ok {
				return usererror.New(servicenow.CodeKeyHidden, "records of "+table+" come without sys_id", "give the signed-in user read access to the field")
			}
			shown[strings.ToLower(id)] = true
		}
		var unseen []string
		for _, id := range ids {
			if !shown[strings.ToLower(id)] {
				unseen = append(unseen, id)
			}
		}
		switch unshown := counted - len(shown); {
		case unshown <= 0:
			gone = append(gone, unseen...)
			return stop(len(gone))
		case unshown >= len(unseen):
			hidden += len(unseen)
			return nil
		}
		// Some are hidden and some are gone: which, only smaller lists tell.
		half := len(unseen) / 2
		if err := look(unseen[:half]); err != nil {
			return err
		}
		return look(unseen[half:])
	}
	for some := range slices.Chunk(ids, idsPerRequest) {
		if err := look(some); err != nil {
			return nil, 0, err
		}
	}
	return gone, hidden, nil
}

// readAgain reads records of the selection by their sys_ids and sends them.
func (c *Client) readAgain(ctx context.Context, t *tally, out *sink, ids []string) error {
	for some := range slices.Chunk(ids, idsPerRequest) {
		for _, q := range t.reading.Queries {
			again := servicenow.Read{
				Table: t.reading.From, Query: q.And(in("sys_id", some)), Fields: t.reading.Fields, Display: t.reading.Display,
				Window: servicenow.Window{ByID: true}, Pages: out.pageSize, Warn: c.warner(ctx),
			}
			if err := out.pages(ctx, c.ServiceNow.ReadPages(ctx, again)); err != nil {
				return fmt.Errorf("reading rows again: %w", err)
			}
		}
	}
	return nil
}

// idsPerDelete is how many rows one message removes: a destination may bound the depth of a condition by 1,000.
const idsPerDelete = 400

// remove takes the rows of deleted records out of the destination, and those that go with them, and notes the records.
func (c *Client) remove(ctx context.Context, t *tally, out *sink, gone []deletion) error {
	if len(gone) == 0 {
		return nil
	}
	if c.removes {
		ids := make([]string, len(gone))
		for i, d := range gone {
			ids[i] = d.sysID
		}
		if err := c.deleteRows(ctx, t.table, "sys_id", ids); err != nil {
			return err
		}
		for table, column := range t.reading.Followers {
			if c.sync.options.Tables.Get(table) == nil {
				continue
			}
			if err := c.deleteRows(ctx, table, column, ids); err != nil {
				return err
			}
		}
	}
	if c.sync.options.Deleted != nil {
		rows := make([]map[string]any, len(gone))
		for i, d := range gone {
			rows[i] = map[string]any{
				"instance": c.InstanceName, "table_name": t.table, "sys_id": d.sysID, "found_by": d.found, "found_at": parsed(c.Now), "row_removed": c.removes,
			}
			if d.label != "" {
				rows[i]["label"] = d.label
			}
			if d.by != "" {
				rows[i]["deleted_by"] = d.by
			}
			if !d.on.IsZero() {
				rows[i]["deleted_on"] = d.on
			}
		}
		if err := c.sync.sendRows(ctx, c.sync.options.Deleted, rows); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deleted += len(gone)
	return nil
}

// deleteRows removes the rows of the instance with some values in a column. Rows of the table that are still on their way
// come first: a migration makes the destination write them out.
func (c *Client) deleteRows(ctx context.Context, table, column string, values []string) error {
	declared := c.sync.options.Tables.Get(table)
	if declared == nil {
		return nil
	}
	asSeen := declared.Copy(nil)
	if c.sync.options.DeterministicID {
		schema.CqIDAsPK(asSeen)
	}
	if err := c.send(ctx, &message.SyncMigrateTable{Table: asSeen}); err != nil {
		return err
	}
	for some := range slices.Chunk(values, idsPerDelete) {
		either := message.PredicateGroup{GroupingType: "OR"}
		for _, value := range some {
			either.Predicates = append(either.Predicates, equals(column, value))
		}
		err := c.send(ctx, &message.SyncDeleteRecord{DeleteRecord: message.DeleteRecord{
			TableName:   table,
			WhereClause: message.PredicateGroups{{GroupingType: "AND", Predicates: message.Predicates{equals("instance", c.InstanceName)}}, either},
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

func equals(column, value string) message.Predicate {
	builder := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: column, Type: arrow.BinaryTypes.String}}, nil))
	defer builder.Release()
	builder.Field(0).(*array.StringBuilder).Append(value)
	return message.Predicate{Operator: "eq", Column: column, Record: builder.NewRecordBatch()}
}
