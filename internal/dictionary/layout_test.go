package dictionary_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

// view reads the incident's Default view, and proves that it took three requests at most.
func view(t *testing.T, e *emulator.Emulator, d *dictionary.Dictionary) *dictionary.Layout {
	t.Helper()
	require.NoError(t, d.Load(t.Context(), "incident", "sys_attachment"))
	e.ResetRequests()
	layout, err := d.DefaultView(t.Context(), "incident")
	require.NoError(t, err)
	require.LessOrEqual(t, len(e.Requests()), 3)
	require.Empty(t, e.InvalidTerms())
	return layout
}

// outline writes a layout as "caption: field field | caption: …"; * is the activity stream.
func outline(l *dictionary.Layout) string {
	var sections []string
	for _, s := range l.Sections {
		var fields []string
		for _, e := range s.Elements {
			if e.Activity() {
				fields = append(fields, "*")
				continue
			}
			fields = append(fields, e.Field)
		}
		sections = append(sections, s.Caption+": "+strings.Join(fields, " "))
	}
	return strings.Join(sections, " | ")
}

func labels(l *dictionary.Layout) map[string]string {
	found := map[string]string{}
	for _, s := range l.Sections {
		for _, e := range s.Elements {
			found[e.Field] = e.Label
		}
	}
	return found
}

// where returns the ids of the rows with these values.
func where(e *emulator.Emulator, table string, values map[string]string) []string {
	var ids []string
	for _, id := range e.SysIDs(table) {
		record, _ := e.Record(table, id)
		matches := true
		for field, value := range values {
			matches = matches && record[field] == value
		}
		if matches {
			ids = append(ids, id)
		}
	}
	return ids
}

func deleteAll(e *emulator.Emulator, table string, values map[string]string) {
	for _, id := range where(e, table, values) {
		e.Delete(table, id)
	}
}

// clearForm removes every section of a table.
func clearForm(e *emulator.Emulator, table string) {
	for _, section := range where(e, "sys_ui_section", map[string]string{"name": table}) {
		deleteAll(e, "sys_ui_element", map[string]string{"sys_ui_section": section})
		e.Delete("sys_ui_section", section)
	}
	for _, form := range where(e, "sys_ui_form", map[string]string{"name": table}) {
		deleteAll(e, "sys_ui_form_section", map[string]string{"sys_ui_form": form})
		e.Delete("sys_ui_form", form)
	}
}

const defaultView = "Default view"

// addSection gives a table a section with elements "name" or "name/type", which are written in reverse order.
func addSection(e *emulator.Emulator, values map[string]string, elements ...string) string {
	section := map[string]string{"name": "incident", "view": defaultView}
	for field, value := range values {
		section[field] = value
	}
	id := e.Insert("sys_ui_section", section)
	for position, element := range slices.Backward(elements) {
		name, kind, _ := strings.Cut(element, "/")
		e.Insert("sys_ui_element", map[string]string{
			"sys_ui_section": id, "element": name, "type": kind, "position": fmt.Sprint(position), "sys_user": section["sys_user"],
		})
	}
	return id
}

// addForm puts sections in order.
func addForm(e *emulator.Emulator, sections ...string) {
	form := e.Insert("sys_ui_form", map[string]string{"name": "incident", "view": defaultView})
	for position, section := range sections {
		e.Insert("sys_ui_form_section", map[string]string{"sys_ui_form": form, "sys_ui_section": section, "position": fmt.Sprint(position)})
	}
}

const outOfBoxForm = ": number caller_id category subcategory business_service service_offering cmdb_ci contact_type state hold_reason impact " +
	"urgency priority assignment_group assigned_to short_description description | Notes: watch_list work_notes_list comments work_notes * | " +
	"Related Records: parent_incident problem_id rfc caused_by | Resolution Information: knowledge close_code close_notes resolved_by resolved_at"

func TestDefaultView(t *testing.T) {
	e, d, warnings := open(t)
	l := view(t, e, d)
	require.True(t, l.FromInstance)
	require.Empty(t, *warnings)
	require.Len(t, e.Requests(), 3)
	want := strings.Replace(outOfBoxForm, "caused_by", "caused_by caller_id.email", 1) + " u_region u_vendor"
	require.Equal(t, want, outline(l))
	require.Equal(t, "Caller", labels(l)["caller_id"])
	require.Equal(t, "Email", labels(l)["caller_id.email"])
	require.Equal(t, "journal_input", l.Sections[1].Elements[2].Type)
	require.Equal(t, 1, strings.Count(" "+strings.Join(l.Fields(), " ")+" ", " number "))
	require.NotContains(t, l.Fields(), "")
}

