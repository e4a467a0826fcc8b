// Package worker reads files in processes of their own. What a file's reader cannot survive by itself, such as a lack of
// memory or a loop in a library, ends such a process and never this one.
//
// A worker is this program again, with its hidden command. It reads one file at a time and speaks JSON lines over its
// standard input and output: a request, then its answer. It ends when its input does, so that none outlives its pool.
package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/internal/extract"
)

// Command is the argument that makes this program a worker.
const Command = "extract-worker"

const (
	timeoutWithoutOCR = 30 * time.Second
	timeoutWithOCR    = 120 * time.Second
	// A worker that is given a file stops by itself when the time is up, and hands over the text so far. After this long
	// it is killed.
	grace = 2 * time.Second
	// A worker's first PDF may have to wait until its reader is compiled: for seconds, or longer on a busy machine.
	warming = time.Minute
	// A worker is replaced after so many files, or when it has once held so much memory, which Go gives back slowly.
	maxFiles  = 500
	maxMemory = 512 << 20
)

// brokeDown is the reason of a file that ended its worker.
const brokeDown = "the reader ran out of memory or broke down"

var (
	errClosed  = errors.New("the reader was closed")
	errTimeout = errors.New("the time is up")
)

// Config is what a Pool is made of.
type Config struct {
	// Command starts a worker; nil is this program with the argument Command.
	Command []string
	// Size is how many files are read at once; 0 is 1.
	Size int
	// Timeout is how long one file may take; 0 is 30 s, with OCR 120 s. A file that is given to a second worker, because
	// the first one broke down, has this long again.
	Timeout time.Duration
	// OCR is handed to the workers; nil is none.
	OCR    *extract.OCR
	Logger zerolog.Logger
}

// Pool reads files in worker processes, which start with the first files. Close must end it.
type Pool struct {
	cfg   Config
	slots chan struct{} // one for each file that is being read
	ctx   context.Context
	close context.CancelCauseFunc

	mu   sync.Mutex
	idle []*process
}

// New returns a pool. It starts nothing.
func New(cfg Config) *Pool {
	cfg.Size = max(cfg.Size, 1)
	if cfg.Timeout <= 0 {
		cfg.Timeout = timeoutWithoutOCR
		if cfg.OCR != nil {
			cfg.Timeout = timeoutWithOCR
		}
	}
	p := &Pool{cfg: cfg, slots: make(chan struct{}, cfg.Size)}
	p.ctx, p.close = context.WithCancelCause(context.Background())
	return p
}

// Read reads the text of the file at path, whose uploader called it name and stated contentType. It waits for a free
// worker. When ctx ends, so does the reading, and the result is Failed with ctx's reason.
func (p *Pool) Read(ctx context.Context, path, name, contentType string, size int64) extract.Result {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	unwatch := context.AfterFunc(p.ctx, func() { cancel(errClosed) })
	defer unwatch()
	select {
	case <-ctx.Done():
		return failed("%v", context.Cause(ctx))
	case p.slots <- struct{}{}:
	}
	defer func() { <-p.slots }()
	// Both may have been ready. What holds a slot of an open pool is waited for by Close.
	switch {
	case p.ctx.Err() != nil:
		return failed("%v", errClosed)
	case ctx.Err() != nil:
		return failed("%v", context.Cause(ctx))
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return failed("finding the file: %v", err)
	}
	req := request{Path: path, Name: name, Type: contentType, Size: size, Timeout: p.cfg.Timeout, OCR: p.cfg.OCR}
	result, err := p.read(ctx, req)
	var start *startError
	switch {
	case err == nil:
		return result
	case ctx.Err() != nil:
		return failed("%v", context.Cause(ctx))
	case errors.Is(err, errTimeout):
		return failed("%s", extract.TookTooLong(p.cfg.Timeout))
	case errors.As(err, &start):
		result := failed("%v", err)
		result.Passing = true
		return result
	default:
		p.cfg.Logger.Debug().Err(err).Str("file", path).Msg("a file ended its reader")
		return failed(brokeDown)
	}
}

func failed(format string, args ...any) extract.Result {
	return extract.Result{Status: extract.Failed, Reason: fmt.Sprintf(format, args...)}
}

// read hands a file to an idle worker or a new one. A worker that dies with its first file dies of it. One that has read
// others may have been at its end already, so that the file is given to a new one.
func (p *Pool) read(ctx context.Context, req request) (extract.Result, error) {
	for {
		w, err := p.worker()
		if err != nil {
			return extract.Result{}, err
		}
		used := w.files > 0
		result, err := w.read(ctx, req)
		if err == nil && w.fresh() {
			p.mu.Lock()
			p.idle = append(p.idle, w)
			p.mu.Unlock()
		} else {
			w.kill()
		}
		if err == nil || !used || ctx.Err() != nil || errors.Is(err, errTimeout) {
			return result, err
		}
	}
}

// worker returns an idle worker, or starts one.
func (p *Pool) worker() (*process, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return w, nil
	}
	p.mu.Unlock()
	command := p.cfg.Command
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, &startError{err}
		}
		command = []string{self, Command}
	}
	return startProcess(command, p.cfg.Logger)
}

// Close kills all workers and waits for them. Files that are being read end as Failed.
func (p *Pool) Close() {
	p.close(errClosed)
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	defer func() {
		for range cap(p.slots) {
			<-p.slots
		}
	}()
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, w := range idle {
		w.kill()
	}
}
