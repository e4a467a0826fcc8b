//go:build !unix

package worker

import (
	"os"
	"os/exec"
)

// limitProcess does nothing: what Windows has instead, a job object, is not used. Go's own soft limit and the deadline hold.
func limitProcess() error { return nil }

func peakMemory() int64 { return 0 }

func leadGroup(*exec.Cmd) {}

func killGroup(process *os.Process) { _ = process.Kill() }

func exitWithGroup() { os.Exit(1) }
