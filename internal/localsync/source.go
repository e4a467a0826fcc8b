package localsync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	pb "github.com/cloudquery/plugin-pb-go/pb/plugin/v3"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/google/uuid"

	"github.com/cqservicenow/cq-source-servicenow/internal/localsync/sqlitedest"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

const maxErrorsShown = 5

// sourceRun is one sync of one source.
type sourceRun struct {
	runner   *runner
	source   *sourceConfig
	dest     *destinationConfig
	database *sqlitedest.Client
	adder    *columnAdder
	progress *progress
	log      *childLog
	syncTime time.Time

	mu     sync.Mutex // guards tables, order and problems: deletes are counted while rows still arrive
	tables map[string]*tableRun
	order  []string
	// problems are the texts of the first SyncErrors.
	problems []string
}

// tableRun is what is known of one table.
type tableRun struct {
	TableSummary
	migrated    bool
	incremental bool // as its last MigrateTable said
	parent      string
}

func (r *runner) runSource(ctx context.Context, s *sourceConfig) (SourceSummary, error) {
	start := time.Now()
	p := newProgress(r.options.Stderr, r.options.NoProgress)
	run := &sourceRun{
		runner:   r,
		source:   s,
		dest:     r.config.destinations[s.destination],
		progress: p,
		log:      &childLog{file: r.logger.With().Str("source", s.name).Logger(), progress: p},
		syncTime: start.UTC().Truncate(time.Microsecond), // what the destination stores
		tables:   map[string]*tableRun{},
	}
	run.adder = newColumnAdder(s, run.dest, run.syncTime)
	err := run.run(ctx)
	p.finish()
	sum := run.summary(time.Since(start))
	r.printSummary(sum)
	r.logger.Info().Interface("summary", sum).Msg("sync ended")
	return sum, err
}

func (run *sourceRun) summary(d time.Duration) SourceSummary {
	run.mu.Lock()
	defer run.mu.Unlock()
	sum := SourceSummary{Name: run.source.name, Duration: d}
	sum.Warnings, sum.Errors = run.log.counts()
	var tableErrors int64
	for _, name := range run.order {
		t := run.tables[name]
		if run.isState(name) {
			continue
		}
		sum.Tables = append(sum.Tables, t.TableSummary)
		tableErrors += t.Errors
	}
	sum.Errors = max(sum.Errors, int(tableErrors))
	return sum
}

// run opens the databases, starts the child, syncs, and undoes the first two in any case.
func (run *sourceRun) run(ctx context.Context) (err error) {
	open, err := openDatabases()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, open.close()) }()

	for _, name := range append([]string{run.source.destination}, run.source.references...) {
		if _, ok := open.addresses[name]; ok {
			continue
		}
		d := run.runner.config.destinations[name]
		var onDelete func(string, int64)
		if name == run.source.destination {
			onDelete = run.deleted
		}
		db, openErr := sqlitedest.Open(ctx, run.runner.logger, d.spec, onDelete)
		if openErr != nil {
			return usererror.Wrap(openErr, codeDatabaseOpen, "the database "+d.spec.ConnectionString+" could not be opened",
				"check that its directory exists and can be written, and that the file is a SQLite database")
		}
		if err := open.offer(ctx, name, db); err != nil {
			return err
		}
		if name == run.source.destination {
			run.database = db
		}
	}

	c, err := startChild(ctx, run.runner.options.Source, filepath.Join(open.dir, "source"), run.source, run.runner.options.LogLevel, run.log)
	if err != nil {
		return err
	}
	defer c.stop()
	err = run.sync(ctx, c, open.addresses)
	var user *usererror.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &user) && (user.Code == codeDatabaseWrite || user.Code == codeMigrate):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %w", ctx.Err())
	case errors.Is(err, errConnectionLost) && c.gone():
		return usererror.Wrap(c.exitError(), codeSourceStopped, "the source plugin ended in mid-sync"+run.log.tail(),
			"run the sync again: it resumes from its cursors; if it happens again, report it with these lines")
	default:
		return err
	}
}

