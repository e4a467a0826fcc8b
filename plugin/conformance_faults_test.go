package plugin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// envMatrix makes the matrix of faults larger: so many positions and mixtures instead of four.
const envMatrix = "CONFORMANCE_POSITIONS"

// passingFaults are those that a sync must outlast.
func passingFaults() []emulator.FaultKind {
	return []emulator.FaultKind{
		emulator.FaultPartialResult, emulator.FaultPartialCut, emulator.FaultEmptyWithError, emulator.FaultCutBody, emulator.FaultCutReset,
		emulator.FaultCutGzip, emulator.FaultSlowBody, emulator.FaultHibernating, emulator.FaultDroppedWindow, emulator.FaultWrongOrder,
		emulator.FaultCorruptFile, emulator.FaultAccepted, emulator.FaultReset, emulator.FaultTokenExpired,
		emulator.FaultQueueFull, emulator.FaultCancelled, emulator.FaultBadGateway, emulator.FaultUnavailable, emulator.FaultGatewayTimeout,
	}
}

// finalFaults are answers that a sync believes: it may end with an error, and be wrong in nothing.
func finalFaults() []emulator.FaultKind {
	return []emulator.FaultKind{emulator.FaultForbidden, emulator.FaultNotFound, emulator.FaultPaginationURL, emulator.FaultURITooLong}
}

// tokenFaults hit the sign-in. A page in the place of a token is believed: only a person can wake an instance.
func tokenFaults() []emulator.FaultKind {
	return []emulator.FaultKind{emulator.FaultTokenHibernating, emulator.FaultTokenUnavailable, emulator.FaultTokenReset}
}

func isFinal(kind emulator.FaultKind) bool {
	return kind == emulator.FaultTokenHibernating || slices.Contains(finalFaults(), kind)
}

// atEvery plans a fault for every n-th request; for the first three at 1, where a sync could not outlast all of them, and
// once for an answer that is believed.
func atEvery(kind emulator.FaultKind, n int) emulator.Fault {
	f := emulator.Fault{Kind: kind, Every: n, Delay: 10 * time.Millisecond}
	switch {
	case isFinal(kind), kind == emulator.FaultRateLimited: // the latter costs a second
		f.Times = 1
	case n == 1, kind == emulator.FaultTokenExpired: // with files in flight, tokens that end over and over look like a refused user
		f.Times = 3
	}
	return f
}

// tally counts what the matrix of a table met.
type tally struct{ syncs, trials, hits atomic.Int64 }

// TestConformanceToFaults runs every fault at every n-th request, alone and mixed, in full and incremental syncs.
func TestConformanceToFaults(t *testing.T) {
	positions, thorough := 4, false
	if text := os.Getenv(envMatrix); text != "" {
		var err error
		positions, err = strconv.Atoi(text)
		require.NoError(t, err)
		thorough = true
	}
	// incremental says where changes are synced too, and taken what the race detector, which makes all of this many times
	// as slow, is spared.
	incremental := func(n int) bool { return thorough || n%4 == 3 }
	taken := func(n int) bool { return thorough || !underRace || n == 3 }
	for _, table := range conformingTables() {
		t.Run(table.name, func(t *testing.T) {
			count := &tally{}
			t.Cleanup(func() {
				t.Logf("faults × positions passed: %d trials with %d syncs, %d requests hit", count.trials.Load(), count.syncs.Load(), count.hits.Load())
			})
			// along tries positions one after the other, on one instance, with a new destination for each.
			along := func(t *testing.T, plan func(n int) []emulator.Fault) {
				w := startTrial(t, table, table.seed(rowsOfATrial))
				for n := 1; n <= positions; n++ {
					if !taken(n) {
						continue
					}
					w.restart()
					faults := plan(n)
					switch hits, err := w.tryFaults(t.Context(), count, incremental(n), faults); {
					case err != nil:
						t.Errorf("position %d, %+v: %v", n, faults, err)
					case hits == 0 && incremental(n):
						t.Logf("a sync has less than %d requests", n)
						return
					}
				}
			}
			for _, kind := range append(passingFaults(), finalFaults()...) {
				if underRace && len(kind)%3 != 0 {
					continue
				}
				t.Run(string(kind), func(t *testing.T) {
					t.Parallel()
					along(t, func(n int) []emulator.Fault { return []emulator.Fault{atEvery(kind, n)} })
				})
			}
			t.Run("mixed", func(t *testing.T) {
				t.Parallel()
				along(t, func(n int) []emulator.Fault {
					random, kinds := rand.New(rand.NewPCG(uint64(n), 6)), passingFaults()
					var faults []emulator.Fault
					for _, i := range random.Perm(len(kinds))[:6] {
						faults = append(faults, atEvery(kinds[i], 3+random.IntN(10)))
					}
					return faults
				})
			})
			// Those that make a sync wait are beside each other.
			t.Run("rate limits and sign-ins", func(t *testing.T) {
				t.Parallel()
				var running sync.WaitGroup
				for _, kind := range append(tokenFaults(), emulator.FaultRateLimited) {
					for n := 1; n <= positions; n++ {
						if !taken(n) {
							continue
						}
						faults := []emulator.Fault{atEvery(kind, n)}
						if kind != emulator.FaultRateLimited {
							faults = []emulator.Fault{{Kind: kind, From: 1 + n%3, Times: 1}, atEvery(emulator.FaultTokenExpired, n)}
						}
						running.Go(func() {
							w := newTrial(table, table.seed(rowsOfATrial))
							defer w.close()
							if _, err := w.tryFaults(t.Context(), count, incremental(n), faults); err != nil {
								t.Errorf("position %d, %+v: %v", n, faults, err)
							}
						})
					}
				}
				running.Wait()
			})
		})
	}
}

