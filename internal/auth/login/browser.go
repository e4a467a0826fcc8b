package login

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
)

// openBrowser starts the system's browser and does not wait for it. The address holds the state and the code challenge,
// which are of no use to other users of the machine, and no secret.
func openBrowser(address string) error {
	var name string
	var args []string
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler"}
	default:
		if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" && os.Getenv("BROWSER") == "" && os.Getenv("WSL_DISTRO_NAME") == "" {
			return errors.New("no screen") // where xdg-open would start a browser for text in this terminal
		}
		name = "xdg-open"
		if _, err := exec.LookPath("wslview"); err == nil && os.Getenv("WSL_DISTRO_NAME") != "" {
			name = "wslview"
		}
	}
	cmd := exec.Command(name, append(args, address)...) //nolint:gosec,noctx // the address is made here; the browser outlives us
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	return nil
}
