package listing

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// items turns a page's rows into items.
func (l *Lister) items(ctx context.Context, p *plan, rows []row) ([]Item, error) {
	items := make([]Item, 0, len(rows))
	var ids []string
	for _, r := range rows {
		id := r.at.SysID
		ids = append(ids, id)
		item := Item{Kind: p.kind, SysID: id, State: r.fields["state"].DisplayValue, UpdatedOn: stamp(r.fields["sys_updated_on"].Value), URL: l.link(p.table, id)}
		if p.kind == Attachment {
			item.Name, item.Parent, item.ContentType = named(r.fields["file_name"].Value, id), p.parent, r.fields["content_type"].Value
			if size, err := strconv.ParseInt(r.fields["size_bytes"].Value, 10, 64); err == nil {
				item.SizeBytes = &size
			}
		} else {
			item.Name, item.Title, item.Parent = named(r.fields["number"].Value, id), r.fields["short_description"].Value, p.table
			item.Selectable = true
		}
		items = append(items, item)
	}
	synced := l.synced(ctx, p.kind, ids)
	var openable map[string]bool
	if p.kind == Incident {
		var err error
		if openable, err = l.withAttachments(ctx, ids); err != nil {
			return nil, err
		}
	}
	for i, id := range ids {
		items[i].Openable = openable[strings.ToLower(id)]
		if at, ok := synced[id]; ok {
			items[i].LastSyncedAt = &at
		}
	}
	return items, nil
}

// mostAttachments bounds one answer about whose attachments there are.
const mostAttachments = 5000

// withAttachments finds which incidents have attachments, with one request for each hundred. An answer that was full is
// asked for again without those that it named.
func (l *Lister) withAttachments(ctx context.Context, incidents []string) (map[string]bool, error) {
	found := map[string]bool{}
	for ids := range slices.Chunk(incidents, mostIDs) {
		for len(ids) > 0 {
			list, err := l.cfg.ServiceNow.ListRecords(ctx, "sys_attachment", servicenow.ListOptions{
				Query: servicenow.Where(in("table_sys_id", ids)), Fields: []string{"table_sys_id"}, Display: servicenow.Values, Limit: mostAttachments,
			})
			switch usererror.CodeOf(err) {
			case servicenow.CodeTableForbidden, servicenow.CodeQueryForbidden:
				l.warnOnce(CodeNoOpenables, "the signed-in user may not read sys_attachment, so every incident seems to have no attachments")
				return nil, nil
			}
			if err != nil {
				return nil, fmt.Errorf("finding attachments: %w", err)
			}
			for _, record := range list.Records {
				if id, ok := record.Text("table_sys_id"); ok {
					found[strings.ToLower(id)] = true
				}
			}
			left := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return found[strings.ToLower(id)] })
			if len(list.Records) < mostAttachments || len(left) == len(ids) {
				break
			}
			ids = left
		}
	}
	return found, nil
}

// The states of a table: what the signed-in user gets of it.
const (
	stateReadable  = "readable"
	stateForbidden = "forbidden"
	stateMissing   = "missing"
)

// tables lists the tables that a sync reads rows of, those included that the user may not read.
func (l *Lister) tables(ctx context.Context) (*Page, error) {
	names := []string{"incident", "sys_attachment"}
	l.mu.Lock()
	err := l.cfg.Tables.Load(ctx, names...)
	l.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("reading the dictionary: %w", err)
	}
	page := &Page{}
	for _, name := range names {
		t := l.cfg.Tables.Table(name)
		item := Item{
			Kind: Table, SysID: named(t.SysID, name), Name: name, Title: t.Label, URL: l.link(name+"_list", ""),
			State: stateReadable, UpdatedOn: stamp(t.UpdatedOn),
		}
		_, err := l.cfg.ServiceNow.ListRecords(ctx, name, servicenow.ListOptions{Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: 1})
		switch code := usererror.CodeOf(err); code {
		case "":
			if err != nil {
				return nil, err
			}
		case servicenow.CodeTableForbidden:
			item.State = stateForbidden
			l.warnOnce(code, "the signed-in user may not read "+name+". Next step: give the user a role that reads it (itil for incidents), and check that the table allows access via web services")
		case servicenow.CodeTableUnknown:
			item.State = stateMissing
		default:
			return nil, err
		}
		item.Selectable = item.State == stateReadable
		item.Openable = item.Selectable && name == "incident"
		if at, ok := l.synced(ctx, Table, []string{name})[name]; ok {
			item.LastSyncedAt = &at
		}
		page.Items = append(page.Items, item)
	}
	return page, nil
}
