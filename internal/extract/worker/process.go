package worker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/internal/extract"
)

// maxAnswer is the longest line that a worker may answer with. JSON writes no character of a text as more than twice its
// bytes: quotes, backslashes and line ends take two, U+2028 six for three, and other control characters are in no text.
const maxAnswer = 2*extract.MaxText + 64<<10

// request is what a worker is asked.
type request struct {
	Path string `json:"path"`
	Name string `json:"name,omitempty"`
	Type string `json:"type,omitempty"`
	// Size is how many bytes of the file are read; what lies behind them is not looked at.
	Size    int64         `json:"size"`
	Timeout time.Duration `json:"timeout"` // in nanoseconds
	OCR     *extract.OCR  `json:"ocr,omitempty"`
}

// answer is what a worker says about a file.
type answer struct {
	extract.Result
	// Memory is the most bytes that the worker has held at once, 0 where the system does not tell.
	Memory int64 `json:"memory,omitempty"`
}

// startError is a worker that could not be started.
type startError struct{ err error }

func (e *startError) Error() string { return fmt.Sprintf("starting the reader: %v", e.err) }
func (e *startError) Unwrap() error { return e.err }

// process is a running worker. One goroutine at a time uses it.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *tail
	logger zerolog.Logger
	files  int   // read so far
	memory int64 // of the last answer
}

// startProcess starts a worker in a process group of its own, with an environment that holds no secrets.
func startProcess(command []string, logger zerolog.Logger) (*process, error) {
	w := &process{cmd: exec.Command(command[0], command[1:]...), stderr: &tail{}, logger: logger} //nolint:gosec,noctx // our own program; it outlives the file that it was started for
	w.cmd.Env = environment()
	w.cmd.Stderr = w.stderr
	w.cmd.WaitDelay = grace // for what the worker has started itself and holds its standard error
	leadGroup(w.cmd)
	stdin, err := w.cmd.StdinPipe()
	if err != nil {
		return nil, &startError{err}
	}
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, &startError{err}
	}
	w.stdin, w.stdout = stdin, bufio.NewReaderSize(stdout, 64<<10)
	if err := w.cmd.Start(); err != nil {
		return nil, &startError{err}
	}
	return w, nil
}

// environment is what a worker needs of the environment: where programs, its cache and its temporary files are.
func environment() []string {
	env := []string{} // nil would be everything
	for _, name := range []string{
		"PATH", "HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME", "SystemRoot", "TMPDIR", "TEMP", "TMP", "TESSDATA_PREFIX",
	} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// read has a file read. After any error the worker is of no more use; it may even be dead, or still read.
func (w *process) read(ctx context.Context, req request) (extract.Result, error) {
	type outcome struct {
		answer answer
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		got, err := w.exchange(req)
		done <- outcome{got, err}
	}()
	limit := req.Timeout + grace
	if w.files == 0 && (strings.HasSuffix(strings.ToLower(req.Name), ".pdf") || strings.HasPrefix(req.Type, "application/pdf")) {
		limit += warming
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var err error
	select {
	case got := <-done:
		w.files++
		w.memory = got.answer.Memory
		return got.answer.Result, got.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = errTimeout
	}
	w.kill() // so that the goroutine ends
	<-done
	return extract.Result{}, err
}

// exchange writes a request and reads its answer.
func (w *process) exchange(req request) (answer, error) {
	line, err := json.Marshal(req)
	if err != nil {
		return answer{}, err
	}
	if _, err := w.stdin.Write(append(line, '\n')); err != nil {
		return answer{}, fmt.Errorf("writing the request: %w", err)
	}
	line, err = readLine(w.stdout, maxAnswer)
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	var got answer
	if err := json.Unmarshal(line, &got); err != nil {
		return answer{}, fmt.Errorf("decoding the answer: %w", err)
	}
	switch got.Status {
	case extract.Extracted, extract.Unsupported, extract.Encrypted, extract.Failed:
		return got, nil
	}
	return answer{}, errors.New("the answer has no status")
}

// readLine reads a line of at most so many bytes.
func readLine(r *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > most:
			return nil, errors.New("the line is too long")
		case !errors.Is(err, bufio.ErrBufferFull):
			return bytes.TrimSuffix(line, []byte("\n")), err
		}
	}
}

// fresh reports whether a worker may read another file.
func (w *process) fresh() bool { return w.files < maxFiles && w.memory <= maxMemory }

// kill ends a worker and all that it has started, and waits for its end. It may be called twice.
func (w *process) kill() {
	if w.cmd.ProcessState != nil {
		return
	}
	killGroup(w.cmd.Process)
	err := w.cmd.Wait()
	if said := w.stderr.String(); said != "" {
		w.logger.Debug().AnErr("end", err).Str("stderr", said).Msg("a reader ended")
	}
}

// tail keeps the first and the last bytes that are written to it: a crash states its reason first.
type tail struct {
	mu          sync.Mutex
	first, last []byte
}

const tailBytes = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	if room := tailBytes - len(t.first); room > 0 {
		t.first = append(t.first, p[:min(room, len(p))]...)
		p = p[min(room, len(p)):]
	}
	p = p[max(0, len(p)-tailBytes):]
	t.last = append(t.last[max(0, len(t.last)+len(p)-tailBytes):], p...)
	return n, nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.first) + string(t.last)
}
