package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/cqservicenow/cq-source-servicenow/internal/listing"
	"github.com/cqservicenow/cq-source-servicenow/internal/localsync/sqlitedest"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/termtext"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
	"github.com/cqservicenow/cq-source-servicenow/plugin"
	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// listOptions are list's flags and arguments.
type listOptions struct {
	config         string
	name, instance string
	request        listing.Request
	json, csv      bool
	wide           bool
	pick           bool
	write          string
	force          bool
}

// list browses what a source can sync.
func (a *app) list() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list CONFIG [tables|incidents|attachments INCIDENT]",
		Short: "List the tables, incidents or attachments that a sync can cover, or pick incidents",
		Long: "List the tables, incidents or attachments of an incident that a servicenow source of a CloudQuery config can cover,\n" +
			"with the sign-in, filters and limits of a sync. Without a word behind CONFIG, incidents are listed: those of the\n" +
			"config's own selection, the last changed first. docs/list.md says more.\n\n" +
			"--pick opens a screen to search, look at and choose incidents, and prints their sys_ids for the config, or writes\n" +
			"them into it with --write.",
		Args: func(_ *cobra.Command, args []string) error { return o.take(args) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd.Flags().Changed); err != nil {
				return &usageError{err}
			}
			if o.pick {
				return a.runPick(cmd.Context(), o)
			}
			return a.runList(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.name, "name", "", "list the source with this name")
	flags.StringVar(&o.instance, "instance", "", "list this item of instances")
	flags.StringVar(&o.request.Query, "query", "", "an encoded query, beside incidents.query of the config")
	flags.StringVar(&o.request.Search, "search", "", "words that all occur in the number or the short description, or in the file name")
	flags.StringSliceVar(&o.request.IDs, "ids", nil, "only these sys_ids, with commas in between")
	flags.StringSliceVar(&o.request.Numbers, "numbers", nil, "only the incidents with these numbers, with commas in between")
	flags.StringSliceVar(&o.request.Formats, "format", nil, "only attachments whose names end so, such as pdf,docx")
	flags.StringVar(&o.request.Sort, "sort", "-sys_updated_on", "a field; with a minus in front, the largest first")
	flags.IntVar(&o.request.Limit, "limit", 50, "the most items to list; 0 is all")
	flags.StringVar(&o.request.After, "after", "", "go on behind the token that a listing ended with")
	flags.BoolVar(&o.json, "json", false, "print one JSON object with items and next")
	flags.BoolVar(&o.csv, "csv", false, "print CSV")
	flags.BoolVar(&o.wide, "wide", false, "print every column, whatever the terminal's width")
	flags.BoolVar(&o.pick, "pick", false, "choose incidents on a screen")
	flags.StringVar(&o.write, "write", "", "with --pick: write the config with the chosen sys_ids to this file")
	flags.BoolVar(&o.force, "force", false, "with --write: replace a file other than CONFIG")
	return cmd
}

// take reads the words of the command line.
func (o *listOptions) take(args []string) error {
	usage := func(text string) error { return &usageError{errors.New(text)} }
	if len(args) == 0 {
		return usage("list takes the path of one config file")
	}
	o.config = args[0]
	kind := "incidents"
	if len(args) > 1 {
		kind = args[1]
	}
	rest := args[min(2, len(args)):]
	switch kind {
	case "tables":
		o.request.Kind = listing.Table
	case "incidents":
		o.request.Kind = listing.Incident
	case "attachments":
		o.request.Kind = listing.Attachment
		if len(rest) != 1 {
			return usage("list CONFIG attachments takes one incident, by its number or sys_id")
		}
		o.request.Of, rest = rest[0], nil
	default:
		return usage("list knows tables, incidents and attachments")
	}
	if len(rest) > 0 {
		return usage("list " + kind + " takes nothing behind it")
	}
	return nil
}

// check refuses flags that do not go together.
func (o *listOptions) check(given func(flag string) bool) error {
	none := func(why string, flags ...string) error {
		for _, flag := range flags {
			if given(flag) {
				return fmt.Errorf("--%s %s", flag, why)
			}
		}
		return nil
	}
	var errs []error
	switch o.request.Kind {
	case listing.Table:
		errs = append(errs, none("is not for tables", "query", "search", "ids", "numbers", "format", "sort", "after", "limit"))
	case listing.Attachment:
		errs = append(errs, none("is not for attachments", "numbers"))
	default:
		errs = append(errs, none("is for attachments", "format"))
	}
	switch {
	case o.json && o.csv:
		errs = append(errs, errors.New("--json and --csv exclude each other"))
	case o.pick && o.request.Kind != listing.Incident:
		errs = append(errs, errors.New("--pick is for incidents"))
	case o.pick:
		errs = append(errs, none("does not go with --pick", "json", "csv", "wide", "limit", "after"))
	default:
		errs = append(errs, none("goes with --pick", "write", "force"))
	}
	return errors.Join(errs...)
}

