package plugin

import (
	"context"
	"sync"

	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/client/spec"
)

// DryRun goes the way of a sync, to where each table's first row would be read, and returns what the tables would take. It
// reads cursors and writes nothing. With an error it returns what there is besides.
func DryRun(ctx context.Context, logger zerolog.Logger, data []byte, options plugin.SyncOptions) ([]client.Estimate, error) {
	s, err := spec.Parse(data)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var estimates []client.Estimate
	source := &source{logger: logger, spec: s, plan: func(e client.Estimate) {
		mu.Lock()
		defer mu.Unlock()
		estimates = append(estimates, e)
	}}
	// The stream has the tables alone, which nobody is to make.
	res := make(chan message.SyncMessage)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for range res {
		}
	}()
	err = source.Sync(ctx, options, res)
	close(res)
	<-drained
	return estimates, err
}
