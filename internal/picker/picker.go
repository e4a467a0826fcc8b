// Package picker is a terminal screen to search a long list, look at its items, and choose some.
package picker

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/cqservicenow/cq-source-servicenow/internal/termtext"
)

// Row is an item that can be chosen.
type Row struct {
	ID, Name, Title, State, Updated string
}

// Page is what a search found so far; Next is "" when nothing follows.
type Page struct {
	Rows []Row
	Next string
}

// Config is what a picker shows.
type Config struct {
	// Title says what is chosen from.
	Title string
	// Search finds rows by a text, "" for all of them, behind an earlier page's Next.
	Search func(ctx context.Context, text, after string) (Page, error)
	// Preview is the text of a row.
	Preview func(ctx context.Context, id string) (string, error)
	// Chosen are chosen from the beginning.
	Chosen []Row
	// Query is searched for in the beginning.
	Query string
	// Plain leaves out colours and bold letters.
	Plain bool
	// Pause is how long typing or moving must rest before a request is sent; 0 is the default.
	Pause time.Duration
}

const (
	defaultPause = 200 * time.Millisecond
	// mostRows bounds what is held of one search, and mostPreviews the texts that are kept.
	mostRows     = 2000
	mostPreviews = 100
	mostText     = 64 << 10
	mostQuery    = 100
)

// Run shows the picker until the user has chosen; ok is false when the user left it, and nothing is to be changed.
func Run(ctx context.Context, cfg Config, in io.Reader, out io.Writer) (chosen []Row, ok bool, err error) {
	m := New(ctx, cfg)
	defer m.stop()
	if _, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler()).Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, false, fmt.Errorf("showing the picker: %w", err)
	}
	return m.Chosen(), m.done, nil
}

// Model is the picker's state; it is a tea.Model.
type Model struct {
	cfg  Config
	ctx  context.Context
	stop context.CancelFunc

	width, height int
	typing        bool // the keys go to the search
	help          bool

	query     string
	loaded    string // the query that rows is the answer to
	rows      []Row
	next      string
	searching bool
	searchSeq int
	cancel    context.CancelFunc // of the running search
	failure   string

	cursor, top int

	chosen map[string]Row
	order  []string // of chosen

	previews   map[string]string
	previewSeq int
	previewTop int

	message string
	done    bool
	left    bool
}

// New returns a picker before its first search. ctx ends its requests.
func New(ctx context.Context, cfg Config) *Model {
	cfg.Pause = cmp.Or(cfg.Pause, defaultPause)
	ctx, stop := context.WithCancel(ctx)
	m := &Model{cfg: cfg, ctx: ctx, stop: stop, query: cfg.Query, width: 80, height: 24, chosen: map[string]Row{}, previews: map[string]string{}}
	for _, row := range cfg.Chosen {
		m.choose(clean(row))
	}
	return m
}

// Chosen returns what is chosen, in the order of choosing.
func (m *Model) Chosen() []Row {
	rows := make([]Row, len(m.order))
	for i, id := range m.order {
		rows[i] = m.chosen[id]
	}
	return rows
}

// Done reports whether the user has confirmed the choice.
func (m *Model) Done() bool { return m.done }

func clean(r Row) Row {
	return Row{ID: r.ID, Name: termtext.Line(r.Name), Title: termtext.Line(r.Title), State: termtext.Line(r.State), Updated: termtext.Line(r.Updated)}
}

func (m *Model) choose(r Row) {
	if _, known := m.chosen[r.ID]; !known {
		m.order = append(m.order, r.ID)
	}
	m.chosen[r.ID] = r
}

func (m *Model) toggle(r Row) {
	if _, known := m.chosen[r.ID]; !known {
		m.choose(r)
		return
	}
	delete(m.chosen, r.ID)
	m.order = slices.DeleteFunc(m.order, func(id string) bool { return id == r.ID })
}

// visible are the rows to show: while an answer is due, those of the last one that fit the new text.
func (m *Model) visible() []Row {
	if m.query == m.loaded {
		return m.rows
	}
	words := strings.Fields(strings.ToLower(m.query))
	var rows []Row
	for _, r := range m.rows {
		text := strings.ToLower(r.Name + "\n" + r.Title)
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) }) {
			rows = append(rows, r)
		}
	}
	return rows
}

// current is the row under the cursor.
func (m *Model) current() (Row, bool) {
	rows := m.visible()
	if m.cursor < 0 || m.cursor >= len(rows) {
		return Row{}, false
	}
	return rows[m.cursor], true
}
