package plugin

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// TestConformance asks the same of every destination table. Each sync in it is checked for goroutines and Arrow buffers
// that it leaves behind, and for a cursor that runs ahead of the rows. docs/dev/testing.md tells how a table is added.
func TestConformance(t *testing.T) {
	spool := t.TempDir()
	t.Setenv("TMPDIR", spool)
	t.Cleanup(func() {
		left, err := os.ReadDir(spool)
		require.NoError(t, err)
		require.Empty(t, left, "files in transit are left behind")
	})
	properties := []struct {
		name  string
		paged bool // asked only of tables that are read page by page
		hold  func(*testing.T, conforming)
	}{
		{"full and incremental", false, conformsFull},
		{"resume in mid-table", true, conformsResume},
		{"more rows in one second than a page holds", true, conformsTies},
		{"rows change during paging", false, conformsMoving},
		{"rows committed late", true, conformsLate},
		{"an empty table", false, conformsEmpty},
		{"a table that may not be read", false, conformsDenied},
		{"rows that may not be read", true, conformsHiddenRows},
		{"fields that may not be read", true, conformsHiddenFields},
		{"ignored query terms", true, conformsIgnoredTerms},
		{"tokens end in mid-page", false, conformsTokens},
		{"other formats and hosts", false, conformsPresentation},
		{"cancellation", false, conformsCancellation},
	}
	for _, table := range conformingTables() {
		t.Run(table.name, func(t *testing.T) {
			for _, property := range properties {
				if property.paged && table.reads == "" {
					continue
				}
				t.Run(property.name, func(t *testing.T) {
					if underRace && slices.Contains([]string{"fields that may not be read", "other formats and hosts", "an empty table"}, property.name) {
						t.Skip("nothing in it is at once that is not elsewhere")
					}
					t.Parallel()
					property.hold(t, table)
				})
			}
		})
	}
}

// rowsOfATrial fill seven pages.
const rowsOfATrial = 40

func (w *trial) mustSync(t *testing.T) {
	t.Helper()
	require.NoError(t, w.sync(t.Context()))
}

// mustEqual syncs and compares, with the clock moved on.
func (w *trial) mustEqual(t *testing.T) {
	t.Helper()
	w.pass(tick)
	w.mustSync(t)
	require.NoError(t, w.compare(false))
}

// ordered returns the sys_ids of the rows in the order in which they are read.
func (w *trial) ordered() []string {
	keys := w.table.keys(w)
	return slices.SortedFunc(maps.Keys(keys), func(a, b string) int { return keys[a].Compare(keys[b]) })
}

func conformsFull(t *testing.T, table conforming) {
	w := startTrial(t, table, table.seed(rowsOfATrial))
	w.mustSync(t)
	require.NoError(t, w.compare(false))
	require.Equal(t, table.columns().Names(), w.columns)
	if table.reads != "" {
		require.NotNil(t, w.cursor)
		require.True(t, w.cursor.Complete)
		require.Equal(t, servicenow.Key{UpdatedOn: w.now()}, w.cursor.Position)
	}
	ids := w.ordered()
	for i := 0; i < len(ids); i += 9 {
		table.change(w, ids[i], "")
	}
	for range 7 {
		table.insert(w, "")
	}
	w.mustEqual(t)
}

