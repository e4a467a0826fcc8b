// Command bench measures whole syncs: the built plugin over gRPC, against the emulator in a process of its own, beside a bare
// download of the same pages, the SDK's own row path and offset paging. docs/dev/benchmarks.md says how to read what it
// prints; `make bench` runs it.
//
// It starts itself again for its other processes: as an instance, and as the plugin that takes the SDK's row path.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
