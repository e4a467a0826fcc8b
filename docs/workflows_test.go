package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// A workflow runs no code that its author can change later: each action is named by its commit, with the version beside it
// for people. What a workflow may do is said job by job.
func TestWorkflowsArePinnedAndModest(t *testing.T) {
	pinned := regexp.MustCompile(`uses: [\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	workflows, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	require.NoError(t, err)
	require.NotEmpty(t, workflows)
	for _, path := range workflows {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for n, line := range strings.Split(string(text), "\n") {
			if strings.Contains(line, "uses:") && !pinned.MatchString(line) {
				t.Errorf("%s:%d: not pinned by commit, or without its version: %s", path, n+1, strings.TrimSpace(line))
			}
		}
		var workflow struct {
			Permissions map[string]string `yaml:"permissions"`
			Jobs        map[string]struct {
				Timeout int `yaml:"timeout-minutes"`
			} `yaml:"jobs"`
		}
		require.NoError(t, yaml.Unmarshal(text, &workflow), path)
		require.NotNil(t, workflow.Permissions, "%s leaves the permissions to the repository's settings", path)
		for scope, right := range workflow.Permissions {
			require.Equal(t, "read", right, "%s gives %s to every job", path, scope)
		}
		for name, job := range workflow.Jobs {
			require.Positive(t, job.Timeout, "%s: %s may run for ever", path, name)
		}
	}
}
