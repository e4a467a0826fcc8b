package doctor

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// Style is how a report is written for people.
type Style struct {
	// Width is that of the terminal; 0 is 120.
	Width int
	// Color marks the states with ANSI colours.
	Color bool
}

const (
	defaultWidth = 120
	// beside is what stands left of the texts: state, code and title with their gaps.
	beside = 2 + 7 + 2 + 10 + 2 + 28 + 2
	// narrowest keeps the texts readable on a small terminal.
	narrowest = 36
)

// Write writes a report as a table: a line for each check, with what to do below it.
func Write(w io.Writer, r *Report, style Style) error {
	title := r.Instance
	if r.Source != "" && r.Source != r.Instance {
		title = r.Source + ", " + r.Instance
	}
	if _, err := fmt.Fprintf(w, "%s (%s)\n\n", title, r.Address); err != nil {
		return err
	}
	if style.Width <= 0 {
		style.Width = defaultWidth
	}
	width := max(style.Width-beside, narrowest)
	var buf bytes.Buffer
	table := tabwriter.NewWriter(&buf, 0, 0, 2, ' ', 0)
	for i := range r.Checks {
		c := &r.Checks[i]
		lines := wrap(capital(c.Seen), width)
		if c.NextStep != "" {
			for j, line := range wrap(capital(c.NextStep), width-2) {
				lines = append(lines, []string{"→ ", "  "}[min(j, 1)]+line)
			}
		}
		if c.Cause != "" {
			lines = append(lines, "  ("+c.Cause+")")
		}
		for j, line := range lines {
			cells := []string{string(c.State), c.Code, c.Title}
			if j > 0 {
				cells = []string{"", "", ""}
			}
			fmt.Fprintf(table, "  %s\t%s\n", strings.Join(cells, "\t"), line)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	lines := bufio.NewScanner(&buf)
	for lines.Scan() {
		if _, err := fmt.Fprintln(w, paint(lines.Text(), style.Color)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\nok %d, warning %d, failed %d, skipped %d; %d requests in %.1f s.\n",
		r.Count(OK), r.Count(Warning), r.Count(Failed), r.Count(Skipped), r.Requests, r.Seconds)
	return err
}

// paint colours the state at the beginning of a line; done after the alignment, which counts every byte.
func paint(line string, color bool) string {
	if !color {
		return line
	}
	for state, code := range map[State]string{OK: "32", Warning: "33", Failed: "1;31", Skipped: "2"} {
		if rest, found := strings.CutPrefix(line, "  "+string(state)+" "); found {
			return "  \x1b[" + code + "m" + string(state) + "\x1b[0m " + rest
		}
	}
	return line
}

// wrap breaks a text at its spaces.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// capital makes a sentence of a text, unless it begins with a name such as sys_choice.
func capital(text string) string {
	first, _, _ := strings.Cut(text, " ")
	if first == "" || strings.ContainsAny(first, "_./:0123456789") {
		return text
	}
	return strings.ToUpper(first[:1]) + text[1:]
}