// A load that is cancelled over and over goes on behind what it had sent, and misses nothing.
func conformsResume(t *testing.T, table conforming) {
	if underRace {
		t.Skip("a load that is large enough takes minutes under the race detector")
	}
	rows := table.checkpoint + table.checkpoint/4
	w := startTrial(t, table, table.seed(rows))
	maps.Copy(w.spec, table.narrow)
	keys := table.keys(w) // nothing changes here, and there are many
	w.table.keys = func(*trial) map[string]servicenow.Key { return keys }
	for _, at := range []int{1, 2, 5, 0} {
		ctx, cancel := context.WithCancel(t.Context())
		messages, cursors := 0, 0
		w.watch = func(_ int, m message.SyncMessage) {
			messages++
			if insert, ok := m.(*message.SyncInsert); ok {
				if name, _ := insert.Record.Schema().Metadata().GetValue("cq:table_name"); name == stateTable {
					cursors++
				}
			}
			if at > 0 && messages == at || at == 0 && cursors > 0 {
				cancel()
			}
		}
		w.ResetRequests()
		err := w.sync(ctx)
		cancel()
		require.ErrorIs(t, err, context.Canceled)
	}
	require.NotNil(t, w.cursor)
	require.False(t, w.cursor.Complete)
	sent := len(w.rows)
	require.Less(t, sent, len(keys))
	behind := w.cursor.Position
	w.watch = nil
	w.ResetRequests()
	w.mustSync(t)
	read := 0
	for _, r := range w.Requests() {
		if r.Table == table.reads && strings.Contains(r.Query.Get("sysparm_query"), "ORDERBY") {
			read += r.Rows
		}
	}
	require.Less(t, read, rows/2, "what was sent behind %v is not read again", behind)
	require.NoError(t, w.compare(false))
	require.True(t, w.cursor.Complete)
}

func conformsTies(t *testing.T, table conforming) {
	w := startTrial(t, table, table.seed(rowsOfATrial))
	ids := w.ordered()
	for _, id := range ids {
		table.change(w, id, "2026-02-03 04:05:06")
	}
	w.mustSync(t)
	require.NoError(t, w.compare(false))
	w.pass(tick)
	for _, id := range ids[5:30] {
		table.change(w, id, w.now())
	}
	w.mustSync(t)
	require.NoError(t, w.compare(false))
	t.Logf("%d and 25 rows in one second, pages of 6", len(ids))
}

// Rows are changed, added and deleted at every request. The sync after the last change brings what is missing.
func conformsMoving(t *testing.T, table conforming) {
	w := startTrial(t, table, table.seed(rowsOfATrial))
	var mu sync.Mutex
	changes := 0
	w.moving = true
	w.OnRequest(func(n int, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.pass(time.Second)
		if n > 100 {
			return // each new file is another request
		}
		ids := w.ordered()
		table.change(w, ids[(n*31)%len(ids)], "")
		table.change(w, ids[(n*17+5)%len(ids)], "")
		table.insert(w, "")
		changes += 3
		if n%2 == 0 && len(ids) > 10 {
			table.remove(w, ids[(n*13+1)%len(ids)])
			changes++
		}
	})
	w.mustSync(t)
	w.pass(tick)
	w.mustSync(t)
	w.OnRequest(nil)
	w.moving = false
	w.mustEqual(t)
	t.Logf("%d changes during two syncs", changes)
}

func conformsLate(t *testing.T, table conforming) {
	w := startTrial(t, table, table.seed(rowsOfATrial))
	w.mustSync(t)
	ids := w.ordered()
	for age := time.Second; age < 5*time.Minute; age += 23 * time.Second {
		stamp := time.Unix(w.clock.Load(), 0).UTC().Add(-age).Format(time.DateTime)
		table.insert(w, stamp)
		table.change(w, ids[int(age/time.Second)%len(ids)], stamp)
	}
	w.pass(time.Minute)
	w.mustSync(t)
	require.NoError(t, w.compare(false))
	w.mustEqual(t)
}

func conformsEmpty(t *testing.T, table conforming) {
	cfg := table.seed(0)
	w := startTrial(t, table, cfg)
	for range 2 {
		w.mustSync(t)
		require.NoError(t, w.compare(false))
		if table.reads != "" {
			require.Empty(t, w.rows)
			require.True(t, w.cursor.Complete)
		}
		w.pass(tick)
	}
	table.insert(w, "")
	w.mustSync(t)
	require.NoError(t, w.compare(false))
	require.NotEmpty(t, w.rows)
}

