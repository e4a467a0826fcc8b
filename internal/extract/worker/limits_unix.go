//go:build unix

package worker

import (
	"os"
	"os/exec"
	"syscall"
)

// niceness leaves the processor to others: reading files is never urgent.
const niceness = 10

func limitProcess() error {
	// A dump of the memory would be a copy of the file. What does not succeed here is no reason to read nothing.
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	if leadsGroup() { // as a process, Linux would take this thread alone
		_ = syscall.Setpriority(syscall.PRIO_PGRP, 0, niceness)
	}
	return limitMemory()
}

// leadsGroup reports whether this process's group is its own, as in a pool. A shell's may hold others.
func leadsGroup() bool { return syscall.Getpgrp() == os.Getpid() }

// leadGroup makes a command the leader of a process group.
func leadGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills a command and all that it has started. The command was not yet waited for, so that its number is its own.
func killGroup(process *os.Process) { _ = syscall.Kill(-process.Pid, syscall.SIGKILL) }

// exitWithGroup ends this process and all that it has started.
func exitWithGroup() {
	if leadsGroup() {
		_ = syscall.Kill(0, syscall.SIGKILL)
	}
	os.Exit(1) //nolint:forbidigo // nothing else ends a file that is never read to its end
}
