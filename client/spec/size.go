package spec

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/invopop/jsonschema"
)

// Size is a number of bytes, written as a text such as 50MiB.
type Size int64

const (
	minSize = 1 << 10
	// maxColumnSize leaves room for a row's text and metadata beside its content: a message of more than 100 MiB is
	// refused by every CloudQuery program.
	maxColumnSize = 64 << 20
	maxBlobSize   = 10 << 30
)

// ParseSize reads a size from 1KiB to 10GiB.
func ParseSize(text string) (Size, error) {
	n, err := humanize.ParseBytes(text)
	if err != nil || n < minSize || n > maxBlobSize {
		return 0, errors.New("write a size from 1KiB to 10GiB, such as 50MiB")
	}
	return Size(n), nil
}

// UnmarshalJSON reads a text.
func (s *Size) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	var err error
	*s, err = ParseSize(text)
	return err
}

// MarshalJSON writes a text that UnmarshalJSON reads.
func (s Size) MarshalJSON() ([]byte, error) {
	for _, unit := range []struct {
		name string
		size Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s >= unit.size && s%unit.size == 0 {
			return json.Marshal(fmt.Sprintf("%d%s", s/unit.size, unit.name))
		}
	}
	return json.Marshal(fmt.Sprintf("%dB", s))
}

// JSONSchema describes the written form.
func (Size) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Default: "50MiB", Examples: []any{"50MiB", "200MB"}}
}
