// Package cli is the command line, one file per command. The plugin SDK's own commands (serve, package, info, doc) are
// handed through unchanged; the CLI of CloudQuery starts `serve`.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/cloudquery/plugin-sdk/v4/serve"
	"github.com/spf13/cobra"

	"github.com/cqservicenow/cq-source-servicenow/plugin"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// app is what the commands share.
type app struct {
	stdout, stderr io.Writer
}

// Main runs one command line and returns the exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "Error:", err)
		return exitUsage
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "Interrupted.")
		return exitFailure
	default:
		fmt.Fprintln(stderr, "Error:", err)
		return exitFailure
	}
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "cq-source-servicenow",
		Short: "CloudQuery source plugin for ServiceNow",
		Long: "CloudQuery source plugin for ServiceNow: tables, incidents and attachments into any CloudQuery destination.\n\n" +
			"cloudquery sync starts this program by itself. The other commands run without the CloudQuery CLI.",
		Version:       plugin.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(a.demo(), a.initialise(), a.sync(), a.list(), a.doctor(), a.login(), a.logout(), a.emulator(), a.extractWorker())
	for name, short := range map[string]string{
		"serve":   "Serve the plugin over gRPC, as the CloudQuery CLI asks for it",
		"package": "Build and package the plugin for the CloudQuery hub",
		"info":    "Print what the plugin is",
		"doc":     "Write the tables' documentation as JSON",
	} {
		root.AddCommand(sdkCommand(name, short))
	}
	// Whichever command somebody asks, it answers for the whole program.
	root.SetVersionTemplate("{{.Root.Name}} version {{.Version}}\n")
	for _, command := range root.Commands() {
		command.Version = plugin.Version
	}
	return root
}

// sdkCommand hands a command to the SDK with its flags as they are.
func sdkCommand(name, short string) *cobra.Command {
	return &cobra.Command{
		Use:                name,
		Short:              short,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if slices.Equal(args, []string{"--version"}) { // the SDK knows it only without a command
				fmt.Fprintf(cmd.OutOrStdout(), "%s version %s\n", cmd.Root().Name(), plugin.Version)
				return nil
			}
			if name == "serve" {
				limitMemory()
			}
			return serve.Plugin(plugin.Plugin(), serve.WithArgs(append([]string{name}, args...)...)).Serve(cmd.Context())
		},
	}
}

// softMemory keeps a sync below 256 MiB with the program itself. What it holds are a few large buffers, of which the garbage
// collector would let as many again lie about; they hold no pointers, so that it has little to do when it comes earlier. What
// is really in use, large files for example, may exceed it.
const softMemory = 170 << 20

// limitMemory sets that limit; GOMEMLIMIT has the last word.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
}
