package plugin

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/cqservicenow/cq-source-servicenow/client"
	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/listing"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// CodeWhichInstance is the code of a spec with several instances of which none, or another one, was named.
const CodeWhichInstance = "SN-LIST-001"

// BrowseOptions say how to browse a source.
type BrowseOptions struct {
	// Instance is an item of `instances`; it may be empty where there is only one.
	Instance string
	// TablesOnly leaves out what only the listing of rows needs, so that tables are listed also for users who may not read
	// them.
	TablesOnly bool
	// IgnorePicks leaves incidents.sys_ids and incidents.numbers of the spec out of account.
	IgnorePicks bool
	// Retry bounds how long requests are tried; the zero value is the default.
	Retry servicenow.Retry
	// LastSynced says when items of an instance were last synced; nil when nobody knows.
	LastSynced func(ctx context.Context, instance string, kind listing.Kind, keys []string) map[string]time.Time
}

// Browser lists an instance of a source with the sign-in, filters and limits of a sync.
type Browser struct {
	*listing.Lister
	// Label names the instance to people; Item is its place in `instances`, or -1.
	Label string
	Item  int
	// SysIDs and Numbers are those of the spec.
	SysIDs, Numbers []string

	form func(context.Context) (*client.Form, error)
}

// Text shows an incident as a sync writes it into the column `text`. The form is read from the instance once.
func (b *Browser) Text(ctx context.Context, incident servicenow.Record) (string, error) {
	form, err := b.form(ctx)
	if err != nil {
		return "", err
	}
	return form.Text(incident)
}

// Browse signs in to an instance of a spec and looks up what listing needs to know.
func Browse(ctx context.Context, logger zerolog.Logger, data []byte, o BrowseOptions) (*Browser, error) {
	s, err := spec.Parse(data)
	if err != nil {
		return nil, err
	}
	source := &source{logger: logger, spec: s}
	instance, item, err := source.instance(o.Instance)
	if err != nil {
		return nil, err
	}
	b := &Browser{Item: item, SysIDs: instance.Incidents.SysIDs, Numbers: instance.Incidents.Numbers}
	if o.IgnorePicks {
		instance.Incidents.SysIDs, instance.Incidents.Numbers = nil, nil
	}
	options := client.Options{Logger: logger, Version: Version, Retry: o.Retry}
	var c *client.Client
	if o.TablesOnly {
		connection, err := client.Connect(ctx, &instance.Instance, instance.Name, options)
		if err != nil {
			return nil, err
		}
		c = &client.Client{Connection: connection, Selection: &client.Selection{}}
		c.Tables = dictionary.New(c.ServiceNow, c.Warn)
	} else if c, err = client.Prepare(ctx, &instance.Instance, instance.Name, options); err != nil {
		return nil, fmt.Errorf("preparing %s: %w", label(instance), err)
	}
	cfg := listing.Config{
		ServiceNow: c.ServiceNow, Tables: c.Tables, BaseURL: c.BaseURL, Instance: c.InstanceName,
		Query: c.Selection.Query, Picked: c.Selection.Picked, PageSize: instance.PageSize, Warn: c.Warn,
	}
	if o.LastSynced != nil {
		cfg.LastSynced = func(ctx context.Context, kind listing.Kind, keys []string) map[string]time.Time {
			return o.LastSynced(ctx, c.InstanceName, kind, keys)
		}
	}
	var mu sync.Mutex
	var form *client.Form
	b.form = func(ctx context.Context) (*client.Form, error) {
		mu.Lock()
		defer mu.Unlock()
		if form == nil { // a preview that was left in between may have cancelled it
			var err error
			if form, err = c.IncidentForm(ctx); err != nil {
				return nil, err
			}
		}
		return form, nil
	}
	b.Lister, b.Label = listing.New(cfg), c.Label()
	return b, nil
}

// instance returns the one of that name and its place in the list.
func (s *source) instance(name string) (spec.NamedInstance, int, error) {
	all := s.instances()
	if name == "" && len(all) == 1 {
		return all[0], len(s.spec.Instances) - 1, nil
	}
	var names []string
	for i, instance := range all {
		if instance.Name == name && name != "" {
			return instance, i, nil
		}
		if instance.Name != "" {
			names = append(names, instance.Name)
		}
	}
	switch {
	case len(names) == 0:
		return spec.NamedInstance{}, 0, usererror.New(CodeWhichInstance, fmt.Sprintf("the source has no instance named %q, and no list of instances", name), "leave --instance out")
	case name == "":
		return spec.NamedInstance{}, 0, usererror.New(CodeWhichInstance, "the source has several instances", "name one of them with --instance: "+strings.Join(names, ", "))
	}
	return spec.NamedInstance{}, 0, usererror.New(CodeWhichInstance, fmt.Sprintf("the source has no instance named %q", name), "name one of these with --instance: "+strings.Join(names, ", "))
}
