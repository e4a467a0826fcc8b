package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/cqservicenow/cq-source-servicenow/internal/localsync"
)

// sync runs a CloudQuery config whose destination is the embedded one.
func (a *app) sync() *cobra.Command {
	var options localsync.Options
	cmd := &cobra.Command{
		Use:   "sync CONFIG",
		Short: "Run a CloudQuery config into an embedded SQLite file, without the CloudQuery CLI",
		Long: "Run an ordinary CloudQuery config whose destination is the embedded one (registry: embedded, path: sqlite).\n" +
			"A config with another destination is run by cloudquery sync.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("sync takes the path of one config file")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := self()
			if err != nil {
				return err
			}
			options.ConfigPath, options.Source = args[0], source
			options.Stdout, options.Stderr = a.stdout, a.stderr
			_, err = localsync.Run(cmd.Context(), options)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&options.LogPath, "log-file", "", "write the plugin's log to this file")
	flags.StringVar(&options.LogLevel, "log-level", "info", "one of trace, debug, info, warn, error")
	flags.BoolVar(&options.NoProgress, "no-progress", false, "print no progress while the sync runs")
	return cmd
}

// self is the command that serves this very program as the source plugin, as the CloudQuery CLI would start it.
func self() ([]string, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program's own file: %w", err)
	}
	return []string{path, "serve"}, nil
}
