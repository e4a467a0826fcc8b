package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/cqservicenow/cq-source-servicenow/internal/listing"
	"github.com/cqservicenow/cq-source-servicenow/internal/termtext"
)

// listPrinter writes a listing page by page, and holds no more than one.
type listPrinter interface {
	page(*listing.Page) error
	end() error
}

func (a *app) listPrinter(o listOptions) listPrinter {
	switch {
	case o.json:
		return &jsonList{out: a.stdout}
	case o.csv:
		return &csvList{out: csv.NewWriter(a.stdout), notes: a.stderr}
	}
	style := terminalStyle(a.stdout)
	t := &tableList{out: a.stdout}
	if !o.wide {
		t.width = style.Width
	}
	t.columns = listColumns(o.request.Kind, t.width)
	if style.Color {
		t.bold, t.normal = "\x1b[1m", "\x1b[22m"
	}
	return t
}

// jsonList writes {"items":[…],"next":…}, an item a line. A listing that breaks off leaves no valid JSON.
type jsonList struct {
	out     io.Writer
	started bool
	next    string
}

func (l *jsonList) page(p *listing.Page) error {
	l.next = p.Next
	for _, item := range p.Items {
		lead := ",\n"
		if !l.started {
			l.started, lead = true, "{\"items\":[\n"
		}
		data, err := encodeJSON(item)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(l.out, "%s%s", lead, data); err != nil {
			return err
		}
	}
	return nil
}

func (l *jsonList) end() error {
	lead := "\n"
	if !l.started {
		lead = `{"items":[`
	}
	next := "null"
	if l.next != "" {
		next = strconv.Quote(l.next) // of letters and digits
	}
	_, err := fmt.Fprintf(l.out, "%s],\"next\":%s}\n", lead, next)
	return err
}

func encodeJSON(item listing.Item) ([]byte, error) {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(item); err != nil {
		return nil, err
	}
	return termtext.JSON([]byte(strings.TrimSuffix(b.String(), "\n"))), nil
}

// csvList writes RFC 4180, with a header.
type csvList struct {
	out     *csv.Writer
	notes   io.Writer
	started bool
	next    string
}

func (l *csvList) page(p *listing.Page) error {
	l.next = p.Next
	if !l.started {
		l.started = true
		if err := l.out.Write([]string{
			"kind", "sys_id", "name", "title", "parent", "url", "selectable", "openable", "state", "size_bytes", "content_type", "sys_updated_on", "last_synced_at",
		}); err != nil {
			return err
		}
	}
	for _, i := range p.Items {
		if err := l.out.Write([]string{
			string(i.Kind), i.SysID, termtext.Line(i.Name), termtext.Line(i.Title), i.Parent, i.URL, strconv.FormatBool(i.Selectable), strconv.FormatBool(i.Openable),
			termtext.Line(i.State), sizeText(i.SizeBytes), termtext.Line(i.ContentType), timeText(i.UpdatedOn, time.RFC3339), timeText(i.LastSyncedAt, time.RFC3339),
		}); err != nil {
			return err
		}
	}
	l.out.Flush()
	return l.out.Error()
}

func (l *csvList) end() error {
	more(l.notes, l.next)
	return nil
}

func more(w io.Writer, next string) {
	if next != "" {
		fmt.Fprintf(w, "More follow. To go on: --after %s\n", next)
	}
}

func sizeText(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

func timeText(t *time.Time, layout string) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(layout)
}

// tableList writes a table for people. The first page settles the columns' widths; wider texts of later ones are cut on a
// terminal, and pushed elsewhere.
type tableList struct {
	out          io.Writer
	columns      []listColumn
	widths       []int
	width        int // of the terminal; 0 is unbounded
	bold, normal string
	rows         int
	next         string
}

type listColumn struct {
	title string
	text  func(listing.Item) string
	// flexible columns give way on a narrow terminal.
	flexible bool
}

// minute is how precisely people are told a time, in UTC.
const minute = "2006-01-02 15:04"

// Widths of a terminal from which there is room for the time of day, and for sys_ids.
const (
	widthForTimes = 100
	widthForIDs   = 130
)

