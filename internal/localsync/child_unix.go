//go:build unix

package localsync

import (
	"os"
	"syscall"
)

// The signals go to the whole group, so that they pass a wrapper such as `go run`.

func interrupt(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGINT) }

func kill(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
