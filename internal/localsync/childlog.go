package localsync

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/rs/zerolog"
)

const (
	maxLogLine = 64 << 10
	tailLines  = 10
)

// childLog takes what the source plugin prints: zerolog's JSON lines, or plain text when it panics.
type childLog struct {
	file     zerolog.Logger
	progress *progress

	mu       sync.Mutex
	last     []string
	warnings int
	errors   int
}

// writer returns a writer for one of the child's streams.
func (l *childLog) writer() *lineWriter { return &lineWriter{line: l.line} }

func (l *childLog) line(raw []byte) {
	var fields map[string]any
	if json.Unmarshal(raw, &fields) != nil {
		text := strings.TrimRight(string(raw), " \t\r")
		if text == "" {
			return
		}
		l.file.Log().Str("level", "unknown").Msg(text)
		l.keep(text)
		return
	}
	level, _ := zerolog.ParseLevel(fmt.Sprint(fields[zerolog.LevelFieldName]))
	delete(fields, zerolog.LevelFieldName)
	delete(fields, zerolog.TimestampFieldName)
	l.file.WithLevel(level).Fields(fields).Msg("")
	if _, ok := fields["grpc.method"]; ok {
		return // the SDK logs every call; a failed one is an error of ours already
	}
	text := level.String() + ": " + describe(fields)
	l.keep(text)
	// A retry is no warning, since it may still succeed; whoever waits for the sync wants to know all the same.
	if fields[zerolog.MessageFieldName] == "trying a request again" {
		l.progress.note(text)
	}
	if level == zerolog.WarnLevel || level >= zerolog.ErrorLevel && level < zerolog.NoLevel {
		l.count(level)
		l.progress.note(text)
	}
}

// describe puts a log line into words: the message, then what belongs to it.
func describe(fields map[string]any) string {
	var b strings.Builder
	fmt.Fprint(&b, fields[zerolog.MessageFieldName])
	keys := make([]string, 0, len(fields))
	for k := range fields {
		switch k {
		case zerolog.MessageFieldName, "module", "invocation_id":
		default:
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintf(&b, " %s=%v", k, fields[k])
	}
	return b.String()
}

func (l *childLog) keep(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = append(l.last, text)
	if len(l.last) > tailLines {
		l.last = l.last[1:]
	}
}

func (l *childLog) count(level zerolog.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if level == zerolog.WarnLevel {
		l.warnings++
	} else {
		l.errors++
	}
}

func (l *childLog) counts() (warnings, errors int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.warnings, l.errors
}

// tail returns the last lines for the end of a message.
func (l *childLog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.last) == 0 {
		return "; it logged nothing"
	}
	return "; its last lines:\n  " + strings.Join(l.last, "\n  ") + "\n"
}

// lineWriter cuts a stream into lines. A line beyond maxLogLine loses its end.
type lineWriter struct {
	line func([]byte)
	buf  []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			w.add(p)
			return n, nil
		}
		w.add(p[:i])
		w.end()
		p = p[i+1:]
	}
}

func (w *lineWriter) add(p []byte) {
	if room := maxLogLine - len(w.buf); len(p) > room {
		p = p[:room]
	}
	w.buf = append(w.buf, p...)
}

// end passes the last line on.
func (w *lineWriter) end() {
	if len(w.buf) > 0 {
		w.line(w.buf)
		w.buf = w.buf[:0]
	}
}
