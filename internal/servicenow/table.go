package servicenow

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// DateTime is the layout of stored date-times, always UTC.
const DateTime = time.DateTime

// Display says which halves of each field the Table API returns (sysparm_display_value).
type Display string

// Values leaves every field a text; Both makes every field an object of value and display_value.
const (
	Values Display = "false"
	Both   Display = "all"
)

// ListOptions are the parameters of one request to the Table API.
//
// Source: "Table API", GET /now/table/{tableName}.
type ListOptions struct {
	Query   Query
	Fields  []string // nil: all
	Display Display
	Limit   int
	// Offset leaves out so many of the first rows, readable or not. Only what cannot go on from a key needs it.
	Offset int
	// Count asks for the number of matching rows, readable or not, which costs the instance a count.
	Count bool

	expected int    // bytes of the answer; 0: not known
	stamp    string // the field with the time of a key; "" is sys_updated_on
}

// List is one page.
type List struct {
	Records []Record
	// Total is the number of rows that match the query, those included that the user may not read; -1 when not known.
	Total int
	// Date is the instance's clock.
	Date time.Time

	keys  []rawKey      // of the records
	took  time.Duration // from when the request was sent
	bytes int           // of the body, unpacked
}

// Record is one record's JSON object, as the instance sent it.
type Record []byte

// ListRecords sends one request and tries it again as needed. It does not page.
func (c *Client) ListRecords(ctx context.Context, table string, opts ListOptions) (*List, error) {
	list, err := retrying(ctx, c, "listing "+table, func() (*List, error) { return c.listOnce(ctx, table, opts) })
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", table, err)
	}
	return list, nil
}

// ListAmong is ListRecords for the records whose field has one of the values. An instance that ignores that term of the
// query would answer with other records, and leave out those that were asked for: that is an error.
func (c *Client) ListAmong(ctx context.Context, table, field string, values []string, opts ListOptions) (*List, error) {
	opts.Query = opts.Query.And(Clause{Field: field, Operator: "IN", Value: strings.Join(values, ",")})
	asked := make(map[string]bool, len(values))
	for _, value := range values {
		asked[strings.ToLower(value)] = true // the database compares without case
	}
	doubts := 0
	list, err := retrying(ctx, c, "listing "+table, func() (*List, error) {
		list, err := c.listOnce(ctx, table, opts)
		if err != nil {
			return nil, err
		}
		for _, record := range list.Records {
			if value, ok := record.Text(field); ok && !asked[strings.ToLower(value)] {
				if doubts++; doubts < rechecks {
					return nil, OutsideWindow(table)
				}
				return nil, backoff.Permanent(OutsideWindow(table))
			}
		}
		return list, nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", table, err)
	}
	return list, nil
}

func (c *Client) listOnce(ctx context.Context, table string, opts ListOptions) (*List, error) {
	path := "/api/now/table/" + table
	params := url.Values{
		"sysparm_limit":                  {strconv.Itoa(opts.Limit)},
		"sysparm_display_value":          {string(opts.Display)},
		"sysparm_exclude_reference_link": {"true"},
		// The Link header repeats the query, and a long one makes the instance refuse the request.
		"sysparm_suppress_pagination_header": {"true"},
	}
	if q := opts.Query.String(); q != "" {
		params.Set("sysparm_query", q)
	}
	if len(opts.Fields) > 0 {
		params.Set("sysparm_fields", strings.Join(opts.Fields, ","))
	}
	if opts.Offset > 0 {
		params.Set("sysparm_offset", strconv.Itoa(opts.Offset))
	}
	if !opts.Count {
		params.Set("sysparm_no_count", "true")
	}
	resp, err := c.get(ctx, path, class(table, opts), params, table, opts.expected)
	if err != nil {
		return nil, err
	}
	stamp := cmp.Or(opts.stamp, updatedOn)
	records, keys, err := decodeList(resp.body, stamp)
	if err != nil {
		// Some writers of JSON leave control characters as they are. One such value must not cost the whole table.
		if escaped, found := escapeControls(resp.body); found {
			records, keys, err = decodeList(escaped, stamp)
		}
	}
	if err != nil {
		return nil, &PartialError{Path: path, Message: err.Error()}
	}
	list := &List{Records: records, keys: keys, Total: -1, Date: resp.date(), took: resp.took, bytes: len(resp.body)}
	if total, err := strconv.Atoi(resp.header.Get("X-Total-Count")); err == nil && opts.Count {
		list.Total = total
	}
	return list, nil
}

// escapeControls escapes the control characters inside of texts, where JSON does not allow them.
func escapeControls(body []byte) (escaped []byte, found bool) {
	inText := false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			inText = !inText
		case c == '\\' && inText && i+1 < len(body):
			escaped = append(escaped, c)
			i++
		case c < ' ' && inText:
			escaped, found = fmt.Appendf(escaped, `\u%04x`, c), true
			continue
		}
		escaped = append(escaped, body[i])
	}
	return escaped, found
}
