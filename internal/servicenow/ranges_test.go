package servicenow_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// sideBySide reads everything in up to n ranges at once; nothing changes any more that is older than ten seconds.
func sideBySide(n int) servicenow.Read {
	r := everything("incident")
	r.AtOnce = n
	r.Settled = time.Now().UTC().Add(-10 * time.Second).Format(servicenow.DateTime)
	return r
}

func TestRangesSideBySideHoldEveryRowOnce(t *testing.T) {
	for name, cfg := range map[string]emulator.Config{
		"spread over time":          {Incidents: 4000, TiedShare: -1},
		"half of them in a second":  {Incidents: 4000, TiedShare: 0.5},
		"all of them in one second": {Incidents: 4000, TiedShare: 1},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.RequestLatency = 2 * time.Millisecond
			e, c := connect(t, cfg)
			var flying, most atomic.Int64
			e.OnRequest(func(int, *http.Request) {
				for n := flying.Add(1); n > most.Load(); {
					most.Store(n)
				}
				time.AfterFunc(2*time.Millisecond, func() { flying.Add(-1) })
			})
			ids, err := read(t, c, sideBySide(8))
			require.NoError(t, err)
			requireSameRows(t, e.SysIDs("incident"), ids)
			require.GreaterOrEqual(t, most.Load(), int64(3), "requests at once")
			empty := 0
			for _, q := range e.Requests() {
				if q.Rows == 0 {
					empty++
				}
			}
			require.Less(t, len(e.Requests()), 4000/50+30, "halving costs few requests")
			require.Less(t, empty, 6, "ranges are halved where their rows are")
		})
	}
}

func TestRangesSideBySideUnderRowSecurity(t *testing.T) {
	for name, hide := range map[string]func(id string) bool{
		"most rows":         func(id string) bool { return id[0] != '7' },
		"every row":         func(string) bool { return true },
		"every second id":   func(id string) bool { return id[31]%2 == 0 },
		"all but a few ids": func(id string) bool { return id[:2] != "77" },
	} {
		t.Run(name, func(t *testing.T) {
			e, c := connect(t, emulator.Config{Incidents: 2500, TiedShare: 0.4})
			e.HideRows("incident", func(id string, _ func(string) string) bool { return hide(id) })
			ids, err := read(t, c, sideBySide(6))
			require.NoError(t, err)
			var shown []string
			for _, id := range e.SysIDs("incident") {
				if !hide(id) {
					shown = append(shown, id)
				}
			}
			requireSameRows(t, shown, ids)
		})
	}
}

// What a reading leaves is read by the next one, wherever the first broke off.
func TestWhatIsLeftOfRangesIsReadByTheNextReading(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 1500, TiedShare: 0.3})
	for stop := 1; stop < 30; stop += 3 {
		t.Run(fmt.Sprintf("after %d pages", stop), func(t *testing.T) {
			got := map[string]int{}
			collect := func(page *servicenow.Page) {
				for _, record := range page.Records {
					key, _ := record.Key()
					got[key.SysID]++
				}
			}
			var rest []servicenow.Range
			pages := 0
			for page, err := range c.ReadPages(t.Context(), sideBySide(5)) {
				require.NoError(t, err)
				collect(page)
				rest = page.Rest
				require.NotEmpty(t, rest, "a range ends behind its last page")
				for i := range rest[1:] {
					require.Negative(t, rest[i].Through.Compare(servicenow.Key{UpdatedOn: rest[i+1].Through.UpdatedOn, SysID: "~"}))
				}
				if pages++; pages == stop {
					break
				}
			}
			again := sideBySide(5)
			again.Rest = rest
			for page, err := range c.ReadPages(t.Context(), again) {
				require.NoError(t, err)
				collect(page)
			}
			requireSameRows(t, e.SysIDs("incident"), slices.Collect(maps.Keys(got)))
			for id, n := range got {
				require.Equal(t, 1, n, id)
			}
		})
	}
}

// A row that changes leaves its range for the end of the window, which is read last.
func TestRowsThatChangeWhileRangesAreReadAreMet(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 3000, TiedShare: 0.2})
	all := e.SysIDs("incident")
	r := sideBySide(6)
	r.Window.Through = time.Now().UTC().Add(time.Hour).Format(servicenow.DateTime)
	var n atomic.Int64
	e.OnRequest(func(int, *http.Request) {
		for range 5 {
			if i := int(n.Add(1)); i <= 600 { // bounded, so that the end is reached
				e.Update("incident", all[i*2999%len(all)], map[string]string{"state": "2"})
			}
		}
	})
	ids, err := read(t, c, r)
	require.NoError(t, err)
	require.Greater(t, n.Load(), int64(100))
	slices.Sort(ids)
	requireSameRows(t, all, slices.Compact(ids))
}

func TestShardsHoldEveryRowOnce(t *testing.T) {
	e, c := connect(t, emulator.Config{Incidents: 1200})
	e.Insert("incident", map[string]string{"sys_id": "not-hexadecimal", "short_description": "imported"})
	for _, total := range []int{1, 2, 3, 7} {
		var ids []string
		for num := 1; num <= total; num++ {
			r := sideBySide(3)
			r.IDs = servicenow.Shard(num, total)
			part, err := read(t, c, r)
			require.NoError(t, err)
			require.InDelta(t, 1200/total, len(part), 0.35*1200/float64(total), "shards are of a size")
			ids = append(ids, part...)
		}
		requireSameRows(t, e.SysIDs("incident"), ids)
	}
}

// A budget is spent on large pages, not on many ranges.
func TestAnHourlyBudgetLeavesRoomForFewRanges(t *testing.T) {
	e := emulator.New(emulator.Config{Incidents: 3000, RequestLatency: time.Millisecond})
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	ids, err := read(t, clientOf(t, server.URL, 4<<20, func(cfg *httpclient.Config) { cfg.MaxPerHour = 3000 }), sideBySide(8))
	require.NoError(t, err)
	requireSameRows(t, e.SysIDs("incident"), ids)
	require.Len(t, e.Requests(), 3000/50, "in order, without a request for halving")
}