func TestSectionsAndElementsComeInTheFormsOrder(t *testing.T) {
	e, d, _ := open(t)
	clearForm(e, "incident")
	elements := []string{"number", "state", "priority", "impact", "urgency", "category", "caller_id", "opened_at", "opened_by", "closed_at", "close_code", "location"}
	var sections []string
	for i := range elements {
		caption := fmt.Sprintf("Z%02d", 20-i) // against the order of the form
		if i == 0 {
			caption = ""
		}
		sections = append(sections, addSection(e, map[string]string{"caption": caption}, elements[i]))
	}
	addForm(e, sections...)
	addSection(e, map[string]string{"caption": "Left over"}, "active")
	l := view(t, e, d)
	var got []string
	for _, s := range l.Sections {
		require.Len(t, s.Elements, 1)
		got = append(got, s.Elements[0].Field)
	}
	require.Equal(t, elements, got, "10 stands behind 2")

	e, d, _ = open(t)
	clearForm(e, "incident")
	addSection(e, nil, elements...)
	require.Equal(t, ": "+strings.Join(elements, " "), outline(view(t, e, d)), "a form of one section has no sys_ui_form")
}

func TestElementsThatAreNoFields(t *testing.T) {
	e, d, _ := open(t)
	clearForm(e, "incident")
	addSection(e, nil,
		".begin_split/.begin_split", "number/element", ".split/.split", "state", ".end_split/.end_split", ".space/.space", "u_deleted", "caller_id.email",
		"u_deleted.name", "short_description.name", "variables.size", "some text/annotation", "incident_chart/chart", "incident.parent/list",
		"process_flow.xml/formatter", "attached_knowledge.xml", "a,b", "a b", "", "activity.xml/formatter", "caller_id.manager.email", "parent_incident.comments")
	l := view(t, e, d)
	require.Equal(t, ": number state caller_id.email * caller_id.manager.email parent_incident.comments", outline(l))
	require.Equal(t, "Email", labels(l)["caller_id.manager.email"])
	require.Equal(t, "Additional comments", labels(l)["parent_incident.comments"])
	last := l.Sections[0].Elements[len(l.Sections[0].Elements)-1]
	require.Equal(t, "journal_input", last.Type, "the table it leads to is known")
}

// Where the dictionary is hidden, what is no field of an out-of-box instance may be a custom one.
func TestLayoutWithoutADictionary(t *testing.T) {
	e, d, _ := open(t)
	e.DenyTable("sys_dictionary", emulator.DenyEmpty)
	e.DenyTable("sys_documentation", emulator.DenyForbidden)
	l := view(t, e, d)
	require.True(t, l.FromInstance)
	require.Contains(t, outline(l), "resolved_at u_region u_vendor")
	require.Equal(t, "Region", labels(l)["u_region"])
	require.Equal(t, "Channel", labels(l)["contact_type"])
}

func TestFormOfTheParent(t *testing.T) {
	e, d, warnings := open(t)
	clearForm(e, "incident")
	require.Equal(t, ": number short_description assigned_to", outline(view(t, e, d)))
	require.Empty(t, *warnings)
}

func TestOtherFormsAreIgnored(t *testing.T) {
	e, d, _ := open(t)
	clearForm(e, "incident")
	ess := where(e, "sys_ui_view", map[string]string{"name": "ess"})[0]
	user := e.SysIDs("sys_user")[0]
	addSection(e, map[string]string{"view": ess, "view_name": "ess"}, "impact")
	addSection(e, map[string]string{"sys_user": user}, "urgency")
	addSection(e, map[string]string{"name": "problem"}, "known_error")
	require.Equal(t, ": number short_description assigned_to", outline(view(t, e, d)), "none of these is incident's form for everybody")
	addSection(e, nil, "number", "state")
	require.Equal(t, ": number state", outline(view(t, e, d)))
}

func TestFormsOfDomains(t *testing.T) {
	e, d, _ := open(t)
	clearForm(e, "incident")
	first, second := strings.Repeat("a", 32), strings.Repeat("b", 32)
	addSection(e, map[string]string{"sys_domain": second}, "urgency")
	addSection(e, map[string]string{"sys_domain": first}, "impact")
	require.Equal(t, ": impact", outline(view(t, e, d)), "without a global form, one domain's, and always the same")
	addSection(e, map[string]string{"sys_domain": "global"}, "number")
	require.Equal(t, ": number", outline(view(t, e, d)))
}

