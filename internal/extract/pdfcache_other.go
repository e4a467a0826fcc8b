//go:build !unix

package extract

import (
	"fmt"
	"os"
)

// checkPrivate asks only for a real directory: on Windows the user's LocalAppData is closed to other users by its own
// access list, which new directories inherit.
func checkPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory", dir)
	}
	return nil
}

func checkParent(dir string) error { return checkPrivate(dir) }
