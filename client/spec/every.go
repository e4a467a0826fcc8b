package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
)

// Every is how often something is done: after a time, or every so many syncs. The zero value is never.
type Every struct {
	Time  time.Duration
	Syncs int
}

// ParseEvery reads a duration such as 24h, or a number of syncs such as "10 syncs".
func ParseEvery(text string) (Every, error) {
	if count, ok := strings.CutSuffix(text, " syncs"); ok {
		if n, err := strconv.Atoi(count); err == nil && n > 0 {
			return Every{Syncs: n}, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= time.Minute {
		return Every{Time: d}, nil
	}
	return Every{}, errors.New("write a time of 1m or more, such as 24h, or a number of syncs, such as 10 syncs")
}

// UnmarshalJSON reads a text.
func (e *Every) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	var err error
	*e, err = ParseEvery(text)
	return err
}

// MarshalJSON writes what UnmarshalJSON reads.
func (e Every) MarshalJSON() ([]byte, error) {
	if e.Syncs > 0 {
		return json.Marshal(fmt.Sprintf("%d syncs", e.Syncs))
	}
	return json.Marshal(e.Time.String())
}

// JSONSchema describes the written form.
func (Every) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Examples: []any{"24h", "10 syncs"}}
}

// Share is a part of a whole, written in percent.
type Share float64

// ParseShare reads a percentage.
func ParseShare(text string) (Share, error) {
	number, ok := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(n >= 0 && n <= 100) {
		return 0, errors.New("write a percentage from 0% to 100%, such as 10%")
	}
	return Share(n / 100), nil
}

// UnmarshalJSON reads a text.
func (s *Share) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	var err error
	*s, err = ParseShare(text)
	return err
}

// MarshalJSON writes what UnmarshalJSON reads.
func (s Share) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

func (s Share) String() string { return strconv.FormatFloat(float64(s)*100, 'g', 6, 64) + "%" }

// JSONSchema describes the written form.
func (Share) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Default: "10%", Examples: []any{"10%", "0.5%"}}
}