func (run *sourceRun) sync(ctx context.Context, c *child, addresses map[string]string) error {
	client := pb.NewPluginClient(c.conn)
	spec, err := json.Marshal(replaceConnections(run.source.spec, addresses))
	if err != nil {
		return fmt.Errorf("encoding the spec: %w", err)
	}
	if _, err := client.Init(ctx, &pb.Init_Request{Spec: spec, InvocationId: uuid.NewString()}); err != nil {
		return fmt.Errorf("initialising the source plugin: %w",
			rpcError(err, codeSourceInit, "the source plugin refused its spec", "correct what it names and run the sync again"))
	}
	req := &pb.Sync_Request{
		Tables:              run.source.tables,
		SkipTables:          run.source.skipTables,
		SkipDependentTables: run.source.skipDependentTables,
		DeterministicCqId:   run.source.deterministicCQID,
		WithErrorMessages:   true,
	}
	if shard := run.runner.options.Shard; shard.Total > 1 {
		req.Shard = &pb.Sync_Request_Shard{Num: int32(shard.Num), Total: int32(shard.Total)}
	}
	if b := run.source.backend; b != nil {
		req.Backend = &pb.Sync_BackendOptions{
			TableName:  b.table,
			Connection: replaceConnections(b.connection, addresses).(string),
		}
	}

	// The write outlives a cancelled or failed sync: what has arrived is written, with the cursors behind it.
	syncCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages := make(chan message.WriteMessage)
	written := make(chan error, 1)
	go func() {
		err := run.database.Write(context.WithoutCancel(ctx), messages)
		if err != nil {
			cancel()
		}
		written <- err
	}()
	err = run.receive(syncCtx, client, req, messages)
	if err == nil {
		err = run.tableErrors()
	}
	if err == nil && run.dest.writeMode == writeOverwriteDeleteStale {
		err = run.deleteStale(syncCtx, messages)
	}
	close(messages)
	if writeErr := <-written; writeErr != nil {
		return writeError(writeErr, run.dest.spec.ConnectionString)
	}
	return err
}

func (run *sourceRun) receive(ctx context.Context, client pb.PluginClient, req *pb.Sync_Request, out chan<- message.WriteMessage) error {
	stream, err := client.Sync(ctx, req)
	if err != nil {
		return syncError(err)
	}
	for {
		res, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return syncError(err)
		}
		m, err := run.convert(res)
		if err != nil {
			return err
		}
		if m == nil {
			continue
		}
		if err := send(ctx, out, m); err != nil {
			return err
		}
	}
}

