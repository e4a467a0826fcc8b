package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/cqservicenow/cq-source-servicenow/internal/configfile"
	"github.com/cqservicenow/cq-source-servicenow/internal/listing"
	"github.com/cqservicenow/cq-source-servicenow/internal/picker"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/termtext"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
	"github.com/cqservicenow/cq-source-servicenow/plugin"
)

// Codes of the picker.
const (
	codeNoTerminal = "SN-LIST-006" // there is no screen to show it on
	codeNotWritten = "SN-LIST-007" // the config was not written
)

// pickPage is how many incidents the picker asks for at once.
const pickPage = 100

func (a *app) runPick(ctx context.Context, o listOptions) error {
	out, ok := a.stdout.(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) || !term.IsTerminal(int(os.Stdin.Fd())) || os.Getenv("TERM") == "dumb" {
		return usererror.New(codeNoTerminal, "--pick needs a terminal for its screen and its keys",
			"run it in a terminal without redirecting its input or output; --write FILE writes the config, and list --json is for scripts")
	}
	if o.write != "" {
		if _, err := o.target(); err != nil {
			return err
		}
	}
	warnings := &warningWriter{out: a.stderr, hold: true}
	defer warnings.release()
	source, browser, err := o.browse(ctx, warnings, true)
	if err != nil {
		return err
	}
	cfg, err := pickerConfig(ctx, browser, o)
	if err != nil {
		return err
	}
	chosen, ok, err := picker.Run(ctx, cfg, os.Stdin, out)
	warnings.release()
	switch {
	case err != nil:
		return err
	case !ok:
		fmt.Fprintln(a.stderr, "Nothing was changed.")
		return nil
	case o.write == "":
		printChosen(a.stdout, chosen)
	default:
		if err := o.writeChosen(source.name, browser.Item, chosen); err != nil {
			return err
		}
		fmt.Fprintf(a.stderr, "%s has %d sys_ids in incidents.sys_ids.\n", o.write, len(chosen))
	}
	if len(browser.Numbers) > 0 {
		fmt.Fprintln(a.stderr, "The incidents of incidents.numbers are synced besides; the picker leaves that list alone.")
	}
	return nil
}

// pickerConfig connects the picker to an instance.
func pickerConfig(ctx context.Context, b *plugin.Browser, o listOptions) (picker.Config, error) {
	search := func(ctx context.Context, r listing.Request) (picker.Page, error) {
		r.Kind = listing.Incident
		var found picker.Page
		for page, err := range b.List(ctx, r) {
			if err != nil {
				return picker.Page{}, err
			}
			found.Next = page.Next
			for _, item := range page.Items {
				found.Rows = append(found.Rows, picker.Row{
					ID: item.SysID, Name: item.Name, Title: item.Title, State: item.State, Updated: timeText(item.UpdatedOn, minute),
				})
			}
		}
		return found, nil
	}
	cfg := picker.Config{
		Title: "Incidents of " + b.Label,
		Query: o.request.Search,
		Plain: os.Getenv("NO_COLOR") != "",
		Search: func(ctx context.Context, text, after string) (picker.Page, error) {
			r := o.request
			r.Search, r.After, r.Limit = text, after, pickPage
			return search(ctx, r)
		},
		Preview: func(ctx context.Context, id string) (string, error) {
			record, err := b.Record(ctx, id)
			if err != nil || record == nil {
				return "", err
			}
			text, err := b.Text(ctx, record)
			if err != nil {
				return "", err
			}
			return headline(record) + "\n" + text, nil
		},
	}
	for ids := range slices.Chunk(b.SysIDs, pickPage) {
		page, err := search(ctx, listing.Request{IDs: ids, Sort: "sys_id"})
		if err != nil {
			return cfg, fmt.Errorf("reading the chosen incidents: %w", err)
		}
		for _, id := range ids {
			row := picker.Row{ID: id, Name: id} // hidden, or outside of incidents.query; it stays chosen
			for _, found := range page.Rows {
				if strings.EqualFold(found.ID, id) {
					row = found
				}
			}
			cfg.Chosen = append(cfg.Chosen, row)
		}
	}
	return cfg, nil
}

