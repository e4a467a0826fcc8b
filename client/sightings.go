package client

import (
	"hash/maphash"
	"math/bits"
)

// sightings remembers the sys_ids that a reading has sent, in bounded memory: a Bloom filter of 16 bits for each expected
// row and 8 MiB at most. It takes an id that it has not seen for one that it has in less than one of 1,000 cases; beyond
// four million rows more often. So only rows that may come twice are looked up in it.
type sightings struct {
	seed maphash.Seed
	bits []uint64
}

const (
	bitsPerRow   = 16
	leastBits    = 1 << 13
	mostBits     = 8 << 23
	hashesPerRow = 8
)

func newSightings(rows int) *sightings {
	n := min(max(bitsPerRow*uint64(max(rows, 0)), leastBits), mostBits)
	n = 1 << bits.Len64(n-1)
	return &sightings{seed: maphash.MakeSeed(), bits: make([]uint64, n/64)}
}

// add remembers an id and reports whether it was there before.
func (s *sightings) add(id []byte) (before bool) {
	h := maphash.Bytes(s.seed, id)
	step := h>>32 | 1
	before = true
	mask := uint64(len(s.bits))*64 - 1
	for range hashesPerRow {
		at := h & mask
		h += step
		if bit := uint64(1) << (at % 64); s.bits[at/64]&bit == 0 {
			before = false
			s.bits[at/64] |= bit
		}
	}
	return before
}
