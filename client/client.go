// Package client is what a running sync holds of one instance: the connection, what the dictionary says, the selection of
// incidents, the cursors, and the way from pages of records to record batches in the sync's stream.
package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/blobstore"
	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/extract/worker"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// Client is one instance in a running sync. It is the SDK's schema.ClientMeta.
type Client struct {
	*Connection
	// Fields are the incident fields to ask for; nil for all of them.
	Fields []string
	// Selection says which incidents are covered.
	Selection *Selection
	// Tables describes incident and sys_attachment.
	Tables *dictionary.Dictionary
	// Now is the instance's clock when the sync began, as a stored date-time: the cursor that the sync leaves.
	Now string
	// Through is where every window ends: later than Now by the overlap, since the clocks of an instance's nodes differ,
	// and a row may carry a stamp that lies ahead of the clock that answered.
	Through string

	sync    *Sync
	removes bool              // whether the rows of deleted records are removed
	sample  servicenow.Record // an incident with all of its fields; nil when there was none to be seen
	counted int               // incidents, as the instance counted them when the sync began; -1 when it was not asked or did not tell

	// For estimates: how many requests Prepare took, and a table before its rows; tables are estimated one by one.
	prepared int64
	planning sync.Mutex
	began    int64 // requests before the table

	// The blob store is opened as it is needed, which takes requests to it.
	storeMu sync.Mutex
	store   *blobstore.Store
}

// ID names the instance in logs, spans and metrics.
func (c *Client) ID() string { return c.Label() }

// Sync is what the instances of one sync share.
type Sync struct {
	Instances []*Client
	options   SyncOptions

	mu       sync.Mutex
	held     map[heldKey]*held
	tallies  []*tally // of the tables of each instance, in the order in which they were begun
	spoolDir string   // made as it is needed
	pools    map[string]*worker.Pool
}

// SyncOptions are what the SDK gives to one sync.
type SyncOptions struct {
	// State is nil without backend_options.
	State *State
	// DeterministicID makes _cq_id the primary key, as the config asks.
	DeterministicID bool
	// Messages is the sync's stream.
	Messages chan<- message.SyncMessage
	// Shard is the part of every instance that this sync reads.
	Shard Shard
	// Plan is set where nothing is to be read: it hears what each table would take, one after the other for an instance.
	Plan func(Estimate)
	// Allocator holds the record batches; whoever takes one from the stream releases it. nil is Arrow's own.
	Allocator memory.Allocator
	// Run names the sync in reports.
	Run string
	// Tables are those of the sync. Of the Compared ones deletes are looked for.
	Tables, Compared schema.Tables
	// Report is the table that reports go to, and Deleted that of deleted records; nil when the config does not name it.
	Report, Deleted *schema.Table
}

// NewSync joins prepared instances into one sync.
func NewSync(instances []*Client, options SyncOptions) *Sync {
	if options.Allocator == nil {
		options.Allocator = memory.DefaultAllocator
	}
	s := &Sync{Instances: instances, options: options, held: map[heldKey]*held{}}
	for _, c := range instances {
		c.sync = s
	}
	return s
}

// errRunning is the state of a table that is being read. It stays when the reading panics, which the scheduler only logs.
var errRunning = errors.New("the reading broke off")

// ID is that of the sync before it is multiplexed.
func (s *Sync) ID() string { return "servicenow" }

// PerInstance multiplexes a table over the sync's instances.
func PerInstance(meta schema.ClientMeta) []schema.ClientMeta {
	s, ok := meta.(*Sync)
	if !ok {
		return []schema.ClientMeta{meta}
	}
	clients := make([]schema.ClientMeta, len(s.Instances))
	for i, c := range s.Instances {
		clients[i] = c
	}
	return clients
}

// Resolver runs read as a table's resolver and keeps its outcome for Err.
func Resolver(table string, read func(context.Context, *Client) error) schema.TableResolver {
	return func(ctx context.Context, meta schema.ClientMeta, _ *schema.Resource, _ chan<- any) error {
		c, ok := meta.(*Client)
		if !ok {
			return fmt.Errorf("resolving %s: the client is a %T", table, meta)
		}
		t := newTally(c, table)
		c.sync.mu.Lock()
		c.sync.tallies = append(c.sync.tallies, t)
		c.sync.mu.Unlock()
		if c.sync.options.Plan != nil {
			c.planning.Lock()
			defer c.planning.Unlock()
			c.began = c.ServiceNow.Stats().Requests
		}
		err := read(t.context(ctx), c)
		t.end(err)
		return err
	}
}

// Err returns what kept tables from being read to their end; nil when every reading that began was completed.
func (s *Sync) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, t := range s.sorted() {
		if t.err != nil {
			errs = append(errs, fmt.Errorf("syncing %s of %s: %w", t.table, t.client.ID(), t.err))
		}
	}
	return errors.Join(errs...)
}

// sorted returns the tallies by table and instance.
func (s *Sync) sorted() []*tally {
	return slices.SortedFunc(slices.Values(s.tallies), func(a, b *tally) int {
		return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.client.ID(), b.client.ID()))
	})
}

