//go:build unix

package extract

import (
	"os/exec"
	"syscall"
)

// ownGroup makes a command the leader of a process group that is killed with it: the program may be a script.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
