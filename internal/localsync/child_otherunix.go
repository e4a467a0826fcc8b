//go:build unix && !linux

package localsync

import "syscall"

// childAttributes: a group of its own keeps the terminal's Ctrl-C from the child, which the parent ends in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
