package client

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Rows that come again are counted once, whenever the count is asked for.
func TestSentCountsDistinctRows(t *testing.T) {
	s := newSent()
	require.Zero(t, s.count())
	const rows = mostFresh + mostFresh/2
	for n := range rows {
		s.note(fmt.Appendf(nil, "%032x", n))
		s.note(fmt.Appendf(nil, "%032x", n/2))
		if n%20000 == 0 {
			require.Equal(t, n+1, s.count())
		}
	}
	require.Equal(t, rows, s.count())
	require.Equal(t, rows, s.count())
	require.IsIncreasing(t, s.sorted)
	require.Zero(t, (*sent)(nil).count())
	(*sent)(nil).note(nil)
}

func TestSentGivesUpOnTooMany(t *testing.T) {
	s := newSent()
	for n := range mostCounted + 2*mostFresh {
		s.note(fmt.Appendf(nil, "%d", n))
	}
	require.True(t, s.lost)
	require.Zero(t, s.count())
}