func TestLabels(t *testing.T) {
	e, d, _ := open(t)
	label := func(table, element, language, text string) {
		deleteAll(e, "sys_documentation", map[string]string{"name": table, "element": element, "language": language})
		if text != "" {
			e.Insert("sys_documentation", map[string]string{"name": table, "element": element, "language": language, "label": text})
		}
	}
	label("incident", "state", "en", "Incident state (own)") // over task's
	label("incident", "priority", "fr", "Priorité")          // task has an English one
	label("task", "impact", "en", "")
	label("task", "impact", "fr", "Portée")
	for _, language := range []string{"en", "fr"} { // nothing: the dictionary's
		label("task", "urgency", language, "")
	}
	label("task", "short_description", "en", "  ")
	label("sys_user", "email", "en", "E-mail address")
	label("incident", "", "en", "Not a field")
	got := labels(view(t, e, d))
	require.Equal(t, "Incident state (own)", got["state"])
	require.Equal(t, "Priority", got["priority"])
	require.Equal(t, "Portée", got["impact"])
	require.Equal(t, "Urgency", got["urgency"])
	require.Equal(t, "Short description (fr)", got["short_description"])
	require.Equal(t, "E-mail address", got["caller_id.email"])
	require.Empty(t, got[""])
}

func TestLayoutThatCannotBeRead(t *testing.T) {
	for _, mode := range []emulator.DenyMode{emulator.DenyForbidden, emulator.DenyEmpty} {
		for _, table := range []string{"sys_ui_element", "sys_ui_form_section"} {
			e, d, warnings := open(t)
			e.DenyTable(table, mode)
			e.Insert("sys_documentation", map[string]string{"name": "incident", "element": "contact_type", "language": "en", "label": "Way in"})
			l := view(t, e, d)
			require.False(t, l.FromInstance)
			require.Equal(t, []string{dictionary.CodeLayout}, *warnings, table)
			require.Equal(t, outOfBoxForm, outline(l))
			require.Equal(t, "Way in", labels(l)["contact_type"], "labels do not need the layout")
		}
	}
}

// A user who may read the elements, but nothing of the sections that they stand in.
func TestLayoutOfHiddenSections(t *testing.T) {
	e, d, warnings := open(t)
	e.HideFields("sys_ui_section", "name", "view", "caption", "sys_user", "sys_domain")
	l := view(t, e, d)
	require.False(t, l.FromInstance)
	require.Equal(t, []string{dictionary.CodeLayout}, *warnings)

	e, d, warnings = open(t)
	e.HideRows("sys_ui_element", func(string, func(string) string) bool { return true })
	require.False(t, view(t, e, d).FromInstance)
	require.Equal(t, []string{dictionary.CodeLayout}, *warnings)
}

// An instance that ignores the terms about the sections answers the elements of all forms: more than anyone wants to read.
func TestLayoutOfAnInstanceThatIgnoresTheQuery(t *testing.T) {
	e, d, warnings := open(t)
	section := e.Insert("sys_ui_section", map[string]string{"name": "incident", "view": defaultView})
	for range 10001 {
		e.Insert("sys_ui_element", map[string]string{"sys_ui_section": section, "element": "number", "position": "0"})
	}
	l := view(t, e, d)
	require.False(t, l.FromInstance)
	require.Equal(t, []string{dictionary.CodeLayout}, *warnings)
}

// Labels are not worth a sync: a form of many fields asks for more than one address holds.
func TestLabelsOfAVeryLongForm(t *testing.T) {
	e, d, _ := open(t)
	clearForm(e, "incident")
	var elements []string
	for i := range 200 {
		name := fmt.Sprintf("u_a_custom_field_with_quite_a_long_name_%03d", i)
		e.AddColumn("incident", name+" string(40) Label "+fmt.Sprint(i))
		elements = append(elements, name)
	}
	addSection(e, nil, elements...)
	l := view(t, e, d)
	require.Len(t, l.Fields(), 200)
	require.Equal(t, "Label 199", labels(l)[elements[199]])
}

func TestFailingLayoutIsAnError(t *testing.T) {
	for _, table := range []string{"sys_ui_element", "sys_ui_form_section", "sys_documentation"} {
		e, d, _ := open(t)
		require.NoError(t, d.Load(t.Context(), "incident"))
		e.SetFaults(emulator.Fault{Kind: emulator.FaultUnavailable, Table: table})
		_, err := d.DefaultView(t.Context(), "incident")
		require.Error(t, err, table)
	}
}
