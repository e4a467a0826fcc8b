package cli

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/plugin"
)

func TestEveryCommandTellsTheVersion(t *testing.T) {
	commands := [][]string{{"--version"}}
	for _, command := range (&app{}).root().Commands() {
		commands = append(commands, []string{command.Name(), "--version"})
	}
	require.Greater(t, len(commands), 10)
	for _, args := range commands {
		var out, errs bytes.Buffer
		require.Zero(t, Main(args, &out, &errs), "%v: %s", args, &errs)
		require.Equal(t, "cq-source-servicenow version "+plugin.Version+"\n", out.String(), "%v", args)
	}
}
