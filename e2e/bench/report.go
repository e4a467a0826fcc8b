package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// series are the figures of repetitions.
type series []float64

func (s series) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// String is the median, and from where to where the figures go.
func (s series) String() string {
	if len(s) == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%s to %s)", short(s.median()), short(slices.Min(s)), short(slices.Max(s)))
}

// short writes a figure with three digits or so.
func short(v float64) string {
	switch {
	case v >= 100:
		return grouped(int64(v + 0.5))
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// of makes a series of one figure of each item.
func of[T any](items []T, figure func(i int, item T) float64) series {
	s := make(series, len(items))
	for i, item := range items {
		s[i] = figure(i, item)
	}
	return s
}

func seconds(d []time.Duration) series {
	return of(d, func(_ int, d time.Duration) float64 { return d.Seconds() })
}

func walls(s []loadSync) series {
	return of(s, func(_ int, s loadSync) float64 { return s.wall.Seconds() })
}

func (r *results) write(out io.Writer, s settings) error {
	var text strings.Builder
	line := func(format string, values ...any) { fmt.Fprintf(&text, format+"\n", values...) }
	processor, memory := machine()
	line("| | |\n| - | - |")
	line("| Date | %s |", time.Now().UTC().Format(time.DateOnly))
	line("| Processor | %s, %d cores, shared by instance, plugin and destination |", processor, runtime.NumCPU())
	line("| Memory | %s |", memory)
	line("| System, Go | %s/%s, %s |", runtime.GOOS, runtime.GOARCH, strings.TrimPrefix(runtime.Version(), "go"))
	line("| Command | `%s` |", s.command)
	line("| Repetitions | %d; figures are medians, with the lowest and the highest |", s.repeat)
	r.quick.write(line, "Full load without latency")
	r.quick.writeRowPath(line)
	r.slow.write(line, fmt.Sprintf("Full load with %s a request, %s a row, %s for each row that an offset leaves out, %d requests served at once",
		r.slow.latency.request, r.slow.latency.row, r.slow.latency.offset, r.slow.latency.servedAtOnce))
	r.writeSizes(line)
	_, err := io.WriteString(out, text.String())
	return err
}

func (l *loads) write(line func(string, ...any), title string) {
	perSecond := func(s series) string { return short(float64(l.incidents) / s.median()) }
	last := l.syncs[len(l.syncs)-1].report
	line("\n### %s\n", title)
	line("%s incidents, %s MB of answers as they are sent, %d pages, %d requests.\n", grouped(int64(l.incidents)), short(float64(last.Bytes)/1e6), len(last.Pages), last.Requests)
	line("| | Seconds | Rows per second | Pages in flight |\n| - | - | - | - |")
	atOnce := of(l.syncs, func(_ int, s loadSync) float64 { return float64(s.report.AtOnce) })
	line("| Sync | %s | %s | at most %.0f |", walls(l.syncs), perSecond(walls(l.syncs)), atOnce.median())
	line("| Bare download of the same pages | %s | %s | %.0f |", seconds(l.bare), perSecond(seconds(l.bare)),
		of(l.atOnce, func(_, n int) float64 { return float64(n) }).median())
	if len(l.offsets) > 0 {
		line("| Offset paging, a bare download of 1,000 rows at a time | %s | %s | 1 |", seconds(l.offsets), perSecond(seconds(l.offsets)))
	}
	line("\n| Ratio | | Goal |\n| - | - | - |")
	goal := ""
	if l.latency == (latency{}) {
		goal = "1.3 at most"
	}
	line("| Sync to bare download, time | %s | %s |", of(l.syncs, func(i int, s loadSync) float64 { return s.wall.Seconds() / l.bare[i].Seconds() }), goal)
	if l.latency != (latency{}) {
		line("| Sync to ideal, time: what the answers take by the model, divided by %d | %s | 1.15 at most |", l.latency.servedAtOnce,
			of(l.syncs, func(_ int, s loadSync) float64 { return s.wall.Seconds() / l.ideal(s).Seconds() }))
		line("| What the answers took to what they take by the model | %s | |",
			of(l.syncs, func(_ int, s loadSync) float64 { return s.report.Took.Seconds() / s.report.Model.Seconds() }))
	}
	processors := float64(runtime.NumCPU())
	line("| CPU seconds of instance and destination, divided by %.0f cores, to bare download: the least that is left to a sync | %s | |", processors,
		of(l.syncs, func(i int, s loadSync) float64 {
			return (s.instance + s.destination).Seconds() / processors / l.bare[i].Seconds()
		}))
	if len(l.offsets) > 0 {
		line("| Offset paging to sync, time | %s | |", of(l.offsets, func(i int, took time.Duration) float64 { return took.Seconds() / l.syncs[i].wall.Seconds() }))
	}
}

func (l *loads) writeRowPath(line func(string, ...any)) {
	perRow := func(o outcome) float64 { return float64(o.rows) / max(o.cpu.Seconds(), 0.001) }
	million := func(v float64) float64 { return v * 1e6 / float64(l.incidents) }
	line("\n| The plugin's process | Rows per CPU second | CPU seconds per million rows | Peak memory, MiB |\n| - | - | - | - |")
	line("| Sync | %s | %s | %s |", of(l.syncs, func(_ int, s loadSync) float64 { return perRow(s.outcome) }),
		short(million(of(l.syncs, func(_ int, s loadSync) float64 { return s.cpu.Seconds() }).median())),
		of(l.syncs, func(_ int, s loadSync) float64 { return float64(s.peak) / (1 << 20) }))
	for _, rows := range batches() {
		line("| The SDK's row path, batches of %d rows | %s | %s | %s |", rows, of(l.rows[rows], func(_ int, o outcome) float64 { return perRow(o) }),
			short(million(of(l.rows[rows], func(_ int, o outcome) float64 { return o.cpu.Seconds() }).median())),
			of(l.rows[rows], func(_ int, o outcome) float64 { return float64(o.peak) / (1 << 20) }))
	}
	line("\n| Ratio | | Goal |\n| - | - | - |")
	for _, rows := range batches() {
		line("| Sync to row path with batches of %d rows, rows per CPU second | %s | 8 at least |", rows,
			of(l.rows[rows], func(i int, o outcome) float64 { return perRow(l.syncs[i].outcome) / perRow(o) }))
	}
}

func (r *results) writeSizes(line func(string, ...any)) {
	line("\n### Memory and number\n\nFull loads of all tables, without latency.\n")
	line("| Incidents | Seconds | Requests | CPU seconds per million rows | Peak memory, MiB |\n| - | - | - | - | - |")
	for _, s := range r.sizes {
		f := s.full
		line("| %s | %s | %d | %s | %d |", grouped(int64(s.incidents)), short(f.wall.Seconds()), f.report.Requests,
			short(f.cpu.Seconds()*1e6/float64(s.incidents)), f.peak>>20)
	}
	line("\n### Incremental syncs\n\nAll tables, without latency; the goal is one request for each 1,000 changed rows and 10 more at most.\n")
	line("| Incidents | Changed | Requests | Seconds | CPU seconds |\n| - | - | - | - | - |")
	for _, s := range r.sizes {
		for _, inc := range s.increments {
			line("| %s | %s | %.0f | %s | %.2f |", grouped(int64(inc.incidents)), grouped(int64(inc.changed)), inc.requests().median(), walls(inc.syncs),
				of(inc.syncs, func(_ int, s loadSync) float64 { return s.cpu.Seconds() }).median())
		}
	}
}

func (i increment) requests() series {
	return of(i.syncs, func(_ int, s loadSync) float64 { return float64(s.report.Requests) })
}

func (c *comparison) write(out io.Writer, s settings) error {
	_, err := fmt.Fprintf(out, "%s incidents, %d repetitions in turn; %s against %s.\n\n| | First | Second | Ratio |\n| - | - | - | - |\n", grouped(int64(s.incidents)), s.repeat, s.binary, s.against)
	for _, f := range []struct {
		name   string
		figure func(int, loadSync) float64
	}{
		{"Seconds", func(_ int, s loadSync) float64 { return s.wall.Seconds() }},
		{"CPU seconds", func(_ int, s loadSync) float64 { return s.cpu.Seconds() }},
		{"Peak memory, MiB", func(_ int, s loadSync) float64 { return float64(s.peak) / (1 << 20) }},
		{"Requests", func(_ int, s loadSync) float64 { return float64(s.report.Requests) }},
	} {
		ours, theirs := of(c.ours, f.figure), of(c.theirs, f.figure)
		ratio := of(ours, func(i int, v float64) float64 { return v / max(theirs[i], 1e-9) })
		if _, err := fmt.Fprintf(out, "| %s | %s | %s | %s |\n", f.name, ours, theirs, ratio); err != nil {
			return err
		}
	}
	return err
}
