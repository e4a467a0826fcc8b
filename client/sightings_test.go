package client

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSightingsFindWhatCameBefore(t *testing.T) {
	const rows = 100_000
	s := newSightings(rows)
	mistaken := 0
	for i := range rows {
		if s.add(fmt.Appendf(nil, "%032x", i*7919)) {
			mistaken++
		}
	}
	require.Less(t, mistaken, rows/1000)
	for i := range rows {
		require.True(t, s.add(fmt.Appendf(nil, "%032x", i*7919)))
	}
	require.LessOrEqual(t, len(newSightings(1<<40).bits), 8<<20/8, "at most 8 MiB")
	require.False(t, newSightings(-1).add([]byte("a")))
}
