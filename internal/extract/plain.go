package extract

import (
	"context"
	"errors"
	"io"
	"unicode/utf8"
)

// plainSample is how many bytes are looked at to tell text from a binary file.
const plainSample = 64 << 10

// readPlain passes text through: txt, md, csv, tsv, json, log, source code.
func readPlain(ctx context.Context, d *document, w *text) error {
	if isBinary(d.head(plainSample)) {
		return errUnsupported
	}
	r, err := decode(ctx, d, "")
	if err != nil {
		return err
	}
	block := make([]byte, 32<<10)
	held := 0 // bytes at the block's start: a character that the read before cut
	for {
		n, err := r.Read(block[held:])
		n += held
		whole := n
		if err == nil {
			whole = wholeRunes(block[:n])
		}
		if err := w.Verbatim(string(block[:whole])); err != nil {
			return err
		}
		held = copy(block, block[whole:n])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// wholeRunes returns how many bytes of b are no character cut at its end.
func wholeRunes(b []byte) int {
	for i := 1; i <= min(len(b), utf8.UTFMax-1); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return len(b) - i
			}
			break
		}
	}
	return len(b)
}

// isBinary reports whether the start of a file is of no text: one byte in ten of packed data is a control character, and text
// holds next to none. UTF-16 and UTF-32 are full of NULs and are text.
func isBinary(head []byte) bool {
	if byteOrderMark(head) != nil || nulPattern(head[:min(len(head), charsetSample)]) != nil {
		return false
	}
	control := 0
	for _, c := range head {
		if isControl(c) {
			control++
		}
	}
	return control > 2+len(head)/50
}
