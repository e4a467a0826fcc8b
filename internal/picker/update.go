package picker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"github.com/cqservicenow/cq-source-servicenow/internal/termtext"
)

type (
	// searchDue and previewDue come when typing or moving has rested; a later one makes them void.
	searchDue  struct{ seq int }
	previewDue struct{ seq int }

	found struct {
		seq   int
		query string
		after string
		page  Page
		err   error
	}
	previewed struct {
		id, text string
		err      error
	}
)

// Init starts the first search.
func (m *Model) Init() tea.Cmd { return m.search("") }

// Update takes a key, a size or an answer.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.scroll()
	case tea.KeyPressMsg:
		m.message = ""
		return m, m.key(msg)
	case tea.PasteMsg:
		if m.typing {
			return m, m.typed(m.query + termtext.Line(msg.Content))
		}
	case searchDue:
		if msg.seq == m.searchSeq {
			return m, m.search("")
		}
	case found:
		return m, m.take(msg)
	case previewDue:
		if msg.seq == m.previewSeq {
			return m, m.preview()
		}
	case previewed:
		if len(m.previews) >= mostPreviews {
			clear(m.previews)
		}
		m.previews[msg.id] = msg.text
		if msg.err != nil {
			m.previews[msg.id] = "The text cannot be read: " + termtext.Line(msg.err.Error())
		}
	}
	return m, nil
}

func (m *Model) key(msg tea.KeyPressMsg) tea.Cmd {
	key := msg.Keystroke()
	switch key {
	case "ctrl+c":
		return m.leave()
	case "up", "ctrl+p":
		return m.move(-1)
	case "down", "ctrl+n":
		return m.move(1)
	case "pgup":
		return m.move(-m.listHeight())
	case "pgdown":
		return m.move(m.listHeight())
	case "shift+up":
		m.scrollPreview(-1)
		return nil
	case "shift+down":
		m.scrollPreview(1)
		return nil
	}
	if m.typing {
		return m.typingKey(msg, key)
	}
	switch key {
	case "q", "esc":
		return m.leave()
	case "/", "tab":
		m.typing = true
	case "?":
		m.help = !m.help
	case "k":
		return m.move(-1)
	case "j":
		return m.move(1)
	case "home", "g":
		return m.move(-len(m.visible()))
	case "end", "shift+g":
		return m.move(len(m.visible()))
	case "space":
		if row, ok := m.current(); ok {
			m.toggle(row)
			return m.move(1)
		}
	case "a":
		m.toggleAll()
	case "r":
		if m.failure != "" {
			return m.search("")
		}
	case "enter":
		if len(m.order) == 0 {
			m.message = "Nothing is chosen: space chooses, q leaves."
			return nil
		}
		m.done = true
		return tea.Quit
	}
	return nil
}

// typingKey is a key while the search has the focus.
func (m *Model) typingKey(msg tea.KeyPressMsg, key string) tea.Cmd {
	switch key {
	case "enter", "tab":
		m.typing = false
	case "esc":
		m.typing = false
		return m.typed("")
	case "backspace":
		runes := []rune(m.query)
		return m.typed(string(runes[:max(len(runes)-1, 0)]))
	case "ctrl+u":
		return m.typed("")
	case "ctrl+w":
		trimmed := strings.TrimRightFunc(m.query, unicode.IsSpace)
		return m.typed(trimmed[:strings.LastIndexFunc(trimmed, unicode.IsSpace)+1])
	default:
		if text := strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return -1
			}
			return r
		}, msg.Text); text != "" {
			return m.typed(m.query + text)
		}
	}
	return nil
}

func (m *Model) leave() tea.Cmd {
	m.left = true
	return tea.Quit
}

func (m *Model) toggleAll() {
	rows := m.visible()
	all := !slices.ContainsFunc(rows, func(r Row) bool { _, ok := m.chosen[r.ID]; return !ok })
	for _, row := range rows {
		if _, ok := m.chosen[row.ID]; ok == all {
			m.toggle(row)
		}
	}
}

// typed takes a new search text; the request follows when typing rests.
func (m *Model) typed(text string) tea.Cmd {
	if len(text) > mostQuery || text == m.query {
		return nil
	}
	m.query, m.cursor, m.top = text, 0, 0
	m.searchSeq++
	seq := m.searchSeq
	return tea.Batch(
		tea.Tick(m.cfg.Pause, func(time.Time) tea.Msg { return searchDue{seq} }),
		m.previewSoon(),
	)
}

// search asks for the first page of the current text, or for the page behind after. A search that is still running is
// given up.
func (m *Model) search(after string) tea.Cmd {
	if m.cancel != nil {
		m.cancel()
	}
	ctx, cancel := context.WithCancel(m.ctx)
	m.cancel = cancel
	m.searchSeq++
	m.searching, m.failure = true, ""
	seq, query := m.searchSeq, m.query
	return func() tea.Msg {
		defer cancel()
		page, err := m.cfg.Search(ctx, strings.TrimSpace(query), after)
		return found{seq: seq, query: query, after: after, page: page, err: err}
	}
}

// take takes a search's answer, unless another search has begun since.
func (m *Model) take(msg found) tea.Cmd {
	if msg.seq != m.searchSeq {
		return nil
	}
	m.searching = false
	if msg.err != nil {
		if !errors.Is(msg.err, context.Canceled) {
			m.failure = termtext.Line(msg.err.Error())
		}
		return nil
	}
	if msg.after == "" {
		m.rows, m.loaded, m.cursor, m.top = nil, msg.query, 0, 0
	}
	for _, row := range msg.page.Rows {
		m.rows = append(m.rows, clean(row))
	}
	m.next = msg.page.Next
	m.scroll()
	return m.previewSoon()
}

// move moves the cursor, and asks for the next page where the end comes near.
func (m *Model) move(by int) tea.Cmd {
	rows := len(m.visible())
	m.cursor = max(min(m.cursor+by, rows-1), 0)
	m.scroll()
	cmd := m.previewSoon()
	if m.cursor >= rows-m.listHeight() && m.next != "" && !m.searching && m.query == m.loaded && len(m.rows) < mostRows {
		return tea.Batch(cmd, m.search(m.next))
	}
	return cmd
}

// scroll keeps the cursor in sight.
func (m *Model) scroll() {
	height := m.listHeight()
	m.cursor = max(min(m.cursor, len(m.visible())-1), 0)
	m.top = max(min(m.top, m.cursor), m.cursor-height+1, 0)
	if most := len(m.visible()) - height; m.top > most {
		m.top = max(most, 0)
	}
}

func (m *Model) previewSoon() tea.Cmd {
	m.previewTop = 0
	m.previewSeq++
	seq := m.previewSeq
	return tea.Tick(m.cfg.Pause, func(time.Time) tea.Msg { return previewDue{seq} })
}

func (m *Model) preview() tea.Cmd {
	row, ok := m.current()
	if _, known := m.previews[row.ID]; !ok || known || m.cfg.Preview == nil {
		return nil
	}
	return func() tea.Msg {
		text, err := m.cfg.Preview(m.ctx, row.ID)
		if len(text) > mostText {
			text = text[:mostText] + "\n…"
		}
		return previewed{id: row.ID, text: termtext.Block(text), err: err}
	}
}

func (m *Model) scrollPreview(by int) {
	m.previewTop = max(min(m.previewTop+by, len(m.previewLines())-1), 0)
}
