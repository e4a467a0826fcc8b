package dictionary

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// CodeLayout is the code of the warning about a form whose layout cannot be read.
const CodeLayout = "SN-DICT-005"

// Layout is what a form shows, from top to bottom.
type Layout struct {
	Sections []Section
	// FromInstance is false when it is the out-of-box one.
	FromInstance bool
}

// Section is a tab of a form. The first one of a form has no caption.
type Section struct {
	Caption  string
	Elements []Element
}

// Element is a field on a form, or the activity stream.
type Element struct {
	// Field is dot-walked where the form shows a field of a referenced record; "" for the activity stream.
	Field string
	Label string
	// Type is the field's type; "" when the dictionary does not know it.
	Type string
}

// Activity is the element that shows the journal of a record.
func (e Element) Activity() bool { return e.Field == "" }

// Fields lists the fields of a layout, each once.
func (l *Layout) Fields() []string {
	var fields []string
	for _, s := range l.Sections {
		for _, e := range s.Elements {
			if !e.Activity() && !slices.Contains(fields, e.Field) {
				fields = append(fields, e.Field)
			}
		}
	}
	return fields
}

// activityFormatter is the formatter that shows the journal.
const activityFormatter = "activity.xml"

// DefaultView returns the form of a loaded table in the Default view: three requests. A table without a form of its own has
// that of the nearest ancestor with one, as on the instance. Where the layout cannot be read, it is the out-of-box one.
//
// Source: "Form administration" (sys_ui_section, sys_ui_form_section, sys_ui_element); forms with one section have no
// sys_ui_form.
func (d *Dictionary) DefaultView(ctx context.Context, table string) (*Layout, error) {
	t := d.tables[table]
	grouped, err := d.formSections(ctx, table)
	if err != nil {
		return nil, err
	}
	layout := &Layout{FromInstance: true}
	for _, rows := range grouped {
		s := Section{Caption: rows[0]["sys_ui_section.caption"]}
		for _, row := range rows {
			if e, ok := t.element(row["element"], row["type"]); ok {
				s.Elements = append(s.Elements, e)
			}
		}
		layout.Sections = append(layout.Sections, s)
	}
	if len(grouped) == 0 {
		d.warn(CodeLayout, "the signed-in user may not read the form layout of "+table+" (sys_ui_element, sys_ui_section, sys_ui_form_section); `text` follows the out-of-box form. The role personalize_form gives access")
		layout = t.outOfBoxLayout()
	}
	return layout, d.label(ctx, table, layout)
}

// formSections reads the elements of a table's form, section by section, both in the form's order; nil when that cannot be
// read.
func (d *Dictionary) formSections(ctx context.Context, table string) ([][]map[string]string, error) {
	family := append([]string{table}, d.tables[table].Ancestors...)
	const section = "sys_ui_section."
	rows, err := d.readable(ctx, "sys_ui_element", defaultOf(section, family), []string{
		"sys_id", "sys_ui_section", "element", "type", "position",
		section + "name", section + "view", section + "sys_user", section + "caption", section + "sys_domain",
	})
	if err != nil {
		return nil, err
	}
	// An instance ignores a term about a table that is hidden from the user.
	rows = slices.DeleteFunc(rows, func(row map[string]string) bool {
		return row[section+"view"] != defaultView || row[section+"sys_user"] != ""
	})
	for _, owner := range family {
		elements := ofForm(rows, owner)
		if len(elements) == 0 {
			continue
		}
		order, err := d.sectionOrder(ctx, owner)
		if err != nil {
			return nil, err
		}
		return sections(elements, order), nil
	}
	return nil, nil
}

const defaultView = "Default view" // the sys_id of that view on every instance

// defaultOf asks for the Default view of tables. A user's own arrangement is that user's alone.
func defaultOf(walk string, tables []string) servicenow.Query {
	return servicenow.Where(in(walk+"name", tables),
		servicenow.Clause{Field: walk + "view", Operator: "=", Value: defaultView},
		servicenow.Clause{Field: walk + "sys_user", Operator: "ISEMPTY"})
}

