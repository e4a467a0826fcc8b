package plugin

import (
	"context"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// source is the plugin with a spec.
type source struct {
	plugin.UnimplementedDestination
	logger zerolog.Logger
	spec   *spec.Spec // nil without a connection
	retry  servicenow.Retry
	plan   func(client.Estimate) // set where a sync is only to be estimated
	// allocator holds the record batches; nil is Arrow's own.
	allocator memory.Allocator
}

// Configure is the SDK's constructor. Without a connection (`plugin doc`, `cloudquery tables`) the spec is left alone, so
// that the tables can be documented without one.
func Configure(_ context.Context, logger zerolog.Logger, data []byte, options plugin.NewClientOptions) (plugin.Client, error) {
	logger = logger.With().Str("plugin", Name).Logger()
	if options.NoConnection {
		return &source{logger: logger}, nil
	}
	s, err := spec.Parse(data)
	if err != nil {
		return nil, err
	}
	return &source{logger: logger, spec: s, retry: servicenow.DefaultRetry()}, nil
}

// Close has nothing to close: the CLI never calls it, and every sync cleans up behind itself.
func (*source) Close(context.Context) error { return nil }

// synced returns the instances that take part in a sync.
func (s *source) synced() []spec.NamedInstance {
	return slices.DeleteFunc(slices.Clone(s.instances()), func(i spec.NamedInstance) bool { return i.Paused })
}

// instances returns the instances of the spec with their names; the single one of a spec without a list has none.
func (s *source) instances() []spec.NamedInstance {
	if len(s.spec.Instances) > 0 {
		return s.spec.Instances
	}
	return []spec.NamedInstance{{Instance: s.spec.Instance}}
}

// testConnectionTimeout bounds a connection test, which a person waits for.
const testConnectionTimeout = time.Minute
