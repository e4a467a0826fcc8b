package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const (
	maxPixels = 100_000_000 // of one image file
	ocrTime   = 60 * time.Second
)

// OCR reads pictures with tesseract, a program that the user has installed.
type OCR struct {
	// Program is tesseract's path; see FindTesseract.
	Program string
	// Languages are tesseract's names joined by "+", such as "eng+deu"; "" is "eng".
	Languages string
	// SameGroup leaves the program in this process's own process group, for a process that is killed with its group.
	// Otherwise it gets a group of its own, which is killed as a whole.
	SameGroup bool
}

// FindTesseract returns the path of the tesseract program, or "" when none is in PATH.
func FindTesseract() string {
	path, err := exec.LookPath("tesseract")
	if err != nil {
		return ""
	}
	return path
}

// reads reports whether a media type is a picture that tesseract's library can open.
func (o *OCR) reads(mediaType string) bool {
	switch mediaType {
	case "image/png", "image/jpeg", "image/gif", "image/tiff", "image/bmp", "image/webp":
		return o.Program != ""
	}
	return false
}

// readImage reads an image file. Its size is looked at before anything unpacks it.
func (o *OCR) readImage(ctx context.Context, d *document, w *text) error {
	pixels, err := imagePixels(ctx, d)
	if err != nil {
		return fmt.Errorf("reading the image's size: %w", err)
	}
	if pixels > maxPixels {
		return limit("the image has more than %d megapixels", maxPixels/1_000_000)
	}
	return o.recognise(ctx, d.open(ctx), 0, w)
}

// recognise writes the text of a picture to w. dpi is its dots per inch, 0 when unknown.
func (o *OCR) recognise(ctx context.Context, picture io.Reader, dpi int, w *text) error {
	page, cancel := WithTimeout(ctx, ocrTime)
	defer cancel()
	args := []string{"stdin", "stdout", "-l", o.Languages}
	if o.Languages == "" {
		args[3] = "eng"
	}
	if dpi > 0 {
		args = append(args, "--dpi", strconv.Itoa(dpi))
	}
	out, complaint := &bounded{most: maxText + 1}, &bounded{most: 2000, drop: true}
	cmd := exec.CommandContext(page, o.Program, args...) //nolint:gosec // the user names the program; the file is its input only
	cmd.Stdin, cmd.Stdout, cmd.Stderr = picture, out, complaint
	cmd.Env = ocrEnvironment()
	cmd.WaitDelay = 2 * time.Second
	if !o.SameGroup {
		ownGroup(cmd)
	}
	err := cmd.Run()
	// What came before a failure is kept.
	if _, full := w.WriteString(strings.ToValidUTF8(out.String(), "\uFFFD")); full != nil {
		return full
	}
	w.Line()
	switch {
	case page.Err() != nil:
		return context.Cause(page)
	case errors.Is(err, errFull):
		return errFull
	case err != nil:
		return fmt.Errorf("tesseract: %w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return nil
}

// ocrEnvironment is what tesseract needs of the environment. It uses one thread: several files are read at once anyway.
func ocrEnvironment() []string {
	env := []string{"OMP_THREAD_LIMIT=1"}
	for _, name := range []string{"PATH", "HOME", "TESSDATA_PREFIX", "TMPDIR", "TEMP", "TMP", "SystemRoot"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// bounded keeps the first bytes of what is written to it. Beyond them it fails, or drops what comes.
type bounded struct {
	kept bytes.Buffer // not embedded: its ReadFrom would go round Write
	most int
	drop bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.most - b.kept.Len()
	if len(p) <= room {
		return b.kept.Write(p)
	}
	b.kept.Write(p[:room])
	if b.drop {
		return len(p), nil
	}
	return room, errFull
}

func (b *bounded) String() string { return b.kept.String() }
