// Package plugin is who we are to CloudQuery: plugin.go the name and version, configure.go what the SDK calls with a spec,
// tables.go the tables, sync.go the order of a sync, connection.go the connection test.
package plugin

import (
	"github.com/cloudquery/plugin-sdk/v4/plugin"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
)

// The plugin's identity in the hub.
const (
	Name = "servicenow"
	Team = "cqservicenow"
	Kind = "source"
)

// Version is stamped by the release build and by the SDK's package command.
var Version = "development" //nolint:gochecknoglobals // the linker sets it

// Plugin returns the source plugin for the SDK to serve.
func Plugin() *plugin.Plugin {
	p := plugin.NewPlugin(Name, Version, Configure,
		plugin.WithKind(Kind),
		plugin.WithTeam(Team),
		plugin.WithJSONSchema(spec.JSONSchema),
		plugin.WithConnectionTester(TestConnection),
	)
	// Without this, every Init would ask for all tables to validate them; Sync validates those that it sends.
	p.SetSkipTableValidation(true)
	return p
}