// readable is list for what the sync can do without: rows beyond all measure are as good as none.
func (d *Dictionary) readable(ctx context.Context, table string, q servicenow.Query, fields []string) ([]map[string]string, error) {
	rows, err := d.list(ctx, table, q, fields)
	if errors.Is(err, errTooMany) || usererror.CodeOf(err) == servicenow.CodeURLTooLong {
		return nil, nil
	}
	return rows, err
}

// sectionOrder returns the place of each section in the form; it is empty for a form of one section.
func (d *Dictionary) sectionOrder(ctx context.Context, table string) (map[string]int, error) {
	rows, err := d.readable(ctx, "sys_ui_form_section", defaultOf("sys_ui_form.", []string{table}), []string{"sys_id", "sys_ui_section", "position"})
	order := map[string]int{}
	for _, row := range rows {
		order[row["sys_ui_section"]] = position(row)
	}
	return order, err
}

// ofForm returns the rows of a table's own form. A domain's form is for that domain, and used only where there is no global
// one.
func ofForm(rows []map[string]string, owner string) []map[string]string {
	var own []map[string]string
	domain := ""
	for _, row := range rows {
		if row["sys_ui_section.name"] != owner {
			continue
		}
		own = append(own, row)
		if d := row["sys_ui_section.sys_domain"]; len(own) == 1 || !inGlobal(domain) && (inGlobal(d) || d < domain) {
			domain = d
		}
	}
	return slices.DeleteFunc(own, func(row map[string]string) bool {
		d := row["sys_ui_section.sys_domain"]
		return d != domain && !(inGlobal(d) && inGlobal(domain))
	})
}

// sections groups the elements of a form by section, both in the form's order. It returns nil for sections whose order is not
// known.
func sections(rows []map[string]string, order map[string]int) [][]map[string]string {
	bySection := map[string][]map[string]string{}
	for _, row := range rows {
		bySection[row["sys_ui_section"]] = append(bySection[row["sys_ui_section"]], row)
	}
	if len(order) == 0 && len(bySection) > 1 {
		return nil
	}
	var grouped [][]map[string]string
	for id, elements := range bySection {
		if _, placed := order[id]; len(order) > 0 && !placed {
			continue // left over from an older form
		}
		slices.SortFunc(elements, func(a, b map[string]string) int {
			return cmp.Or(cmp.Compare(position(a), position(b)), cmp.Compare(a["sys_id"], b["sys_id"]))
		})
		grouped = append(grouped, elements)
	}
	slices.SortFunc(grouped, func(a, b []map[string]string) int {
		return cmp.Or(
			cmp.Compare(order[a[0]["sys_ui_section"]], order[b[0]["sys_ui_section"]]),
			cmp.Compare(a[0]["sys_ui_section.caption"], b[0]["sys_ui_section.caption"]), // the first has none
			cmp.Compare(a[0]["sys_ui_section"], b[0]["sys_ui_section"]))
	})
	return grouped
}

func inGlobal(domain string) bool { return domain == "" || domain == "global" }

func position(row map[string]string) int {
	n, _ := strconv.Atoi(row["position"]) // a text, which sorts "10" before "2"
	return n
}

// element returns what a row of sys_ui_element shows of a record. Splits only arrange; annotations, charts and lists say
// nothing that the record holds; of the formatters only the journal's does.
func (t *Table) element(name, kind string) (Element, bool) {
	switch {
	case name == activityFormatter && (kind == "formatter" || kind == ""):
		return Element{}, true
	case kind != "" && kind != "element", name == "", strings.HasPrefix(name, "."), strings.HasSuffix(name, ".xml"), strings.ContainsAny(name, ", "):
		return Element{}, false // the last is no field's name, and would break the list of fields to ask for
	}
	e := Element{Field: name, Label: humanised(name)}
	first, _, walked := strings.Cut(name, ".")
	f, ok := t.Field(first)
	switch {
	case t.FromInstance && (!ok || walked && f.Reference == ""):
		return Element{}, false // a field that has been deleted, or something else than a field, such as variables.x
	case ok && !walked:
		e.Type, e.Label = f.Type, cmp.Or(strings.TrimSpace(f.Label), e.Label)
	}
	return e, true
}

