package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"github.com/cloudquery/plugin-sdk/v4/plugin"
	"github.com/cloudquery/plugin-sdk/v4/scheduler"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/serve"
	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// The SDK's row path: a resolver hands records to the scheduler, which resolves each column of each of them into a scalar,
// and batches what comes out. The table is the plugin's own but for `text`, so this side has less to do; records are
// decoded by encoding/json, and columns filled by closures, which cost less than the SDK's own path resolver.

// serveRowPath serves a plugin that reads incidents by that path.
func serveRowPath(ctx context.Context, args []string) error {
	p := plugin.NewPlugin("servicenow-rows", "development", newRowSource)
	return serve.Plugin(p, serve.WithArgs(args...)).Serve(ctx)
}

type rowSource struct {
	plugin.UnimplementedDestination
	logger zerolog.Logger
	spec   rowSpec
}

type rowSpec struct {
	URL       string `json:"url"`
	BatchRows int    `json:"batch_rows"`
}

func newRowSource(_ context.Context, logger zerolog.Logger, text []byte, options plugin.NewClientOptions) (plugin.Client, error) {
	s := &rowSource{logger: logger}
	if options.NoConnection {
		return s, nil
	}
	if err := json.Unmarshal(text, &s.spec); err != nil {
		return nil, fmt.Errorf("reading the spec: %w", err)
	}
	return s, nil
}

// ID names the source in logs.
func (*rowSource) ID() string { return "rows" }

// Close does nothing: every connection ends with the process.
func (*rowSource) Close(context.Context) error { return nil }

// Tables declares the incidents.
func (s *rowSource) Tables(context.Context, plugin.TableOptions) (schema.Tables, error) {
	return schema.Tables{s.table()}, nil
}

// Sync hands the table to the scheduler.
func (s *rowSource) Sync(ctx context.Context, _ plugin.SyncOptions, res chan<- message.SyncMessage) error {
	return scheduler.NewScheduler(scheduler.WithLogger(s.logger), scheduler.WithBatchOptions(scheduler.WithBatchMaxRows(s.spec.BatchRows))).
		Sync(ctx, s, schema.Tables{s.table()}, res)
}

// cell is a field as the instance sends it.
type cell struct {
	Value   string `json:"value"`
	Display string `json:"display_value"`
}

type rowRecord struct {
	fields map[string]cell
	raw    json.RawMessage
}

func (s *rowSource) table() *schema.Table {
	table := resources.Incidents(resources.OutOfBoxIncidentFields())
	table.Multiplex = nil
	table.Resolver = s.resolve
	table.Columns = slices.DeleteFunc(table.Columns, func(c schema.Column) bool { return c.Name == "text" || c.Name == "record_url" })
	names := table.Columns.Names()
	for i := range table.Columns {
		if c := &table.Columns[i]; c.Resolver == nil {
			c.Resolver = s.resolver(*c, names)
		}
	}
	return table
}

func (s *rowSource) resolver(c schema.Column, names []string) schema.ColumnResolver {
	field, display := strings.CutSuffix(c.Name, "_display")
	display = display && slices.Contains(names, field)
	if !display {
		field = c.Name
	}
	value := func(r *rowRecord) (any, error) { return valueOf(c.Type, r.fields[field].Value) }
	switch {
	case c.Name == "instance":
		value = func(*rowRecord) (any, error) { return s.spec.URL, nil }
	case c.Name == "url":
		value = func(r *rowRecord) (any, error) {
			return s.spec.URL + "/incident.do?sys_id=" + r.fields["sys_id"].Value, nil
		}
	case c.Name == "record":
		value = func(r *rowRecord) (any, error) { return []byte(r.raw), nil }
	case display, slices.Contains([]string{"comments", "work_notes", "comments_and_work_notes", "approval_history"}, field):
		value = func(r *rowRecord) (any, error) { return valueOf(arrow.BinaryTypes.String, r.fields[field].Display) }
	case strings.HasSuffix(field, "_duration"), field == "time_worked":
		value = func(r *rowRecord) (any, error) {
			at, err := valueOf(arrow.FixedWidthTypes.Timestamp_us, r.fields[field].Value)
			if moment, ok := at.(time.Time); ok {
				return moment.Unix(), err
			}
			return nil, err
		}
	}
	return func(_ context.Context, _ schema.ClientMeta, r *schema.Resource, _ schema.Column) error {
		v, err := value(r.Item.(*rowRecord))
		if err != nil {
			return err
		}
		return r.Set(c.Name, v)
	}
}

// valueOf reads a stored value; the empty text is NULL.
func valueOf(dataType arrow.DataType, text string) (any, error) {
	switch {
	case text == "":
		return nil, nil
	case arrow.TypeEqual(dataType, arrow.FixedWidthTypes.Timestamp_us):
		return time.Parse(time.DateTime, text)
	case arrow.TypeEqual(dataType, arrow.PrimitiveTypes.Int64):
		return strconv.ParseInt(text, 10, 64)
	case arrow.TypeEqual(dataType, arrow.FixedWidthTypes.Boolean):
		return text == "true", nil
	case dataType.ID() == arrow.EXTENSION:
		return strings.Split(text, ","), nil
	default:
		return text, nil
	}
}

// resolve reads pages behind the last sys_id and hands their records to the scheduler.
func (s *rowSource) resolve(ctx context.Context, _ schema.ClientMeta, _ *schema.Resource, res chan<- any) error {
	last := ""
	for {
		records, err := s.page(ctx, last)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return nil
		}
		last = records[len(records)-1].fields["sys_id"].Value
		select {
		case res <- records:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *rowSource) page(ctx context.Context, behind string) ([]*rowRecord, error) {
	params := url.Values{
		"sysparm_query": {"sys_id>" + behind + "^ORDERBYsys_id"}, "sysparm_limit": {"1000"}, "sysparm_display_value": {"all"},
		"sysparm_exclude_reference_link": {"true"}, "sysparm_no_count": {"true"}, "sysparm_suppress_pagination_header": {"true"},
	}
	if behind == "" {
		params.Set("sysparm_query", "ORDERBYsys_id")
	}
	req, err := request(ctx, s.spec.URL+"/api/now/table/incident?"+params.Encode())
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req) //nolint:forbidigo // as a plugin without a client of its own
	if err != nil {
		return nil, fmt.Errorf("reading a page: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("reading a page: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New("reading a page: " + resp.Status)
	}
	var list struct{ Result []json.RawMessage }
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("decoding a page: %w", err)
	}
	records := make([]*rowRecord, len(list.Result))
	for i, raw := range list.Result {
		records[i] = &rowRecord{raw: raw}
		if err := json.Unmarshal(raw, &records[i].fields); err != nil {
			return nil, fmt.Errorf("decoding a record: %w", err)
		}
	}
	return records, nil
}
