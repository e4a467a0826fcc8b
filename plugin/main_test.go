package plugin

import (
	"os"
	"testing"

	"github.com/cqservicenow/cq-source-servicenow/internal/extract/worker"
)

// TestMain lets the test binary be the process that attachments are read in.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == worker.Command {
		os.Exit(worker.Main(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}
