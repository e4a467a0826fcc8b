package cli

import (
	"bytes"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/listing"
	"github.com/cqservicenow/cq-source-servicenow/internal/picker"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
	"github.com/cqservicenow/cq-source-servicenow/plugin"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// runListCommand returns what the command printed to stdout and stderr.
func runListCommand(t *testing.T, args ...string) (out, notes string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := &app{stdout: &stdout, stderr: &stderr}
	cmd := a.list()
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	err = cmd.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

// listInstance is an emulator with some incidents of its own, and a config for it with the variables that tests set.
func listInstance(t *testing.T, incidents int) (*emulator.Emulator, string) {
	t.Helper()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	e := emulator.New(emulator.Config{Incidents: incidents, Attachments: -1, ClientSecret: "canary-secret", Now: func() time.Time { return now }})
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	t.Cleanup(func() { require.Empty(t, e.Violations()) })
	t.Setenv("LIST_INSTANCE", server.URL)
	t.Setenv("LIST_SECRET", "canary-secret")
	return e, server.URL
}

const listConfig = `# the sources
kind: source
spec:
  name: servicenow
  path: cqservicenow/servicenow
  tables: ["*"]
  destinations: [here]
  spec:
    instance_url: ${LIST_INSTANCE} # where

    auth:
      grant_type: client_credentials
      client_id: emulator-client
      client_secret: ${LIST_SECRET}
---
kind: destination
spec:
  name: here
  registry: embedded
  path: sqlite
  spec:
    connection_string: ${LIST_DATABASE}
`

func goldenList(t *testing.T, name, address, got string) {
	t.Helper()
	got = strings.ReplaceAll(got, address, "http://instance.example")
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// hostile is what anybody may write into an incident.
const hostile = "\x1b[2J\x1b]0;owned\aEscapes\u009b31m, \"quotes\",\r\na second line \u202eand =1+1"

func TestListGolden(t *testing.T) {
	e, address := listInstance(t, -1)
	t.Setenv("LIST_DATABASE", filepath.Join(t.TempDir(), "none.db"))
	config := writeConfig(t, listConfig)
	first := e.Insert("incident", map[string]string{"number": "INC7000001", "short_description": hostile, "state": "2"})
	e.Insert("incident", map[string]string{"number": "INC7000002", "short_description": "=HYPERLINK(\"http://x\")"})
	e.Insert("incident", map[string]string{"number": "INC7000003", "short_description": "全角の件名 <b>&amp;</b>"})
	e.Attach("incident", first, "re\x1b[31mport.pdf", "application/pdf", []byte("12345"))
	e.Attach("incident", first, "notes.txt", "text/plain", nil)

	for name, args := range map[string][]string{
		"incidents":   {"incidents", "--sort", "number"},
		"attachments": {"attachments", "INC7000001", "--sort", "file_name"},
		"tables":      {"tables"},
	} {
		for _, form := range []string{"txt", "json", "csv"} {
			args := append([]string{config}, args...)
			if form != "txt" {
				args = append(args, "--"+form)
			}
			out, notes, err := runListCommand(t, args...)
			require.NoError(t, err)
			require.Empty(t, notes)
			for _, forbidden := range []string{"\x1b", "\u009b", "\u202e", "\a"} {
				require.NotContains(t, out, forbidden)
			}
			goldenList(t, "list-"+name+"."+form, address, out)
		}
	}

	out, _, err := runListCommand(t, config, "--json")
	require.NoError(t, err)
	var answer struct {
		Items []listing.Item
		Next  *string
	}
	require.NoError(t, json.Unmarshal([]byte(out), &answer))
	require.Len(t, answer.Items, 3)
	require.Nil(t, answer.Next)
	require.Contains(t, out, `\u009b31m`, "JSON changes no value")

	out, _, err = runListCommand(t, config, "--csv", "--query", "number=INC7000002")
	require.NoError(t, err)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, `=HYPERLINK("http://x")`, rows[1][3], "CSV holds what the instance holds")

	for _, form := range []string{"--json", "--csv", "--wide"} {
		out, _, err = runListCommand(t, config, form, "--query", "number=none")
		require.NoError(t, err)
		goldenList(t, "list-none"+form+".txt", address, out)
	}
}

func TestListResumes(t *testing.T) {
	e, _ := listInstance(t, 130)
	t.Setenv("LIST_DATABASE", "")
	config := writeConfig(t, listConfig)
	whole, _, err := runListCommand(t, config, "--csv", "--limit", "0")
	require.NoError(t, err)
	var parts []string
	args := []string{config, "--csv", "--limit", "45"}
	pages := 0
	for {
		out, notes, err := runListCommand(t, args...)
		require.NoError(t, err)
		_, rows, _ := strings.Cut(out, "\n")
		parts = append(parts, rows)
		pages++
		next := regexp.MustCompile(`--after (\S+)`).FindStringSubmatch(notes)
		if next == nil {
			break
		}
		args = []string{config, "--csv", "--limit", "45", "--after", next[1]}
	}
	require.Equal(t, 3, pages)
	_, rows, _ := strings.Cut(whole, "\n")
	require.Equal(t, rows, strings.Join(parts, ""))
	require.Len(t, e.SysIDs("incident"), 130)

	out, _, err := runListCommand(t, config, "--json", "--limit", "2")
	require.NoError(t, err)
	var answer struct{ Next string }
	require.NoError(t, json.Unmarshal([]byte(out), &answer))
	out, _, err = runListCommand(t, config, "--limit", "2", "--after", answer.Next)
	require.NoError(t, err)
	require.Contains(t, out, "More follow. To go on: --after ")
}

func TestListRefuses(t *testing.T) {
	e, _ := listInstance(t, 20)
	t.Setenv("LIST_DATABASE", "")
	config := writeConfig(t, listConfig)
	var usage *usageError
	for _, args := range [][]string{
		{}, {config, "things"}, {config, "tables", "x"}, {config, "attachments"}, {config, "attachments", "a", "b"},
		{config, "--json", "--csv"}, {config, "--format", "pdf"}, {config, "attachments", "a", "--numbers", "b"}, {config, "tables", "--query", "a=b"},
		{config, "tables", "--pick"}, {config, "--pick", "--json"}, {config, "--write", "x"}, {config, "--force"}, {config, "--limit", "x"}, {config, "--nope"},
	} {
		_, _, err := runListCommand(t, args...)
		require.ErrorAs(t, err, &usage, args)
	}
	for name, test := range map[string]struct {
		args []string
		code string
	}{
		"unknown field":    {[]string{"--query", "nope=1"}, "SN-DICT-002"},
		"unknown order":    {[]string{"--sort", "-nope"}, "SN-DICT-002"},
		"syntax":           {[]string{"--query", "a"}, listing.CodeRequest},
		"token":            {[]string{"--after", "x"}, listing.CodeAfter},
		"no such incident": {[]string{"attachments", "INC1"}, listing.CodeNoIncident},
		"no such instance": {[]string{"--instance", "x"}, plugin.CodeWhichInstance},
		"no such source":   {[]string{"--name", "x"}, codeConfig},
		"no terminal":      {[]string{"--pick"}, codeNoTerminal},
	} {
		out, _, err := runListCommand(t, append([]string{config}, test.args...)...)
		require.Equal(t, test.code, usererror.CodeOf(err), name)
		require.Empty(t, out, name)
		require.NotContains(t, err.Error(), "canary")
	}
	e.DenyTable("incident", emulator.DenyForbidden)
	_, _, err := runListCommand(t, config)
	require.Equal(t, servicenow.CodeTableForbidden, usererror.CodeOf(err))
	out, notes, err := runListCommand(t, config, "tables")
	require.NoError(t, err)
	require.Contains(t, out, "forbidden")
	require.Contains(t, notes, "Warning: SN-READ-001: the signed-in user may not read incident")

	two := writeConfig(t, listConfig+"---\n"+strings.ReplaceAll(listConfig, "name: servicenow", "name: other-servicenow"))
	_, _, err = runListCommand(t, two)
	require.Equal(t, plugin.CodeWhichInstance, usererror.CodeOf(err))
	require.ErrorContains(t, err, "servicenow, other-servicenow")
}

// A listing that breaks off leaves no JSON that looks whole.
func TestListBreaksOff(t *testing.T) {
	e, _ := listInstance(t, 300)
	t.Setenv("LIST_DATABASE", "")
	config := writeConfig(t, strings.Replace(listConfig, "    auth:\n", "    page_size: 50\n    auth:\n", 1))
	e.SetFaults(emulator.Fault{Kind: emulator.FaultForbidden, Table: "incident", From: 4})
	out, _, err := runListCommand(t, config, "--json", "--limit", "0")
	require.Equal(t, servicenow.CodeTableForbidden, usererror.CodeOf(err))
	require.Contains(t, out, `"kind":"incident"`)
	require.False(t, json.Valid([]byte(out)))
}

const pickConfig = `kind: source
spec:
  name: servicenow
  destinations: [here]
  spec:
    auth: {grant_type: client_credentials, client_id: emulator-client, client_secret: "${LIST_SECRET}"}
    instances:
      - name: production # the first
        instance_url: ${LIST_INSTANCE}
        incidents:
          # open ones
          query: state=2
          numbers: [INC7000001]
          sys_ids:
            - %s # mine
            - %s # another's
      - name: test
        instance_url: ${LIST_INSTANCE}
`

func TestPick(t *testing.T) {
	e, _ := listInstance(t, 40)
	var ids []string
	for n := range 4 {
		ids = append(ids, e.Insert("incident", map[string]string{"number": fmt.Sprint("INC700000", n), "short_description": hostile, "description": "Words\x1b[2J of it", "state": "2"}))
	}
	config := writeConfig(t, fmt.Sprintf(pickConfig, ids[0], ids[1]))
	o := listOptions{config: config, instance: "production", pick: true, request: listing.Request{Kind: listing.Incident, Query: "numberSTARTSWITHINC7"}}
	_, b, err := o.browse(t.Context(), zerolog.Nop(), true)
	require.NoError(t, err)
	cfg, err := pickerConfig(t.Context(), b, o)
	require.NoError(t, err)
	require.Equal(t, "Incidents of production", cfg.Title)
	require.Len(t, cfg.Chosen, 2)
	require.Equal(t, "INC7000000", cfg.Chosen[0].Name)

	page, err := cfg.Search(t.Context(), "", "")
	require.NoError(t, err)
	require.Len(t, page.Rows, 4, "the config's picks do not narrow the picker, its query and --query do")
	page, err = cfg.Search(t.Context(), "INC7000003", "")
	require.NoError(t, err)
	require.Len(t, page.Rows, 1)
	text, err := cfg.Preview(t.Context(), ids[3])
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(text, "INC7000003 · In Progress · "), text)
	require.Contains(t, text, "Description: Words", "the form of the Default view")

	o.write = config
	require.NoError(t, os.Chmod(config, 0o640))
	chosen := []picker.Row{cfg.Chosen[0], page.Rows[0]}
	require.NoError(t, o.writeChosen("servicenow", b.Item, chosen))
	written, err := os.ReadFile(config)
	require.NoError(t, err)
	want := strings.Replace(fmt.Sprintf(pickConfig, ids[0], ids[1]), ids[1]+" # another's", fmt.Sprintf("%q # INC7000003", ids[3]), 1)
	require.Equal(t, want, string(written), "comments and variables stay")
	info, err := os.Stat(config)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode().Perm())

	var snippet bytes.Buffer
	printChosen(&snippet, chosen)
	require.Equal(t, fmt.Sprintf("incidents:\n  sys_ids:\n    - %q # INC7000000\n    - %q # INC7000003\n", ids[0], ids[3]), snippet.String())
}

