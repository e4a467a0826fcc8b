package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cqservicenow/cq-source-servicenow/internal/localsync"
)

// sync runs a CloudQuery config whose destination is the embedded one.
func (a *app) sync() *cobra.Command {
	var options localsync.Options
	var shard string
	var dry dryRunOptions
	cmd := &cobra.Command{
		Use:   "sync CONFIG",
		Short: "Run a CloudQuery config into an embedded SQLite file, without the CloudQuery CLI",
		Long: "Run an ordinary CloudQuery config whose destination is the embedded one (registry: embedded, path: sqlite).\n" +
			"A config with another destination is run by cloudquery sync.\n\n" +
			"--dry-run signs in and tells for each table how many rows a sync would read, with about how many requests and in\n" +
			"what time. It goes on from the stored cursors, and writes nothing. docs/performance.md says how it is estimated.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("sync takes the path of one config file")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if options.Shard, err = parseShard(shard); err != nil {
				return err
			}
			if dry.json && !dry.run {
				return &usageError{errors.New("--json goes with --dry-run")}
			}
			if dry.run {
				dry.shard = options.Shard
				return a.runDry(cmd.Context(), args[0], dry)
			}
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
	flags.StringVar(&shard, "shard", "", "take this part of the sync, as in 1/4; each part is a run of its own")
	flags.BoolVar(&dry.run, "dry-run", false, "tell what a sync would read, and write nothing")
	flags.BoolVar(&dry.json, "json", false, "with --dry-run: print one JSON object")
	flags.BoolVar(&options.NoProgress, "no-progress", false, "print no progress while the sync runs")
	return cmd
}

// parseShard reads n/m, as the CLI's flag of the same name.
func parseShard(text string) (localsync.Shard, error) {
	if text == "" {
		return localsync.Shard{}, nil
	}
	num, total, _ := strings.Cut(text, "/")
	n, errNum := strconv.ParseUint(num, 10, 31)
	m, errTotal := strconv.ParseUint(total, 10, 31)
	if errNum != nil || errTotal != nil || n < 1 || n > m || m > mostShards {
		return localsync.Shard{}, &usageError{fmt.Errorf("--shard %s is not one of several parts, such as 1/4 to 4/4, of at most %d", text, mostShards)}
	}
	return localsync.Shard{Num: int(n), Total: int(m)}, nil
}

// mostShards is where a shard has less than a page of most tables.
const mostShards = 1024

// self is the command that serves this very program as the source plugin, as the CloudQuery CLI would start it.
func self() ([]string, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program's own file: %w", err)
	}
	return []string{path, "serve"}, nil
}
