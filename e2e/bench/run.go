package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// What this program is started as, beside the benchmark itself.
const (
	roleInstance = "instance"
	roleRowPath  = "rowpath"
)

// settings are what to measure.
type settings struct {
	incidents   int // without latency
	slowed      int // incidents with latency
	sizes       numbers
	changes     numbers
	repeat      int
	concurrency int
	offsets     int    // the most incidents that are also read by offsets
	plots       string // directory; empty for none
	binary      string // empty: built from the module
	against     string // another binary to compare with; nothing else is then measured
	command     string // as it was called
}

// numbers is a flag of numbers between commas.
type numbers []int

func (n *numbers) String() string {
	texts := make([]string, len(*n))
	for i, v := range *n {
		texts[i] = strconv.Itoa(v)
	}
	return strings.Join(texts, ",")
}

// Set reads the flag.
func (n *numbers) Set(text string) error {
	*n = nil
	for _, part := range strings.Split(text, ",") {
		v, err := strconv.Atoi(part)
		if err != nil || v < 1 {
			return errors.New("give numbers above 0 between commas")
		}
		*n = append(*n, v)
	}
	return nil
}

// model is the instance's speed in the second half of the benchmark: 200 ms a request and 0.1 ms a row; an offset costs a
// microsecond for each row that it leaves out, so that the last page of a million rows takes a second more than the first;
// and four requests are served at once, as a node of an instance does.
func model() latency {
	return latency{request: 200 * time.Millisecond, row: 100 * time.Microsecond, offset: time.Microsecond, servedAtOnce: 4}
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case roleInstance:
			return serveInstance(args[1:], os.Stdin, out)
		case roleRowPath:
			return serveRowPath(ctx, args[1:])
		}
	}
	s := settings{sizes: numbers{10_000, 50_000}, changes: numbers{1, 100, 10_000}, command: strings.Join(append([]string{"go run ./e2e/bench"}, args...), " ")}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(log)
	full := flags.Bool("full", false, "a million incidents, which takes the better part of an hour; other flags still count")
	flags.IntVar(&s.incidents, "incidents", 20_000, "incidents of the full load without latency")
	flags.IntVar(&s.slowed, "slowed", 20_000, "incidents of the full load with latency")
	flags.Var(&s.sizes, "sizes", "incidents of the incremental syncs")
	flags.Var(&s.changes, "changes", "incidents that change before an incremental sync")
	flags.IntVar(&s.repeat, "repeat", 3, "runs of each kind; medians are reported")
	flags.IntVar(&s.concurrency, "concurrency", 0, "the spec's concurrency; 0 lets the plugin find it")
	flags.IntVar(&s.offsets, "offsets", 200_000, "the most incidents that are also read by offsets, one page at a time")
	flags.StringVar(&s.plots, "plots", "", "directory to write plots into, as SVG")
	flags.StringVar(&s.binary, "binary", "", "plugin to measure; it is built when there is none")
	flags.StringVar(&s.against, "against", "", "plugin to compare with, and nothing else")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *full {
		given := map[string]bool{}
		flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
		for name, value := range map[string]string{"incidents": "1000000", "slowed": "100000", "sizes": "10000,100000,1000000"} {
			if !given[name] {
				if err := flags.Set(name, value); err != nil {
					return err
				}
			}
		}
	}
	b, err := newBench(ctx, s, log)
	if err != nil {
		return err
	}
	defer b.close()
	if s.against != "" {
		results, err := b.compare(ctx)
		if err != nil {
			return err
		}
		return results.write(out, s)
	}
	results, err := b.measure(ctx)
	if err != nil {
		return err
	}
	if err := results.write(out, s); err != nil {
		return err
	}
	return results.plot(s.plots)
}

// bench holds what the measurements share.
type bench struct {
	settings
	self string
	dir  string
	log  io.Writer
}

func newBench(ctx context.Context, s settings, log io.Writer) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{settings: s, self: self, dir: dir, log: log}
	if b.binary == "" {
		b.binary = filepath.Join(dir, "cq-source-servicenow")
		build := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "github.com/cqservicenow/cq-source-servicenow") //nolint:gosec // a directory of its own
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			b.close()
			return nil, fmt.Errorf("building the plugin: %w\n%s", err, text)
		}
	}
	return b, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

