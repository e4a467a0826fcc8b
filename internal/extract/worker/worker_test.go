package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/extract"
)

// TestMain makes the test's program a worker, or the owner of one, when it is started as such.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case Command:
			os.Exit(serve(os.Stdin, os.Stdout, misbehave))
		case "exit-at-once":
			os.Exit(3)
		case "silent": // starts, but never answers
			time.Sleep(time.Hour)
		case "owner": // has a file read that is never read to its end
			p := New(Config{Command: []string{os.Args[0], Command}, Timeout: time.Hour})
			fmt.Println(p.Read(context.Background(), os.Args[2], os.Args[3], "", 1).Reason)
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// misbehave does what a file's name says, and reads others.
func misbehave(ctx context.Context, r *extract.Reader, f extract.File) extract.Result {
	name, argument, _ := strings.Cut(f.Name, " ")
	said := extract.Result{Status: extract.Extracted}
	switch name {
	case "loop":
		for {
			said.Type = ""
		}
	case "beat": // shows that it is alive
		for {
			_ = os.WriteFile(argument, nil, 0o600)
			time.Sleep(20 * time.Millisecond)
		}
	case "wait": // until the time is up, as a good reader does
		<-ctx.Done()
		return extract.Result{Status: extract.Failed, Reason: context.Cause(ctx).Error()}
	case "panic":
		go panic("in another goroutine")
		time.Sleep(time.Minute)
	case "alloc":
		var all [][]byte
		for {
			all = append(all, bytes.Repeat([]byte{1}, 32<<20))
			said.Text = string(all[0][:1])
		}
	case "garbage":
		fmt.Println("no answer")
	case "empty":
		fmt.Println("{}")
	case "endless":
		for {
			fmt.Print(strings.Repeat("endless", 1<<16))
		}
	case "exit":
		os.Exit(0)
	case "secondfile": // breaks down if it is not the first
		if os.Getenv("WORKER_TEST_FILES") != "" {
			os.Exit(1)
		}
	case "environment":
		said.Text = strings.Join(os.Environ(), "\n")
		return said
	case "pid":
		said.Text = fmt.Sprint(os.Getpid())
		return said
	case "limits":
		said.Text = limits()
		return said
	case "quotes":
		said.Text = strings.Repeat(argument, extract.MaxText/len(argument))
		return said
	case "fat":
		fat := bytes.Repeat([]byte{1}, maxMemory)
		said.Text = fmt.Sprint(os.Getpid(), len(fat) == 0)
		return said
	}
	_ = os.Setenv("WORKER_TEST_FILES", "1")
	content, err := io.ReadAll(io.NewSectionReader(f.Content, 0, f.Size))
	if err != nil {
		return extract.Result{Status: extract.Failed, Reason: err.Error()}
	}
	said.Text, said.Type = string(content), f.ContentType
	if r.OCR != nil {
		said.Reason = fmt.Sprint(*r.OCR)
	}
	return said
}

func newPool(t *testing.T, cfg Config) *Pool {
	if cfg.Command == nil {
		cfg.Command = []string{os.Args[0], Command}
	}
	p := New(cfg)
	t.Cleanup(p.Close)
	return p
}

// sample is a file on disk.
func sample(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "sample")
	require.NoError(t, os.WriteFile(path, []byte("Some words"), 0o600))
	return path
}

func TestRead(t *testing.T) {
	p := newPool(t, Config{OCR: &extract.OCR{Program: "/bin/tesseract", Languages: "deu"}})
	path := sample(t)
	got := p.Read(t.Context(), path, "a.txt", "text/plain; charset=utf-8", 10)
	require.Equal(t, extract.Result{
		Status: extract.Extracted, Type: "text/plain; charset=utf-8", Text: "Some words", Reason: "{/bin/tesseract deu true}",
	}, got)
	t.Run("no more than its size", func(t *testing.T) {
		require.Equal(t, "Some", p.Read(t.Context(), path, "a.txt", "", 4).Text)
		require.Equal(t, "Some words", p.Read(t.Context(), path, "a.txt", "", 1<<40).Text)
	})
	t.Run("a file that is not there", func(t *testing.T) {
		got := p.Read(t.Context(), path+"x", "a.txt", "", 4)
		require.Equal(t, extract.Failed, got.Status)
		require.True(t, strings.HasPrefix(got.Reason, "opening the file: "), got.Reason)
		require.NotContains(t, got.Reason, path)
	})
	t.Run("a directory", func(t *testing.T) {
		require.Equal(t, "opening the file: it is no regular file", p.Read(t.Context(), t.TempDir(), "a.txt", "", 4).Reason)
	})
	t.Run("the longest text", func(t *testing.T) {
		for _, unit := range []string{`"`, "\n", "\u2028", "<"} {
			require.Len(t, p.Read(t.Context(), path, "quotes "+unit, "", 4).Text, extract.MaxText/len(unit)*len(unit))
		}
	})
	t.Run("one worker reads them all", func(t *testing.T) {
		p := newPool(t, Config{}) // whose worker has not had the longest texts
		pid := p.Read(t.Context(), path, "pid", "", 4).Text
		require.NotEmpty(t, pid)
		require.Equal(t, pid, p.Read(t.Context(), path, "pid", "", 4).Text)
	})
}

