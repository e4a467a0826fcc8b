package servicenow

import (
	"context"
	"encoding/json"
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
	path := "/api/now/stats/" + table
	n, err := retrying(ctx, c, "counting "+table, func() (int, error) {
		resp, err := c.get(ctx, path, "", params, table)
		if err != nil {
			return 0, err
		}
		var answer struct {
			Result *struct {
				Stats struct {
					Count string `json:"count"`
				} `json:"stats"`
			} `json:"result"`
			Error json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(resp.body, &answer); err != nil {
			return 0, &PartialError{Path: path, Message: err.Error()}
		}
		if answer.Result == nil || answer.Error != nil {
			return 0, &PartialError{Path: path, Message: "it has no result, or an error: " + clean(string(answer.Error))}
		}
		n, err := strconv.Atoi(answer.Result.Stats.Count)
		if err != nil {
			return 0, &PartialError{Path: path, Message: "its count is not a number"}
		}
		return n, nil
	})
	if err != nil {
		return 0, fmt.Errorf("counting %s: %w", table, err)
	}
	return n, nil
}
