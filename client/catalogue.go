package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/internal/arrowjson"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Catalogue sends a row for each ServiceNow table that the sync covers.
func (c *Client) Catalogue(ctx context.Context, table *schema.Table, columns map[string]arrowjson.Column) error {
	if !c.sync.options.Shard.First() {
		return nil
	}
	out, err := c.newSink(Reading{Table: table, Columns: columns})
	if err != nil {
		return err
	}
	defer out.builder.Release()
	for _, name := range []string{"incident", "sys_attachment"} {
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
	if row["row_count"], err = c.count(ctx, name, servicenow.Query{}); err != nil {
		return nil, err
	}
	selection := c.Selection
	switch {
	case selection.Query.IsEmpty() && selection.Picked == nil:
		row["selected_row_count"] = row["row_count"]
		if name != "incident" {
			row["selected_row_count"], err = c.count(ctx, name, c.Parents().Attachments()[0])
		}
	case name == "incident":
		row["selected_row_count"], err = c.countAll(ctx, name, selection.Incidents())
	}
	return row, err
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
	n, err := c.ServiceNow.Count(ctx, table, q)
	switch usererror.CodeOf(err) {
	case servicenow.CodeTableForbidden, servicenow.CodeQueryForbidden, servicenow.CodeRefused:
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return strconv.Itoa(n), nil
}
