package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// Tables returns the out-of-box tables: what `cloudquery tables` documents. Columns of custom fields are known only once a
// sync has read an instance's dictionary.
func (*source) Tables(_ context.Context, options plugin.TableOptions) (schema.Tables, error) {
	return filter(declare(resources.OutOfBoxIncidentFields()), options.Tables, options.SkipTables, options.SkipDependentTables)
}

func declare(incidentFields []dictionary.Field) schema.Tables {
	return schema.Tables{resources.Tables(), resources.Incidents(incidentFields), resources.Attachments()}
}

func filter(tables schema.Tables, include, skip []string, skipDependent bool) (schema.Tables, error) {
	tables, err := tables.FilterDfs(include, skip, skipDependent)
	if err != nil {
		return nil, fmt.Errorf("selecting tables: %w", err)
	}
	if err := tables.ValidateDuplicateColumns(); err != nil {
		return nil, fmt.Errorf("selecting tables: %w", err)
	}
	return tables, nil
}

// incidentFields returns the fields that become columns: the out-of-box ones, and those that the spec of an instance names
// and its dictionary knows. An out-of-box field keeps its type whatever an instance makes of it, since destinations
// cannot migrate a column to another type.
func incidentFields(clients []*client.Client) []dictionary.Field {
	outOfBox := resources.OutOfBoxIncidentFields()
	chosen := map[string]dictionary.Field{}
	everything := false
	for _, c := range clients {
		patterns := c.Spec.Incidents.Fields
		if len(patterns) == 0 {
			everything = true
			continue
		}
		table := c.Tables.Table("incident")
		names, _ := table.Select(append(patterns, "sys_id", "sys_updated_on"))
		for _, name := range names {
			if f, ok := table.Field(name); ok {
				if _, known := chosen[name]; !known {
					chosen[name] = f
				}
			}
		}
	}
	for _, f := range outOfBox {
		if _, picked := chosen[f.Name]; picked || everything {
			chosen[f.Name] = f
		}
	}
	fields := make([]dictionary.Field, 0, len(chosen))
	for _, f := range chosen {
		fields = append(fields, f)
	}
	slices.SortFunc(fields, func(a, b dictionary.Field) int { return strings.Compare(a.Name, b.Name) })
	return fields
}