func (b *bench) say(format string, values ...any) {
	fmt.Fprintf(b.log, time.Now().Format(time.TimeOnly)+" "+format+"\n", values...)
}

// loads are the full loads of one instance, a repetition each.
type loads struct {
	incidents int
	latency   latency
	syncs     []loadSync
	bare      []time.Duration // download of the same pages
	atOnce    []int           // requests in flight, of the sync and then of the download
	offsets   []time.Duration
	rows      map[int][]outcome // of the SDK's row path, by the rows of its batches
}

type loadSync struct {
	outcome
	report report
	// instance and destination are the processor time of those processes meanwhile.
	instance, destination time.Duration
}

// ideal is what the requests would take with as many in flight as the instance serves.
func (l *loads) ideal(s loadSync) time.Duration {
	return s.report.Model / time.Duration(max(l.latency.servedAtOnce, 1))
}

// batches are how many rows the row path puts into a batch: the SDK's default, and what suits it better.
func batches() []int { return []int{50, 1000} }

// load measures full loads, one kind behind the other and again, so that what the machine does besides hits all alike.
func (b *bench) load(ctx context.Context, incidents int, l latency, rowPath bool) (*loads, error) {
	b.say("starting an instance of %d incidents", incidents)
	i, err := startInstance(ctx, b.self, incidents, l, b.log)
	if err != nil {
		return nil, err
	}
	defer i.stop()
	all := &loads{incidents: incidents, latency: l, rows: map[int][]outcome{}}
	d := newDownloader(i.url, 64)
	defer d.close()
	var last loadSync
	sync := func() (err error) {
		last, err = b.syncOnce(ctx, b.binary, i, []string{resources.IncidentsTable}, &drain{}, false, incidents)
		all.syncs = append(all.syncs, last)
		return err
	}
	kinds := []func() error{
		func() error {
			atOnce := max(last.report.AtOnce, 1)
			took, err := d.pages(ctx, last.report.Pages, atOnce)
			all.bare, all.atOnce = append(all.bare, took), append(all.atOnce, atOnce)
			b.say("bare download of %d pages, %d at once: %s", len(last.report.Pages), atOnce, took.Round(time.Millisecond))
			return err
		},
	}
	if incidents <= b.offsets {
		kinds = append(kinds, func() error {
			took, err := d.offsets(ctx, incidents)
			all.offsets = append(all.offsets, took)
			b.say("offset paging: %s", took.Round(time.Millisecond))
			return err
		})
	}
	if rowPath {
		for _, rows := range batches() {
			kinds = append(kinds, func() error {
				o, err := b.rowPath(ctx, i, rows, incidents)
				all.rows[rows] = append(all.rows[rows], o)
				return err
			})
		}
	}
	for range b.repeat {
		for _, measure := range append([]func() error{sync}, kinds...) {
			if err := measure(); err != nil {
				return nil, err
			}
		}
		slices.Reverse(kinds) // so that none always comes first
	}
	return all, nil
}

func (b *bench) spec(url string) map[string]any {
	return map[string]any{
		"instance_url": url, "concurrency": b.concurrency, "auth": map[string]any{"grant_type": "api_key", "api_key": apiKey},
	}
}

// syncOnce runs one sync and says how many rows have to arrive.
func (b *bench) syncOnce(ctx context.Context, binary string, i *instance, tables []string, into *drain, cursors bool, least int) (loadSync, error) {
	var s loadSync
	if _, err := i.do(order{Do: doReset}); err != nil {
		return s, err
	}
	instance, destination := processCPU(i.cmd.Process.Pid), processCPU(os.Getpid())
	var err error
	s.outcome, err = job{command: []string{binary}, spec: b.spec(i.url), tables: tables, into: into, cursors: cursors, log: b.log}.sync(ctx)
	if err != nil {
		return s, err
	}
	s.instance, s.destination = processCPU(i.cmd.Process.Pid)-instance, processCPU(os.Getpid())-destination
	if s.report, err = i.do(order{Do: doReport}); err != nil {
		return s, err
	}
	b.say("sync of %d rows: %s, %.2f CPU s, %d MiB, %d requests, %d pages at once",
		s.rows, s.wall.Round(time.Millisecond), s.cpu.Seconds(), s.peak>>20, s.report.Requests, s.report.AtOnce)
	if s.rows < int64(least) {
		return s, fmt.Errorf("%d rows arrived of %d", s.rows, least)
	}
	return s, nil
}