// restart begins with an empty destination, and without a cursor.
func (w *trial) restart() {
	w.rows, w.cursor, w.state.rows = map[string]map[string]string{}, nil, nil
	w.final, w.unproven, w.gone = false, false, false
}

// tryFaults syncs under faults, then changes under the same faults, and in the end, without any, what may be left. It
// returns how many requests were hit.
func (w *trial) tryFaults(ctx context.Context, count *tally, incremental bool, faults []emulator.Fault) (int, error) {
	for _, f := range faults {
		w.final = w.final || isFinal(f.Kind)
		w.unproven = w.unproven || f.Kind == emulator.FaultCorruptFile
		w.gone = w.gone || f.Kind == emulator.FaultNotFound
	}
	syncs, hits := 1, 0
	if incremental {
		syncs = 2
	}
	for i := range syncs {
		if i == 1 {
			ids := w.ordered()
			for k := 0; k < len(ids); k += 2 {
				w.table.change(w, ids[k], "")
			}
			w.table.insert(w, "")
		}
		w.pass(tick)
		w.ResetRequests()
		w.SetFaults(faults...)
		err := w.sync(ctx)
		w.SetFaults()
		for _, r := range w.Requests() {
			if r.Fault != "" {
				hits++
			}
		}
		count.syncs.Add(1)
		if err := w.judge(err); err != nil {
			return hits, fmt.Errorf("sync %d: %w", i+1, err)
		}
	}
	count.hits.Add(int64(hits))
	count.trials.Add(1)
	if !w.final && w.waiting() == 0 {
		return hits, w.refused() // judge has compared everything
	}
	w.pass(tick)
	count.syncs.Add(1)
	if err := w.sync(ctx); err != nil {
		return hits, fmt.Errorf("the sync after the faults: %w", err)
	}
	return hits, errors.Join(w.compare(w.gone), w.refused()) // a file that is said to be gone is not asked for again
}

// waiting counts the rows whose file the next sync tries to have.
func (w *trial) waiting() int {
	n := 0
	for _, row := range w.rows {
		if w.waits(row) {
			n++
		}
	}
	return n
}

// judge holds the destination against the source after a sync that met faults.
func (w *trial) judge(err error) error {
	if isBroken := (brokenError{}); errors.As(err, &isBroken) {
		return err
	}
	switch {
	case err != nil && !w.final:
		return fmt.Errorf("the sync failed: %w", err)
	case err != nil && usererror.CodeOf(err) == "":
		return fmt.Errorf("an error without a code: %w", err)
	case err != nil:
		return w.compareArrived()
	case w.final && w.table.reads == "":
		return nil // what the instance does not tell is NULL
	}
	return w.compare(true)
}

// A server that fails for good in the middle of a table ends the sync within the budget of a request, with an error that
// says what is the matter. What has arrived is right, and the next sync brings the rest.
func TestConformanceToAServerThatNeverRecovers(t *testing.T) {
	for _, table := range conformingTables() {
		t.Run(table.name, func(t *testing.T) {
			from := 12
			if table.reads == "" {
				from = 4
			}
			for _, kind := range append(append(passingFaults(), emulator.FaultRateLimited), finalFaults()...) {
				switch {
				case kind == emulator.FaultSlowBody, kind == emulator.FaultCorruptFile, kind == emulator.FaultTokenExpired:
					continue // a slow answer is whole in the end; a file is given up alone; the third is of the sign-in
				case table.reads == "" && (kind == emulator.FaultDroppedWindow || kind == emulator.FaultWrongOrder):
					continue // it has neither
				}
				t.Run(string(kind), func(t *testing.T) {
					if underRace && len(kind)%6 != 0 {
						t.Skip("some are enough for the race detector")
					}
					t.Parallel()
					w := startTrial(t, table, table.seed(rowsOfATrial))
					w.retry = servicenow.Retry{Tries: 4, First: time.Millisecond, Longest: 2 * time.Millisecond, Budget: 500 * time.Millisecond}
					w.final = true
					w.SetFaults(emulator.Fault{Kind: kind, From: from})
					began := time.Now()
					err := w.sync(t.Context())
					require.Less(t, time.Since(began), time.Minute)
					refused := table.reads == "" && isFinal(kind)
					if !refused { // a count that the instance refuses is NULL
						require.Error(t, err)
						require.NotEmpty(t, usererror.CodeOf(err))
						require.Contains(t, err.Error(), "Next step")
					}
					require.NoError(t, w.judge(err))
					require.True(t, w.cursor == nil || !w.cursor.Complete)
					w.SetFaults()
					w.mustEqual(t)
				})
			}
		})
	}
}
