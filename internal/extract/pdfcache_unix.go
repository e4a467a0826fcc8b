//go:build unix

package extract

import (
	"fmt"
	"os"
	"syscall"
)

// checkPrivate refuses a directory that somebody else owns, may write to or may read.
func checkPrivate(dir string) error {
	info, owner, err := owned(dir)
	if err != nil {
		return err
	}
	if owner != os.Geteuid() || info.Mode().Perm() != 0o700 {
		return fmt.Errorf("%s is not the user's alone: owner %d, mode %v", dir, owner, info.Mode())
	}
	return nil
}

// checkParent refuses a directory in which others could put another one in the place of ours.
func checkParent(dir string) error {
	info, owner, err := owned(dir)
	if err != nil {
		return err
	}
	if owner != os.Geteuid() && owner != 0 || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write to %s: owner %d, mode %v", dir, owner, info.Mode())
	}
	return nil
}

// owned looks at the directory itself, never at what a link in its place leads to.
func owned(dir string) (os.FileInfo, int, error) {
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return nil, 0, fmt.Errorf("%s is no directory", dir)
	}
	return info, int(stat.Uid), nil
}
