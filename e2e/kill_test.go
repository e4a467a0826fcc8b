//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

// kills is how many syncs are killed by each of the tests below: E2E_KILLS, or a few.
func kills(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("E2E_KILLS"))
	if err != nil {
		return 3
	}
	return n
}

// What runs a sync, the plugin, and where there is one of its own the destination, are killed at random moments of full and
// incremental syncs, while the instance changes. After the sync that follows, the destination equals the source.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Run("in one process with the destination", func(t *testing.T) {
		w := killWorld(t)
		w.killAtAnyMoment(func(config string) *exec.Cmd {
			return exec.Command(binary, "sync", config, "--no-progress")
		}, w.config("embedded", "sqlite"), map[string]string{"driver and destination": "", "plugin": binary + " serve"})
	})
	t.Run("under the CloudQuery CLI", func(t *testing.T) {
		cli := tool(t, envCLI)
		destination := os.Getenv(envSQLite)
		if destination == "" {
			destination = embeddedDestination(t)
		}
		w := killWorld(t)
		dir := t.TempDir()
		w.killAtAnyMoment(func(config string) *exec.Cmd {
			cmd := exec.Command(cli, "sync", config, "--telemetry-level", "none", "--no-log-file", "--cq-dir", dir)
			cmd.Dir = dir
			return cmd
		}, w.config("local", destination), map[string]string{"driver": "", "plugin": binary + " serve", "destination": destination + " serve"})
	})
}

func killWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, emulator.Config{Incidents: 900, Attachments: 20})
	w.spec["page_size"] = 60
	return w
}

// killAtAnyMoment runs syncs in pairs, of which the first is killed. targets are the processes by what their command lines
// hold; the empty one is what was started.
func (w *world) killAtAnyMoment(start func(config string) *exec.Cmd, config []byte, targets map[string]string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "config.yml")
	require.NoError(w.t, os.WriteFile(file, config, 0o600))
	leftovers := func() {
		for _, pattern := range targets {
			if pattern != "" {
				_ = exec.Command("pkill", "-KILL", "-f", pattern).Run()
			}
		}
	}
	w.t.Cleanup(leftovers)
	run := func(full bool, kill func(*exec.Cmd)) (took time.Duration, failed bool) {
		if full {
			for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
				_ = os.Remove(w.database + suffix)
			}
		}
		cmd := start(file)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		began := time.Now()
		require.NoError(w.t, cmd.Start())
		if kill != nil {
			kill(cmd)
			// What lost its other end may wait for it; a scheduler would end the run in time.
			patience := time.AfterFunc(10*time.Second, func() {
				_ = cmd.Process.Kill()
				leftovers()
			})
			defer patience.Stop()
		}
		err := cmd.Wait()
		took = time.Since(began)
		leftovers()
		if kill == nil {
			require.NoError(w.t, err, out.String())
		}
		return took, err != nil
	}

	typical := map[bool]time.Duration{}
	typical[true], _ = run(true, nil)
	typical[false], _ = run(false, nil)
	w.requireEqualsSource()
	random := rand.New(rand.NewPCG(7, 7))
	names := slices.Sorted(maps.Keys(targets))
	died := map[string]int{}
	for i := range kills(w.t) {
		full := i%3 == 0
		name := names[i%len(names)]
		w.disturb(random, 10)
		var moment time.Duration
		_, failed := run(full, func(cmd *exec.Cmd) {
			moment = time.Duration(random.Int64N(int64(typical[full]) * 11 / 10))
			changes := time.AfterFunc(moment/2, func() { w.disturb(random, 3) })
			defer changes.Stop()
			time.Sleep(moment)
			if targets[name] == "" {
				_ = cmd.Process.Kill()
			} else {
				_ = exec.Command("pkill", "-KILL", "-f", targets[name]).Run()
			}
		})
		if failed {
			died[fmt.Sprintf("%s, full: %v", name, full)]++
		}
		run(false, nil)
		w.requireEqualsSource()
	}
	w.t.Logf("killed and repaired, of %d: %v", kills(w.t), died)
}

// disturb changes, opens and attaches some records.
func (w *world) disturb(random *rand.Rand, n int) {
	ids := w.SysIDs("incident")
	for range n {
		id := ids[random.IntN(len(ids))]
		w.Update("incident", id, map[string]string{"short_description": fmt.Sprintf("changed %d", random.IntN(1000))})
		if random.IntN(2) == 0 {
			w.Insert("incident", map[string]string{"short_description": "new"})
		}
		if random.IntN(4) == 0 {
			w.Attach("incident", id, "new.txt", "text/plain", []byte("text"))
		}
	}
}
