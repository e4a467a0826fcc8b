package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// The codes that `cloudquery test-connection` prints.
const (
	testInvalidSpec  = "INVALID_SPEC"
	testUnauthorized = "UNAUTHORIZED"
	testForbidden    = "FORBIDDEN"
	testFailed       = "CONNECTION_FAILED"
)

// TestConnection signs in to every instance of a spec and reads one incident and one attachment.
func TestConnection(ctx context.Context, logger zerolog.Logger, data []byte) error {
	s, err := spec.Parse(data)
	if err != nil {
		return plugin.NewTestConnError(testInvalidSpec, err)
	}
	ctx, cancel := context.WithTimeout(ctx, testConnectionTimeout)
	defer cancel()
	source := &source{logger: logger, spec: s}
	for _, instance := range source.instances() {
		if err := source.test(ctx, instance); err != nil {
			return plugin.NewTestConnError(testCode(err), fmt.Errorf("testing %s: %w", label(instance), err))
		}
	}
	return nil
}

func (s *source) test(ctx context.Context, instance spec.NamedInstance) error {
	// A person waits: a node that restarts is an answer too.
	retry := servicenow.DefaultRetry()
	retry.Tries, retry.Budget = 3, testConnectionTimeout
	connection, err := client.Connect(ctx, &instance.Instance, instance.Name, client.Options{Logger: s.logger, Version: Version, Retry: retry})
	if err != nil {
		return err
	}
	for _, table := range []string{"incident", "sys_attachment"} {
		if _, err := connection.ServiceNow.ListRecords(ctx, table, servicenow.ListOptions{
			Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: 1,
		}); err != nil {
			return err
		}
	}
	return nil
}

func testCode(err error) string {
	code := usererror.CodeOf(err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return testFailed
	case strings.HasPrefix(code, "SN-AUTH-"):
		return testUnauthorized
	case code == servicenow.CodeTableForbidden, code == servicenow.CodeQueryForbidden:
		return testForbidden
	}
	return testFailed
}