func send(ctx context.Context, out chan<- message.WriteMessage, m message.WriteMessage) error {
	select {
	case out <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func syncError(err error) error {
	return rpcError(err, codeSyncFailed, "the sync did not complete", "see the cause, then run the sync again: it resumes from its cursors")
}

// convert notes what a message of the source says and returns what the destination has to do, or nil.
func (run *sourceRun) convert(res *pb.Sync_Response) (message.WriteMessage, error) {
	switch m := res.GetMessage().(type) {
	case *pb.Sync_Response_MigrateTable:
		sc, err := decodeSchema(m.MigrateTable.Table)
		if err != nil {
			return nil, fmt.Errorf("decoding a table: %w", err)
		}
		return run.migrate(sc)
	case *pb.Sync_Response_Insert:
		batch, err := decodeBatch(m.Insert.Record)
		if err != nil {
			return nil, fmt.Errorf("decoding rows: %w", err)
		}
		if batch == nil {
			return nil, nil
		}
		name, _ := batch.Schema().Metadata().GetValue(schema.MetadataTableName)
		run.table(name, func(t *tableRun) { t.Rows += batch.NumRows() })
		if !run.isState(name) {
			run.progress.add(name, batch.NumRows())
		}
		if batch, err = run.adder.batch(batch); err != nil {
			return nil, err
		}
		return &message.WriteInsert{Record: batch}, nil
	case *pb.Sync_Response_DeleteRecord:
		d, err := decodeDelete(m.DeleteRecord.TableName, m.DeleteRecord.TableRelations, m.DeleteRecord.WhereClause)
		if err != nil {
			return nil, fmt.Errorf("decoding a delete: %w", err)
		}
		return &message.WriteDeleteRecord{DeleteRecord: d}, nil
	case *pb.Sync_Response_Error:
		run.table(m.Error.TableName, func(t *tableRun) { t.Errors++ })
		run.mu.Lock()
		run.problems = append(run.problems, m.Error.TableName+": "+m.Error.Error)
		run.mu.Unlock()
		return nil, nil
	default:
		return nil, fmt.Errorf("the source sent an unknown message %T", m)
	}
}

func (run *sourceRun) migrate(sc *arrow.Schema) (message.WriteMessage, error) {
	table, err := schema.NewTableFromArrowSchema(run.adder.schema(sc))
	if err != nil {
		return nil, fmt.Errorf("decoding a table: %w", err)
	}
	run.table(table.Name, func(t *tableRun) {
		t.migrated = true
		t.incremental = table.IsIncremental
		t.parent = ""
		if table.Parent != nil {
			t.parent = table.Parent.Name
		}
	})
	return &message.WriteMigrateTable{Table: table, MigrateForce: run.dest.migrateMode == migrateForced}, nil
}

// table runs f on the table of that name.
func (run *sourceRun) table(name string, f func(*tableRun)) {
	run.mu.Lock()
	defer run.mu.Unlock()
	t, ok := run.tables[name]
	if !ok {
		t = &tableRun{TableSummary: TableSummary{Name: name}}
		run.tables[name] = t
		run.order = append(run.order, name)
	}
	f(t)
}

// isState reports whether the name is the table of the cursors: it is ours, not the user's, and never stale.
func (run *sourceRun) isState(name string) bool {
	return run.source.backend != nil && run.source.backend.table == name
}

func (run *sourceRun) deleted(table string, rows int64) {
	run.table(table, func(t *tableRun) { t.Deleted += rows })
}

// tableErrors makes one error of the SyncErrors. Unlike the CLI, which ends with exit code 0 after them.
func (run *sourceRun) tableErrors() error {
	run.mu.Lock()
	defer run.mu.Unlock()
	if len(run.problems) == 0 {
		return nil
	}
	shown := run.problems[:min(len(run.problems), maxErrorsShown)]
	text := strings.Join(shown, "; ")
	if more := len(run.problems) - len(shown); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return usererror.Wrap(errors.New(text), codeTableErrors,
		"not every table could be synced; the rows that arrived are in the database and no stale row was deleted",
		"correct the cause and run the sync again")
}

// deleteStale deletes the rows that this source wrote in earlier syncs only, from the tables that were read in full.
func (run *sourceRun) deleteStale(ctx context.Context, out chan<- message.WriteMessage) error {
	run.mu.Lock()
	var stale []string
	for _, name := range run.order {
		if run.tables[name].migrated && !run.isState(name) && !run.partial(name, len(run.order)) {
			stale = append(stale, name)
		}
	}
	run.mu.Unlock()
	for _, name := range stale {
		m := &message.WriteDeleteStale{TableName: name, SourceName: run.source.name, SyncTime: run.syncTime}
		if err := send(ctx, out, m); err != nil {
			return err
		}
	}
	return nil
}

// partial is the CLI's rule: with a state backend, an incremental table and everything below it brings changes only. What
// counts is the table's last MigrateTable, by which a source can say after a full pass that this one was complete.
func (run *sourceRun) partial(name string, depth int) bool {
	t := run.tables[name]
	if run.source.backend == nil || t == nil {
		return false
	}
	return t.incremental || t.parent != "" && depth > 0 && run.partial(t.parent, depth-1)
}
