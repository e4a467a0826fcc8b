package dictionary

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
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
	family := append([]string{table}, t.Ancestors...)
	const section = "sys_ui_section."
	// A section's own arrangement for one user is that user's alone.
	rows, err := d.list(ctx, "sys_ui_element", servicenow.Where(in(section+"name", family),
		servicenow.Clause{Field: section + "view", Operator: "=", Value: "Default view"},
		servicenow.Clause{Field: section + "sys_user", Operator: "ISEMPTY"}),
		[]string{"sys_id", "sys_ui_section", "element", "type", "position", section + "name", section + "caption", section + "sys_domain"})
	if err != nil {
		return nil, err
	}
	owner := ""
	for _, name := range family {
		if slices.ContainsFunc(rows, func(row map[string]string) bool { return row[section+"name"] == name }) {
			owner = name
			break
		}
	}
	if owner == "" {
		d.warn(CodeLayout, "the signed-in user may not read the form layout of "+table+" (sys_ui_element, sys_ui_section); `text` follows the out-of-box form. The role personalize_form gives access")
		return t.outOfBoxLayout(), nil
	}
	order, err := d.sectionOrder(ctx, owner)
	if err != nil {
		return nil, err
	}
	layout := &Layout{FromInstance: true}
	for _, rows := range sections(rows, owner, order) {
		s := Section{Caption: rows[0][section+"caption"]}
		for _, row := range rows {
			if e, ok := t.element(row["element"], row["type"]); ok {
				s.Elements = append(s.Elements, e)
			}
		}
		layout.Sections = append(layout.Sections, s)
	}
	return layout, d.label(ctx, table, layout)
}

// sectionOrder returns the place of each section in the form; it is empty for a form of one section.
func (d *Dictionary) sectionOrder(ctx context.Context, table string) (map[string]int, error) {
	const form = "sys_ui_form."
	rows, err := d.list(ctx, "sys_ui_form_section", servicenow.Where(in(form+"name", []string{table}),
		servicenow.Clause{Field: form + "view", Operator: "=", Value: "Default view"},
		servicenow.Clause{Field: form + "sys_user", Operator: "ISEMPTY"}),
		[]string{"sys_id", "sys_ui_section", "position"})
	order := map[string]int{}
	for _, row := range rows {
		order[row["sys_ui_section"]] = position(row)
	}
	return order, err
}

// sections groups the elements of a table's form by section, both in the form's order.
func sections(rows []map[string]string, owner string, order map[string]int) [][]map[string]string {
	bySection := map[string][]map[string]string{}
	global := false
	for _, row := range rows {
		if row["sys_ui_section.name"] == owner {
			bySection[row["sys_ui_section"]] = append(bySection[row["sys_ui_section"]], row)
			global = global || inGlobal(row)
		}
	}
	var grouped [][]map[string]string
	for id, elements := range bySection {
		_, placed := order[id]
		// A section that no form names is left over from an older form; and a domain's own form is for that domain.
		if len(order) > 0 && !placed || global && !inGlobal(elements[0]) {
			continue
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

func inGlobal(row map[string]string) bool {
	domain := row["sys_ui_section.sys_domain"]
	return domain == "" || domain == "global"
}

func position(row map[string]string) int {
	n, _ := strconv.Atoi(row["position"]) // a text, which sorts "10" before "2"
	return n
}

// element returns what a row of sys_ui_element shows of a record. Splits only arrange; annotations, charts and lists say
// nothing that the record holds; of the formatters only the journal's does.
func (t *Table) element(name, kind string) (Element, bool) {
	switch {
	case kind == "formatter" && name == activityFormatter:
		return Element{}, true
	case kind != "" && kind != "element" || name == "" || strings.HasPrefix(name, "."):
		return Element{}, false
	}
	e := Element{Field: name, Label: humanised(name)}
	if f, ok := t.Field(name); ok {
		e.Type, e.Label = f.Type, cmp.Or(f.Label, e.Label)
	} else if t.FromInstance && !strings.Contains(name, ".") {
		return Element{}, false // a field that has been deleted
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
	rows, err := d.list(ctx, "sys_documentation", servicenow.Where(in("name", owners), in("element", names)),
		[]string{"sys_id", "name", "element", "language", "label"})
	if err != nil {
		return err
	}
	labels := map[[2]string]string{} // by table and element
	for _, english := range []bool{true, false} {
		for _, row := range rows {
			key := [2]string{row["name"], row["element"]}
			if (row["language"] == "en") == english && labels[key] == "" {
				labels[key] = strings.TrimSpace(row["label"])
			}
		}
	}
	for _, s := range l.Sections {
		for i := range s.Elements {
			e := &s.Elements[i]
			tables := append([]string{table}, t.Ancestors...)
			step := e.Field
			if walked, ok := tableOf[e.Field]; ok {
				tables, step = []string{walked}, e.Field[strings.IndexByte(e.Field, '.')+1:]
			}
			for _, owner := range tables {
				if label := labels[[2]string{owner, step}]; label != "" {
					e.Label = label
					break
				}
			}
		}
	}
	return nil
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