func (a *app) runList(ctx context.Context, o listOptions) error {
	warnings := &warningWriter{out: a.stderr}
	_, browser, err := o.browse(ctx, warnings, false)
	if err != nil {
		return err
	}
	out := a.listPrinter(o)
	for page, err := range browser.List(ctx, o.request) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("listing %s: %w", browser.Label, err)
		}
		if err := out.page(page); err != nil {
			return fmt.Errorf("writing the list: %w", err)
		}
	}
	if err := out.end(); err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	return nil
}

// browse opens the source of a config.
func (o *listOptions) browse(ctx context.Context, log io.Writer, interactive bool) (configSource, *plugin.Browser, error) {
	sources, err := readSources(o.config, o.name)
	if err != nil {
		return configSource{}, nil, err
	}
	if len(sources) > 1 {
		var names []string
		for _, source := range sources {
			names = append(names, source.name)
		}
		return configSource{}, nil, usererror.New(plugin.CodeWhichInstance, "the config has several servicenow sources", "name one of them with --name: "+strings.Join(names, ", "))
	}
	source := sources[0]
	options := plugin.BrowseOptions{
		Instance: o.instance, TablesOnly: o.request.Kind == listing.Table, IgnorePicks: o.pick,
		LastSynced: lastSynced(embeddedDatabase(o.config, source.name)),
	}
	if interactive {
		// Somebody waits; they can try again themselves.
		options.Retry = servicenow.Retry{Tries: 4, First: 500 * time.Millisecond, Longest: 5 * time.Second, Budget: 30 * time.Second}
	}
	browser, err := plugin.Browse(ctx, zerolog.New(log).Level(zerolog.InfoLevel), source.spec, options)
	if err != nil {
		return configSource{}, nil, fmt.Errorf("opening the source %s: %w", source.name, err)
	}
	return source, browser, nil
}

// embeddedDatabase returns the path of the SQLite file that a source is synced into by the command sync; "" where its
// destination is another one, whose rows cannot be read from here.
func embeddedDatabase(config, source string) string {
	docs, err := readDocuments(config, unusableConfig)
	if err != nil {
		return ""
	}
	var destinations []string
	for _, doc := range docs {
		if spec := servicenowSource(doc); spec != nil && label(spec.At("name")) == source && spec.At("destinations") != nil {
			for _, item := range spec.At("destinations").Items {
				destinations = append(destinations, label(item))
			}
		}
	}
	for _, doc := range docs {
		spec := doc.Root.At("spec")
		if label(doc.Root.At("kind")) == "destination" && len(destinations) == 1 && label(spec.At("name")) == destinations[0] &&
			label(spec.At("registry")) == "embedded" && label(spec.At("path")) == "sqlite" {
			return label(spec.At("spec", "connection_string"))
		}
	}
	return ""
}

// lastSynced reads from the file that the command sync has written; nil without one.
func lastSynced(database string) func(context.Context, string, listing.Kind, []string) map[string]time.Time {
	if database == "" {
		return nil
	}
	return func(ctx context.Context, instance string, kind listing.Kind, keys []string) map[string]time.Time {
		table, key := resources.IncidentsTable, "sys_id"
		switch kind {
		case listing.Attachment:
			table = resources.AttachmentsTable
		case listing.Table:
			table, key = resources.TablesTable, "name"
		}
		// A file or table that is not there yet was never synced; one that cannot be read tells nothing.
		found, err := sqlitedest.LastSynced(ctx, database, table, instance, key, keys)
		if err != nil {
			return nil
		}
		return found
	}
}

// warningWriter takes the log of a listing, and prints what a person should know of it.
type warningWriter struct {
	out   io.Writer
	hold  bool // until release, since a screen is shown
	lines []string
}

// mostHeld is how many lines are held back.
const mostHeld = 100

// Write takes one line of the log.
func (w *warningWriter) Write(line []byte) (int, error) {
	var event struct {
		Level   string  `json:"level"`
		Code    string  `json:"code"`
		Message string  `json:"message"`
		Cause   string  `json:"cause"`
		Wait    float64 `json:"wait_ms"`
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return 0, err
	}
	var text string
	switch {
	case event.Level == "warn" && event.Code != "":
		text = "Warning: " + event.Code + ": " + event.Message
	case event.Level == "warn":
		text = "Warning: " + event.Message
	case event.Wait >= 2000:
		text = fmt.Sprintf("Waiting %.0f s before trying again: %s", event.Wait/1000, event.Cause)
	default:
		return len(line), nil
	}
	text = termtext.Line(text)
	if w.hold {
		if len(w.lines) < mostHeld {
			w.lines = append(w.lines, text)
		}
		return len(line), nil
	}
	fmt.Fprintln(w.out, text)
	return len(line), nil
}

// release prints what was held back.
func (w *warningWriter) release() {
	w.hold = false
	for _, line := range w.lines {
		fmt.Fprintln(w.out, line)
	}
	w.lines = nil
}
