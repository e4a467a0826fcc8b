package emulator

import "strings"

type choiceKey struct{ table, element string }

type choice struct {
	value, label, dependent string
	inactive                bool
}

// offer declares a choice list as "value=label" items; a value may be followed by "<dependent".
func (set *schemaSet) offer(table, element string, items ...string) {
	var list []choice
	for _, item := range items {
		value, label, _ := strings.Cut(item, "=")
		c := choice{label: label}
		c.value, c.dependent, _ = strings.Cut(value, "<")
		c.value, c.inactive = strings.CutSuffix(c.value, "~")
		list = append(list, c)
	}
	set.choices[choiceKey{table, element}] = list
}

// choicesOf finds a column's list. A child's list replaces its parent's.
func (set *schemaSet) choicesOf(table, element string) []choice {
	for _, name := range set.ancestry(table) {
		if list, ok := set.choices[choiceKey{name, element}]; ok {
			return list
		}
	}
	return nil
}

func (set *schemaSet) declareChoices() {
	set.offer("task", "state", "-5=Pending", "1=Open", "2=Work in Progress", "3=Closed Complete", "4=Closed Incomplete", "7=Closed Skipped")
	incidentStates := []string{"1=New", "2=In Progress", "3=On Hold", "6=Resolved", "7=Closed", "8=Canceled", "4~=Awaiting User Info"}
	set.offer("incident", "state", incidentStates...)
	set.offer("incident", "incident_state", incidentStates...)
	set.offer("problem", "state", "101=New", "102=Assess", "103=Root Cause Analysis", "104=Fix in Progress", "106=Resolved", "107=Closed")
	set.offer("change_request", "state", "-5=New", "-4=Assess", "-3=Authorize", "-2=Scheduled", "-1=Implement", "0=Review", "3=Closed", "4=Canceled")
	set.offer("task", "impact", "1=1 - High", "2=2 - Medium", "3=3 - Low")
	set.offer("task", "urgency", "1=1 - High", "2=2 - Medium", "3=3 - Low")
	set.offer("task", "priority", "1=1 - Critical", "2=2 - High", "3=3 - Moderate", "4=4 - Low", "5=5 - Planning")
	set.offer("incident", "severity", "1=1 - High", "2=2 - Medium", "3=3 - Low")
	set.offer("incident", "hold_reason", "1=Awaiting Caller", "3=Awaiting Problem", "4=Awaiting Vendor", "5=Awaiting Change")
	set.offer("incident", "close_code", "Duplicate=Duplicate", "Known error=Known error", "No resolution provided=No resolution provided",
		"Resolved by caller=Resolved by caller", "Resolved by change=Resolved by change", "Resolved by problem=Resolved by problem",
		"Solution provided=Solution provided", "Workaround provided=Workaround provided", "User error=User error")
	set.offer("task", "contact_type", "phone=Phone")
	set.offer("incident", "contact_type", "chat=Chat", "email=Email", "phone=Phone", "monitoring=Monitoring",
		"self-service=Self-service", "virtual_agent=Virtual Agent", "walk-in=Walk-in")
	set.offer("incident", "category", "inquiry=Inquiry / Help", "software=Software", "hardware=Hardware", "network=Network", "database=Database")
	set.offer("incident", "subcategory", "antivirus<inquiry=Antivirus", "internal application<inquiry=Internal Application",
		"email<software=Email", "os<software=Operating System", "disk<hardware=Disk", "keyboard<hardware=Keyboard", "memory<hardware=Memory",
		"dns<network=DNS", "vpn<network=VPN", "wireless<network=Wireless", "db2<database=DB2", "oracle<database=Oracle")
	set.offer("incident", "notify", "1=Do Not Notify", "2=Send Email", "3=Phone")
	set.offer("task", "escalation", "0=Normal", "1=Moderate", "2=High", "3=Overdue")
	set.offer("task", "approval", "not requested=Not Yet Requested", "requested=Requested", "approved=Approved", "rejected=Rejected")
	set.offer("task", "upon_reject", "cancel=Cancel all future Tasks", "goto=Go to a previous Task")
	set.offer("task", "upon_approval", "proceed=Proceed to Next Task", "wait=Wait for a User to Close this task")
	set.offer("task", "route_reason", "1=Assigned to the wrong team", "2=Needs another skill")
	set.offer("incident", "u_region", "emea=Europe, Middle East & Africa", "amer=Americas", "apac=Asia-Pacific", "møn=Møn (pilot) 🌊")
	set.offer("change_request", "type", "standard=Standard", "normal=Normal", "emergency=Emergency")
	set.offer("change_request", "risk", "2=High", "3=Moderate", "4=Low")
	set.offer("cmdb_ci", "operational_status", "1=Operational", "2=Non-Operational", "3=Repair in Progress", "6=Retired")
	set.offer("sys_attachment", "state", "pending=Pending", "available=Available", "not_available=Not available")
	set.offer("sys_dictionary", "choice", "0=-- None --", "1=Dropdown with -- None --", "2=Suggestion", "3=Dropdown without -- None --")
}
