package localsync

import (
	"os"
	"syscall"
)

// childAttributes: a group of its own keeps the console's Ctrl-C from the child, which the parent ends in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// interrupt kills: Windows has no interrupt that one process could send to another.
func interrupt(p *os.Process) { _ = p.Kill() }

func kill(p *os.Process) { _ = p.Kill() }
