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
	"github.com/cqservicenow/cq-source-servicenow/internal/doctor"
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

// TestConnection runs the checks of the doctor without which no sync could begin, on every instance of a spec.
func TestConnection(ctx context.Context, logger zerolog.Logger, data []byte) error {
	s, err := spec.Parse(data)
	if err != nil {
		return plugin.NewTestConnError(testInvalidSpec, err)
	}
	ctx, cancel := context.WithTimeout(ctx, testConnectionTimeout)
	defer cancel()
	source := &source{logger: logger, spec: s}
	for _, instance := range source.synced() {
		cfg, err := source.examine(ctx, instance)
		if err != nil {
			return plugin.NewTestConnError(testFailed, fmt.Errorf("testing %s: %w", label(instance), err))
		}
		report, err := doctor.Test(ctx, cfg)
		if err == nil {
			err = report.Err()
		}
		if err != nil {
			return plugin.NewTestConnError(testCode(err), fmt.Errorf("testing %s: %w", label(instance), err))
		}
	}
	return nil
}

// Diagnose runs every check of the doctor on every instance of a spec, one behind the other, and hands over each report as
// soon as it is there. The error is one of the spec, of the cancelled context, or of report.
func Diagnose(ctx context.Context, logger zerolog.Logger, data []byte, report func(*doctor.Report) error) error {
	s, err := spec.Parse(data)
	if err != nil {
		return err
	}
	source := &source{logger: logger, spec: s}
	for _, instance := range source.instances() {
		cfg, err := source.examine(ctx, instance)
		if err != nil {
			return fmt.Errorf("examining %s: %w", label(instance), err)
		}
		done, err := doctor.Run(ctx, cfg)
		if err != nil {
			return fmt.Errorf("examining %s: %w", label(instance), err)
		}
		if err := report(done); err != nil {
			return err
		}
	}
	return nil
}

// examine tells the doctor about an instance what a sync would know. A sign-in that cannot be made is for the report.
func (s *source) examine(ctx context.Context, instance spec.NamedInstance) (doctor.Config, error) {
	i := &instance.Instance
	base, _, err := client.Address(i)
	if err != nil {
		return doctor.Config{}, err
	}
	query, err := servicenow.ParseQuery(i.Incidents.Query)
	if err != nil {
		return doctor.Config{}, fmt.Errorf("reading incidents.query: %w", err)
	}
	cfg := doctor.Config{
		Name: label(instance), BaseURL: base, Grant: i.Auth.GrantType, Query: query, Picked: -1, Fields: i.Incidents.Fields,
		PageSize: i.PageSize, Concurrency: i.Concurrency, MaxRequestsPerHour: i.MaxRequestsPerHour,
		UserAgent: "cq-source-servicenow/" + Version, Logger: s.logger,
	}
	if picked := len(i.Incidents.SysIDs) + len(i.Incidents.Numbers); picked > 0 {
		cfg.Picked = picked
	}
	connection, err := client.Connect(ctx, i, instance.Name, client.Options{Logger: s.logger, Version: Version})
	if err != nil {
		cfg.AuthErr = err
	} else {
		cfg.Auth = connection.Auth
	}
	return cfg, nil
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
