package sqlitedest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

const (
	defaultBatchSize      = 10_000
	defaultBatchSizeBytes = 16 << 20
)

// Spec is the destination's spec block.
type Spec struct {
	// ConnectionString is the path of the database file, for example ./servicenow.db.
	ConnectionString string `json:"connection_string"`
	// BatchSize is how many rows one transaction holds at most.
	BatchSize int64 `json:"batch_size,omitempty"`
	// BatchSizeBytes is how many bytes of rows one transaction holds at most.
	BatchSizeBytes int64 `json:"batch_size_bytes,omitempty"`
}

// ParseSpec decodes a JSON spec; unknown keys are errors.
func ParseSpec(b []byte) (Spec, error) {
	var s Spec
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return Spec{}, fmt.Errorf("decoding the destination's spec: %w", err)
	}
	return s, nil
}

// SetDefaults fills in what was left out.
func (s *Spec) SetDefaults() {
	if s.BatchSize == 0 {
		s.BatchSize = defaultBatchSize
	}
	if s.BatchSizeBytes == 0 {
		s.BatchSizeBytes = defaultBatchSizeBytes
	}
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() error {
	var errs []error
	if s.ConnectionString == "" {
		errs = append(errs, errors.New("connection_string is required"))
	}
	if s.BatchSize < 0 {
		errs = append(errs, errors.New("batch_size must not be negative"))
	}
	if s.BatchSizeBytes < 0 {
		errs = append(errs, errors.New("batch_size_bytes must not be negative"))
	}
	return errors.Join(errs...)
}
