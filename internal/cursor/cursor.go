// Package cursor is what one sync leaves for the next: how far a table was read, and what the reading was of. It is a
// typed, versioned value that is stored as JSON in the state table of `backend_options`.
package cursor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Codes of this package.
const (
	CodeNewer   = "SN-CURSOR-001" // the stored cursor is of a newer version
	CodeInvalid = "SN-CURSOR-002" // the stored cursor cannot be read
)

// version of the stored form. A change of its meaning gets a new one; 2 has Rest.
const version = 2

// Cursor says that every record up to Position, in the order of (sys_updated_on, sys_id), was sent to the destination,
// and behind it all that is not in Rest.
type Cursor struct {
	Version int `json:"v"`
	// Seq grows with every cursor stored under a key. The highest one counts where a destination only appends.
	Seq uint64 `json:"seq"`
	// What was read. Another value means that the rows in the destination are of something else.
	Source Fingerprint `json:"of"`
	// Position is the last key before the first one that was not sent, or when Complete the end of the window.
	Position servicenow.Key `json:"position"`
	// Rest are the ranges of the window that were not read, in their order; empty when Complete.
	Rest []servicenow.Range `json:"rest,omitempty"`
	// ReadAt is the instance's clock when the window was opened. Records committed late carry stamps before it.
	ReadAt string `json:"read_at"`
	// Complete is false while the window is not read to its end.
	Complete bool `json:"complete"`
	// Again are the sys_ids of records that the next sync reads again, because something beside them could not be had.
	Again []string `json:"again,omitempty"`
	// Sent are marks of records that the next window meets again and need not send again.
	Sent []string `json:"sent,omitempty"`
	// Rows is how many different rows the sync sent, where the next one checks that they arrived; 0 is nothing to check.
	Rows int `json:"rows,omitempty"`
	// Before is the cursor that the sync began with, to be gone on from when rows are missing; nil is a full sync.
	Before *Cursor `json:"before,omitempty"`
	// Repeated says that the sync was there because rows of the one before it were missing.
	Repeated bool `json:"repeated,omitempty"`
	// Syncs counts the syncs since what the cursor stands for was done, where that is done every so many syncs.
	Syncs int `json:"syncs,omitempty"`
	// Oldest is the stamp of the oldest record of a table that forgets its oldest records.
	Oldest string `json:"oldest,omitempty"`
}

// Alone returns the cursor without what belongs to the proof of its rows.
func (c *Cursor) Alone() *Cursor {
	if c == nil {
		return nil
	}
	alone := *c
	alone.Version, alone.Rows, alone.Before, alone.Repeated = version, 0, nil, false
	return &alone
}

// Fingerprint identifies what a table's rows are, by hashes: queries can hold personal data.
type Fingerprint struct {
	Instance string `json:"instance"`
	Table    string `json:"table"`
	Query    string `json:"query"`
	Fields   string `json:"fields"`
}

// Hash shortens the parts of a fingerprint.
func Hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// Difference says what changed between two fingerprints, or "".
func (f Fingerprint) Difference(other Fingerprint) string {
	switch {
	case f.Instance != other.Instance:
		return "the instance changed"
	case f.Table != other.Table:
		return "the table changed"
	case f.Query != other.Query:
		return "the selection of incidents changed"
	case f.Fields != other.Fields:
		return "the selection of fields changed"
	}
	return ""
}

// Key is where a table's cursor is stored. name tells apart several readings of one instance; it may be "".
func Key(instance, name, table string) string {
	key := "servicenow/" + instance
	if name != "" {
		key += "/" + name
	}
	return key + "/" + table
}

// Parse reads a stored cursor.
func Parse(value string) (*Cursor, error) {
	var c Cursor
	if err := json.Unmarshal([]byte(value), &c); err != nil {
		return nil, usererror.Wrap(err, CodeInvalid, "a stored cursor cannot be read",
			"delete its row from the state table of backend_options; the next sync is then a full one")
	}
	if c.Version > version {
		return nil, usererror.New(CodeNewer, fmt.Sprintf("a stored cursor is of version %d, and this plugin knows versions up to %d", c.Version, version),
			"use the plugin version that wrote it, or delete its row from the state table of backend_options for a full sync")
	}
	if c.Version < 1 || !c.valid() {
		return nil, usererror.New(CodeInvalid, "a stored cursor cannot be read",
			"delete its row from the state table of backend_options; the next sync is then a full one")
	}
	return &c, nil
}

func (c *Cursor) valid() bool {
	_, errRead := time.Parse(servicenow.DateTime, c.ReadAt)
	_, errPosition := time.Parse(servicenow.DateTime, c.Position.UpdatedOn)
	for _, r := range c.Rest {
		if _, err := time.Parse(servicenow.DateTime, r.Through.UpdatedOn); err != nil {
			return false
		}
	}
	if b := c.Before; b != nil && (b.Version < 1 || b.Version > version || b.Before != nil || !b.valid()) {
		return false
	}
	// A reading that has only begun may have nothing behind it.
	return errRead == nil && (errPosition == nil || c.Position == servicenow.Key{} && len(c.Rest) > 0)
}

// String writes the stored form.
func (c *Cursor) String() string {
	c.Version = version
	data, err := json.Marshal(c)
	if err != nil {
		panic(err) // texts, numbers and booleans
	}
	return string(data)
}

// Start returns the key behind which the next window starts. A record committed late carries a stamp from before the
// reading, by the overlap at most; a position older than that has been passed by all of them, and is gone on from exactly.
func (c *Cursor) Start(overlap time.Duration) servicenow.Key {
	safe := c.Settled(overlap)
	if c.Position.UpdatedOn < safe {
		return c.Position
	}
	return servicenow.Key{UpdatedOn: safe}
}

// Settled is the second before which no record is committed late: the overlap before the reading.
func (c *Cursor) Settled(overlap time.Duration) string {
	readAt, err := time.Parse(servicenow.DateTime, c.ReadAt)
	if err != nil {
		return "" // Parse lets none through; the whole table is always right
	}
	return readAt.Add(-overlap).Format(servicenow.DateTime)
}

// Unread returns the ranges of the next window, which ends with the second through: what is left of the last one, and all
// that is not settled. It is nil when that is the one range behind Start.
func (c *Cursor) Unread(overlap time.Duration, through string) []servicenow.Range {
	if len(c.Rest) == 0 {
		return nil
	}
	safe := c.Settled(overlap)
	open := servicenow.Range{After: servicenow.Key{UpdatedOn: safe}, Through: servicenow.Key{UpdatedOn: through}}
	var unread []servicenow.Range
	for _, r := range c.Rest {
		switch {
		case r.After.UpdatedOn >= safe: // a part of what is open
		case r.Through.UpdatedOn < safe:
			unread = append(unread, r)
		default:
			open.After = r.After
		}
	}
	return append(unread, open)
}
