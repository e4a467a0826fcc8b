// Package listing browses an instance: the tables, incidents and attachments that a sync can cover, page by page, in any
// order that can be gone on from. It changes nothing.
package listing

import (
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// Kind is what an item is.
type Kind string

// The kinds of items; each is the parent of the next.
const (
	Table      Kind = "table"
	Incident   Kind = "incident"
	Attachment Kind = "attachment"
)

// Item is one line of a listing. Texts are as the instance has them; whoever shows them makes them safe.
type Item struct {
	Kind  Kind   `json:"kind"`
	SysID string `json:"sys_id"`
	// Name is the table's or the file's name, or the incident's number.
	Name string `json:"name"`
	// Title is the table's label, or the incident's short description.
	Title string `json:"title,omitempty"`
	// Parent is the incident's table, or the sys_id of the attachment's incident.
	Parent string `json:"parent,omitempty"`
	// URL opens the item in a browser.
	URL string `json:"url"`
	// Selectable items can be chosen in a config, openable ones have children.
	Selectable bool `json:"selectable"`
	Openable   bool `json:"openable"`
	// State is the incident's or the file's state as the signed-in user sees it, or the access to a table.
	State       string     `json:"state,omitempty"`
	SizeBytes   *int64     `json:"size_bytes,omitempty"`
	ContentType string     `json:"content_type,omitempty"`
	UpdatedOn   *time.Time `json:"sys_updated_on"`
	// LastSyncedAt is nil when the destination cannot tell.
	LastSyncedAt *time.Time `json:"last_synced_at"`
}

// Page is some items, in order.
type Page struct {
	Items []Item
	// Next is the token to go on behind the page's last item; "" when nothing follows.
	Next string
}

func stamp(value string) *time.Time {
	t, err := time.Parse(servicenow.DateTime, value)
	if err != nil {
		return nil
	}
	return &t
}
