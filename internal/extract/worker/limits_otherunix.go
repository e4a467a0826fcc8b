//go:build unix && !linux

package worker

import (
	"runtime"
	"syscall"
)

// limitMemory does nothing: macOS ignores RLIMIT_AS and RLIMIT_DATA for what Go allocates, so that only Go's own soft
// limit and the deadline hold.
func limitMemory() error { return nil }

// peakMemory is the most memory that this process has held.
func peakMemory() int64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int64(usage.Maxrss)
	}
	return int64(usage.Maxrss) << 10
}