// send puts a message into the stream, or gives up when the sync is cancelled.
func (c *Client) send(ctx context.Context, m message.SyncMessage) error { return c.sync.send(ctx, m) }

func (s *Sync) send(ctx context.Context, m message.SyncMessage) error {
	select {
	case s.options.Messages <- m:
		return nil
	case <-ctx.Done():
		if insert, ok := m.(*message.SyncInsert); ok {
			insert.Record.Release() // nobody else will
		}
		return context.Cause(ctx)
	}
}

// Prepare signs in and looks up what the sync needs to know before its first row: the clock, the tables' fields, and
// whether the fields of the spec exist.
func Prepare(ctx context.Context, s *spec.Instance, name string, options Options) (*Client, error) {
	connection, err := Connect(ctx, s, name, options)
	if err != nil {
		return nil, err
	}
	c := &Client{Connection: connection, counted: -1}
	if err := c.prepare(ctx, options); err != nil {
		connection.Close()
		return nil, err
	}
	return c, nil
}

func (c *Client) prepare(ctx context.Context, options Options) error {
	c.Tables = dictionary.New(c.ServiceNow, c.Warn)
	now, err := c.clock(ctx, options.CountIncidents)
	if err != nil {
		return err
	}
	c.Now = now.Format(servicenow.DateTime)
	c.Through = now.Add(c.Spec.Overlap.Duration()).Format(servicenow.DateTime)
	if err := c.Tables.Load(ctx, "incident", "sys_attachment"); err != nil {
		return fmt.Errorf("reading the dictionary: %w", err)
	}
	if c.Selection, err = newSelection(ctx, c.ServiceNow, c.Spec.Incidents, c.Warn); err != nil {
		return err
	}
	if err := c.Tables.CheckFields(ctx, "incident", "spec.incidents.query", c.Selection.Query.Fields()); err != nil {
		return err
	}
	if err := c.selectFields(ctx); err != nil {
		return err
	}
	c.prepared = c.ServiceNow.Stats().Requests
	return nil
}

// clock asks the instance for its time, which windows end at: the clocks of this machine and of the instance differ. The
// request doubles as the test that sign-in works and incidents can be read at all, and as the count of incidents where that is
// wanted.
func (c *Client) clock(ctx context.Context, count bool) (time.Time, error) {
	options := servicenow.ListOptions{Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: 1, Count: count}
	if c.sample == nil && len(c.Spec.Incidents.Fields) == 0 {
		options.Fields = nil // which fields there are is of use later
	}
	list, err := c.ServiceNow.ListRecords(ctx, "incident", options)
	if err != nil {
		return time.Time{}, err
	}
	if options.Fields == nil && len(list.Records) > 0 {
		c.sample = list.Records[0]
	}
	if list.Date.IsZero() {
		return time.Time{}, fmt.Errorf("reading the clock of %s: its answers have no Date header", c.ID())
	}
	if count {
		c.counted = list.Total
	}
	return list.Date, nil
}

// alwaysAsked returns the fields that paging, primary keys and columns outside the user's choice need.
func alwaysAsked() []string { return []string{"sys_id", "sys_updated_on"} }

// selectFields turns the spec's names and patterns into the fields to ask for.
func (c *Client) selectFields(ctx context.Context) error {
	patterns := c.Spec.Incidents.Fields
	if len(patterns) == 0 || slices.Contains(patterns, "*") {
		return nil
	}
	names, unknown := c.Tables.Table("incident").Select(patterns)
	if len(unknown) > 0 {
		var exact []string
		for _, name := range unknown {
			if !strings.Contains(name, "*") {
				exact = append(exact, name)
			}
		}
		if err := c.Tables.CheckFields(ctx, "incident", "spec.incidents.fields", exact); err != nil {
			return err
		}
		names = append(names, exact...)
	}
	names = append(names, alwaysAsked()...)
	slices.Sort(names)
	c.Fields = slices.Compact(names)
	return nil
}

// IncidentFields returns the incident fields that the instance's spec makes columns of: the out-of-box ones, or those that it
// names and the dictionary knows. An out-of-box field keeps its type whatever the instance makes of it, since destinations
// cannot migrate a column to another type.
func (c *Client) IncidentFields() []dictionary.Field {
	outOfBox := dictionary.OutOfBox("incident")
	patterns := c.Spec.Incidents.Fields
	if len(patterns) == 0 {
		return outOfBox.Fields
	}
	table := c.Tables.Table("incident")
	names, _ := table.Select(append(slices.Clone(patterns), alwaysAsked()...))
	var fields []dictionary.Field
	for _, name := range names {
		f, ok := outOfBox.Field(name)
		if !ok {
			f, ok = table.Field(name)
		}
		if ok {
			fields = append(fields, f)
		}
	}
	return fields
}

// Warn logs a warning with its code.
func (c *Connection) Warn(code, message string) {
	c.Logger.Warn().Str("code", code).Str("instance", c.Label()).Msg(message)
}

// Options are what the sync gives to every instance.
type Options struct {
	Logger  zerolog.Logger
	Version string
	// Retry bounds how long requests are tried; the zero value is the default.
	Retry servicenow.Retry
	// CountIncidents says that the sync tells how many incidents there are.
	CountIncidents bool
}
