package localsync

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/mattn/go-isatty"
	"golang.org/x/term"
)

const (
	liveInterval  = 200 * time.Millisecond
	plainInterval = 5 * time.Second
	defaultWidth  = 80
)

// progress tells the user how a sync goes: one live line on a terminal, a plain line now and then elsewhere. Notes, which
// are warnings and errors, are printed in any case.
type progress struct {
	out   io.Writer
	live  bool
	quiet bool
	width func() int
	start time.Time

	mu     sync.Mutex
	tables map[string]int64
	order  []string
	total  int64
	drawn  bool // a live line stands on the terminal
	stop   chan struct{}
	ended  chan struct{}
}

func newProgress(out io.Writer, quiet bool) *progress {
	p := &progress{
		out:    out,
		quiet:  quiet,
		width:  func() int { return defaultWidth },
		start:  time.Now(),
		tables: map[string]int64{},
		stop:   make(chan struct{}),
		ended:  make(chan struct{}),
	}
	if f, ok := out.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		p.live = true
		p.width = func() int {
			if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
				return w
			}
			return defaultWidth
		}
	}
	go p.run()
	return p
}

func (p *progress) run() {
	defer close(p.ended)
	if p.quiet {
		return
	}
	interval := plainInterval
	if p.live {
		interval = liveInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.draw()
		case <-p.stop:
			return
		}
	}
}

func (p *progress) add(table string, rows int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.tables[table]; !ok {
		p.order = append(p.order, table)
	}
	p.tables[table] += rows
	p.total += rows
}

// note prints a line above the live line.
func (p *progress) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	fmt.Fprintln(p.out, text)
}

// finish removes the live line. It may be called twice.
func (p *progress) finish() {
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	<-p.ended
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
}

func (p *progress) erase() {
	if p.drawn {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.drawn = false
	}
}

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := p.line(time.Since(p.start))
	if !p.live {
		fmt.Fprintln(p.out, line)
		return
	}
	if width := p.width() - 1; utf8.RuneCountInString(line) > width {
		line = string([]rune(line)[:max(width-1, 0)]) + "…"
	}
	fmt.Fprint(p.out, "\r\x1b[K"+line)
	p.drawn = true
}

// line is what both forms show. The sums come first: a narrow terminal cuts the end.
func (p *progress) line(elapsed time.Duration) string {
	rate := float64(p.total) / max(elapsed.Seconds(), 0.001)
	parts := []string{fmt.Sprintf("%s rows, %s rows/s, %s", grouped(p.total), grouped(int64(rate)), elapsed.Truncate(time.Second))}
	for _, table := range p.order {
		parts = append(parts, table+" "+grouped(p.tables[table]))
	}
	return strings.Join(parts, " · ")
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
