package localsync

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

func TestProgressLine(t *testing.T) {
	p := newProgress(&bytes.Buffer{}, true)
	defer p.finish()
	p.add("servicenow_incidents", 1_234_567)
	p.add("servicenow_attachments", 33)
	require.Equal(t, "1,234,600 rows, 123,460 rows/s, 10s · servicenow_incidents 1,234,567 · servicenow_attachments 33",
		p.line(10*time.Second))
}

func TestProgressOnTerminal(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, true)
	p.live = true
	p.width = func() int { return 30 }
	p.add("servicenow_incidents", 5)
	p.draw()
	p.note("warn: x")
	p.draw()
	p.finish()
	lines := strings.Split(out.String(), "\r\x1b[K")
	require.Len(t, lines, 5)
	require.Equal(t, "warn: x\n", lines[2])
	for _, live := range []string{lines[1], lines[3]} {
		require.Len(t, []rune(live), 29)
		require.True(t, strings.HasSuffix(live, "…"))
	}
	require.Empty(t, lines[4])
}

func TestChildLog(t *testing.T) {
	var out, file bytes.Buffer
	p := newProgress(&out, true)
	defer p.finish()
	l := &childLog{file: zerolog.New(&file), progress: p}
	w := l.writer()
	for _, part := range []string{
		`{"level":"info","module":"m","message":"start`, "ing\"}\n",
		`{"level":"warn","module":"m","table":"t","n":2,"message":"careful"}` + "\n" + `{"level":"error","error":"e","message":"bad"}` + "\n",
		`{"level":"error","grpc.method":"Sync","message":"finished call"}` + "\n",
		"goroutine 1 [running]:\n\n" + strings.Repeat("x", maxLogLine+5) + "\nno line feed",
	} {
		n, err := w.Write([]byte(part))
		require.NoError(t, err)
		require.Equal(t, len(part), n)
	}
	w.end()
	require.Equal(t, "warn: careful n=2 table=t\nerror: bad error=e\n", out.String())
	warnings, errs := l.counts()
	require.Equal(t, []int{1, 1}, []int{warnings, errs})
	require.Equal(t, 7, strings.Count(file.String(), "\n"))
	require.Contains(t, l.tail(), "\n  info: starting\n  warn: careful n=2 table=t\n")
	require.True(t, strings.HasSuffix(l.tail(), "\n  no line feed\n"))
	require.NotContains(t, l.tail(), "finished call")
}
