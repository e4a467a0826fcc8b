// Package dictionary knows a table's fields: from the instance's sys_db_object and sys_dictionary with what is inherited,
// or, where the signed-in user may not read those, from an embedded copy of the out-of-box schema.
package dictionary

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Codes of this package.
const (
	CodeUnreadable   = "SN-DICT-001" // warning: the dictionary cannot be read
	CodeUnknownField = "SN-DICT-002" // a field of the spec does not exist
	CodeUnproven     = "SN-DICT-003" // warning: a field of the spec could not be checked
	CodeFamily       = "SN-DICT-004" // warning: which tables extend incident is not known
)

// Field is a field of a table.
type Field struct {
	Table       string // the table it is defined on
	Name        string
	Type        string // the dictionary's internal_type
	Reference   string // the referenced table
	Choice      bool
	Label       string
	Description string // of out-of-box fields
}

// IsCustom reports whether the instance's owner made the field.
func (f Field) IsCustom() bool {
	return strings.HasPrefix(f.Name, "u_") || strings.HasPrefix(f.Name, "x_")
}

// Table is a table with all of its fields, its own and the inherited ones, sorted by name.
type Table struct {
	Name      string
	Label     string
	SysID     string // "" when sys_db_object cannot be read
	UpdatedOn string // of its row in sys_db_object, stored value
	Ancestors []string
	// Descendants are the tables that extend this one, down to the second generation.
	Descendants []string
	Fields      []Field
	// FromInstance is false when the fields are the embedded out-of-box ones.
	FromInstance bool
}

// Field returns a field by name.
func (t *Table) Field(name string) (Field, bool) {
	i, found := slices.BinarySearchFunc(t.Fields, name, func(f Field, name string) int { return cmp.Compare(f.Name, name) })
	if !found {
		return Field{}, false
	}
	return t.Fields[i], true
}

func (t *Table) sort() {
	slices.SortFunc(t.Fields, func(a, b Field) int { return cmp.Compare(a.Name, b.Name) })
}

// Dictionary holds the tables of one instance, read as they are needed. It is not safe for concurrent use.
type Dictionary struct {
	client *servicenow.Client
	warn   func(code, message string)
	tables map[string]*Table
}

// New returns an empty dictionary. warn hears what a person should know.
func New(client *servicenow.Client, warn func(code, message string)) *Dictionary {
	return &Dictionary{client: client, warn: warn, tables: map[string]*Table{}}
}

// Load reads tables with two requests for all of them. Tables that the instance does not describe are filled from the
// embedded copy where it has them.
func (d *Dictionary) Load(ctx context.Context, names ...string) error {
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return d.tables[name] != nil })
	if len(missing) == 0 {
		return nil
	}
	if err := d.loadTables(ctx, missing); err != nil {
		return err
	}
	if err := d.loadFields(ctx, missing); err != nil {
		return err
	}
	var unreadable []string
	for _, name := range missing {
		t := d.tables[name]
		// Every table has a sys_id, its own or inherited: a dictionary without it is hidden in whole or in part.
		if _, t.FromInstance = t.Field("sys_id"); t.FromInstance {
			continue
		}
		unreadable = append(unreadable, name)
		known := OutOfBox(name)
		t.Label = cmp.Or(t.Label, known.Label)
		for _, f := range known.Fields {
			if _, ok := t.Field(f.Name); !ok {
				t.Fields = append(t.Fields, f)
				t.sort()
			}
		}
	}
	if t := d.tables["incident"]; t != nil && t.SysID == "" && slices.Contains(missing, "incident") {
		d.warn(CodeFamily, "the signed-in user may not read sys_db_object, so it is not known which tables extend incident; attachments that are filed under such a table are not found")
	}
	if len(unreadable) > 0 {
		d.warn(CodeUnreadable, "the signed-in user may not read the dictionary (sys_dictionary) of "+strings.Join(unreadable, ", ")+
			"; the columns are typed by the out-of-box schema, and custom fields stay in `record`. The role personalize_dictionary gives access")
	}
	return nil
}

// Table returns a table that Load was called for.
func (d *Dictionary) Table(name string) *Table { return d.tables[name] }

// maxAncestors is the deepest chain of parents that one request follows.
const maxAncestors = 6

