// Command sqlitedestination serves the embedded SQLite destination as a plugin of its own, so that the tests can put it
// behind the real CloudQuery CLI.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/serve"

	"github.com/cqservicenow/cq-source-servicenow/internal/localsync/sqlitedest"
)

func main() {
	p := plugin.NewPlugin("sqlite", "development", sqlitedest.New, plugin.WithKind("destination"), plugin.WithTeam("cqservicenow"))
	if err := serve.Plugin(p).Serve(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
