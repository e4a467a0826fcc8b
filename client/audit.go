package client

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/cursor"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

const auditTable = "sys_audit_delete"

// audit finds what the instance noted about deleted records since the last sync. It returns the cursor to store when they
// are on their way. Records that exist again are read again: they may have come back with their old stamps.
func (c *Client) audit(ctx context.Context, t *tally, out *sink) ([]deletion, *cursor.Cursor, error) {
	stored, err := c.sync.options.State.Cursor(c.cursorKeyOf(t.table) + "/" + auditCursor)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the cursor of the audit of %s: %w", t.table, err)
	}
	oldest, err := c.oldestDelete(ctx)
	if err != nil {
		return nil, nil, err
	}
	next := &cursor.Cursor{Source: t.reading.Of, Position: servicenow.Key{UpdatedOn: c.Now}, ReadAt: c.Now, Complete: true, Oldest: oldest}
	switch {
	case stored == nil && oldest == "":
		c.warner(ctx)(CodeAuditEmpty, auditTable+" shows nothing: either no record was ever deleted, or the signed-in user may not read it (role audit_viewer)")
		return nil, next, nil
	case stored == nil:
		c.Logger.Info().Str("table", t.table).Str("instance", c.Label()).Msg("deletes are followed from now on; a sweep finds those of the past")
		return nil, next, nil
	case stored.Oldest != "" && (oldest == "" || oldest > stored.ReadAt):
		return nil, nil, usererror.New(CodeAuditForgotten, auditTable+" no longer reaches back to the last sync of "+stored.ReadAt+": it was cleaned up, or the signed-in user lost access to it",
			"write deletes: sweep for one sync, and delete the cursor that ends in /"+auditCursor+" from the state table")
	}
	found := map[string]auditedDeletion{}
	sent := map[string]bool{} // by the last sync; they are looked up again, since they may have come back
	for _, id := range stored.Sent {
		sent[id] = true
	}
	read := servicenow.Read{
		Table: auditTable, Query: servicenow.Where(in("tablename", t.reading.Classes)), Stamp: "sys_created_on", Display: servicenow.Values,
		Fields: []string{"sys_id", "documentkey", "display_value", "sys_created_on", "sys_created_by"}, Pages: servicenow.NewPageSize(c.Spec.PageSize),
		Window: servicenow.Window{After: stored.Start(c.Spec.Overlap.Duration()), Through: c.Through}, Warn: c.warner(ctx),
	}
	for page, err := range c.ServiceNow.ReadPages(ctx, read) {
		if err != nil {
			return nil, nil, auditError(err)
		}
		for _, record := range page.Records {
			row, err := auditRow(record)
			if err != nil {
				return nil, nil, err
			}
			if row.on.Format(servicenow.DateTime) >= c.settled() && len(next.Sent) < marksKept {
				next.Sent = append(next.Sent, row.auditID) // the next window meets it again
			}
			row.sent = sent[row.auditID]
			found[strings.ToLower(row.sysID)] = row
		}
	}
	gone, err := c.stillGone(ctx, t, out, found)
	return gone, next, err
}

// stillGone drops the records that exist again, and reads them.
func (c *Client) stillGone(ctx context.Context, t *tally, out *sink, found map[string]auditedDeletion) ([]deletion, error) {
	if len(found) == 0 {
		return nil, nil
	}
	ids := make([]string, 0, len(found))
	for id := range found {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	lost, hidden, err := c.existing(ctx, t.reading.From, ids, func(int) error { return nil })
	if err != nil {
		return nil, err
	}
	gone := make([]deletion, 0, len(lost))
	for _, id := range lost {
		if d := found[id]; !d.sent {
			gone = append(gone, d.deletion)
		}
		delete(found, id)
	}
	if hidden < len(found) {
		back := make([]string, 0, len(found))
		for id := range found {
			back = append(back, id)
		}
		slices.Sort(back)
		if err := c.readAgain(ctx, t, out, back); err != nil {
			return nil, err
		}
		t.note("%d records were deleted and came back", len(back)-hidden)
	}
	if len(gone) == 0 {
		return nil, nil
	}
	// How many rows the destination has is not known; that of the records is close enough to tell a few from many.
	rows := 0
	for _, q := range t.reading.Queries {
		n, err := c.tryCount(ctx, t.reading.From, q)
		if err != nil {
			return nil, err
		}
		if n < 0 {
			return gone, nil // nothing to compare with; each delete is noted, and looked up
		}
		rows += n
	}
	return gone, c.guard(t, len(gone), rows+len(gone))
}

// oldestDelete returns the stamp of the oldest delete that is noted; "" for none.
func (c *Client) oldestDelete(ctx context.Context) (string, error) {
	options := servicenow.ListOptions{Query: servicenow.Query{}.OrderBy("sys_created_on"), Fields: []string{"sys_id", "sys_created_on"}, Display: servicenow.Values, Limit: 1}
	list, err := c.ServiceNow.ListRecords(ctx, auditTable, options)
	if err == nil && len(list.Records) == 0 {
		options.Count = true
		list, err = c.ServiceNow.ListRecords(ctx, auditTable, options)
	}
	switch {
	case err != nil:
		return "", auditError(err)
	case len(list.Records) > 0:
		stamp, _ := list.Records[0].Text("sys_created_on")
		return stamp, nil
	case list.Total > 0:
		return "", auditForbidden(nil)
	}
	return "", nil
}

func auditError(err error) error {
	switch usererror.CodeOf(err) {
	case servicenow.CodeTableForbidden, servicenow.CodeQueryForbidden, servicenow.CodeKeyHidden:
		return auditForbidden(err)
	}
	return err
}

func auditForbidden(err error) error {
	const what, next = "the signed-in user may not read " + auditTable, "give the user the role audit_viewer, or a read ACL on the table; deletes: sweep needs neither"
	if err == nil {
		return usererror.New(CodeAuditForbidden, what, next)
	}
	return usererror.Wrap(err, CodeAuditForbidden, what, next)
}

type auditedDeletion struct {
	deletion
	auditID string
	sent    bool
}

func auditRow(record servicenow.Record) (auditedDeletion, error) {
	var fields struct {
		SysID   string `json:"sys_id"`
		Key     string `json:"documentkey"`
		Display string `json:"display_value"`
		On      string `json:"sys_created_on"`
		By      string `json:"sys_created_by"`
	}
	if err := json.Unmarshal(record, &fields); err != nil {
		return auditedDeletion{}, fmt.Errorf("reading %s: %w", auditTable, err)
	}
	if fields.Key == "" {
		return auditedDeletion{}, auditForbidden(nil) // the field is hidden
	}
	on, err := time.Parse(servicenow.DateTime, fields.On)
	if err != nil {
		return auditedDeletion{}, fmt.Errorf("reading %s: its stamp is no date-time", auditTable)
	}
	return auditedDeletion{deletion{sysID: fields.Key, label: fields.Display, by: fields.By, on: on, found: foundByAudit}, fields.SysID, false}, nil
}
