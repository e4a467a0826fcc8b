package client

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Parents ties attachments to the incidents that the selection covers, many parents with one request.
type Parents struct {
	client *Client
	filed  []string // the table names that an incident's attachments can be filed under
	sure   []string // those of them that only incidents have
}

// imageField is what ServiceNow puts before the table of a file that sits in a field of the form.
const imageField = "ZZ_YY"

// Parents returns the incidents as the parents of attachments.
func (c *Client) Parents() *Parents {
	p := &Parents{client: c}
	incident := c.Tables.Table("incident")
	for _, table := range append([]string{incident.Name}, incident.Descendants...) {
		p.sure = append(p.sure, table, imageField+table)
	}
	p.filed = slices.Clone(p.sure)
	// Some are filed under a parent class; whose they are, only a look at the record tells.
	for _, table := range incident.Ancestors {
		p.filed = append(p.filed, table, imageField+table)
	}
	return p
}

// Attachments returns the queries that find every attachment of the selection, and some that Keep then drops.
func (p *Parents) Attachments() []servicenow.Query {
	if p.client.Selection.Picked == nil {
		return []servicenow.Query{servicenow.Where(in("table_name", p.filed))}
	}
	var queries []servicenow.Query
	for ids := range slices.Chunk(p.client.Selection.Picked, idsPerRequest) {
		queries = append(queries, p.of(ids))
	}
	return queries
}

// of asks by the parent's sys_id alone, which is unique: the table name is a hint, and may be one that is not known here.
func (p *Parents) of(incidents []string) servicenow.Query {
	return servicenow.Where(in("table_sys_id", incidents))
}

// Keep returns the attachments whose parent is a covered incident. Parents that the table name already proves are not
// looked up again.
func (p *Parents) Keep(ctx context.Context, attachments []servicenow.Record) ([]servicenow.Record, error) {
	parents := make([]string, len(attachments))
	doubtful := map[string]bool{}
	for i, record := range attachments {
		table, _ := record.Text("table_name")
		parent, ok := record.Text("table_sys_id")
		if !ok && !record.Has("table_sys_id") {
			return nil, usererror.New(servicenow.CodeKeyHidden, "attachments come without table_sys_id, so nothing tells whose they are",
				"give the signed-in user read access to sys_attachment.table_sys_id")
		}
		if !ok {
			continue // attached to nothing
		}
		parent = strings.ToLower(parent) // the database compares without case
		parents[i] = parent
		if p.client.Selection.Filtered() || !slices.Contains(p.sure, table) {
			doubtful[parent] = true
		}
	}
	covered, err := p.covered(ctx, doubtful)
	if err != nil {
		return nil, err
	}
	kept := make([]servicenow.Record, 0, len(attachments))
	for i, record := range attachments {
		if parents[i] != "" && (!doubtful[parents[i]] || covered[parents[i]]) {
			kept = append(kept, record)
		}
	}
	return kept, nil
}

// covered finds which of the records are incidents of the selection.
func (p *Parents) covered(ctx context.Context, doubtful map[string]bool) (map[string]bool, error) {
	ids := make([]string, 0, len(doubtful))
	for id := range doubtful {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	covered := map[string]bool{}
	for batch := range slices.Chunk(ids, idsPerRequest) {
		list, err := p.client.ServiceNow.ListAmong(ctx, "incident", "sys_id", batch, servicenow.ListOptions{
			Query: p.client.Selection.Query, Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: len(batch),
		})
		if err != nil {
			return nil, fmt.Errorf("finding the incidents of attachments: %w", err)
		}
		for _, record := range list.Records {
			if id, ok := record.Text("sys_id"); ok {
				covered[strings.ToLower(id)] = true
			}
		}
	}
	return covered, nil
}

// Admitted reads the attachments, older than start, of the selected incidents that changed after it: their change may
// have let them into the selection.
func (p *Parents) Admitted(ctx context.Context, start servicenow.Key, fields []string) iter.Seq2[*servicenow.Page, error] {
	c := p.client
	return func(yield func(*servicenow.Page, error) bool) {
		for _, q := range c.Selection.Incidents() {
			changed := servicenow.Read{
				Table: "incident", Query: q, Fields: alwaysAsked(), Display: servicenow.Values, Warn: c.warner(ctx),
				Window: servicenow.Window{After: start, Through: c.Through}, Pages: servicenow.NewPageSize(c.Spec.PageSize),
			}
			for page, err := range c.ServiceNow.ReadPages(ctx, changed) {
				if err != nil {
					yield(nil, err)
					return
				}
				for batch := range slices.Chunk(page.Records, idsPerRequest) {
					if !p.older(ctx, start, batch, fields, yield) {
						return
					}
				}
			}
		}
	}
}

// AdmittedTakes is about how many requests Admitted makes, beside those for the pages of the attachments that it finds.
func (p *Parents) AdmittedTakes(ctx context.Context, start servicenow.Key) (int, error) {
	c := p.client
	requests := 0
	for _, q := range c.Selection.Incidents() {
		changed, err := c.ServiceNow.CountRead(ctx, servicenow.Read{
			Table: "incident", Query: q, Window: servicenow.Window{After: start, Through: c.Through},
		})
		if err != nil {
			return 0, err
		}
		requests += max(requestsFor(changed, servicenow.NewPageSize(c.Spec.PageSize).Rows()), 1) + requestsFor(changed, idsPerRequest)
	}
	return requests, nil
}

// older yields the attachments of some incidents through the second of start.
func (p *Parents) older(ctx context.Context, start servicenow.Key, incidents []servicenow.Record, fields []string, yield func(*servicenow.Page, error) bool) bool {
	var ids []string
	for _, record := range incidents {
		if key, ok := record.Key(); ok {
			ids = append(ids, key.SysID)
		}
	}
	read := servicenow.Read{
		Table: "sys_attachment", Query: p.of(ids), Fields: fields, Display: servicenow.Values, IDs: p.client.sync.options.Shard.IDs(), Warn: p.client.warner(ctx),
		Window: servicenow.Window{Through: start.UpdatedOn}, Pages: servicenow.NewPageSize(p.client.Spec.PageSize),
	}
	for page, err := range p.client.ServiceNow.ReadPages(ctx, read) {
		if !yield(page, err) || err != nil {
			return false
		}
	}
	return true
}
