package servicenow

import (
	"context"
	"time"
)

// CountRead returns how many rows ReadPages would meet, those included that the user may not read, by the Aggregate API.
func (c *Client) CountRead(ctx context.Context, r Read) (int, error) {
	sum := 0
	for _, each := range r.ranges() {
		n, err := c.Count(ctx, r.Table, (&segment{Range: each}).query(r, false))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// FirstPage returns the records that ReadPages would begin with, and how long the instance took for them.
func (c *Client) FirstPage(ctx context.Context, r Read) ([]Record, time.Duration, error) {
	ranges := r.ranges()
	if len(ranges) == 0 {
		return nil, 0, nil
	}
	reader := &reader{client: c, read: r}
	s := &segment{Range: ranges[0]}
	list, _, err := reader.fetch(ctx, s, false)
	if err != nil {
		return nil, 0, err
	}
	if _, err := reader.check(s, list.keys); err != nil {
		return nil, 0, err
	}
	return list.Records, list.took, nil
}

// ReadOpen returns the records of an Open window in one page, which a sync with few changes has no need of more requests for.
// It returns nil where that page is not proven to hold all of them: ReadPages then has to read the window, and its strays.
func (c *Client) ReadOpen(ctx context.Context, r Read) (*Page, error) {
	r.Window.Open = true
	reader := &reader{client: c, read: r}
	s := &segment{Range: Range{After: Key{UpdatedOn: r.Window.After.UpdatedOn}}, left: -1}
	list, _, err := reader.fetch(ctx, s, true)
	if err != nil {
		return nil, err
	}
	if list.Total != len(list.Records) {
		return nil, nil
	}
	for _, key := range list.keys {
		if key.stamp == nil || len(key.sysID) == 0 || len(key.stamp) > 0 && string(key.stamp) < s.After.UpdatedOn || !r.IDs.holds(string(key.sysID)) {
			return nil, nil // an instance that ignores a term of the query is dealt with there
		}
	}
	return &Page{Records: list.Records, Counted: list.Total}, nil
}
