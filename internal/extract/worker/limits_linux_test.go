package worker

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// limits is what a worker says about its own limits.
func limits() string {
	status, _ := os.ReadFile("/proc/self/limits")
	nice, _ := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	return string(status) + strings.Repeat("nice", 20-nice) // the system call returns 20 - niceness
}

func TestLimits(t *testing.T) {
	p := newPool(t, Config{})
	lines := strings.Split(p.Read(t.Context(), sample(t), "limits", "", 10).Text, "\n")
	for _, line := range lines {
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "Max data size") && !raceDetector:
			require.Equal(t, "1073741824", fields[3])
			require.Equal(t, "1073741824", fields[4])
		case strings.HasPrefix(line, "Max core file size"):
			require.Equal(t, "0", fields[4])
		}
	}
	before, _ := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	require.Equal(t, min(20-before+niceness, 19), strings.Count(lines[len(lines)-1], "nice"))
}
