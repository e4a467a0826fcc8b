package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/dustin/go-humanize"
	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/internal/localsync"
	"github.com/cqservicenow/cq-source-servicenow/internal/termtext"
	source "github.com/cqservicenow/cq-source-servicenow/plugin"
)

// dryRunOptions are sync's flags for a sync that only tells.
type dryRunOptions struct {
	run, json bool
	shard     localsync.Shard
}

// dryInstance is an instance of a source, as it is printed. A number that nobody knows is null.
type dryInstance struct {
	Source   string     `json:"source"`
	Instance string     `json:"instance"`
	Address  string     `json:"address"`
	Tables   []dryTable `json:"tables"`
	// Requests and Seconds are those of the whole sync of this instance, its sign-in and lookups included.
	Requests *int `json:"requests"`
	Seconds  *int `json:"seconds"`
	PerHour  int  `json:"requests_per_hour,omitempty"`
}

type dryTable struct {
	Table string `json:"table"`
	// Sync is full, incremental or resumed.
	Sync      string `json:"sync"`
	From      string `json:"from,omitempty"`
	Rows      *int   `json:"rows"`
	Estimated bool   `json:"rows_estimated"`
	Files     *int   `json:"files,omitempty"` // of a table with files
	Requests  *int   `json:"requests"`
	Seconds   *int   `json:"seconds"`
}

func (a *app) runDry(ctx context.Context, config string, o dryRunOptions) error {
	log := zerolog.New(&warningWriter{out: a.stderr}).Level(zerolog.InfoLevel)
	instances := []dryInstance{}
	err := localsync.DryRun(ctx, config, func(ctx context.Context, s localsync.DrySource) error {
		options := plugin.SyncOptions{
			Tables: s.Tables, SkipTables: s.SkipTables, SkipDependentTables: s.SkipDependent, DeterministicCQID: s.DeterministicID,
		}
		if o.shard.Total > 1 {
			options.Shard = &plugin.Shard{Num: int32(o.shard.Num), Total: int32(o.shard.Total)}
		}
		if s.StateTable != "" {
			options.BackendOptions = &plugin.BackendOptions{TableName: s.StateTable, Connection: s.StateConnection}
		}
		estimates, err := source.DryRun(ctx, log, s.Spec, options)
		instances = append(instances, byInstance(s.Name, estimates)...)
		return err
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if o.json {
		encoder := json.NewEncoder(a.stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return errors.Join(err, encoder.Encode(struct {
			Instances []dryInstance `json:"instances"`
		}{instances}))
	}
	return errors.Join(err, printDry(a.stdout, instances))
}

// byInstance sums up the tables of each instance. They are read side by side, so the longest one counts; a budget counts
// for all of them.
func byInstance(name string, estimates []client.Estimate) []dryInstance {
	slices.SortStableFunc(estimates, func(x, y client.Estimate) int {
		return strings.Compare(x.Instance+"\x00"+x.Table, y.Instance+"\x00"+y.Table)
	})
	var instances []dryInstance
	for _, e := range estimates {
		if n := len(instances); n == 0 || instances[n-1].Instance != e.Instance {
			requests, seconds := e.Setup, 0
			instances = append(instances, dryInstance{Source: name, Instance: e.Instance, Address: e.Address, Requests: &requests, Seconds: &seconds, PerHour: e.PerHour})
		}
		i := &instances[len(instances)-1]
		t := dryTable{Table: e.Table, Sync: "full", From: e.From, Estimated: e.Estimated}
		switch {
		case e.Interrupted:
			t.Sync = "resumed"
		case e.From != "":
			t.Sync = "incremental"
		}
		if e.Requests < 0 {
			i.Requests, i.Seconds = nil, nil
		} else {
			seconds := int((e.Took + time.Second - 1) / time.Second)
			t.Rows, t.Requests, t.Seconds = &e.Rows, &e.Requests, &seconds
			if e.Files >= 0 {
				t.Files = &e.Files
			}
			if i.Requests != nil {
				*i.Requests += e.Requests
				*i.Seconds = max(*i.Seconds, seconds)
			}
		}
		i.Tables = append(i.Tables, t)
	}
	for _, i := range instances {
		// A twentieth of the budget may go at once.
		if i.PerHour > 0 && i.Requests != nil && *i.Requests > i.PerHour/20 {
			*i.Seconds = max(*i.Seconds, int(float64(*i.Requests)/float64(i.PerHour)*time.Hour.Seconds()))
		}
	}
	return instances
}

func printDry(out io.Writer, instances []dryInstance) error {
	for n, i := range instances {
		if n > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s, %s (%s). Nothing is written.\n\n", termtext.Line(i.Source), termtext.Line(i.Instance), i.Address)
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "ROWS\tFILES\tREQUESTS\tTIME\t  TABLE")
		for _, t := range i.Tables {
			rows := counted(t.Rows)
			if t.Estimated && t.Rows != nil {
				rows = "~" + rows
			}
			what := t.Table + ", " + t.Sync
			if t.From != "" {
				what += ", from " + t.From + " UTC"
			}
			files := "-"
			if t.Files != nil {
				files = counted(t.Files)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t  %s\n", rows, files, counted(t.Requests), lasting(t.Seconds), what)
		}
		fmt.Fprintf(table, "\t\t%s\t%s\t  the whole sync\n", counted(i.Requests), lasting(i.Seconds))
		if err := table.Flush(); err != nil {
			return fmt.Errorf("writing the estimate: %w", err)
		}
		if i.PerHour > 0 {
			fmt.Fprintf(out, "\nAt most %s requests an hour.\n", humanize.Comma(int64(i.PerHour)))
		}
	}
	return nil
}

func counted(n *int) string {
	if n == nil {
		return "unknown"
	}
	return humanize.Comma(int64(*n))
}

func lasting(seconds *int) string {
	if seconds == nil {
		return "unknown"
	}
	return (time.Duration(*seconds) * time.Second).String()
}
