package dictionary

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// CheckFields proves that fields exist on a table that was loaded, dot-walked ones step by step. ServiceNow drops a query
// term with an unknown field and ignores an unknown name in a list of fields, so both would change what arrives in silence.
// where is the YAML path to name in the error.
//
// Without a readable dictionary a field counts as known when the out-of-box schema or a record of the table has it; a
// dot-walk beyond the first step is then taken on trust, with a warning.
func (d *Dictionary) CheckFields(ctx context.Context, table, where string, fields []string) error {
	var unknown []string
	for _, field := range fields {
		known, err := d.walk(ctx, table, field)
		if err != nil {
			return err
		}
		if !known {
			unknown = append(unknown, field)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return usererror.New(CodeUnknownField, where+" names fields that "+table+" does not have: "+strings.Join(unknown, ", "),
		"correct the names (System Definition > Dictionary lists them); the instance would drop such a term and return everything")
}

// walk follows a field such as caller_id.department.name from table to table.
func (d *Dictionary) walk(ctx context.Context, table, path string) (bool, error) {
	steps := strings.Split(path, ".")
	for i, step := range steps {
		if step == "123TEXTQUERY321" || step == "sys_tags" {
			return true, nil // the text index and the tags have no place in the dictionary
		}
		if err := d.Load(ctx, table); err != nil {
			return false, err
		}
		t := d.tables[table]
		f, ok := t.Field(step)
		if !ok && !t.FromInstance {
			if ok, err := d.recordHas(ctx, table, step); err != nil || !ok {
				return false, err
			}
			if i < len(steps)-1 {
				d.warn(CodeUnproven, "the field "+path+" cannot be checked without the dictionary; if it does not exist, the instance ignores the term")
			}
			return true, nil
		}
		if !ok {
			return false, nil
		}
		if i == len(steps)-1 {
			return true, nil
		}
		if f.Reference == "" {
			return false, nil
		}
		table = f.Reference
	}
	return false, nil
}

// recordHas looks for a field among the keys of one record.
func (d *Dictionary) recordHas(ctx context.Context, table, field string) (bool, error) {
	list, err := d.client.ListRecords(ctx, table, servicenow.ListOptions{Display: servicenow.Values, Limit: 1})
	switch code := usererror.CodeOf(err); {
	case code == servicenow.CodeTableForbidden, code == servicenow.CodeTableUnknown:
		return false, nil
	case err != nil:
		return false, err
	case len(list.Records) == 0:
		return false, nil
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(list.Records[0], &keys); err != nil {
		return false, err
	}
	_, ok := keys[field]
	return ok, nil
}

// Select returns the names that patterns stand for among the table's fields, sorted; `*` in a pattern stands for any text.
// A pattern that matches nothing is returned as unknown.
func (t *Table) Select(patterns []string) (names, unknown []string) {
	for _, pattern := range patterns {
		matched := false
		for _, f := range t.Fields {
			if match(pattern, f.Name) {
				names, matched = append(names, f.Name), true
			}
		}
		if !matched {
			unknown = append(unknown, pattern)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), unknown
}

// match compares with `*` standing for any text.
func match(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	if !strings.HasPrefix(name, parts[0]) {
		return false
	}
	name = name[len(parts[0]):]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return strings.HasSuffix(name, parts[len(parts)-1])
}
