package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

// The commands that an instance's process takes, one JSON line each, answered by one.
const (
	doReset  = "reset"  // forget the requests
	doReport = "report" // tell of the requests
	doChange = "change" // change records
)

type order struct {
	Do   string
	Rows int // to change
}

// report is what the instance saw since the last reset.
type report struct {
	Error    string
	Requests int
	Rows     int
	Bytes    int64
	Pages    []string      // the requests for pages of incidents, as addresses
	Model    time.Duration // what the answers take by the latencies, one behind the other
	Took     time.Duration // what they took
	AtOnce   int           // the most pages in flight
}

// latency is the model of an instance's speed; its zero value has none.
type latency struct {
	request, row, offset time.Duration
	servedAtOnce         int
}

// serveInstance is the instance's process: it prints its address, and then obeys until its input ends.
func serveInstance(args []string, in io.Reader, out io.Writer) error {
	var cfg emulator.Config
	flags := flag.NewFlagSet("instance", flag.ContinueOnError)
	flags.IntVar(&cfg.Incidents, "incidents", 0, "")
	flags.DurationVar(&cfg.RequestLatency, "latency", 0, "")
	flags.DurationVar(&cfg.RowLatency, "row-latency", 0, "")
	flags.DurationVar(&cfg.OffsetLatency, "offset-latency", 0, "")
	flags.IntVar(&cfg.ServedAtOnce, "served-at-once", 0, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg.Attachments = -1
	var ahead atomic.Int64 // the clock is put forward, so that changes lie behind the overlap of the sync before
	cfg.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	e := emulator.New(cfg)
	watched := &watchedPages{next: e}
	server := &http.Server{Handler: watched, ReadHeaderTimeout: 10 * time.Second}
	defer server.Close() //nolint:errcheck // the process ends
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if _, err := fmt.Fprintln(out, "http://"+listener.Addr().String()); err != nil {
		return err
	}
	ids := e.SysIDs("incident")
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading an order: %w", err)
		}
		var r report
		switch o.Do {
		case doReset:
			e.ResetRequests()
			watched.reset()
		case doReport:
			r = watched.report(e, cfg)
		case doChange:
			ahead.Add(int64(time.Hour))
			for i := range o.Rows {
				e.Update("incident", ids[i*len(ids)/o.Rows], map[string]string{"short_description": "changed"})
			}
		}
		select {
		case err := <-failed:
			return fmt.Errorf("serving: %w", err)
		default:
		}
		if err := answers.Encode(r); err != nil {
			return err
		}
	}
}

// watchedPages counts the requests for pages that are in flight.
type watchedPages struct {
	next http.Handler
	mu   sync.Mutex
	now  int
	most int
}

func (w *watchedPages) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if isPage(r.URL.Path, r.URL.Query().Get("sysparm_limit")) {
		w.add(1)
		defer w.add(-1)
	}
	w.next.ServeHTTP(rw, r)
}

func (w *watchedPages) add(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now += n
	w.most = max(w.most, w.now)
}

func (w *watchedPages) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.most = w.now
}

func isPage(path, limit string) bool {
	return strings.HasSuffix(path, "/table/incident") && limit != "1" && limit != ""
}

func (w *watchedPages) report(e *emulator.Emulator, cfg emulator.Config) report {
	w.mu.Lock()
	r := report{AtOnce: w.most}
	w.mu.Unlock()
	for _, q := range e.Requests() {
		r.Requests++
		r.Rows += q.Rows
		r.Bytes += int64(q.Bytes)
		r.Took += q.Took
		offset, _ := strconv.Atoi(q.Query.Get("sysparm_offset"))
		r.Model += cfg.RequestLatency + time.Duration(q.Rows)*cfg.RowLatency + time.Duration(offset)*cfg.OffsetLatency
		if isPage(q.Path, q.Query.Get("sysparm_limit")) && q.Rows > 0 {
			r.Pages = append(r.Pages, q.Path+"?"+q.Query.Encode())
		}
	}
	if wrong := e.Violations(); len(wrong) > 0 {
		r.Error = "requests that ServiceNow would refuse: " + strings.Join(wrong, "; ")
	}
	return r
}

// instance is a running instance's process.
type instance struct {
	url     string
	cmd     *exec.Cmd
	orders  io.WriteCloser
	encoder *json.Encoder
	answers *json.Decoder
}

func startInstance(ctx context.Context, self string, incidents int, l latency, log io.Writer) (*instance, error) {
	cmd := exec.CommandContext(ctx, self, roleInstance, "-incidents", strconv.Itoa(incidents), "-latency", l.request.String(), //nolint:gosec // this program
		"-row-latency", l.row.String(), "-offset-latency", l.offset.String(), "-served-at-once", strconv.Itoa(l.servedAtOnce))
	cmd.Stderr = log
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting an instance: %w", err)
	}
	lines := bufio.NewReader(out)
	url, err := lines.ReadString('\n')
	if err != nil {
		_ = orders.Close()
		return nil, fmt.Errorf("starting an instance: %w", errors.Join(err, cmd.Wait()))
	}
	return &instance{url: strings.TrimSpace(url), cmd: cmd, orders: orders, encoder: json.NewEncoder(orders), answers: json.NewDecoder(lines)}, nil
}

func (i *instance) do(o order) (report, error) {
	var r report
	if err := i.encoder.Encode(o); err != nil {
		return r, fmt.Errorf("ordering %s: %w", o.Do, err)
	}
	if err := i.answers.Decode(&r); err != nil {
		return r, fmt.Errorf("reading the answer to %s: %w", o.Do, err)
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

func (i *instance) stop() {
	_ = i.orders.Close()
	_ = i.cmd.Wait()
}