// TestBreakdowns has a worker end in every way that a file may end it. Each has a status, and the next file is read.
func TestBreakdowns(t *testing.T) {
	path := sample(t)
	for name, tt := range map[string]struct {
		timeout time.Duration
		want    string
	}{
		"loop":    {500 * time.Millisecond, "it took longer than 0.5 s"},
		"wait":    {500 * time.Millisecond, "it took longer than 0.5 s"},
		"panic":   {time.Minute, brokeDown},
		"garbage": {time.Minute, brokeDown},
		"empty":   {time.Minute, brokeDown},
		"endless": {time.Minute, brokeDown},
		"exit":    {time.Minute, brokeDown},
		"alloc":   {time.Minute, brokeDown},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "alloc" && (runtime.GOOS != "linux" || raceDetector) {
				t.Skip("nothing bounds memory here")
			}
			p := newPool(t, Config{Timeout: tt.timeout})
			want := extract.Result{Status: extract.Failed, Reason: tt.want}
			require.Equal(t, want, p.Read(t.Context(), path, name, "", 10), "with a new worker")
			require.Equal(t, "Some words", p.Read(t.Context(), path, "a.txt", "", 10).Text)
			require.Equal(t, want, p.Read(t.Context(), path, name, "", 10), "with a used one")
			require.Equal(t, "Some words", p.Read(t.Context(), path, "a.txt", "", 10).Text)
		})
	}
}

// TestUsedWorker gives a file that ends a worker with a past to a new one.
func TestUsedWorker(t *testing.T) {
	p := newPool(t, Config{})
	path := sample(t)
	require.Equal(t, "Some words", p.Read(t.Context(), path, "a.txt", "", 10).Text)
	require.Equal(t, "Some words", p.Read(t.Context(), path, "secondfile", "", 10).Text)
}

func TestNoWorker(t *testing.T) {
	path := sample(t)
	t.Run("no such program", func(t *testing.T) {
		p := newPool(t, Config{Command: []string{filepath.Join(t.TempDir(), "missing")}})
		got := p.Read(t.Context(), path, "a.txt", "", 10)
		require.Equal(t, extract.Failed, got.Status)
		require.Contains(t, got.Reason, "starting the reader: ")
	})
	t.Run("it ends at once", func(t *testing.T) {
		p := newPool(t, Config{Command: []string{os.Args[0], "exit-at-once"}})
		require.Equal(t, extract.Result{Status: extract.Failed, Reason: brokeDown}, p.Read(t.Context(), path, "a.txt", "", 10))
	})
	t.Run("it never answers", func(t *testing.T) {
		p := newPool(t, Config{Command: []string{os.Args[0], "silent"}, Timeout: 100 * time.Millisecond})
		require.Equal(t, "it took longer than 0.1 s", p.Read(t.Context(), path, "a.txt", "", 10).Reason)
	})
}

func TestReplaced(t *testing.T) {
	path := sample(t)
	t.Run("after many files", func(t *testing.T) {
		p := newPool(t, Config{})
		first := p.Read(t.Context(), path, "pid", "", 1).Text
		for range maxFiles - 2 {
			require.Equal(t, "S", p.Read(t.Context(), path, "a.txt", "", 1).Text)
		}
		require.Equal(t, first, p.Read(t.Context(), path, "pid", "", 1).Text)
		require.NotEqual(t, first, p.Read(t.Context(), path, "pid", "", 1).Text)
	})
	t.Run("after much memory", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("nothing tells how much it was")
		}
		p := newPool(t, Config{})
		first, _, _ := strings.Cut(p.Read(t.Context(), path, "fat", "", 1).Text, " ")
		require.NotEmpty(t, first)
		require.NotEqual(t, first, p.Read(t.Context(), path, "pid", "", 1).Text)
	})
}

func TestEnvironment(t *testing.T) {
	t.Setenv("SERVICENOW_PASSWORD", "hunter2")
	t.Setenv("XDG_CACHE_HOME", "/somewhere")
	p := newPool(t, Config{})
	env := p.Read(t.Context(), sample(t), "environment", "", 10).Text
	require.Contains(t, env, "XDG_CACHE_HOME=/somewhere")
	for line := range strings.Lines(env) {
		name, _, _ := strings.Cut(line, "=")
		require.Contains(t, []string{"PATH", "HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME", "SystemRoot", "TMPDIR", "TEMP", "TMP", "TESSDATA_PREFIX"}, name)
	}
}

