package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cloudquery/plugin-sdk/v4/helpers/opts"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/scheduler"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/google/uuid"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// Codes of this package.
const (
	CodeIncomplete   = "SN-SYNC-001" // a sync did not read everything
	CodeUnknownTable = "SN-SYNC-002" // the config names a table that is not there
)

const (
	// tablesAtOnce is how many tables are read side by side. The scheduler takes numbers below 20 as they are.
	tablesAtOnce = 16
	// instancesAtOnce is how many instances are signed in to side by side before the first row.
	instancesAtOnce = 16
	// prepareTimeout is how long one of several instances may hold up the others before their first row.
	prepareTimeout = 10 * time.Minute
)

// Sync reads the selected tables into the stream. The order is what the guarantees rest on:
//
//  1. stored cursors are read, and every instance is signed in to and looked up
//  2. the tables are migrated
//  3. each table is streamed, and its cursor follows its last row in the same stream
//  4. when all have been read, what was deleted is found and sent, each table's behind its rows, and the reports follow
//
// An error of any table fails the sync in the end, after the others were read: the CLI takes a sync without an error for
// a complete one, and would delete the rows of a table that was read in part as stale.
func (s *source) Sync(ctx context.Context, options plugin.SyncOptions, res chan<- message.SyncMessage) error {
	if s.spec == nil {
		return errors.New("syncing: the plugin was started without a connection")
	}
	wanted, err := filter(declare(resources.OutOfBoxIncidentFields()), options.Tables, options.SkipTables, options.SkipDependentTables)
	if err != nil {
		return err // before any request
	}
	state, err := client.OpenState(ctx, options.BackendOptions, s.spec.VerifyWrites, s.logger)
	if err != nil {
		return err
	}
	instances, shard := share(s.synced(), options.Shard)
	options.Shard = nil // the scheduler's would divide the list of tables
	if len(instances) == 0 {
		s.logger.Info().Msg("nothing to sync: every instance is paused, or read by another shard")
		return nil
	}
	for _, i := range instances {
		if err := client.CheckDeletes(&i.Instance, state); err != nil {
			return err
		}
	}
	clients, prepareErr := s.prepare(ctx, instances, wanted.Get(resources.TablesTable) != nil)
	if len(clients) == 0 {
		return prepareErr
	}
	tables, err := filter(declare(incidentFields(clients)), options.Tables, options.SkipTables, options.SkipDependentTables)
	running := client.NewSync(clients, client.SyncOptions{
		State: state, DeterministicID: options.DeterministicCQID, Messages: res, Shard: shard, Plan: s.plan, Allocator: s.allocator,
		Run: uuid.NewString(), Tables: tables, Compared: recordTables(tables),
		Report: tables.Get(resources.SyncReportTable), Deleted: tables.Get(resources.DeletedRecordsTable),
	})
	defer running.Close()
	if err != nil {
		return err
	}
	if err := running.ReadBack(ctx); err != nil {
		return err
	}
	err = scheduler.NewScheduler(
		scheduler.WithLogger(s.logger),
		scheduler.WithConcurrency(tablesAtOnce),
	).Sync(ctx, running, tables, res, opts.SchedulerOpts(options)...)
	reportErr := running.Finish(ctx)
	for _, c := range clients {
		c.LogTraffic()
	}
	if err := errors.Join(err, running.Err(), reportErr, prepareErr); err != nil {
		return incomplete(err)
	}
	return nil
}

// recordTables are the tables of records, whose rows can be compared with the instance.
func recordTables(tables schema.Tables) schema.Tables {
	return slices.DeleteFunc(slices.Clone(tables), func(t *schema.Table) bool {
		return t.Name != resources.IncidentsTable && t.Name != resources.AttachmentsTable
	})
}

func incomplete(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return usererror.Wrap(err, CodeIncomplete, "the sync did not read everything",
		"correct what the errors name and sync again; what arrived is kept, and the next sync goes on from the stored cursors")
}

// share divides a sync among several, as `--shard n/m` asks: whole instances, where there are as many, and otherwise the
// rows of each. An instance's ceilings are divided with it, since its shards run at the same time.
func share(instances []spec.NamedInstance, by *plugin.Shard) ([]spec.NamedInstance, client.Shard) {
	if by == nil || by.Total < 2 {
		return instances, client.Shard{}
	}
	num, total := int(by.Num), int(by.Total)
	var mine []spec.NamedInstance
	for i, instance := range instances {
		switch {
		case len(instances) < total:
			if n := instance.MaxRequestsPerHour; n > 0 {
				instance.MaxRequestsPerHour = max(n/total, 1)
			}
			if n := instance.Concurrency; n > 0 {
				instance.Concurrency = max(n/total, 1)
			}
		case i%total != num-1:
			continue
		}
		mine = append(mine, instance)
	}
	if len(instances) >= total {
		return mine, client.Shard{}
	}
	return mine, client.Shard{Num: num, Total: total}
}

// prepare signs in to every instance, and counts its incidents for the catalogue. One that fails does not keep the others from
// being read.
func (s *source) prepare(ctx context.Context, instances []spec.NamedInstance, catalogue bool) ([]*client.Client, error) {
	clients := make([]*client.Client, len(instances))
	errs := make([]error, len(instances))
	slots := make(chan struct{}, instancesAtOnce)
	var wg sync.WaitGroup
	for i := range instances {
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			clients[i], errs[i] = s.prepareOne(ctx, &instances[i], len(instances) > 1, catalogue)
			if errs[i] != nil {
				errs[i] = fmt.Errorf("preparing %s: %w", label(instances[i]), errs[i])
				if len(instances) > 1 { // the others go on, perhaps for hours
					s.logger.Error().Str("instance", label(instances[i])).Msg(errs[i].Error())
				}
			}
		}()
	}
	wg.Wait()
	var ready []*client.Client
	for i, c := range clients {
		if errs[i] == nil {
			ready = append(ready, c)
		}
	}
	return ready, errors.Join(errs...)
}

// prepareOne signs in to an instance. One of several has a time limit, since the others wait for it.
func (s *source) prepareOne(ctx context.Context, i *spec.NamedInstance, oneOfSeveral, catalogue bool) (*client.Client, error) {
	if oneOfSeveral {
		late := usererror.New(servicenow.CodeUnavailable, "the instance was not ready to be read within "+prepareTimeout.String(),
			"look at its rate limits and its state; the other instances are read meanwhile")
		limited, cancel := context.WithTimeoutCause(ctx, prepareTimeout, late)
		defer cancel()
		ctx = limited
	}
	return client.Prepare(ctx, &i.Instance, i.Name, client.Options{Logger: s.logger, Version: Version, Retry: s.retry, CountIncidents: catalogue})
}

// label names an instance in errors.
func label(i spec.NamedInstance) string {
	if i.Name != "" {
		return i.Name
	}
	if _, name, err := client.Address(&i.Instance); err == nil {
		return name
	}
	return "the instance"
}
