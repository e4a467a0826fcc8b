package sqlitedest_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/localsync/sqlitedest"
)

func TestWriterSuite(t *testing.T) {
	ctx := context.Background()
	p := plugin.NewPlugin("sqlite", "development", sqlitedest.New)
	spec, err := json.Marshal(sqlitedest.Spec{ConnectionString: filepath.Join(t.TempDir(), "suite ?#%.db")})
	require.NoError(t, err)
	require.NoError(t, p.Init(ctx, spec, plugin.NewClientOptions{}))
	t.Cleanup(func() { require.NoError(t, p.Close(ctx)) })
	plugin.TestWriterSuiteRunner(t, p, plugin.WriterTestSuiteTests{
		SafeMigrations: plugin.SafeMigrations{
			AddColumn:              true,
			RemoveColumn:           true,
			RemoveColumnNotNull:    true,
			RemoveUniqueConstraint: true,
			MovePKToCQOnly:         true,
			// Rows that are there have no value for a new NOT NULL column.
			AddColumnNotNull: false,
			// A value of the old type is not one of the new type: only dropping the table helps.
			ChangeColumn: false,
		},
	})
}
