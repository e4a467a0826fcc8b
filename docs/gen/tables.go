package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	sdk "github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/plugin"
)

// pluginTables returns the tables as `cloudquery tables` sees them: without an instance.
func pluginTables(ctx context.Context) (schema.Tables, error) {
	p := plugin.Plugin()
	if err := p.Init(ctx, nil, sdk.NewClientOptions{NoConnection: true}); err != nil {
		return nil, fmt.Errorf("starting the plugin without a connection: %w", err)
	}
	tables, err := p.Tables(ctx, sdk.TableOptions{Tables: []string{"*"}})
	if err != nil {
		return nil, fmt.Errorf("listing the tables: %w", err)
	}
	return tables, nil
}

// tablePages returns tables/README.md and one page for each table, in the shape of CloudQuery's own pages, with the
// descriptions that those leave out.
func tablePages(tables schema.Tables) map[string][]byte {
	files := map[string][]byte{}
	var index bytes.Buffer
	fmt.Fprintf(&index, "# Source Plugin: %s\n\n## Tables\n\n", plugin.Name)
	for _, t := range tables {
		incremental := ""
		if t.IsIncremental {
			incremental = " (Incremental)"
		}
		fmt.Fprintf(&index, "- [%s](%s.md)%s\n", t.Name, t.Name, incremental)
		files["tables/"+t.Name+".md"] = tablePage(t)
	}
	index.WriteString("\n## Data model\n\n![The tables with their columns, keys and references](../data-model.svg)\n")
	files["tables/README.md"] = index.Bytes()
	return files
}

func tablePage(t *schema.Table) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Table: %s\n\nThis table shows data for %s.\n\n%s\n\n", t.Name, t.Title, t.Description)
	fmt.Fprintln(&b, keySentence(t.PrimaryKeys()))
	if keys := t.IncrementalKeys(); t.IsIncremental && len(keys) > 0 {
		fmt.Fprintf(&b, "It supports incremental syncs based on %s.\n", columnsPhrase(keys))
	}
	b.WriteString("\n## Columns\n\n| Name | Type | Description |\n| ---- | ---- | ----------- |\n")
	for _, c := range t.Columns {
		name := c.Name
		if c.PrimaryKey {
			name += " (PK)"
		}
		if c.IncrementalKey {
			name += " (Incremental Key)"
		}
		fmt.Fprintf(&b, "|%s|`%s`|%s|\n", name, c.Type, strings.ReplaceAll(c.Description, "|", `\|`))
	}
	return b.Bytes()
}

func keySentence(keys []string) string {
	switch len(keys) {
	case 0:
		return "This table has no primary key."
	case 1:
		return "The primary key for this table is **" + keys[0] + "**."
	default:
		return "The composite primary key for this table is (**" + strings.Join(keys, "**, **") + "**)."
	}
}

func columnsPhrase(columns []string) string {
	if len(columns) == 1 {
		return "the **" + columns[0] + "** column"
	}
	return "the columns **" + strings.Join(columns, "**, **") + "**"
}