func conformsDenied(t *testing.T, table conforming) {
	w := startTrial(t, table, table.seed(rowsOfATrial))
	w.DenyTable(table.mustRead, emulator.DenyForbidden)
	require.Equal(t, servicenow.CodeTableForbidden, innermostCode(w.sync(t.Context())))
	require.Empty(t, w.rows)
	require.Nil(t, w.cursor)
	w.DenyTable(table.mustRead, emulator.DenyNone)
	w.mustEqual(t)
	before, stored := maps.Clone(w.rows), w.cursor
	w.DenyTable(table.mustRead, emulator.DenyForbidden)
	w.pass(tick)
	require.Equal(t, servicenow.CodeTableForbidden, innermostCode(w.sync(t.Context())))
	require.Equal(t, before, w.rows)
	require.Equal(t, stored, w.cursor)

	w = startTrial(t, table, table.seed(rowsOfATrial))
	w.DenyTable(table.mustRead, emulator.DenyEmpty)
	w.moving = true // there is no telling from an empty table
	w.mustSync(t)
	if table.reads != "" {
		require.Empty(t, w.rows)
	}
}

// innermostCode is the code of the cause of an error.
func innermostCode(err error) string {
	code := ""
	for err != nil {
		var explained *usererror.Error
		if !errors.As(err, &explained) {
			break
		}
		code, err = explained.Code, explained.Err
	}
	return code
}

// Pages come short and empty, since rows are left out after the page was cut.
func conformsHiddenRows(t *testing.T, table conforming) {
	for _, counts := range []bool{true, false} {
		w := startTrial(t, table, table.seed(6*rowsOfATrial))
		w.OmitTotalCount(!counts)
		place := map[string]int{}
		for i, id := range w.ordered() {
			place[id] = i
		}
		w.hide(func(id string) bool { i, ok := place[id]; return ok && (i < 40 || i > 50 && i < 200 || i%3 == 1) })
		w.mustSync(t)
		require.NoError(t, w.compare(false))
		require.NotEmpty(t, w.rows)
		empty, short := 0, 0
		for _, r := range w.Requests() {
			if r.Table == table.reads && r.Query.Get("sysparm_limit") == "6" {
				switch {
				case r.Rows == 0:
					empty++
				case r.Rows < 6:
					short++
				}
			}
		}
		require.Greater(t, empty, 3)
		require.Greater(t, short, 3)
		if counts {
			require.Contains(t, w.log.String(), "SN-READ-011")
		}
		for _, id := range w.ordered() {
			table.change(w, id, "")
		}
		w.mustEqual(t)
	}

	w := startTrial(t, table, table.seed(rowsOfATrial))
	w.hide(func(string) bool { return true })
	w.mustSync(t)
	require.Empty(t, w.rows)
	require.Contains(t, w.log.String(), "SN-READ-011")
}

func conformsHiddenFields(t *testing.T, table conforming) {
	w := startTrial(t, table, table.seed(rowsOfATrial))
	record, _ := w.Record(table.records, w.ordered()[0])
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(record)) {
		switch name {
		case "sys_id", "sys_updated_on", "table_sys_id", "table_name", "caller_id":
		default:
			fields = append(fields, name)
		}
	}
	// In parts, and all of them.
	parts := slices.Collect(slices.Chunk(fields, 1+len(fields)/4))
	for _, part := range append(parts, fields) {
		w := startTrial(t, table, table.seed(rowsOfATrial))
		w.hideFields(part...)
		w.mustSync(t)
		require.NoError(t, w.compare(false), "%q", part)
		require.NotEmpty(t, w.rows)
	}
	for _, key := range []string{"sys_id", "sys_updated_on"} {
		for _, mode := range []emulator.InvalidQueryMode{emulator.DropTerm, emulator.Forbidden} {
			cfg := table.seed(rowsOfATrial)
			cfg.InvalidQuery = mode
			w := startTrial(t, table, cfg)
			w.termsDrop = true
			w.hideFields(key)
			err := w.sync(t.Context())
			require.Contains(t, []string{servicenow.CodeKeyHidden, servicenow.CodeQueryForbidden}, innermostCode(err), "%s: %v", key, err)
			require.Empty(t, w.rows)
			require.Nil(t, w.cursor)
		}
	}
}

