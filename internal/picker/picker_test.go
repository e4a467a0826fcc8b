package picker_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/picker"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// incidents stands in for an instance with 250 incidents, 40 a page.
type incidents struct {
	searches []string
	fail     error
}

func (s *incidents) search(_ context.Context, text, after string) (picker.Page, error) {
	s.searches = append(s.searches, text+"|"+after)
	if s.fail != nil {
		return picker.Page{}, s.fail
	}
	start, _ := strconv.Atoi(after)
	var page picker.Page
	for n := start; n < 250; n++ {
		if len(page.Rows) == 40 {
			page.Next = strconv.Itoa(n)
			break
		}
		row := picker.Row{
			ID: fmt.Sprintf("id%03d", n), Name: fmt.Sprintf("INC%07d", n), State: []string{"New", "In Progress", "On Hold"}[n%3],
			Updated: "2026-01-02 03:04", Title: fmt.Sprintf("Printer %d on the second floor of the harbour office prints nothing at all", n),
		}
		switch n {
		case 1:
			row.Title = "\x1b[2J\x1b]0;owned\x07Hostile\x9b31m \u202etext\r\nof two lines"
		case 2:
			row.Title = "全角文字の件名は幅が二倍になるので切り詰めるときに注意が必要です、とても長い件名"
		}
		if strings.Contains(row.Name+row.Title, text) {
			page.Rows = append(page.Rows, row)
		}
	}
	return page, nil
}

func (s *incidents) preview(_ context.Context, id string) (string, error) {
	if id == "id003" {
		return "", errors.New("SN-READ-001: the signed-in user may not read it")
	}
	return "Text of " + id + "\n\n" + strings.Repeat("words that are wrapped where the screen ends ", 12) + "\n\x1b[2Jend", nil
}

// screen drives a picker as a terminal would.
type screen struct {
	t     *testing.T
	model *picker.Model
	quit  bool
}

func open(t *testing.T, cfg picker.Config) *screen {
	t.Helper()
	cfg.Pause = time.Millisecond
	if cfg.Title == "" {
		cfg.Title = "Incidents of example"
	}
	s := &screen{t: t, model: picker.New(t.Context(), cfg)}
	s.send(tea.WindowSizeMsg{Width: 80, Height: 24})
	s.run(s.model.Init())
	return s
}

func (s *screen) send(msg tea.Msg) {
	_, cmd := s.model.Update(msg)
	s.run(cmd)
}

// run runs a command and everything that follows from it.
func (s *screen) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case tea.BatchMsg:
		for _, cmd := range msg {
			s.run(cmd)
		}
	case tea.QuitMsg:
		s.quit = true
	default:
		s.send(msg)
	}
}

func (s *screen) keys(keys ...string) {
	codes := map[string]rune{
		"enter": tea.KeyEnter, "esc": tea.KeyEscape, "up": tea.KeyUp, "down": tea.KeyDown, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp,
		"home": tea.KeyHome, "end": tea.KeyEnd, "tab": tea.KeyTab, "backspace": tea.KeyBackspace,
	}
	for _, key := range keys {
		msg := tea.KeyPressMsg{}
		name, control := strings.CutPrefix(key, "ctrl+")
		name, shift := strings.CutPrefix(name, "shift+")
		switch {
		case control:
			msg.Code, msg.Mod = rune(name[0]), tea.ModCtrl
		case codes[name] != 0:
			msg.Code = codes[name]
		case name == "space":
			msg.Code, msg.Text = tea.KeySpace, " "
		default:
			msg.Code, msg.Text = []rune(name)[0], name
		}
		if shift {
			msg.Mod |= tea.ModShift
		}
		s.send(msg)
	}
}

func (s *screen) typed(text string) {
	for _, r := range text {
		if r == ' ' {
			s.keys("space")
			continue
		}
		s.keys(string(r))
	}
}

