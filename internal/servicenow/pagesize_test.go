package servicenow

import (
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

// instance serves pages in a time that depends on their rows.
type instance struct {
	perRequest, perRow time.Duration
	quota              time.Duration
	rowBytes           int
}

// serve reads n pages and returns their sizes.
func (i instance) serve(p *PageSize, n int) []int {
	var sizes []int
	for range n {
		size := p.current()
		sizes = append(sizes, size)
		if took := i.perRequest + time.Duration(size)*i.perRow; took > i.quota {
			p.halve(size) // cancelled
		} else {
			p.served(size, size, size*i.rowBytes, took, 1)
		}
	}
	return sizes
}

func TestPageSizeFollowsTheTimeOfAPage(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name       string
		configured int
		instance   instance
		first      int
		settles    []int // one of them
	}{
		{"quick rows grow to the ceiling", 0, instance{200 * ms, ms / 10, time.Minute, 700}, 1000, []int{4000}},
		{"fat rows stay below the memory bound", 0, instance{200 * ms, ms / 10, time.Minute, 7000}, 1000, []int{2000}},
		{"very fat rows do not grow", 0, instance{200 * ms, ms / 10, time.Minute, 12000}, 1000, []int{1000}},
		{"10 ms a row stay at 10 s", 0, instance{200 * ms, 10 * ms, time.Minute, 700}, 1000, []int{1000}},
		{"40 ms a row are halved to 20 s, before the quota", 0, instance{200 * ms, 40 * ms, time.Minute, 700}, 1000, []int{500}},
		{"over the quota", 0, instance{200 * ms, 200 * ms, time.Minute, 700}, 1000, []int{125}},
		{"a short quota", 0, instance{200 * ms, 2 * ms, time.Second, 700}, 1000, []int{250, 500}},
		{"the user's is the ceiling", 500, instance{200 * ms, ms / 10, time.Minute, 700}, 500, []int{500}},
		{"the user's is halved too", 10000, instance{200 * ms, 10 * ms, time.Minute, 700}, 10000, []int{2500}},
		{"never below one", 1, instance{time.Hour, 0, time.Minute, 700}, 1, []int{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewPageSize(c.configured)
			sizes := c.instance.serve(p, 100)
			require.Equal(t, c.first, sizes[0])
			for _, size := range sizes[50:] {
				require.Contains(t, c.settles, size)
			}
		})
	}
}

func TestPageSizeFindsItsWayBack(t *testing.T) {
	p := NewPageSize(1000)
	for range 6 {
		p.halve(p.current())
	}
	require.Equal(t, 15, p.current())
	instance{perRequest: 200 * time.Millisecond, quota: time.Minute, rowBytes: 700}.serve(p, 7*servedToGrow)
	require.Equal(t, 1000, p.current())
}

// What row security or the end of a window left of a page does not tell how long a full one takes.
func TestShortPagesDoNotGrowBeyondTheStart(t *testing.T) {
	p := NewPageSize(0)
	for range 50 {
		p.served(p.current(), 3, 3000, time.Millisecond, 1)
	}
	require.Equal(t, startPageSize, p.current())
	p.halve(p.current())
	for range 50 {
		p.served(p.current(), 0, 0, time.Millisecond, 1)
	}
	require.Equal(t, startPageSize, p.current(), "back to it they may")
}

// Pages that were asked for before a halving tell nothing about the new size.
func TestLatePagesDoNotGrow(t *testing.T) {
	p := NewPageSize(1000)
	p.halve(1000)
	p.halve(1000)
	require.Equal(t, 500, p.current(), "two answers to one size are one halving")
	for range 3 {
		p.served(250, 250, 1000, time.Millisecond, 1)
	}
	require.Equal(t, 500, p.current())
}

// The memory for a page is taken once, from its second page on.
func TestMemoryOfAPageIsForeseen(t *testing.T) {
	p := NewPageSize(1000)
	require.Zero(t, p.expected(1000, -1), "nothing is known yet")
	p.served(1000, 1000, 6<<20, time.Second, 1)
	whole := p.expected(1000, -1)
	require.Greater(t, whole, 6<<20)
	require.Less(t, whole, 7<<20)
	require.Less(t, p.expected(1000, 10), whole/50, "of the last rows")
	require.LessOrEqual(t, p.expected(1_000_000, -1), 2*mostPageBytes)

	text := strings.Repeat("0123456789", 100_000)
	for _, expected := range []int{0, len(text) / 2, len(text) + 100} {
		body, err := readAll(iotest.HalfReader(strings.NewReader(text)), expected)
		require.NoError(t, err)
		require.Equal(t, text, string(body))
	}
	body, err := readAll(strings.NewReader(text), len(text)+100)
	require.NoError(t, err)
	require.Equal(t, len(text)+100, cap(body))
	_, err = readAll(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(text))), 0)
	require.ErrorIs(t, err, iotest.ErrTimeout)
}
