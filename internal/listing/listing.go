package listing

import (
	"cmp"
	"context"
	"iter"
	"net/url"
	"sync"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// Codes of this package; docs/errors.md explains each.
const (
	CodeRequest     = "SN-LIST-002" // a query, search, list of ids or format that cannot be used
	CodeAfter       = "SN-LIST-003" // a token of something else
	CodeNoIncident  = "SN-LIST-004" // attachments of an incident that is not there
	CodeSort        = "SN-LIST-005" // an order that cannot be gone on from
	CodeNoOpenables = "SN-LIST-008" // warning: attachments are hidden, so incidents seem to have none
)

// Config is what a Lister needs to know of an instance and of a source's config.
type Config struct {
	ServiceNow *servicenow.Client
	// Tables must have loaded incident and sys_attachment, but for a listing of tables.
	Tables   *dictionary.Dictionary
	BaseURL  *url.URL
	Instance string // as rows of a sync name it
	// Query and Picked are the config's selection of incidents; Picked is nil for all that Query finds.
	Query  servicenow.Query
	Picked []string
	// PageSize is the most rows to ask for at once; 0 is the default.
	PageSize int
	Warn     func(code, message string)
	// LastSynced says when items were last synced, by sys_id; nil when no destination can tell.
	LastSynced func(ctx context.Context, kind Kind, sysIDs []string) map[string]time.Time
}

// Lister lists one instance. It is safe for concurrent use.
type Lister struct {
	cfg Config

	mu     sync.Mutex // guards cfg.Tables and warned
	warned map[string]bool
}

// New returns a Lister.
func New(cfg Config) *Lister {
	if cfg.PageSize <= 0 || cfg.PageSize > defaultPageSize {
		cfg.PageSize = defaultPageSize
	}
	return &Lister{cfg: cfg, warned: map[string]bool{}}
}

// defaultPageSize is small, since a person waits for the first page, and no place on the way caps it.
const defaultPageSize = 200

// Request says what to list.
type Request struct {
	Kind Kind
	// Of is the incident, by number or sys_id, whose attachments are listed.
	Of string
	// Query is an encoded query, and narrows the config's.
	Query string
	// Search are words that must all occur in the number or the short description, or in the file name.
	Search  string
	IDs     []string
	Numbers []string
	// Formats are the ends of file names, such as pdf.
	Formats []string
	// Sort is a field, with a minus in front for the largest first; "" is -sys_updated_on.
	Sort string
	// Limit is the most items; 0 is all of them.
	Limit int
	// After is a token of an earlier listing of the same request.
	After string
}

// List reads the items a request asks for, page by page. Rows that are created or changed meanwhile may be missed or met
// twice where their place in the order changes; rows that stay as they are come exactly once.
func (l *Lister) List(ctx context.Context, r Request) iter.Seq2[*Page, error] {
	return func(yield func(*Page, error) bool) {
		if r.Kind == Table {
			page, err := l.tables(ctx)
			yield(page, err)
			return
		}
		p, err := l.plan(ctx, r)
		if err != nil {
			yield(nil, err)
			return
		}
		at, err := p.position(r.After)
		if err != nil {
			yield(nil, err)
			return
		}
		want := 0
		if r.Limit > 0 {
			want = r.Limit + 1 // the one row more tells whether something follows
		}
		seen := 0
		var page []row
		flush := func(more bool) bool {
			next := ""
			if more {
				next = p.token(page[len(page)-1].at)
			}
			items, err := l.items(ctx, p, page)
			if err != nil {
				yield(nil, err)
				return false
			}
			page = page[:0]
			return yield(&Page{Items: items, Next: next}, nil)
		}
		for row, err := range l.rows(ctx, p, at, want) {
			if err != nil {
				yield(nil, err)
				return
			}
			limit := r.Limit > 0 && seen == r.Limit
			if (limit || len(page) == l.cfg.PageSize) && !flush(true) || limit {
				return
			}
			page, seen = append(page, row), seen+1
		}
		flush(false)
	}
}

// Record returns an incident with all of its fields and both halves of each, as JSON; nil when it is not to be seen.
func (l *Lister) Record(ctx context.Context, sysID string) (servicenow.Record, error) {
	list, err := l.cfg.ServiceNow.ListRecords(ctx, "incident", servicenow.ListOptions{
		Query: servicenow.Where(servicenow.Clause{Field: "sys_id", Operator: "=", Value: sysID}), Display: servicenow.Both, Limit: 1,
	})
	if err != nil || len(list.Records) == 0 {
		return nil, err
	}
	return list.Records[0], nil
}

// warnOnce passes a warning on the first time.
func (l *Lister) warnOnce(code, message string) {
	l.mu.Lock()
	known := l.warned[code+message]
	l.warned[code+message] = true
	l.mu.Unlock()
	if !known && l.cfg.Warn != nil {
		l.cfg.Warn(code, message)
	}
}

func (l *Lister) synced(ctx context.Context, kind Kind, ids []string) map[string]time.Time {
	if l.cfg.LastSynced == nil || len(ids) == 0 {
		return nil
	}
	return l.cfg.LastSynced(ctx, kind, ids)
}

func (l *Lister) link(path, sysID string) string {
	u := *l.cfg.BaseURL
	u.Path = "/" + path + ".do"
	if sysID != "" {
		u.RawQuery = "sys_id=" + url.QueryEscape(sysID)
	}
	return u.String()
}

// tableOf returns the ServiceNow table of a kind.
func tableOf(kind Kind) string {
	if kind == Attachment {
		return "sys_attachment"
	}
	return "incident"
}

// named is the item's name, or its sys_id where field security hides the name.
func named(name, sysID string) string { return cmp.Or(name, sysID) }
