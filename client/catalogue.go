package client

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/internal/arrowjson"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// catalogued are the ServiceNow tables that a sync covers.
func catalogued() []string { return []string{"incident", "sys_attachment"} }

// Catalogue sends a row for each ServiceNow table that the sync covers.
func (c *Client) Catalogue(ctx context.Context, table *schema.Table, columns map[string]arrowjson.Column) error {
	if !c.sync.options.Shard.First() {
		return nil
	}
	if c.sync.options.Plan != nil {
		return c.estimateCatalogue(ctx, table.Name)
	}
	out, err := c.newSink(ctx, Reading{Table: table, Columns: columns})
	if err != nil {
		return err
	}
	defer out.close()
	for _, name := range catalogued() {
		row, err := c.describe(ctx, name)
		if err != nil {
			return err
		}
		record, err := json.Marshal(row)
		if err != nil {
			return fmt.Errorf("describing %s: %w", name, err)
		}
		if err := out.add(ctx, []servicenow.Record{record}); err != nil {
			return err
		}
	}
	return out.flush(ctx)
}

func (c *Client) describe(ctx context.Context, name string) (map[string]string, error) {
	t := c.Tables.Table(name)
	custom := 0
	for _, f := range t.Fields {
		if f.IsCustom() {
			custom++
		}
	}
	row := map[string]string{
		"sys_id": t.SysID, "name": name, "label": t.Label, "sys_updated_on": t.UpdatedOn, "last_synced_at": c.Now,
		"field_count": strconv.Itoa(len(t.Fields)), "custom_field_count": strconv.Itoa(custom),
		"dictionary_readable": strconv.FormatBool(t.FromInstance),
	}
	if len(t.Ancestors) > 0 {
		row["super_class"] = t.Ancestors[0]
	}
	if row["sys_id"] == "" {
		row["sys_id"] = name // sys_db_object is hidden; a table's name is as unique
	}
	var err error
	if name == "incident" {
		row["row_count"], row["selected_row_count"], err = c.countIncidents(ctx)
	} else {
		row["row_count"], row["selected_row_count"], err = c.countAttachments(ctx)
	}
	return row, err
}

// countIncidents counts all incidents and those of the selection.
func (c *Client) countIncidents(ctx context.Context) (all, selected string, err error) {
	if all = strconv.Itoa(c.counted); c.counted < 0 {
		if all, err = c.count(ctx, "incident", servicenow.Query{}); err != nil {
			return "", "", err
		}
	}
	if c.Selection.Query.IsEmpty() && c.Selection.Picked == nil {
		return all, all, nil
	}
	selected, err = c.countAll(ctx, "incident", c.Selection.Incidents())
	return all, selected, err
}

// countAttachments counts all attachments and, with one request for both, those that can be filed under an incident; with a
// selection of incidents these are not known.
func (c *Client) countAttachments(ctx context.Context) (all, selected string, err error) {
	byTable, err := c.ServiceNow.CountBy(ctx, "sys_attachment", "table_name")
	if err != nil {
		return "", "", told(err)
	}
	filed := c.Parents().filed
	every, incidents := 0, 0
	for table, n := range byTable {
		every += n
		if slices.ContainsFunc(filed, func(name string) bool { return strings.EqualFold(name, table) }) { // as the database compares
			incidents += n
		}
	}
	if c.Selection.Query.IsEmpty() && c.Selection.Picked == nil {
		selected = strconv.Itoa(incidents)
	}
	return strconv.Itoa(every), selected, nil
}

func (c *Client) countAll(ctx context.Context, table string, queries []servicenow.Query) (string, error) {
	sum := 0
	for _, q := range queries {
		text, err := c.count(ctx, table, q)
		n, errNumber := strconv.Atoi(text)
		if err != nil || errNumber != nil {
			return "", err
		}
		sum += n
	}
	return strconv.Itoa(sum), nil
}

// count returns "" when the instance does not tell: it refuses counts to users whose read access depends on the row.
func (c *Client) count(ctx context.Context, table string, q servicenow.Query) (string, error) {
	n, err := c.tryCount(ctx, table, q)
	if err != nil || n < 0 {
		return "", err
	}
	return strconv.Itoa(n), nil
}

// tryCount returns -1 when the instance does not tell.
func (c *Client) tryCount(ctx context.Context, table string, q servicenow.Query) (int, error) {
	n, err := c.ServiceNow.Count(ctx, table, q)
	if err != nil {
		return -1, told(err)
	}
	return n, nil
}

// trySum is not ok when the instance does not tell.
func (c *Client) trySum(ctx context.Context, table string, q servicenow.Query) (sums servicenow.Sums, ok bool, err error) {
	sums, err = c.ServiceNow.Sum(ctx, table, q)
	if err != nil {
		return servicenow.Sums{}, false, told(err)
	}
	return sums, true, nil
}

// told is nil for an instance that does not tell counts.
func told(err error) error {
	switch usererror.CodeOf(err) {
	case servicenow.CodeTableForbidden, servicenow.CodeQueryForbidden, servicenow.CodeRefused:
		return nil
	}
	return err
}