func TestCancel(t *testing.T) {
	path := sample(t)
	p := newPool(t, Config{Timeout: time.Minute})
	ctx, cancel := context.WithCancelCause(t.Context())
	beat := filepath.Join(t.TempDir(), "beat")
	time.AfterFunc(500*time.Millisecond, func() { cancel(errors.New("the sync was stopped")) })
	got := p.Read(ctx, path, "beat "+beat, "", 10)
	require.Equal(t, extract.Result{Status: extract.Failed, Reason: "the sync was stopped"}, got)
	requireSilence(t, beat)
	require.Equal(t, "the sync was stopped", p.Read(ctx, path, "a.txt", "", 10).Reason)
	require.Equal(t, "Some words", p.Read(t.Context(), path, "a.txt", "", 10).Text)
}

func TestWaitingForWorker(t *testing.T) {
	path := sample(t)
	p := newPool(t, Config{Timeout: time.Minute})
	busy, done := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { p.Read(busy, path, "loop", "", 10) })
	require.Eventually(t, func() bool { return len(p.slots) == 1 }, 10*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.Equal(t, "context deadline exceeded", p.Read(ctx, path, "a.txt", "", 10).Reason)
	done()
	all.Wait()
}

func TestClose(t *testing.T) {
	path := sample(t)
	dir := t.TempDir()
	p := newPool(t, Config{Size: 3, Timeout: time.Minute})
	var all sync.WaitGroup
	for i := range 5 { // two of them wait
		all.Go(func() {
			got := p.Read(t.Context(), path, fmt.Sprintf("beat %s", filepath.Join(dir, fmt.Sprint(i))), "", 10)
			if got.Reason != errClosed.Error() {
				t.Errorf("read %v", got)
			}
		})
	}
	require.Eventually(t, func() bool {
		running, _ := os.ReadDir(dir)
		return len(running) == 3
	}, 20*time.Second, 10*time.Millisecond)
	before := runtime.NumGoroutine()
	p.Close()
	all.Wait()
	require.Equal(t, errClosed.Error(), p.Read(t.Context(), path, "a.txt", "", 10).Reason)
	p.Close()
	for i := range 5 {
		requireSilence(t, filepath.Join(dir, fmt.Sprint(i)))
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() < before }, 10*time.Second, 10*time.Millisecond)
}

func TestManyAtOnce(t *testing.T) {
	path := sample(t)
	p := newPool(t, Config{Size: 3, Timeout: time.Minute})
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			name := "a.txt"
			if i%5 == 0 {
				name = "exit"
			}
			if got := p.Read(t.Context(), path, name, "", 10); (got.Text == "Some words") != (name == "a.txt") {
				t.Errorf("%s: %v", name, got)
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, len(p.idle), 3)
}

// requireSilence fails if whoever writes the file is alive.
func requireSilence(t *testing.T, beat string) {
	t.Helper()
	_ = os.Remove(beat)
	time.Sleep(200 * time.Millisecond)
	require.NoFileExists(t, beat)
}

// TestOrphan kills a pool's process outright. Its worker, which is in the middle of a file, ends as well.
func TestOrphan(t *testing.T) {
	beat := filepath.Join(t.TempDir(), "beat")
	owner := exec.CommandContext(t.Context(), os.Args[0], "owner", sample(t), "beat "+beat)
	require.NoError(t, owner.Start())
	require.Eventually(t, func() bool { _, err := os.Stat(beat); return err == nil }, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, owner.Process.Kill())
	_ = owner.Wait()
	require.Eventually(t, func() bool {
		_ = os.Remove(beat)
		time.Sleep(200 * time.Millisecond)
		_, err := os.Stat(beat)
		return errors.Is(err, os.ErrNotExist)
	}, 10*time.Second, time.Millisecond)
}

// TestMainAnswers speaks with a real worker without a pool.
func TestMainAnswers(t *testing.T) {
	path := sample(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], Command)
	leadGroup(cmd)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.NoError(t, json.NewEncoder(stdin).Encode(request{Path: path, Name: "a.txt", Size: 10, Timeout: time.Minute}))
	var got answer
	answers := json.NewDecoder(stdout)
	require.NoError(t, answers.Decode(&got))
	require.Equal(t, "Some words", got.Text)
	if runtime.GOOS != "windows" {
		require.Greater(t, got.Memory, int64(1<<20))
		require.Less(t, got.Memory, int64(maxMemory))
	}
	require.NoError(t, stdin.Close())
	require.ErrorIs(t, answers.Decode(&got), io.EOF)
	_ = cmd.Wait()
}

func TestLogsWhatAWorkerSaid(t *testing.T) {
	var logged bytes.Buffer
	p := New(Config{Command: []string{os.Args[0], Command}, Logger: zerolog.New(&logged)})
	p.Read(t.Context(), sample(t), "panic", "", 10)
	p.Close()
	require.Contains(t, logged.String(), "in another goroutine")
	require.Less(t, logged.Len(), 10_000)
}