// loadTables reads the rows of sys_db_object and their chains of parents by dot-walking.
func (d *Dictionary) loadTables(ctx context.Context, names []string) error {
	fields := []string{"sys_id", "name", "label", "sys_updated_on"}
	walk := ""
	for range maxAncestors {
		walk += "super_class."
		fields = append(fields, walk+"name")
	}
	for _, name := range names {
		d.tables[name] = &Table{Name: name}
	}
	extends := in("super_class.name", names)
	extends.Or = true
	extendsThose := in("super_class.super_class.name", names)
	extendsThose.Or = true
	rows, err := d.list(ctx, "sys_db_object", servicenow.Where(in("name", names), extends, extendsThose), fields)
	if err != nil {
		return err
	}
	for _, row := range rows {
		for _, parent := range []string{row["super_class.name"], row["super_class.super_class.name"]} {
			if t := d.tables[parent]; t != nil && slices.Contains(names, parent) {
				t.Descendants = append(t.Descendants, row["name"])
			}
		}
		t := d.tables[row["name"]]
		if t == nil || !slices.Contains(names, row["name"]) {
			continue
		}
		t.SysID, t.Label, t.UpdatedOn = row["sys_id"], row["label"], row["sys_updated_on"]
		walk := ""
		for range maxAncestors {
			walk += "super_class."
			if parent := row[walk+"name"]; parent != "" {
				t.Ancestors = append(t.Ancestors, parent)
			}
		}
	}
	for _, name := range names {
		if t := d.tables[name]; len(t.Ancestors) == 0 {
			t.Ancestors = OutOfBox(name).Ancestors
		}
	}
	return nil
}

// loadFields reads the dictionary of the tables and of their ancestors, where inherited fields are filed.
func (d *Dictionary) loadFields(ctx context.Context, names []string) error {
	owners := slices.Clone(names)
	for _, name := range names {
		owners = append(owners, d.tables[name].Ancestors...)
	}
	slices.Sort(owners)
	owners = slices.Compact(owners)
	q := servicenow.Where(in("name", owners), servicenow.Clause{Field: "element", Operator: "ISNOTEMPTY"})
	rows, err := d.list(ctx, "sys_dictionary", q, []string{"name", "element", "internal_type", "reference", "choice", "column_label"})
	if err != nil {
		return err
	}
	byOwner := map[string][]Field{}
	for _, row := range rows {
		if row["internal_type"] == "collection" || row["element"] == "" {
			continue
		}
		byOwner[row["name"]] = append(byOwner[row["name"]], Field{
			Table: row["name"], Name: row["element"], Type: row["internal_type"], Reference: row["reference"],
			Choice: row["choice"] != "" && row["choice"] != "0", Label: row["column_label"],
		})
	}
	for _, name := range names {
		t := d.tables[name]
		seen := map[string]bool{}
		for _, owner := range append([]string{name}, t.Ancestors...) {
			for _, f := range byOwner[owner] {
				if !seen[f.Name] {
					seen[f.Name] = true
					t.Fields = append(t.Fields, f)
				}
			}
		}
		t.sort()
	}
	return nil
}

// maxRows bounds one look into a metadata table.
const maxRows = 10000

var errTooMany = fmt.Errorf("more than %d rows", maxRows)

// list reads metadata rows as texts. A refusal and an empty list are the same to the caller: nothing can be read.
func (d *Dictionary) list(ctx context.Context, table string, q servicenow.Query, fields []string) ([]map[string]string, error) {
	list, err := d.client.ListRecords(ctx, table, servicenow.ListOptions{
		Query: q.OrderBy("sys_id"), Fields: fields, Display: servicenow.Values, Limit: maxRows,
	})
	switch code := usererror.CodeOf(err); {
	case code == servicenow.CodeTableForbidden, code == servicenow.CodeQueryForbidden, code == servicenow.CodeRefused:
		return nil, nil
	case err != nil:
		return nil, err
	case len(list.Records) >= maxRows:
		return nil, fmt.Errorf("reading %s: %w", table, errTooMany)
	}
	rows := make([]map[string]string, len(list.Records))
	for i, record := range list.Records {
		if rows[i], err = texts(record); err != nil {
			return nil, fmt.Errorf("reading %s: %w", table, err)
		}
	}
	return rows, nil
}

// texts decodes a record of texts; references arrive as a text or as an object with a value.
func texts(record servicenow.Record) (map[string]string, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(record, &raw); err != nil {
		return nil, err
	}
	row := make(map[string]string, len(raw))
	for name, value := range raw {
		var text string
		if json.Unmarshal(value, &text) == nil {
			row[name] = text
			continue
		}
		var reference struct {
			Value string `json:"value"`
		}
		if err := json.Unmarshal(value, &reference); err != nil {
			return nil, errors.New("a field is neither text nor reference")
		}
		row[name] = reference.Value
	}
	return row, nil
}

func in(field string, values []string) servicenow.Clause {
	return servicenow.Clause{Field: field, Operator: "IN", Value: strings.Join(values, ",")}
}
