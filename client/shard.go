package client

import (
	"fmt"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// Shard is the share of each table's rows that one of several syncs reads, by ranges of sys_ids: a row stays in its shard
// whatever becomes of it. The zero value is the whole.
type Shard struct{ Num, Total int }

// IDs are the sys_ids of the shard.
func (s Shard) IDs() servicenow.IDRange {
	if s.Total < 2 {
		return servicenow.IDRange{}
	}
	return servicenow.Shard(s.Num, s.Total)
}

// First reports whether the shard does what is to be done once for all of them.
func (s Shard) First() bool { return s.Total < 2 || s.Num == 1 }

// key marks a cursor as that of one shard.
func (s Shard) key() string {
	if s.Total < 2 {
		return ""
	}
	return fmt.Sprintf("/shard %d of %d", s.Num, s.Total)
}
