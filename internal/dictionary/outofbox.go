package dictionary

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed outofbox.psv
var outOfBox string

// OutOfBox returns a table as a fresh instance has it: incident (with the fields of task) or sys_attachment.
func OutOfBox(table string) Table {
	t := Table{Name: table}
	switch table {
	case "incident":
		t.Label, t.Ancestors = "Incident", []string{"task"}
	case "sys_attachment":
		t.Label = "Attachment"
	}
	for _, line := range strings.Split(strings.TrimSpace(outOfBox), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, "|")
		if len(parts) != 7 {
			panic(fmt.Sprintf("outofbox.psv: %d parts in %q", len(parts), line))
		}
		if parts[0] != table && !slices.Contains(t.Ancestors, parts[0]) {
			continue
		}
		t.Fields = append(t.Fields, Field{
			Table: parts[0], Name: parts[1], Type: parts[2], Reference: parts[3], Choice: parts[4] == "1", Label: parts[5], Description: parts[6],
		})
	}
	t.sort()
	return t
}
