package client

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/arrowjson"
	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/extract"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/textview"
)

// CodeWalkedFields is the code of the warning about fields of other records that the form shows and the text does not.
const CodeWalkedFields = "SN-TEXT-001"

// Form is how the incident's Default view becomes the column `text`.
type Form struct {
	view *textview.View
	// Fields are the incident fields to ask for; nil for all of them.
	Fields []string
}

// Column fills the column `text`.
func (f *Form) Column() arrowjson.Column {
	return arrowjson.Column{Source: arrowjson.Composed, Of: f.view.Fields(), Compose: f.view.Append}
}

// Text is what the column `text` has of a record, which holds both values of each field.
func (f *Form) Text(record servicenow.Record) (string, error) {
	var fields map[string]struct {
		Value   string `json:"value"`
		Display string `json:"display_value"`
	}
	if err := json.Unmarshal(record, &fields); err != nil {
		return "", fmt.Errorf("reading an incident: %w", err)
	}
	values := make([]arrowjson.Halves, len(f.view.Fields()))
	for i, name := range f.view.Fields() {
		values[i] = arrowjson.Halves{Stored: []byte(fields[name].Value), Shown: []byte(fields[name].Display)}
	}
	return string(f.view.Append(nil, values)), nil
}

// IncidentForm reads the layout of the incident's Default view. Where the spec names fields, the text shows these alone.
func (c *Client) IncidentForm(ctx context.Context) (*Form, error) {
	layout, err := c.Tables.DefaultView(ctx, "incident")
	if err != nil {
		return nil, fmt.Errorf("reading the incident form: %w", err)
	}
	form := &Form{Fields: c.Fields}
	if c.Fields == nil {
		if form.Fields, err = c.withWalked(ctx, layout); err != nil {
			return nil, fmt.Errorf("reading the incident form: %w", err)
		}
	}
	asked := func(field string) bool {
		if form.Fields == nil {
			return !strings.Contains(field, ".")
		}
		return slices.Contains(form.Fields, field)
	}
	form.view = textview.New(layout, asked, extract.HTML)
	return form, nil
}

// withWalked returns every field of incident and the fields of other records that the form shows: an instance returns a
// dot-walked field only to a request that names all of its fields. It returns nil when there is none, or when there are too
// many to name.
func (c *Client) withWalked(ctx context.Context, layout *dictionary.Layout) ([]string, error) {
	walked := slices.DeleteFunc(layout.Fields(), func(field string) bool { return !strings.Contains(field, ".") })
	if len(walked) == 0 {
		return nil, nil
	}
	var fields []string
	if c.Tables.Table("incident").FromInstance {
		var err error
		if fields, err = c.everyField(); err != nil {
			return nil, err
		}
		fields = append(fields, walked...)
		slices.Sort(fields)
		fields = slices.Compact(fields)
	}
	if fields == nil || len(url.QueryEscape(strings.Join(fields, ","))) > c.roomForFields() {
		c.warner(ctx)(CodeWalkedFields, "the incident form shows fields of other records ("+strings.Join(walked, ", ")+"), which `text` leaves out: "+
			"they can be read only by naming every field, and these are too many or not known")
		return nil, nil
	}
	return fields, nil
}

// roomForFields is how many characters a request for incidents has for the names of fields, so that with its query it stays
// below the 6,000 that every proxy lets pass.
func (c *Client) roomForFields() int {
	const (
		most   = 6000
		others = 300 // path and other parameters
		window = 450 // the range of keys, which stands in each alternative of a query
	)
	longest := 0
	for _, q := range c.Selection.Incidents() {
		text := q.String()
		longest = max(longest, len(url.QueryEscape(text))+window*(1+strings.Count(text, "^NQ")))
	}
	return most - others - longest
}

// everyField returns the names of the dictionary and those that a record shows, since a part of the dictionary may be hidden.
func (c *Client) everyField() ([]string, error) {
	names := []string{"sys_tags"} // which has no place in the dictionary
	for _, f := range c.Tables.Table("incident").Fields {
		names = append(names, f.Name)
	}
	if c.sample == nil {
		return names, nil
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(c.sample, &keys); err != nil {
		return nil, fmt.Errorf("reading a record's fields: %w", err)
	}
	return append(names, slices.Collect(maps.Keys(keys))...), nil
}
