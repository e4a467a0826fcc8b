package emulator

import (
	"math"
	"slices"
	"sort"
	"strings"
)

// rowIndex keeps row numbers in order, in chunks, so that inserting costs one chunk's move and counting
// a range costs a sum over chunks.
type rowIndex struct {
	compare func(a, b int32) int
	chunks  [][]int32
}

const chunkSize = 1024

// fill sets the index from rows already in order.
func (x *rowIndex) fill(rows []int32) {
	x.chunks = nil
	for len(rows) > 0 {
		n := min(chunkSize, len(rows))
		x.chunks = append(x.chunks, slices.Clone(rows[:n]))
		rows = rows[n:]
	}
}

func (x *rowIndex) insert(row int32) {
	if len(x.chunks) == 0 {
		x.chunks = [][]int32{{row}}
		return
	}
	c, i := x.seek(func(other int32) bool { return x.compare(other, row) < 0 })
	if c == len(x.chunks) {
		c--
		i = len(x.chunks[c])
	}
	chunk := slices.Insert(x.chunks[c], i, row)
	if len(chunk) < 2*chunkSize {
		x.chunks[c] = chunk
		return
	}
	x.chunks[c] = slices.Clone(chunk[:chunkSize])
	x.chunks = slices.Insert(x.chunks, c+1, slices.Clone(chunk[chunkSize:]))
}

func (x *rowIndex) remove(row int32) {
	c, i := x.seek(func(other int32) bool { return x.compare(other, row) < 0 })
	if c == len(x.chunks) || x.chunks[c][i] != row {
		panic("emulator: row missing from its index")
	}
	x.chunks[c] = slices.Delete(x.chunks[c], i, i+1)
	if len(x.chunks[c]) == 0 {
		x.chunks = slices.Delete(x.chunks, c, c+1)
	}
}

// seek finds the first row that is not before the sought place; (len(chunks), 0) when all are.
func (x *rowIndex) seek(before func(row int32) bool) (c, i int) {
	c = sort.Search(len(x.chunks), func(c int) bool { return !before(x.chunks[c][len(x.chunks[c])-1]) })
	if c == len(x.chunks) {
		return c, 0
	}
	return c, sort.Search(len(x.chunks[c]), func(i int) bool { return !before(x.chunks[c][i]) })
}

// rank counts the rows before the sought place.
func (x *rowIndex) rank(before func(row int32) bool) int {
	c, i := x.seek(before)
	for _, chunk := range x.chunks[:c] {
		i += len(chunk)
	}
	return i
}

// ranks yields the rows at ranks from first up to, not including, end.
func (x *rowIndex) ranks(first, end int, yield func(row int32) bool) {
	skipped := 0
	for _, chunk := range x.chunks {
		if skipped >= end {
			return
		}
		if skipped+len(chunk) > first {
			for _, row := range chunk[max(0, first-skipped):min(len(chunk), end-skipped)] {
				if !yield(row) {
					return
				}
			}
		}
		skipped += len(chunk)
	}
}

// ranksBackward is ranks from the end to the start.
func (x *rowIndex) ranksBackward(first, end int, yield func(row int32) bool) {
	following := 0
	for _, chunk := range x.chunks {
		following += len(chunk)
	}
	for _, chunk := range slices.Backward(x.chunks) {
		following -= len(chunk)
		if following >= end {
			continue
		}
		if following+len(chunk) <= first {
			return
		}
		for _, row := range slices.Backward(chunk[max(0, first-following):min(len(chunk), end-following)]) {
			if !yield(row) {
				return
			}
		}
	}
}

// bound is a place between rows ordered by (time, sys_id). The index by sys_id alone has time 0 throughout.
type bound struct {
	time int64
	edge boundEdge
	id   string // with beforeID and afterID
}

type boundEdge int8

const (
	beforeTime boundEdge = iota // before every row of that time
	beforeID
	afterID
	afterTime
)

var (
	lowestBound  = bound{time: math.MinInt64, edge: beforeTime}
	highestBound = bound{time: math.MaxInt64, edge: afterTime}
)

// noTime is the index key of rows without a usable time, below every real one.
const noTime = math.MinInt64

func (b bound) compare(o bound) int {
	if b.time != o.time {
		return compareInts(b.time, o.time)
	}
	outer := func(e boundEdge) bool { return e == beforeTime || e == afterTime }
	if outer(b.edge) || outer(o.edge) || b.id == o.id {
		return int(b.edge) - int(o.edge)
	}
	return collate(b.id, o.id)
}

// follows reports whether a row with this key comes before the bound.
func (b bound) follows(time int64, id string) bool {
	if time != b.time {
		return time < b.time
	}
	switch b.edge {
	case beforeTime:
		return false
	case afterTime:
		return true
	case beforeID:
		return collate(id, b.id) < 0
	default:
		return collate(id, b.id) <= 0
	}
}

func compareInts(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// collate orders text as the database does: without regard to ASCII case, then by bytes so that the
// order is total.
func collate(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			x, y := foldASCII(a[i]), foldASCII(b[i])
			if x != y {
				return int(x) - int(y)
			}
		}
	}
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func foldASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
