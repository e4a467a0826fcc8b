package emulator

import (
	"fmt"
	"strconv"
)

// journalled bounds how many incidents have a history, as journals are stored, not computed.
const journalled = 2000

var journalTexts = [...]string{
	"Called back, no answer.",
	"Sent a van. It will be there after lunch 🚐.",
	"[code]<p>See the <a href=\"https://wiki.example/42\">page</a> about it.</p>[/code]",
	"Quote from the caller: \"it's worse now\"\nSecond line.\n\nFourth line.",
	"2020-01-01 00:00:00 - Nobody (Work notes)\nA text that looks like a header.",
	"Moved to the next queue.",
}

// seedJournals writes comments and work notes of a part of the incidents.
func (c *company) seedJournals() {
	t := c.e.tables["incident"]
	step := max(c.e.cfg.Incidents/journalled, 3)
	for row := 1; row < c.e.cfg.Incidents; row += step {
		row := int32(row)
		created, _ := parseDateTime(t.valueOf(row, "sys_created_on"))
		updated := t.times[row]
		entries := 1 + c.roll("journal", int(row), 0, 4)
		for i := range entries {
			key := fmt.Sprintf("%d/%d", row, i)
			element := []string{"comments", "work_notes"}[c.roll("journal", int(row), 10+i, 2)]
			c.add("sys_journal_field", key, map[string]string{
				"name": []string{"incident", "task"}[c.roll("journal", int(row), 30+i, 8)/7], "element_id": t.ids[row], "element": element,
				"value":          journalTexts[c.roll("journal", int(row), 20+i, len(journalTexts))],
				"sys_created_on": c.stamp(created + (updated-created)*int64(i+1)/int64(entries+1)), "sys_created_by": c.userNames[(int(row)+i)%len(c.userNames)],
			})
		}
	}
}

// seedDeletions writes the traces of incidents and problems that are gone.
func (c *company) seedDeletions() {
	for i := range 20 {
		table, number := "incident", fmt.Sprintf("INC%07d", 100+i)
		if i%4 == 3 {
			table, number = "problem", fmt.Sprintf("PRB%07d", 900+i)
		}
		c.add("sys_audit_delete", i, map[string]string{
			"tablename": table, "documentkey": c.id("deleted "+table, i), "display_value": number, "payload": "<record_update/>",
			"sys_created_on": c.stamp(c.now - int64(i+1)*31*day), "sys_created_by": c.userNames[i],
		})
	}
}

func (c *company) seedProperties() {
	for _, p := range [][2]string{
		{"glide.buildname", "Emulated"}, {"glide.buildtag", "glide-emulated-07-01-2025__patch2"}, {"glide.builddate", "07-01-2025_1200"},
		{"glide.sys.default.tz", c.e.cfg.TimeZone}, {"glide.sys.date_format", c.e.cfg.DateFormat}, {"glide.sys.time_format", "HH:mm:ss"},
		{"glide.invalid_query.returns_no_rows", strconv.FormatBool(c.e.cfg.InvalidQuery == NoRows)},
		{"instance_name", "emulator"},
	} {
		c.add("sys_properties", p[0], map[string]string{"name": p[0], "value": p[1], "type": "string", "is_private": "false"})
	}
}
