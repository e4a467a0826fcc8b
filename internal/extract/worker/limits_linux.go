package worker

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// dataSize bounds the memory that is written to. The address space is no measure: what Go and the libraries only reserve of
// it, nearly 2 GiB, differs from build to build.
const dataSize = 1 << 30

func limitMemory() error {
	if raceDetector { // which reserves far more
		return nil
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: dataSize, Max: dataSize}); err != nil {
		return fmt.Errorf("limiting the memory: %w", err)
	}
	return nil
}

// peakMemory reads VmHWM. What getrusage tells on Linux begins with the memory of the process that started this one.
func peakMemory() int64 {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}