// An instance that leaves out the window's terms shows rows that were not asked for, in whatever sync.
func conformsIgnoredTerms(t *testing.T, table conforming) {
	w := startTrial(t, table, table.seed(rowsOfATrial))
	ignore := emulator.Fault{Kind: emulator.FaultDroppedWindow, Table: table.reads, From: 2}
	w.SetFaults(ignore)
	require.Equal(t, servicenow.CodeOutsideWindow, innermostCode(w.sync(t.Context())))
	require.Nil(t, w.cursor)
	require.NoError(t, w.compareArrived())
	w.SetFaults()
	w.mustEqual(t)

	stored := w.cursor
	table.change(w, w.ordered()[3], "")
	w.pass(tick)
	w.SetFaults(ignore)
	require.Equal(t, servicenow.CodeOutsideWindow, innermostCode(w.sync(t.Context())))
	require.Equal(t, stored, w.cursor)
	w.SetFaults()
	w.mustEqual(t)
}

// Tokens expire by the clock, are revoked under a request, and are gone at the attempt after a body that broke off.
func conformsTokens(t *testing.T, table conforming) {
	for name, faults := range map[string][]emulator.Fault{
		"expired by the clock": nil,
		"revoked":              {{Kind: emulator.FaultTokenExpired, Every: 4, Times: 4}},
		"revoked in mid-page": {
			{Kind: emulator.FaultCutReset, Every: 3}, {Kind: emulator.FaultTokenExpired, Every: 4, Times: 4},
			{Kind: emulator.FaultTokenUnavailable, Every: 3},
		},
	} {
		w := startTrial(t, table, table.seed(rowsOfATrial))
		if faults == nil {
			w.moving = true // the clock runs ahead of what changes
			w.OnRequest(func(n int, _ *http.Request) {
				if n == 4 || n%17 == 0 {
					w.pass(31 * time.Minute)
				}
			})
		}
		w.SetFaults(faults...)
		w.mustSync(t)
		require.NoError(t, w.compare(false), name)
		tokens := 0
		for _, r := range w.Requests() {
			if r.Table == "" && r.Status == http.StatusOK {
				tokens++
			}
		}
		require.Greater(t, tokens, 1, name)
	}
}

func conformsPresentation(t *testing.T, table conforming) {
	for _, change := range []func(*emulator.Config){
		func(cfg *emulator.Config) { cfg.TimeZone, cfg.DateFormat = "Asia/Kolkata", "dd/MM/yyyy" },
		func(cfg *emulator.Config) { cfg.LinkBase = "https://elsewhere.example" },
		func(cfg *emulator.Config) { cfg.InvalidQuery = emulator.NoRows },
		func(cfg *emulator.Config) { cfg.InvalidQuery = emulator.Forbidden },
		func(cfg *emulator.Config) { cfg.PaginationURLLimit = 300 },
	} {
		cfg := table.seed(rowsOfATrial)
		change(&cfg)
		w := startTrial(t, table, cfg)
		w.mustSync(t)
		require.NoError(t, w.compare(false))
	}
}

func conformsCancellation(t *testing.T, table conforming) {
	cancelled := 0
	for _, at := range []int{1, 3, 6, 10} {
		if underRace && at == 10 {
			break
		}
		for _, what := range []string{"request", "message"} {
			w := startTrial(t, table, table.seed(rowsOfATrial))
			ctx, cancel := context.WithCancel(t.Context())
			if what == "request" {
				w.OnRequest(func(n int, _ *http.Request) {
					if n == at {
						cancel()
					}
				})
			} else {
				w.watch = func(n int, _ message.SyncMessage) {
					if n == at {
						cancel()
					}
				}
			}
			began := time.Now()
			err := w.sync(ctx)
			ended := ctx.Err() != nil
			cancel()
			require.Less(t, time.Since(began), 30*time.Second)
			if err != nil {
				require.True(t, ended, "%v", err)
				require.ErrorIs(t, err, context.Canceled)
				cancelled++
			}
			require.NoError(t, w.compareArrived())
			w.OnRequest(nil)
			w.watch = nil
			w.mustEqual(t)
		}
	}
	require.Positive(t, cancelled)
	t.Logf("%d of 8 syncs were cancelled", cancelled)
}
