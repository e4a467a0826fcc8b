package main

import (
	"bytes"
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/cloudquery/plugin-sdk/v4/schema"

	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// link is a column that names a row of another table.
type link struct {
	table, column string
	to            string // the table
}

// links are those between our own tables; with `instance`, each is the other table's primary key. The picture shows
// those whose tables and columns exist.
func links() []link {
	incidents := resources.IncidentsTable
	return []link{
		{resources.AttachmentsTable, "incident_sys_id", incidents},
		{incidents, "parent_incident", incidents},
	}
}

// stateTable is what keeps the cursors. The SDK declares its columns; its name is the config's.
func stateTable() []column {
	return []column{{name: "key", kind: "text", mark: "PK"}, {name: "value", kind: "text"}, {name: "version", kind: "integer"}}
}

// The measures of the picture, in its units.
const (
	rowHeight, headHeight, groupHeight = 18, 44, 24
	nameWidth, typeWidth, padding, gap = 208, 74, 12, 48
	cardWidth                          = nameWidth + typeWidth + 2*padding
	mostWidth                          = 4*cardWidth + 2*gap
)

// column is a line of a card. display is set where a column with the human value stands beside it.
type column struct {
	name, kind, mark string
	display          bool
}

// group is a part of a card under a heading.
type group struct {
	title   string
	columns []column
}

// card is where a table is drawn.
type card struct{ x, y, width, height int }

// dataModel draws the tables with their columns, keys and references. It is an image that a page embeds, so it brings its
// own colours, for light and dark surroundings.
func dataModel(tables schema.Tables) []byte {
	var body bytes.Buffer
	cards := map[string]card{}
	x, y, below := gap, gap, gap // of the next card, and of the next row
	place := func(width, height int) card {
		if x > gap && x+width > mostWidth-gap {
			x, y = gap, below+gap
		}
		c := card{x, y, width, height}
		x += width + gap
		below = max(below, y+height)
		return c
	}
	for _, table := range tables {
		all := stacks(groupsOf(table))
		rows := 0
		for _, stack := range all {
			rows = max(rows, heightOf(stack))
		}
		c := place(len(all)*cardWidth, headHeight+rows+padding)
		cards[table.Name] = c
		drawHead(&body, c, table.Name, "primary key: "+strings.Join(table.PrimaryKeys(), ", "))
		for i, stack := range all {
			line := c.y + headHeight
			for _, g := range stack {
				fmt.Fprintf(&body, "<text class=\"group\" x=\"%d\" y=\"%d\">%s</text>\n", c.x+i*cardWidth+padding, line+17, html.EscapeString(g.title))
				line += groupHeight
				for _, column := range g.columns {
					drawColumn(&body, c.x+i*cardWidth, line, column)
					line += rowHeight
				}
			}
		}
	}
	c := place(cardWidth, headHeight+len(stateTable())*rowHeight+2*padding)
	drawHead(&body, c, "the table of backend_options", "a cursor for each instance and table")
	for i, column := range stateTable() {
		drawColumn(&body, c.x, c.y+headHeight+padding/2+i*rowHeight, column)
	}
	drawLinks(&body, tables, cards)
	fmt.Fprintf(&body, "<text class=\"note\" x=\"%d\" y=\"%d\">PK: primary key. inc: incremental key. →: names a row of that table, within the same instance. "+
		"+: has a column NAME_display beside it, with what people read.</text>\n", gap, below+gap)

	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12">
<title>The tables of the ServiceNow source plugin</title>
<style>
svg { background: #fff; }
text { fill: #1f2328; } .kind, .key, .note { fill: #59636e; font-size: 11px; } .mark { fill: #0969da; font-weight: 600; }
.title { font-size: 15px; font-weight: 600; } .group { font-weight: 600; }
.card { fill: none; stroke: #d1d9e0; } .head { fill: #f0f3f6; } .link { fill: none; stroke: #0969da; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; }
text { fill: #f0f6fc; } .kind, .key, .note { fill: #9198a1; } .mark { fill: #4493f8; }
.card { stroke: #3d444d; } .head { fill: #212830; } .link { stroke: #4493f8; }
}
</style>
`, mostWidth, below+gap+padding)
	b.Write(body.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func drawHead(b *bytes.Buffer, c card, title, note string) {
	fmt.Fprintf(b, "<rect class=\"head\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n<rect class=\"card\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
		c.x, c.y, c.width, headHeight, c.x, c.y, c.width, c.height)
	fmt.Fprintf(b, "<text class=\"title\" x=\"%d\" y=\"%d\">%s</text>\n<text class=\"key\" x=\"%d\" y=\"%d\">%s</text>\n",
		c.x+padding, c.y+19, html.EscapeString(title), c.x+padding, c.y+36, html.EscapeString(note))
}

func drawColumn(b *bytes.Buffer, x, y int, c column) {
	name := c.name
	if c.display {
		name += " +"
	}
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s", x+padding, y+13, html.EscapeString(name))
	if c.mark != "" {
		fmt.Fprintf(b, " <tspan class=\"mark\">%s</tspan>", html.EscapeString(c.mark))
	}
	fmt.Fprintf(b, "</text>\n<text class=\"kind\" x=\"%d\" y=\"%d\">%s</text>\n", x+padding+nameWidth, y+13, html.EscapeString(c.kind))
}

// drawLinks draws an arrow from the head of a table to the one that it names rows of.
func drawLinks(b *bytes.Buffer, tables schema.Tables, cards map[string]card) {
	for _, l := range links() {
		table := tables.Get(l.table)
		if table == nil || table.Columns.Get(l.column) == nil || tables.Get(l.to) == nil {
			continue
		}
		from, to := cards[l.table], cards[l.to]
		start, end, target, arrow := from.x+from.width/2, to.x+to.width/2, to.y, "m -4 -6 l 4 6 l 4 -6" // from above
		switch {
		case l.table == l.to:
			start, end = from.x+from.width-6*padding, from.x+from.width-2*padding
		case to.y < from.y: // from below
			target, arrow = to.y+to.height, "m -4 6 l 4 -6 l 4 6"
		}
		fmt.Fprintf(b, "<path class=\"link\" d=\"M %d %d V %d H %d V %d %s\"><title>%s.%s names a row of %s</title></path>\n",
			start, from.y, from.y-gap/2, end, target, arrow, l.table, l.column, l.to)
	}
}

// groupsOf sorts a table's columns under a few headings, in the table's own order.
func groupsOf(table *schema.Table) []group {
	var groups []group
	for _, c := range table.Columns {
		if base, ok := strings.CutSuffix(c.Name, "_display"); ok && table.Columns.Get(base) != nil {
			continue // a + at the column that it belongs to
		}
		title := heading(c)
		i := slices.IndexFunc(groups, func(g group) bool { return g.title == title })
		if i < 0 {
			i = len(groups)
			groups = append(groups, group{title: title})
		}
		groups[i].columns = append(groups[i].columns, column{
			name: c.Name, kind: kindOf(c), mark: markOf(table, c), display: table.Columns.Get(c.Name+"_display") != nil,
		})
	}
	return groups
}

func heading(c schema.Column) string {
	switch {
	case c.PrimaryKey || strings.HasPrefix(c.Name, "_cq_"):
		return "Keys"
	case c.Type.String() == "timestamp[us, tz=UTC]":
		return "Times"
	case c.Type.String() == "json" || c.Type.String() == "binary" || c.Name == "text" || strings.HasSuffix(c.Name, "url"):
		return "Contents"
	case c.Type.String() == "int64" || c.Type.String() == "bool":
		return "Numbers and flags"
	}
	return "Texts and references"
}

func kindOf(c schema.Column) string {
	switch kind := c.Type.String(); kind {
	case "utf8":
		return "text"
	case "int64":
		return "integer"
	case "timestamp[us, tz=UTC]":
		return "timestamp"
	default:
		return kind
	}
}

func markOf(table *schema.Table, c schema.Column) string {
	var marks []string
	if c.PrimaryKey {
		marks = append(marks, "PK")
	}
	if c.IncrementalKey {
		marks = append(marks, "inc")
	}
	for _, r := range links() {
		if r.table == table.Name && r.column == c.Name {
			marks = append(marks, "→ "+strings.TrimPrefix(r.to, "servicenow_"))
		}
	}
	return strings.Join(marks, " ")
}

func heightOf(groups []group) int {
	height := 0
	for _, g := range groups {
		height += groupHeight + len(g.columns)*rowHeight
	}
	return height
}

// stacks lays the groups of a table side by side, so that a long table is no tower.
func stacks(groups []group) [][]group {
	const mostRows = 32
	var all [][]group
	rows := mostRows + 1
	for _, g := range groups {
		for start := 0; start < len(g.columns); start += mostRows {
			part := group{title: g.title, columns: g.columns[start:min(start+mostRows, len(g.columns))]}
			if start > 0 {
				part.title += ", continued"
			}
			if rows+len(part.columns)+1 > mostRows+1 {
				all, rows = append(all, nil), 0
			}
			all[len(all)-1] = append(all[len(all)-1], part)
			rows += len(part.columns) + 1
		}
	}
	return all
}
