package extract

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/tetratelabs/wazero"
)

// compilationCache keeps PDFium's machine code on disk, where the next process finds it: compiling takes seconds and
// 300 MB, loading 0.1 s. What lies there is executed, so that the directory must be the user's alone. Without such a
// directory there is no cache, and nil is returned.
func compilationCache() wazero.CompilationCache {
	version, err := codeVersion()
	if err != nil {
		return nil
	}
	dir, err := cacheDir(version)
	if err != nil {
		return nil
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil
	}
	return cache
}

// cacheDir returns a directory that nobody but the user may write to, for one version of the compiler and of PDFium.
func cacheDir(version string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", err
	}
	if err := checkParent(base); err != nil {
		return "", err
	}
	dir := base
	for _, name := range []string{"cq-source-servicenow", "wasm-" + version} {
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
		if err := checkPrivate(dir); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// codeVersion names the versions of the compiler and of what it compiles, as this program was built with them. A test's
// program does not know them.
func codeVersion() (string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", errors.New("the program does not know what it was built from")
	}
	var versions [2]string
	for _, module := range info.Deps {
		switch module.Path {
		case "github.com/tetratelabs/wazero":
			versions[0] = strings.TrimPrefix(module.Version, "v")
		case "github.com/klippa-app/go-pdfium":
			versions[1] = strings.TrimPrefix(module.Version, "v")
		}
	}
	if versions[0] == "" || versions[1] == "" {
		return "", fmt.Errorf("the versions of wazero (%q) and go-pdfium (%q) are not both known", versions[0], versions[1])
	}
	return versions[0] + "+" + versions[1], nil
}
