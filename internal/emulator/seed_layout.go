package emulator

import (
	"strconv"
	"strings"
)

const defaultView = "Default view"

// incidentForm is the Default view of incident, section by section. The first has no caption.
func incidentForm() [][2]string {
	return [][2]string{
		{"", ".begin_split number caller_id category subcategory business_service service_offering cmdb_ci .split contact_type state hold_reason impact urgency priority assignment_group assigned_to .end_split short_description description"},
		{"Notes", "watch_list work_notes_list comments work_notes activity.xml"},
		{"Related Records", ".begin_split parent_incident problem_id .split rfc caused_by .end_split caller_id.email"},
		{"Resolution Information", "knowledge close_code close_notes resolved_by resolved_at u_region u_vendor"},
	}
}

// seedLayout writes incident's forms: the Default view, another view, and one user's own arrangement,
// which nobody else sees.
func (c *company) seedLayout() {
	c.add("sys_ui_view", defaultView, map[string]string{"sys_id": defaultView, "title": defaultView})
	c.add("sys_ui_view", "ess", map[string]string{"name": "ess", "title": "Self Service"})
	form := c.add("sys_ui_form", "incident", map[string]string{"name": "incident", "view": defaultView})
	for i, section := range incidentForm() {
		// The rows do not come in the form's order: position tells it.
		id := c.section("incident", defaultView, "", section[0], "", strings.Fields(section[1]))
		c.add("sys_ui_form_section", "incident "+section[0], map[string]string{
			"sys_ui_form": form, "sys_ui_section": id, "position": strconv.Itoa(i),
		})
	}
	c.section("incident", c.id("sys_ui_view", "ess"), "ess", "", "", []string{"number", "state", "short_description"})
	c.section("incident", defaultView, "", "", c.users[3], []string{"number", "priority"})
	c.section("task", defaultView, "", "", "", []string{"number", "short_description", "assigned_to"})
	c.section("problem", defaultView, "", "", "", []string{"number", "state", "short_description", "known_error"})
}

func (c *company) section(table, view, viewName, caption, user string, elements []string) string {
	key := strings.Join([]string{table, view, caption, user}, "/")
	id := c.add("sys_ui_section", key, map[string]string{
		"name": table, "view": view, "view_name": viewName, "caption": caption, "header": "false", "title": "true", "sys_user": user,
	})
	for position, element := range elements {
		values := map[string]string{"sys_ui_section": id, "element": element, "position": strconv.Itoa(position), "sys_user": user}
		switch {
		case strings.HasPrefix(element, "."):
			values["type"] = element
		case element == "activity.xml":
			values["type"] = "formatter"
			values["sys_ui_formatter"] = c.id("sys_ui_formatter", element)
		}
		c.add("sys_ui_element", key+"/"+strconv.Itoa(position), values)
	}
	return id
}