func (b *bench) rowPath(ctx context.Context, i *instance, batchRows, incidents int) (outcome, error) {
	o, err := job{
		command: []string{b.self, roleRowPath}, spec: map[string]any{"url": i.url, "batch_rows": batchRows}, tables: []string{"*"}, into: &drain{}, log: b.log,
	}.sync(ctx)
	if err != nil {
		return o, err
	}
	b.say("row path in batches of %d: %s, %.2f CPU s, %d MiB", batchRows, o.wall.Round(time.Millisecond), o.cpu.Seconds(), o.peak>>20)
	if o.rows != int64(incidents) {
		return o, fmt.Errorf("%d rows arrived by the row path of %d", o.rows, incidents)
	}
	return o, nil
}

// increment is a sync after changes.
type increment struct {
	incidents, changed int
	syncs              []loadSync
}

// size is an instance of so many incidents: its full load with all tables, and what follows changes.
type size struct {
	incidents  int
	full       loadSync
	increments []increment
}

func (b *bench) increments(ctx context.Context, incidents int) (*size, error) {
	b.say("starting an instance of %d incidents", incidents)
	i, err := startInstance(ctx, b.self, incidents, latency{}, b.log)
	if err != nil {
		return nil, err
	}
	defer i.stop()
	into := &drain{}
	all := &size{incidents: incidents}
	if all.full, err = b.syncOnce(ctx, b.binary, i, []string{"*"}, into, true, incidents); err != nil {
		return nil, err
	}
	for _, changed := range append(numbers{0}, b.changes...) {
		if changed > incidents {
			continue
		}
		inc := increment{incidents: incidents, changed: changed}
		for range b.repeat {
			if _, err := i.do(order{Do: doChange, Rows: changed}); err != nil {
				return nil, err
			}
			s, err := b.syncOnce(ctx, b.binary, i, []string{"*"}, into, true, changed)
			if err != nil {
				return nil, err
			}
			inc.syncs = append(inc.syncs, s)
		}
		all.increments = append(all.increments, inc)
	}
	return all, nil
}

// results are all measurements.
type results struct {
	quick, slow *loads
	sizes       []*size
}

func (b *bench) measure(ctx context.Context) (*results, error) {
	var r results
	var err error
	if r.quick, err = b.load(ctx, b.incidents, latency{}, true); err != nil {
		return nil, err
	}
	if r.slow, err = b.load(ctx, b.slowed, model(), false); err != nil {
		return nil, err
	}
	for _, n := range b.sizes {
		s, err := b.increments(ctx, n)
		if err != nil {
			return nil, err
		}
		r.sizes = append(r.sizes, s)
	}
	return &r, nil
}

// comparison is two plugins side by side.
type comparison struct{ ours, theirs []loadSync }

// compare runs full loads of two plugins in turn.
func (b *bench) compare(ctx context.Context) (*comparison, error) {
	i, err := startInstance(ctx, b.self, b.incidents, latency{}, b.log)
	if err != nil {
		return nil, err
	}
	defer i.stop()
	var c comparison
	for n := range b.repeat {
		for second := range 2 {
			theirs := (second == 1) != (n%2 == 1)
			binary := b.binary
			if theirs {
				binary = b.against
			}
			s, err := b.syncOnce(ctx, binary, i, []string{resources.IncidentsTable}, &drain{}, false, b.incidents)
			if err != nil {
				return nil, err
			}
			if theirs {
				c.theirs = append(c.theirs, s)
			} else {
				c.ours = append(c.ours, s)
			}
		}
	}
	return &c, nil
}
