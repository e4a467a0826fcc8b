package login

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// Terminal asks the person at the terminal. It is the one reader of its input, so that what a prompt has read ahead is
// not lost to the next: give it to Run as Deps.In.
type Terminal struct {
	out   io.Writer
	lines *bufio.Reader
	file  *os.File // nil: not a terminal
}

// NewTerminal takes standard input and the writer that prompts go to.
func NewTerminal(in io.Reader, out io.Writer) *Terminal {
	t := &Terminal{out: out, lines: bufio.NewReaderSize(in, mostPasted)}
	if file, ok := in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		t.file = file
	}
	return t
}

// Interactive tells whether a person can answer.
func (t *Terminal) Interactive() bool { return t.file != nil }

// Read makes the Terminal Deps.In.
func (t *Terminal) Read(p []byte) (int, error) { return t.lines.Read(p) }

// Ask prints prompt and returns the line that the person types, trimmed.
func (t *Terminal) Ask(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(t.out, prompt)
	return interruptible(ctx, func() (string, error) {
		line, err := t.lines.ReadString('\n')
		if err != nil && (!errors.Is(err, io.EOF) || line == "") {
			return "", err
		}
		return strings.TrimSpace(line), nil
	})
}

// AskSecret is Ask without an echo.
func (t *Terminal) AskSecret(ctx context.Context, prompt string) (string, error) {
	if t.file == nil {
		return "", errors.New("not a terminal")
	}
	fd := int(t.file.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(t.out, prompt)
	defer fmt.Fprintln(t.out)
	// Once only: after an interrupt the read below may still end, long after the terminal is somebody else's.
	restore := sync.OnceFunc(func() { _ = term.Restore(fd, before) })
	defer restore()
	return interruptible(ctx, func() (string, error) {
		line, err := term.ReadPassword(fd)
		return strings.TrimSpace(string(line)), err
	})
}

// interruptible gives a read up when ctx ends. The goroutine stays behind, as a read of a terminal cannot be ended.
func interruptible(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := read()
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		return a.line, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
