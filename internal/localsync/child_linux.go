package localsync

import "syscall"

// childAttributes: a group of its own keeps the terminal's Ctrl-C from the child, which the parent ends in order; and
// the kernel kills the child should the parent be killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
