package client

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/cursor"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// CodeNumberUnknown is the code of the warning about numbers that no incident has.
const CodeNumberUnknown = "SN-SPEC-002"

// idsPerRequest keeps a request with a list of sys_ids well below the 6,000 characters that every proxy lets pass.
const idsPerRequest = 100

// Selection says which incidents a sync covers, and with them which attachments.
type Selection struct {
	// Query is the user's encoded query; empty for every incident.
	Query servicenow.Query
	// Picked are the sys_ids of single incidents, sorted; nil for no such choice, empty for one that nothing is left of.
	Picked []string
}

// newSelection reads the query, and finds the sys_ids of the numbers.
func newSelection(ctx context.Context, sn *servicenow.Client, s spec.Incidents, warn func(code, message string)) (*Selection, error) {
	q, err := servicenow.ParseQuery(s.Query)
	if err != nil {
		return nil, fmt.Errorf("reading incidents.query: %w", err) // the spec has been checked
	}
	selection := &Selection{Query: q}
	if len(s.SysIDs) == 0 && len(s.Numbers) == 0 {
		return selection, nil
	}
	selection.Picked = append([]string{}, s.SysIDs...) // not nil, even when no number is found
	missing := map[string]bool{}
	for _, number := range s.Numbers {
		missing[strings.ToUpper(number)] = true // the database compares without case
	}
	for numbers := range slices.Chunk(s.Numbers, idsPerRequest) {
		list, err := sn.ListAmong(ctx, "incident", "number", numbers, servicenow.ListOptions{
			Fields: []string{"sys_id", "number"}, Display: servicenow.Values,
			Limit: 10 * idsPerRequest, // a number is not unique by force
		})
		if err != nil {
			return nil, fmt.Errorf("finding incidents by number: %w", err)
		}
		for _, record := range list.Records {
			var row struct {
				SysID  string `json:"sys_id"`
				Number string `json:"number"`
			}
			if err := json.Unmarshal(record, &row); err != nil {
				return nil, fmt.Errorf("finding incidents by number: %w", err)
			}
			selection.Picked = append(selection.Picked, row.SysID)
			delete(missing, strings.ToUpper(row.Number))
		}
	}
	if len(missing) > 0 {
		warn(CodeNumberUnknown, fmt.Sprintf("%d of the %d incidents.numbers do not exist, or are hidden from the signed-in user", len(missing), len(s.Numbers)))
	}
	for i, id := range selection.Picked {
		selection.Picked[i] = strings.ToLower(id)
	}
	slices.Sort(selection.Picked)
	selection.Picked = slices.Compact(selection.Picked)
	return selection, nil
}

// Incidents returns the queries that read the selection, disjoint, one behind the other.
func (s *Selection) Incidents() []servicenow.Query {
	if s.Picked == nil {
		return []servicenow.Query{s.Query}
	}
	var queries []servicenow.Query
	for ids := range slices.Chunk(s.Picked, idsPerRequest) {
		queries = append(queries, s.Query.And(in("sys_id", ids)))
	}
	return queries
}

// Keep returns the incidents as they are. One that was not picked shows that the instance ignored the term which asks for
// those that were.
func (s *Selection) Keep(_ context.Context, incidents []servicenow.Record) ([]servicenow.Record, error) {
	if s.Picked == nil {
		return incidents, nil
	}
	for _, record := range incidents {
		id, _ := record.Text("sys_id")
		if _, picked := slices.BinarySearch(s.Picked, strings.ToLower(id)); !picked {
			return nil, servicenow.OutsideWindow("incident")
		}
	}
	return incidents, nil
}

// fingerprint identifies the selection.
func (s *Selection) fingerprint() []string {
	return append([]string{s.Query.String()}, s.Picked...)
}

// Filtered reports whether the query can let an incident in or out when the incident changes.
func (s *Selection) Filtered() bool { return !s.Query.IsEmpty() }

func in(field string, values []string) servicenow.Clause {
	return servicenow.Clause{Field: field, Operator: "IN", Value: strings.Join(values, ",")}
}

// Fingerprint identifies what a table's rows are: a cursor of something else does not count.
func (c *Client) Fingerprint(table string, columns []string) cursor.Fingerprint {
	return cursor.Fingerprint{
		Instance: c.InstanceName, Table: table,
		Query:  cursor.Hash(c.Selection.fingerprint()...),
		Fields: cursor.Hash(append(slices.Clone(c.Fields), columns...)...),
	}
}