// humanised makes a label of a field's name.
func humanised(name string) string {
	name = name[strings.LastIndexByte(name, '.')+1:]
	name = strings.ReplaceAll(strings.TrimPrefix(name, "u_"), "_", " ")
	if name == "" {
		return name
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// label gives elements the labels of sys_documentation, where a table can call an inherited field something else. English
// ones come first, and any other language's where there are none.
func (d *Dictionary) label(ctx context.Context, table string, l *Layout) error {
	t := d.tables[table]
	owners := append([]string{table}, t.Ancestors...)
	var names []string
	tableOf := map[string]string{} // of the last step of a dot-walk, where it is known
	for _, field := range l.Fields() {
		step := field
		if first, rest, walked := strings.Cut(field, "."); walked {
			f, ok := t.Field(first)
			if !ok || strings.Contains(rest, ".") {
				continue
			}
			step, tableOf[field] = rest, f.Reference
			owners = append(owners, f.Reference)
		}
		names = append(names, step)
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	rows, err := d.readable(ctx, "sys_documentation", servicenow.Where(in("name", owners), in("element", slices.Compact(names))),
		[]string{"sys_id", "name", "element", "language", "label"})
	if err != nil {
		return err
	}
	english, other := map[[2]string]string{}, map[[2]string]string{} // labels by table and element
	for _, row := range rows {
		labels := other
		if row["language"] == "en" {
			labels = english
		}
		if key := [2]string{row["name"], row["element"]}; labels[key] == "" {
			labels[key] = strings.TrimSpace(row["label"])
		}
	}
	for _, s := range l.Sections {
		for i := range s.Elements {
			e := &s.Elements[i]
			if e.Activity() {
				continue
			}
			tables := append([]string{table}, t.Ancestors...)
			step := e.Field
			if walked, ok := tableOf[e.Field]; ok {
				tables, step = []string{walked}, e.Field[strings.IndexByte(e.Field, '.')+1:]
				if target := d.tables[walked]; target != nil {
					f, _ := target.Field(step)
					e.Type, tables = f.Type, append(tables, target.Ancestors...)
				}
			}
			e.Label = cmp.Or(labelOf(english, tables, step), labelOf(other, tables, step), e.Label)
		}
	}
	return nil
}

// labelOf returns what the first of the tables with a label for a field calls it.
func labelOf(labels map[[2]string]string, tables []string, field string) string {
	for _, table := range tables {
		if label := labels[[2]string{table, field}]; label != "" {
			return label
		}
	}
	return ""
}

// outOfBoxLayout is the Default view of incident on a fresh instance.
//
// Source: "Create an incident" in the vendor's documentation.
func (t *Table) outOfBoxLayout() *Layout {
	layout := &Layout{}
	for _, section := range [][2]string{
		{"", "number caller_id category subcategory business_service service_offering cmdb_ci contact_type state hold_reason " +
			"impact urgency priority assignment_group assigned_to short_description description"},
		{"Notes", "watch_list work_notes_list comments work_notes " + activityFormatter},
		{"Related Records", "parent_incident problem_id rfc caused_by"},
		{"Resolution Information", "knowledge close_code close_notes resolved_by resolved_at"},
	} {
		s := Section{Caption: section[0]}
		for _, name := range strings.Fields(section[1]) {
			kind := ""
			if name == activityFormatter {
				kind = "formatter"
			}
			if e, ok := t.element(name, kind); ok {
				s.Elements = append(s.Elements, e)
			}
		}
		layout.Sections = append(layout.Sections, s)
	}
	return layout
}
