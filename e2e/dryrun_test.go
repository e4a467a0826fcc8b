package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

func TestSyncDryRun(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, emulator.Config{Incidents: 1500, Attachments: 200})
	w.database = filepath.Join(dir, "sync.db")
	config := filepath.Join(t.TempDir(), "config.yml")
	require.NoError(t, os.WriteFile(config, w.config("embedded", "sqlite"), 0o600))
	type table struct {
		Table, Sync, From string
		Rows, Files       *int
	}
	foretell := func() map[string]table {
		t.Helper()
		out, code := run(t, dir, "sync", config, "--dry-run", "--json")
		require.Zero(t, code, out)
		var answer struct {
			Instances []struct {
				Tables   []table
				Requests int
			}
		}
		require.NoError(t, json.Unmarshal([]byte(out), &answer), out)
		require.Len(t, answer.Instances, 1)
		require.Positive(t, answer.Instances[0].Requests)
		tables := map[string]table{}
		for _, each := range answer.Instances[0].Tables {
			tables[each.Table] = each
		}
		return tables
	}
	files := func() map[string]string {
		t.Helper()
		found := map[string]string{}
		paths, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		for _, path := range paths {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			found[path] = string(content)
		}
		return found
	}
	tables := foretell()
	require.Equal(t, 1500, *tables["servicenow_incidents"].Rows)
	require.Equal(t, "full", tables["servicenow_incidents"].Sync)
	require.Nil(t, tables["servicenow_incidents"].Files)
	require.Positive(t, *tables["servicenow_attachments"].Files)
	require.Empty(t, files(), "no database was made")

	w.mustSync()
	synced := files()
	w.Update("incident", w.SysIDs("incident")[7], map[string]string{"short_description": "changed"})
	tables = foretell()
	require.Equal(t, "incremental", tables["servicenow_incidents"].Sync)
	require.NotEmpty(t, tables["servicenow_incidents"].From)
	require.Less(t, *tables["servicenow_incidents"].Rows, 100)
	require.Equal(t, synced, files(), "the database is as it was, and alone")

	out, code := run(t, dir, "sync", config, "--dry-run")
	require.Zero(t, code, out)
	require.Contains(t, out, "servicenow_incidents, incremental, from ")
	require.Contains(t, out, "the whole sync")
	half := 0
	for _, shard := range []string{"1/2", "2/2"} { // whose cursors are their own
		out, code = run(t, dir, "sync", config, "--dry-run", "--shard", shard)
		require.Zero(t, code, out)
		m := regexp.MustCompile(`([0-9,]+) .* servicenow_incidents, full`).FindStringSubmatch(out)
		require.NotNil(t, m, out)
		n, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
		require.NoError(t, err)
		half += n
	}
	require.Equal(t, 1500, half)
	out, code = run(t, dir, "sync", config, "--json")
	require.Equal(t, 2, code, out)
	require.NoError(t, os.WriteFile(config, w.config("cloudquery", "cloudquery/postgresql"), 0o600))
	out, code = run(t, dir, "sync", config, "--dry-run")
	require.Equal(t, 1, code)
	require.Contains(t, out, "cloudquery sync")
}