// listColumns are the columns of a kind: those for a terminal of this width, or all of them for 0.
func listColumns(kind listing.Kind, width int) []listColumn {
	all, layout := width == 0, minute
	if !all && width < widthForTimes {
		layout = time.DateOnly
	}
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return "no"
	}
	name := listColumn{title: "NAME", text: func(i listing.Item) string { return i.Name }}
	title := listColumn{title: "TITLE", text: func(i listing.Item) string { return i.Title }, flexible: true}
	state := listColumn{title: "STATE", text: func(i listing.Item) string { return i.State }}
	updated := listColumn{title: "UPDATED", text: func(i listing.Item) string { return timeText(i.UpdatedOn, layout) }}
	synced := listColumn{title: "SYNCED", text: func(i listing.Item) string { return timeText(i.LastSyncedAt, layout) }}
	id := listColumn{title: "SYS_ID", text: func(i listing.Item) string { return i.SysID }}
	files := listColumn{title: "FILES", text: func(i listing.Item) string { return yes(i.Openable) }}
	size := listColumn{title: "SIZE", text: func(i listing.Item) string { return sizeText(i.SizeBytes) }}
	media := listColumn{title: "TYPE", text: func(i listing.Item) string { return i.ContentType }}
	var columns []listColumn
	switch kind {
	case listing.Attachment:
		name.flexible = true
		columns = []listColumn{name, size, media, state, updated, synced}
	case listing.Table:
		columns = []listColumn{name, title, state, updated, synced}
	default:
		name.title = "NUMBER"
		columns = []listColumn{name, state, updated, synced, files, title}
	}
	if all || width >= widthForIDs {
		columns = append(columns, id)
	}
	if all {
		columns = append(columns,
			listColumn{title: "KIND", text: func(i listing.Item) string { return string(i.Kind) }},
			listColumn{title: "PARENT", text: func(i listing.Item) string { return i.Parent }},
			listColumn{title: "SELECTABLE", text: func(i listing.Item) string { return yes(i.Selectable) }},
			listColumn{title: "OPENABLE", text: func(i listing.Item) string { return yes(i.Openable) }},
			listColumn{title: "URL", text: func(i listing.Item) string { return i.URL }})
		columns = slices.DeleteFunc(columns, func(c listColumn) bool { return c.title == "FILES" }) // OPENABLE says it
	}
	return columns
}

func (t *tableList) page(p *listing.Page) error {
	t.next = p.Next
	cells := make([][]string, len(p.Items))
	for i, item := range p.Items {
		for _, column := range t.columns {
			cells[i] = append(cells[i], termtext.Line(column.text(item)))
		}
	}
	if t.widths == nil && len(cells) > 0 {
		cells = t.measure(cells)
		var titles []string
		for _, column := range t.columns {
			titles = append(titles, column.title)
		}
		if err := t.line(titles, t.bold, t.normal); err != nil {
			return err
		}
	}
	for _, row := range cells {
		if err := t.line(row, "", ""); err != nil {
			return err
		}
	}
	t.rows += len(cells)
	return nil
}

// gap is what stands between two columns.
const gap = "  "

// measure settles the widths, and leaves out what no row of the first page has where room is scarce.
func (t *tableList) measure(cells [][]string) [][]string {
	for i := len(t.columns) - 1; i >= 0; i-- {
		if t.width > 0 && !slices.ContainsFunc(cells, func(row []string) bool { return row[i] != "" }) {
			t.columns = slices.Delete(t.columns, i, i+1)
			for n := range cells {
				cells[n] = slices.Delete(cells[n], i, i+1)
			}
		}
	}
	t.widths = make([]int, len(t.columns))
	for i, column := range t.columns {
		t.widths[i] = len(column.title)
		for _, row := range cells {
			t.widths[i] = max(t.widths[i], ansi.StringWidth(row[i]))
		}
	}
	if t.width == 0 {
		return cells
	}
	total := len(gap) * (len(t.columns) - 1)
	for _, width := range t.widths {
		total += width
	}
	const least = 12
	for i, column := range t.columns {
		if over := total - t.width; column.flexible && over > 0 {
			shrunk := max(t.widths[i]-over, min(least, t.widths[i]))
			total -= t.widths[i] - shrunk
			t.widths[i] = shrunk
		}
	}
	return cells
}

func (t *tableList) line(cells []string, before, after string) error {
	var b strings.Builder
	for i, cell := range cells {
		if i > 0 {
			b.WriteString(gap)
		}
		if t.width > 0 {
			cell = ansi.Truncate(cell, t.widths[i], "…")
		}
		b.WriteString(cell)
		b.WriteString(strings.Repeat(" ", max(t.widths[i]-ansi.StringWidth(cell), 0)))
	}
	text := strings.TrimRight(b.String(), " ")
	if t.width > 0 {
		text = ansi.Truncate(text, t.width, "…")
	}
	_, err := fmt.Fprintln(t.out, before+text+after)
	return err
}

func (t *tableList) end() error {
	if t.rows == 0 {
		fmt.Fprintln(t.out, "Nothing is found.")
	}
	more(t.out, t.next)
	return nil
}