func TestWritingNeverReplacesAnotherFile(t *testing.T) {
	config := writeConfig(t, listConfig)
	chosen := []picker.Row{{ID: "a1", Name: "INC1"}}
	other := filepath.Join(t.TempDir(), "other.yml")
	o := listOptions{config: config, write: other}
	require.NoError(t, o.writeChosen("servicenow", -1, chosen))
	written, err := os.ReadFile(other)
	require.NoError(t, err)
	require.Contains(t, string(written), "${LIST_SECRET}")
	require.Contains(t, string(written), "    incidents:\n      sys_ids:\n        - \"a1\" # INC1\n")
	before, err := os.ReadFile(config)
	require.NoError(t, err)
	require.Equal(t, listConfig, string(before))

	require.Equal(t, codeNotWritten, usererror.CodeOf(o.writeChosen("servicenow", -1, chosen)), "it exists now")
	o.force = true
	require.NoError(t, o.writeChosen("servicenow", -1, chosen))

	link := filepath.Join(t.TempDir(), "link.yml")
	require.NoError(t, os.Symlink(config, link))
	o = listOptions{config: config, write: link}
	require.NoError(t, o.writeChosen("servicenow", -1, chosen), "a link to CONFIG is CONFIG")
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeSymlink)

	o = listOptions{config: config, write: t.TempDir(), force: true}
	require.Equal(t, codeNotWritten, usererror.CodeOf(o.writeChosen("servicenow", -1, chosen)))
	o = listOptions{config: config, write: filepath.Join(t.TempDir(), "none", "x.yml")}
	require.Equal(t, codeNotWritten, usererror.CodeOf(o.writeChosen("servicenow", -1, chosen)))

	alias := writeConfig(t, "x: &x {query: a=b}\nkind: source\nspec: {name: servicenow, spec: {incidents: *x}}\n")
	o = listOptions{config: alias, write: alias}
	err = o.writeChosen("servicenow", -1, chosen)
	require.Equal(t, codeNotWritten, usererror.CodeOf(err))
	require.ErrorContains(t, err, "- \"a1\" # INC1", "what to write stands in the error")
	var usage *usageError
	require.False(t, errors.As(err, &usage))
}