// headline tells an incident from others in a line or two; its form need not begin with that.
func headline(record servicenow.Record) string {
	var fields struct {
		Number, State, Priority, Short half
	}
	raw := map[string]json.RawMessage{}
	if json.Unmarshal(record, &raw) != nil {
		return ""
	}
	for name, into := range map[string]*half{"number": &fields.Number, "state": &fields.State, "priority": &fields.Priority, "short_description": &fields.Short} {
		_ = json.Unmarshal(raw[name], into) // what is not there is not shown
	}
	var parts []string
	for _, field := range []half{fields.Number, fields.State, fields.Priority} {
		if text := termtext.Line(field.shown()); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, " · ") + "\n" + termtext.Line(fields.Short.shown()) + "\n"
}

// half is both values of a field.
type half struct {
	Value   string `json:"value"`
	Display string `json:"display_value"`
}

func (h half) shown() string { return cmp.Or(h.Display, h.Value) }

func printChosen(w io.Writer, chosen []picker.Row) {
	fmt.Fprint(w, "incidents:\n  sys_ids:\n")
	for _, entry := range entries(chosen) {
		fmt.Fprintf(w, "    - %q", entry.Value)
		if entry.Comment != "" {
			fmt.Fprintf(w, " # %s", entry.Comment)
		}
		fmt.Fprintln(w)
	}
}

func entries(chosen []picker.Row) []configfile.Entry {
	list := make([]configfile.Entry, len(chosen))
	for i, row := range chosen {
		list[i] = configfile.Entry{Value: row.ID}
		if row.Name != row.ID {
			list[i].Comment = termtext.Line(row.Name)
		}
	}
	return list
}

// target returns the file that --write means, behind its links, and refuses one that must not be replaced.
func (o *listOptions) target() (string, error) {
	path, err := filepath.EvalSymlinks(o.write)
	if errors.Is(err, os.ErrNotExist) {
		return o.write, nil
	}
	if err != nil {
		return "", notWritten(err, "--write names a file that cannot be used", "name another file")
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", notWritten(err, "--write names a file that cannot be used", "name another file")
	}
	config, err := os.Stat(o.config)
	switch {
	case err != nil:
		return "", notWritten(err, "the config cannot be read", "check its path")
	case !info.Mode().IsRegular():
		return "", notWritten(nil, o.write+" is no file that can be replaced", "name another file")
	case !os.SameFile(info, config) && !o.force:
		return "", notWritten(nil, o.write+" exists and is not CONFIG", "name a new file, or replace this one with --force")
	}
	return path, nil
}

func notWritten(cause error, what, next string) error {
	return usererror.Wrap(cause, codeNotWritten, what, next)
}

// writeChosen writes the config with the chosen sys_ids; variables in it stay variables. item is the place in `instances`,
// or -1.
func (o *listOptions) writeChosen(source string, item int, chosen []picker.Row) error {
	data, err := os.ReadFile(o.config)
	if err != nil {
		return notWritten(err, "the config cannot be read", "check its path")
	}
	info, err := os.Stat(o.config)
	if err != nil {
		return notWritten(err, "the config cannot be read", "check its path")
	}
	keys := []any{"spec", "spec"}
	if item >= 0 {
		keys = append(keys, "instances", item)
	}
	match := func(doc *configfile.Document) bool {
		spec := servicenowSource(doc)
		return spec != nil && label(spec.At("name")) == source
	}
	edited, err := configfile.SetList(data, match, append(keys, "incidents", "sys_ids"), entries(chosen))
	if err != nil {
		var snippet strings.Builder
		printChosen(&snippet, chosen)
		return notWritten(err, "nothing was written", "put this into the spec of the source by hand:\n"+snippet.String())
	}
	path, err := o.target()
	if err != nil {
		return err
	}
	if err := replaceFile(path, edited, info.Mode().Perm()); err != nil {
		return notWritten(err, o.write+" cannot be written", "check the folder's permissions, or name another file")
	}
	return nil
}

// replaceFile writes a file in one step, so that no reader meets half of it.
func replaceFile(path string, data []byte, mode os.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone already when it was renamed
	_, err = file.Write(data)
	err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
