package servicenow

import (
	"fmt"
	"math/bits"
	"strings"
)

// api is the part of a path that rate-limit rules are made for: "table" of /api/now/table/incident.
func api(path string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "/api/now/"), "/")
	return name
}

// class names the requests whose times to the first byte can be compared: those of one table that ask for about as many
// rows, in the same form, with or without a count.
func class(table string, o ListOptions) string {
	return fmt.Sprintf("%s %s %d %t", table, o.Display, bits.Len(uint(max(o.Limit, 0))), o.Count)
}