func TestListSaysWhatWasSynced(t *testing.T) {
	e, address := listInstance(t, 20)
	database := filepath.Join(t.TempDir(), "synced.db")
	t.Setenv("LIST_DATABASE", database)
	id := e.SysIDs("incident")[3]
	db, err := sql.Open("sqlite", database)
	require.NoError(t, err)
	defer db.Close()
	instance := strings.TrimPrefix(address, "http://")
	for _, statement := range []string{
		`CREATE TABLE servicenow_incidents (instance text, sys_id text, _cq_sync_time timestamp)`,
		`INSERT INTO servicenow_incidents VALUES ('` + instance + `', '` + id + `', '2026-01-02 03:04:05.678901')`,
		`CREATE TABLE servicenow_tables (instance text, name text, _cq_sync_time timestamp)`,
		`INSERT INTO servicenow_tables VALUES ('` + instance + `', 'incident', '2026-01-02 03:04:06.000000')`,
	} {
		_, err := db.Exec(statement)
		require.NoError(t, err)
	}
	for config, want := range map[string]int{listConfig: 1, strings.Replace(listConfig, "embedded", "cloudquery", 1): 0} {
		out, _, err := runListCommand(t, writeConfig(t, config), "--json")
		require.NoError(t, err)
		require.Equal(t, want, strings.Count(out, `"last_synced_at":"2026-01-02T03:04:05.678901Z"`))
		require.Equal(t, 20-want, strings.Count(out, `"last_synced_at":null`))
		out, _, err = runListCommand(t, writeConfig(t, config), "tables", "--json")
		require.NoError(t, err)
		require.Equal(t, want, strings.Count(out, `"last_synced_at":"2026-01-02T03:04:06Z"`))
	}
}

func TestTableFitsTheTerminal(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	size := int64(123456)
	for width, synced := range map[int]*time.Time{60: nil, 80: &at, 110: nil, 140: &at} {
		var out bytes.Buffer
		for _, kind := range []listing.Kind{listing.Incident, listing.Attachment, listing.Table} {
			table := &tableList{out: &out, width: width, columns: listColumns(kind, width)}
			item := listing.Item{
				Kind: kind, SysID: strings.Repeat("a1", 16), Name: "INC0001234", State: "In Progress", Title: "全角の件名 and a long title " + strings.Repeat("of words ", 10),
				UpdatedOn: &at, LastSyncedAt: synced, SizeBytes: &size, ContentType: "application/pdf",
			}
			require.NoError(t, table.page(&listing.Page{Items: []listing.Item{item}}))
			item.Name += strings.Repeat("x", 200)
			require.NoError(t, table.page(&listing.Page{Items: []listing.Item{item}, Next: "token"}))
			require.NoError(t, table.end())
		}
		for _, line := range strings.Split(out.String(), "\n") {
			require.LessOrEqual(t, ansi.StringWidth(line), width, line)
		}
		goldenList(t, fmt.Sprintf("list-width-%d.txt", width), "none", out.String())
	}
}
