package picker

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

const (
	leastWidth, leastHeight = 30, 8
	// previewFrom is the height from which there is room for a preview.
	previewFrom = 14
	// frame are the lines of title, search, the two rules, and keys.
	frame = 5
)

// View draws the screen.
func (m *Model) View() tea.View {
	v := tea.NewView("")
	if m.done || m.left {
		return v // the screen that was there before comes back
	}
	v.AltScreen = true
	v.SetContent(m.Screen())
	return v
}

// Screen is the picker as text, a line for each of the terminal's.
func (m *Model) Screen() string {
	if m.width < leastWidth || m.height < leastHeight {
		return ansi.Truncate(fmt.Sprintf("Enlarge the terminal to %d by %d.", leastWidth, leastHeight), max(m.width, 1), "")
	}
	lines := []string{m.title(), m.searchLine(), m.rule("")}
	rows := m.visible()
	for i := m.top; i < m.top+m.listHeight(); i++ {
		line := ""
		switch {
		case i < len(rows):
			line = m.rowLine(rows[i], i == m.cursor)
		case i == 0 && !m.searching && m.query == m.loaded && m.failure == "":
			line = "  Nothing is found."
		}
		lines = append(lines, line)
	}
	if height := m.previewHeight(); height > 0 {
		name := ""
		if row, ok := m.current(); ok {
			name = row.Name
		}
		lines = append(lines, m.rule(name))
		text := m.previewLines()
		for i := range height {
			line := ""
			if at := m.previewTop + i; at < len(text) {
				line = text[at]
			}
			lines = append(lines, line)
		}
	} else {
		lines = append(lines, m.rule(""))
	}
	lines = append(lines, m.bottom())
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], m.width, "…")
	}
	return strings.Join(lines, "\n")
}

func (m *Model) previewHeight() int {
	if m.height < previewFrom {
		return 0
	}
	return (m.height - frame) * 2 / 5
}

func (m *Model) listHeight() int { return max(m.height-frame-m.previewHeight(), 1) }

func (m *Model) title() string {
	count := fmt.Sprintf("%d chosen", len(m.order))
	room := m.width - len(count) - 1
	title := ansi.Truncate(m.cfg.Title, room, "…")
	return m.bold(title) + strings.Repeat(" ", max(m.width-ansi.StringWidth(title)-len(count), 1)) + count
}

func (m *Model) searchLine() string {
	text := "Search: " + m.query
	if m.typing {
		// The end of a long text stays in sight.
		if over := ansi.StringWidth(text) + 1 - m.width; over > 0 {
			text = ansi.TruncateLeft(text, over+1, "…")
		}
		return text + m.cursorMark()
	}
	if m.query == "" {
		return m.dim("Search: press / and type a number or words")
	}
	return text
}

func (m *Model) cursorMark() string {
	if m.cfg.Plain {
		return "_"
	}
	return "\x1b[7m \x1b[27m"
}

func (m *Model) rowLine(r Row, current bool) string {
	mark, box := "  ", "[ ]"
	if current {
		mark = "> "
	}
	if _, ok := m.chosen[r.ID]; ok {
		box = "[x]"
	}
	line := mark + box + " " + fit(r.Name, 12) + " " + fit(r.State, 11) + " "
	if m.width >= 90 {
		line += fit(r.Updated, 16) + " "
	}
	line = ansi.Truncate(line+r.Title, m.width, "…")
	if current && !m.cfg.Plain {
		return "\x1b[1;36m" + line + "\x1b[m"
	}
	return line
}

// fit makes a text exactly so wide.
func fit(text string, width int) string {
	text = ansi.Truncate(text, width, "…")
	return text + strings.Repeat(" ", max(width-ansi.StringWidth(text), 0))
}

func (m *Model) rule(name string) string {
	if name == "" {
		return m.dim(strings.Repeat("─", m.width))
	}
	name = ansi.Truncate(name, m.width-6, "…")
	return m.dim("── " + name + " " + strings.Repeat("─", max(m.width-ansi.StringWidth(name)-4, 0)))
}

func (m *Model) previewLines() []string {
	row, ok := m.current()
	if !ok {
		return nil
	}
	text, known := m.previews[row.ID]
	if !known {
		return []string{m.dim("…")}
	}
	return strings.Split(ansi.Wrap(text, m.width, ""), "\n")
}

func (m *Model) bottom() string {
	keys := "space choose · a all · / search · enter done · q leave · ? more"
	switch {
	case m.message != "":
		return m.bold(m.message)
	case m.failure != "":
		return m.bold("r tries again. ") + m.failure
	case m.help:
		keys = "↑↓ jk move · pgup pgdn page · g G ends · shift+↑↓ scroll the text · ? back"
	case m.typing:
		keys = "enter back to the list · esc clear · ↑↓ move · ctrl+w word · ctrl+u all"
	}
	state := fmt.Sprintf("%d shown", len(m.visible()))
	switch {
	case m.searching || m.query != m.loaded:
		state = "searching…"
	case m.next != "" && len(m.rows) >= mostRows:
		state += ", refine the search for more"
	case m.next != "":
		state += "+"
	}
	room := m.width - ansi.StringWidth(state) - 1
	return m.dim(fit(keys, max(room, 0)) + " " + state)
}

func (m *Model) bold(text string) string { return m.styled("1", "22", text) }

func (m *Model) dim(text string) string { return m.styled("2", "22", text) }

func (m *Model) styled(on, off, text string) string {
	if m.cfg.Plain || text == "" {
		return text
	}
	return "\x1b[" + on + "m" + text + "\x1b[" + off + "m"
}