// golden compares the screen with a file, and proves that it fits the terminal.
func (s *screen) golden(name string, width, height int) {
	s.t.Helper()
	got := s.model.Screen()
	lines := strings.Split(got, "\n")
	require.LessOrEqual(s.t, len(lines), height)
	for _, line := range lines {
		require.LessOrEqual(s.t, ansi.StringWidth(line), width, "%q", line)
	}
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(s.t, os.MkdirAll("testdata", 0o755))
		require.NoError(s.t, os.WriteFile(path, []byte(got+"\n"), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(s.t, err)
	require.Equal(s.t, string(want), got+"\n")
}

func (s *screen) chosen() []string {
	var ids []string
	for _, row := range s.model.Chosen() {
		ids = append(ids, row.ID)
	}
	return ids
}

func TestScreens(t *testing.T) {
	source := &incidents{}
	s := open(t, picker.Config{Search: source.search, Preview: source.preview, Plain: true})
	s.golden("first", 80, 24)
	require.NotContains(t, s.model.Screen(), "\x1b")

	s.keys("down", "space", "space")
	s.golden("chosen", 80, 24)
	require.Equal(t, []string{"id001", "id002"}, s.chosen())

	s.keys("/")
	s.typed("Printer 2")
	s.golden("typed", 80, 24)
	s.keys("enter", "space", "shift+down", "shift+down")
	s.golden("searched", 80, 24)
	require.Equal(t, []string{"id001", "id002", "id020"}, s.chosen())

	s.send(tea.WindowSizeMsg{Width: 120, Height: 40})
	s.golden("large", 120, 40)
	s.send(tea.WindowSizeMsg{Width: 40, Height: 10})
	s.golden("small", 40, 10)
	s.send(tea.WindowSizeMsg{Width: 20, Height: 5})
	s.golden("tiny", 20, 5)
	s.send(tea.WindowSizeMsg{Width: 80, Height: 24})
	s.keys("?")
	s.golden("help", 80, 24)

	s.keys("enter")
	require.True(t, s.quit && s.model.Done())
	require.False(t, s.model.View().AltScreen, "the screen before comes back")
}

func TestStyles(t *testing.T) {
	source := &incidents{}
	s := open(t, picker.Config{Search: source.search, Preview: source.preview})
	s.keys("down")
	s.golden("styled", 80, 24)
	text := s.model.Screen()
	require.NotContains(t, text, "\x1b[2J")
	require.NotContains(t, text, "owned")
	require.NotContains(t, text, "\u202e")
	require.True(t, s.model.View().AltScreen)
}

func TestPaging(t *testing.T) {
	source := &incidents{}
	s := open(t, picker.Config{Search: source.search, Preview: source.preview, Plain: true})
	require.Contains(t, s.model.Screen(), "40 shown+")
	for range 30 {
		s.keys("pgdown")
	}
	require.Contains(t, s.model.Screen(), "INC0000249")
	require.Contains(t, s.model.Screen(), "250 shown")
	require.NotContains(t, s.model.Screen(), "shown+")
	require.Len(t, source.searches, 7, "each page once")
	s.keys("home")
	require.Contains(t, s.model.Screen(), "> [ ] INC0000000")
	s.keys("up", "k", "end", "j")
	require.Contains(t, s.model.Screen(), "> [ ] INC0000249")
	s.keys("a")
	require.Len(t, s.chosen(), 250)
	s.keys("a")
	require.Empty(t, s.chosen())
}

// Typing asks once it rests, shows what fits meanwhile, and ignores answers to what was typed before.
func TestSearchAsYouType(t *testing.T) {
	source := &incidents{}
	s := open(t, picker.Config{Search: source.search, Preview: source.preview, Plain: true})
	s.keys("/")
	var late []tea.Cmd
	for _, r := range "floor" {
		_, cmd := s.model.Update(tea.KeyPressMsg{Code: r, Text: string(r)})
		late = append(late, cmd)
	}
	require.Len(t, source.searches, 1, "nothing is asked while keys come")
	require.Contains(t, s.model.Screen(), "searching…")
	require.NotContains(t, s.model.Screen(), "Hostile", "what is there already is filtered at once")
	for _, cmd := range late {
		s.run(cmd)
	}
	require.Equal(t, []string{"|", "floor|"}, source.searches)

	s.keys("space", "q", "backspace", "backspace", "ctrl+w")
	require.Contains(t, s.model.Screen(), "Search: _")
	s.send(tea.PasteMsg{Content: "INC0000\x1b[2J\n1"})
	require.Contains(t, s.model.Screen(), "Search: INC0000 1_")
	s.keys("ctrl+u")
	s.typed(strings.Repeat("x", 300))
	require.Contains(t, s.model.Screen(), "Nothing is found.")
	s.keys("esc")
	require.False(t, s.quit, "the first esc leaves the search")
	require.Contains(t, s.model.Screen(), "40 shown+")
}

func TestFailures(t *testing.T) {
	source := &incidents{fail: errors.New("SN-INST-002: the instance\x1b[2J is away")}
	s := open(t, picker.Config{Search: source.search, Preview: source.preview, Plain: true})
	require.Contains(t, s.model.Screen(), "r tries again. SN-INST-002: the instance is away")
	source.fail = nil
	s.keys("r", "down", "down", "down")
	require.Contains(t, s.model.Screen(), "The text cannot be read: SN-READ-001")
}

func TestLeaving(t *testing.T) {
	for _, key := range []string{"q", "esc", "ctrl+c"} {
		source := &incidents{}
		s := open(t, picker.Config{Search: source.search, Preview: source.preview, Plain: true, Chosen: []picker.Row{{ID: "id005", Name: "INC0000005"}}})
		s.keys("space", key)
		require.True(t, s.quit, key)
		require.False(t, s.model.Done(), key)
	}
}

func TestWhatIsChosenAlready(t *testing.T) {
	source := &incidents{}
	s := open(t, picker.Config{Search: source.search, Preview: source.preview, Plain: true, Query: "INC000000", Chosen: []picker.Row{{ID: "id001"}, {ID: "elsewhere"}}})
	require.Equal(t, []string{"INC000000|"}, source.searches)
	require.Contains(t, s.model.Screen(), "[x] INC0000001")
	s.keys("down", "space", "enter")
	require.True(t, s.model.Done())
	require.Equal(t, []string{"elsewhere"}, s.chosen(), "what the search does not show stays chosen")

	s = open(t, picker.Config{Search: source.search, Preview: source.preview, Plain: true})
	s.keys("enter")
	require.False(t, s.quit)
	require.Contains(t, s.model.Screen(), "Nothing is chosen")
}

// The program runs on any reader and writer, and ends with its context.
func TestRun(t *testing.T) {
	source := &incidents{}
	in, keys := io.Pipe()
	defer keys.Close()
	var out bytes.Buffer
	go func() {
		for _, key := range []string{" ", "\x1b[B", " ", "\r"} {
			time.Sleep(100 * time.Millisecond)
			_, _ = io.WriteString(keys, key)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	chosen, ok, err := picker.Run(ctx, picker.Config{Title: "x", Search: source.search, Preview: source.preview}, in, &out)
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, chosen, 2)

	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	idle, _ := io.Pipe()
	_, ok, err = picker.Run(ctx, picker.Config{Search: source.search, Preview: source.preview}, idle, io.Discard)
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, ok)
}
