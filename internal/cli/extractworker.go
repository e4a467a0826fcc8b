package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/cqservicenow/cq-source-servicenow/internal/extract/worker"
)

// extractWorker is the process in which sync reads attachments; see internal/extract/worker.
func (a *app) extractWorker() *cobra.Command {
	return &cobra.Command{
		Use:    worker.Command,
		Short:  "Read attachments for a sync, which starts this command by itself",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(*cobra.Command, []string) error {
			if code := worker.Main(os.Stdin, a.stdout); code != exitOK {
				return fmt.Errorf("the reader ended with code %d", code)
			}
			return nil
		},
	}
}
