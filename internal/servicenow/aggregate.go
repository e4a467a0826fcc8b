package servicenow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
)

// Count returns how many rows match, those included that the user may not read. Instances refuse it to users whose read
// access to the table depends on the row.
//
// Source: "Aggregate API", GET /now/stats/{tableName}.
func (c *Client) Count(ctx context.Context, table string, q Query) (int, error) {
	params := url.Values{"sysparm_count": {"true"}}
	if text := q.String(); text != "" {
		params.Set("sysparm_query", text)
	}
	return stats(ctx, c, table, params, func(result struct{ Stats count }) (int, error) { return result.Stats.number() })
}

// CountBy is Count for each value of a field, of all rows of the table.
func (c *Client) CountBy(ctx context.Context, table, field string) (map[string]int, error) {
	params := url.Values{"sysparm_count": {"true"}, "sysparm_group_by": {field}}
	type group struct {
		Stats  count
		Fields []struct{ Field, Value string } `json:"groupby_fields"`
	}
	return stats(ctx, c, table, params, func(groups []group) (map[string]int, error) {
		counts := make(map[string]int, len(groups))
		for _, g := range groups {
			n, err := g.Stats.number()
			if err != nil || len(g.Fields) != 1 || g.Fields[0].Field != field {
				return nil, errors.New("its groups are not those that were asked for")
			}
			counts[g.Fields[0].Value] += n
		}
		return counts, nil
	})
}

// Sums are what tells two versions of a range of records apart without reading them.
type Sums struct {
	Rows    int
	Updates int64  // all sys_mod_count together
	Latest  string // the last sys_updated_on
}

// Sum returns the sums of the rows that match, under the conditions of Count.
func (c *Client) Sum(ctx context.Context, table string, q Query) (Sums, error) {
	params := url.Values{"sysparm_count": {"true"}, "sysparm_sum_fields": {"sys_mod_count"}, "sysparm_max_fields": {updatedOn}}
	if text := q.String(); text != "" {
		params.Set("sysparm_query", text)
	}
	type aggregates struct {
		Stats struct {
			count
			Sum map[string]string
			Max map[string]string
		}
	}
	return stats(ctx, c, table, params, func(result aggregates) (sums Sums, err error) {
		if sums.Rows, err = result.Stats.number(); err != nil {
			return sums, err
		}
		if text := result.Stats.Sum["sys_mod_count"]; text != "" {
			if sums.Updates, err = strconv.ParseInt(text, 10, 64); err != nil {
				return sums, errors.New("its sum is not a number")
			}
		}
		sums.Latest = result.Stats.Max[updatedOn]
		return sums, nil
	})
}

// count is a number as the Aggregate API writes it.
type count struct{ Count string }

func (c count) number() (int, error) {
	n, err := strconv.Atoi(c.Count)
	if err != nil {
		return 0, errors.New("its count is not a number")
	}
	return n, nil
}

// stats asks the Aggregate API and reads the result of its answer.
func stats[R, T any](ctx context.Context, c *Client, table string, params url.Values, read func(R) (T, error)) (T, error) {
	path := "/api/now/stats/" + table
	value, err := retrying(ctx, c, "counting "+table, func() (value T, err error) {
		resp, err := c.get(ctx, path, "", params, table, 0)
		if err != nil {
			return value, err
		}
		var answer struct {
			Result *R              `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(resp.body, &answer); err != nil {
			return value, &PartialError{Path: path, Message: err.Error()}
		}
		if answer.Result == nil || answer.Error != nil {
			return value, &PartialError{Path: path, Message: "it has no result, or an error: " + clean(string(answer.Error))}
		}
		if value, err = read(*answer.Result); err != nil {
			return value, &PartialError{Path: path, Message: err.Error()}
		}
		return value, nil
	})
	if err != nil {
		return value, fmt.Errorf("counting %s: %w", table, err)
	}
	return value, nil
}
