package localsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Options say what to run and where its output goes.
type Options struct {
	// ConfigPath is the CloudQuery config file. RunConfig uses it in messages only.
	ConfigPath string
	// Source is the command that serves the source plugin, for example {os.Executable(), "serve"}. The flags for address
	// and log are appended.
	Source []string
	// Stdout takes the summary lines, Stderr progress, warnings and errors. Nil discards.
	Stdout, Stderr io.Writer
	// LogPath is a file that every log line is appended to, with mode 0600; empty for none.
	LogPath string
	// LogLevel is the source plugin's: trace, debug, info (the default), warn or error.
	LogLevel string
	// Shard is the share of the sync that this run takes; the zero value is the whole.
	Shard Shard
	// NoProgress leaves out the progress lines. Warnings, errors and the summary lines stay.
	NoProgress bool
}

// Shard is one of Total runs that share a sync, counted from 1.
type Shard struct{ Num, Total int }

// Summary says what a run did, also when it failed.
type Summary struct {
	Sources []SourceSummary
}

// SourceSummary is one source's part of a run.
type SourceSummary struct {
	Name     string
	Duration time.Duration
	Tables   []TableSummary // in the order in which the source named them
	Warnings int            // log lines of level warn
	Errors   int            // as the CLI counts: the tables' errors, or the log lines of level error if these are more
}

// TableSummary counts one destination table's rows.
type TableSummary struct {
	Name    string
	Rows    int64 // received from the source
	Errors  int64
	Deleted int64
}

// Run runs the config file's sources one after another. It returns a non-nil error when anything failed, be it a single
// table. It handles interrupts itself: at Ctrl-C it writes what it has received and ends its child process.
func Run(ctx context.Context, o Options) (Summary, error) {
	data, err := os.ReadFile(o.ConfigPath)
	if err != nil {
		return Summary{}, usererror.Wrap(err, codeConfigUnread, "the config file could not be read", "name a CloudQuery config file")
	}
	return RunConfig(ctx, data, o)
}

// RunConfig is Run with the config's text.
func RunConfig(ctx context.Context, data []byte, o Options) (Summary, error) {
	title := o.ConfigPath
	if title == "" {
		title = "the config"
	}
	c, err := parseConfig(data, title)
	if err != nil {
		return Summary{}, err
	}
	r, err := newRunner(c, o)
	if err != nil {
		return Summary{}, err
	}
	defer r.close()

	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var summary Summary
	var errs []error
	for _, s := range c.sources {
		if ctx.Err() != nil {
			break
		}
		if shard := o.Shard; shard.Total > 1 {
			// As the CLI does it: each shard deletes stale rows of its own only.
			s.name = fmt.Sprintf("%s_%d_%d", s.name, shard.Num, shard.Total)
		}
		sum, err := r.runSource(ctx, s)
		summary.Sources = append(summary.Sources, sum)
		if err != nil {
			r.logger.Error().Err(err).Str("source", s.name).Msg("sync failed")
			errs = append(errs, fmt.Errorf("syncing %s: %w", s.name, err))
		}
	}
	if err := ctx.Err(); err != nil && len(errs) == 0 {
		errs = append(errs, err)
	}
	return summary, errors.Join(errs...)
}

// ValidateConfig returns every fault of a config's text, as RunConfig would before it starts anything.
func ValidateConfig(data []byte, title string) error {
	_, err := parseConfig(data, title)
	return err
}

// runner is what the sources of a run share.
type runner struct {
	config  *config
	options Options
	logger  zerolog.Logger
	logFile *os.File
}

func newRunner(c *config, o Options) (*runner, error) {
	if len(o.Source) == 0 {
		return nil, errors.New("starting the source plugin: Options.Source is empty")
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	levels := []string{"info", "trace", "debug", "warn", "error"}
	if o.LogLevel == "" {
		o.LogLevel = levels[0]
	}
	if !slices.Contains(levels, o.LogLevel) {
		return nil, usererror.New(codeLogFile, fmt.Sprintf("the log level %q does not exist", o.LogLevel),
			"use one of "+strings.Join(levels, ", "))
	}
	r := &runner{config: c, options: o, logger: zerolog.Nop()}
	if o.LogPath != "" {
		f, err := openLog(o.LogPath)
		if err != nil {
			return nil, usererror.Wrap(err, codeLogFile, "the log file could not be opened", "name a file in a directory that can be written")
		}
		r.logFile = f
		level, err := zerolog.ParseLevel(o.LogLevel)
		if err != nil {
			return nil, fmt.Errorf("parsing the log level: %w", err)
		}
		r.logger = zerolog.New(f).Level(level).With().Timestamp().Logger()
	}
	return r, nil
}

// openLog appends, and closes an existing log to others: it names instances and records.
func openLog(path string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		if err := f.Chmod(0o600); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

func (r *runner) close() {
	if r.logFile != nil {
		_ = r.logFile.Close()
	}
}

// printSummary writes one line per table.
func (r *runner) printSummary(s SourceSummary) {
	for _, t := range s.Tables {
		line := fmt.Sprintf("%s: %s: %s rows", s.Name, t.Name, grouped(t.Rows))
		if t.Deleted > 0 {
			line += fmt.Sprintf(", %s deleted", grouped(t.Deleted))
		}
		if t.Errors > 0 {
			line += fmt.Sprintf(", %s errors", grouped(t.Errors))
		}
		fmt.Fprintln(r.options.Stdout, line)
	}
}
