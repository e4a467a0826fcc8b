package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cqservicenow/cq-source-servicenow/internal/doctor"
	"github.com/cqservicenow/cq-source-servicenow/plugin"
)

// doctorOptions are doctor's flags.
type doctorOptions struct {
	name string
	json bool
}

// doctor examines the instances of a config.
func (a *app) doctor() *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor CONFIG",
		Short: "Check everything that a sync needs of an instance, and say what to do where something is missing",
		Long: "Check everything that a sync needs of each instance in the servicenow sources of a CloudQuery config: address, sign-in,\n" +
			"readable tables and fields, queries, row counts, limits and clock, with an estimate of the first load. It reads, and\n" +
			"changes nothing. All checks run, about 30 requests an instance; docs/doctor.md explains each code.\n\n" +
			"The exit code is 0 when nothing failed (warnings included), 1 when something failed, 2 for a wrong command line.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("doctor takes the path of one config file")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runDoctor(cmd.Context(), args[0], o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "examine only the source with this name")
	flags.BoolVar(&o.json, "json", false, "print the reports as one JSON object")
	return cmd
}

func (a *app) runDoctor(ctx context.Context, config string, o doctorOptions) error {
	sources, err := readSources(config, o.name)
	if err != nil {
		return err
	}
	reports := []*doctor.Report{}
	var faults []error // a spec that cannot be used does not keep the other sources from being examined
	failed := 0
	style := terminalStyle(a.stdout)
	for _, source := range sources {
		err := plugin.Diagnose(ctx, zerolog.Nop(), source.spec, func(r *doctor.Report) error {
			r.Source = source.name
			failed += r.Count(doctor.Failed)
			reports = append(reports, r)
			if o.json {
				return nil
			}
			if len(reports) > 1 {
				fmt.Fprintln(a.stdout)
			}
			return doctor.Write(a.stdout, r, style)
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("examining the source %s: %w", source.name, err))
		}
	}
	if o.json {
		encoder := json.NewEncoder(a.stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		err := encoder.Encode(struct {
			OK      bool             `json:"ok"`
			Reports []*doctor.Report `json:"reports"`
		}{failed == 0 && len(faults) == 0, reports})
		if err != nil {
			return fmt.Errorf("writing the reports: %w", err)
		}
	}
	switch {
	case failed == 1:
		faults = append(faults, errors.New("one check failed; its row says what to do"))
	case failed > 1:
		faults = append(faults, fmt.Errorf("%d checks failed; begin with the first", failed))
	}
	return errors.Join(faults...)
}

// terminalStyle fits reports to the terminal; a file or a pipe gets no colours.
func terminalStyle(w io.Writer) doctor.Style {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return doctor.Style{}
	}
	style := doctor.Style{Color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	if width, _, err := term.GetSize(int(file.Fd())); err == nil {
		style.Width = width
	}
	return style
}
