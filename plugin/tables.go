package plugin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// Tables returns the out-of-box tables: what `cloudquery tables` documents. Columns of custom fields are known only once a
// sync has read an instance's dictionary.
func (*source) Tables(_ context.Context, options plugin.TableOptions) (schema.Tables, error) {
	return filter(declare(resources.OutOfBoxIncidentFields()), options.Tables, options.SkipTables, options.SkipDependentTables)
}

func declare(incidentFields []dictionary.Field) schema.Tables {
	return schema.Tables{resources.Tables(), resources.Incidents(incidentFields), resources.Attachments(), resources.DeletedRecords(), resources.SyncReport()}
}

func filter(tables schema.Tables, include, skip []string, skipDependent bool) (schema.Tables, error) {
	known := strings.Join(tables.TableNames(), ", ")
	tables, err := tables.FilterDfs(include, skip, skipDependent)
	if err != nil {
		return nil, usererror.Wrap(err, CodeUnknownTable, "`tables` or `skip_tables` of the source names a table that this plugin does not have",
			"choose from "+known+", or write * for all")
	}
	if err := tables.ValidateDuplicateColumns(); err != nil {
		return nil, fmt.Errorf("selecting tables: %w", err)
	}
	return tables, nil
}

// incidentFields returns the fields that become columns: those of every instance together.
func incidentFields(clients []*client.Client) []dictionary.Field {
	union := map[string]dictionary.Field{}
	for _, c := range clients {
		for _, f := range c.IncidentFields() {
			if _, known := union[f.Name]; !known {
				union[f.Name] = f
			}
		}
	}
	return slices.SortedFunc(maps.Values(union), func(a, b dictionary.Field) int { return strings.Compare(a.Name, b.Name) })
}
