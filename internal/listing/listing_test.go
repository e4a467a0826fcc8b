package listing_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
	"github.com/cqservicenow/cq-source-servicenow/internal/listing"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// apiKey signs requests in to the emulator.
type apiKey struct{ next http.RoundTripper }

func (a apiKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("x-sn-apikey", "emulator-key")
	return a.next.RoundTrip(r)
}

// instance is an emulator and what listing it knows and warned of.
type instance struct {
	*emulator.Emulator
	cfg      listing.Config
	warnings []string
}

func newInstance(t *testing.T, cfg emulator.Config) *instance {
	t.Helper()
	i := &instance{Emulator: emulator.New(cfg)}
	server := httptest.NewServer(i.Emulator)
	t.Cleanup(server.Close)
	t.Cleanup(func() { require.Empty(t, i.Violations()) })
	httpClient, err := httpclient.New(httpclient.Config{
		Logger: zerolog.Nop(), MaxBody: 4 << 20, MaxInFlight: 4, UserAgent: "test", Auth: func(next http.RoundTripper) http.RoundTripper { return apiKey{next} },
	})
	require.NoError(t, err)
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	warn := func(code, _ string) { i.warnings = append(i.warnings, code) }
	sn := servicenow.New(servicenow.Config{
		BaseURL: base, HTTP: httpClient, Logger: zerolog.Nop(),
		Retry: servicenow.Retry{Tries: 4, First: time.Millisecond, Longest: 5 * time.Millisecond, Budget: 10 * time.Second},
	})
	i.cfg = listing.Config{ServiceNow: sn, Tables: dictionary.New(sn, warn), BaseURL: base, Instance: "test", Warn: warn, PageSize: 50}
	require.NoError(t, i.cfg.Tables.Load(t.Context(), "incident", "sys_attachment"))
	return i
}

// list returns the names that a request finds, the token behind them, and how many pages they came in.
func (i *instance) list(t *testing.T, r listing.Request) (items []listing.Item, next string, pages int, err error) {
	t.Helper()
	r.Kind = cmp.Or(r.Kind, listing.Incident)
	for page, err := range listing.New(i.cfg).List(t.Context(), r) {
		if err != nil {
			return items, "", pages, err
		}
		items, next = append(items, page.Items...), page.Next
		pages++
	}
	return items, next, pages, nil
}

func ids(items []listing.Item) []string {
	var list []string
	for _, item := range items {
		list = append(list, item.SysID)
	}
	return list
}

// A listing in parts is the listing as a whole, in every order, across rows with the same value and rows with none.
func TestResumingEqualsOneListing(t *testing.T) {
	i := newInstance(t, emulator.Config{Incidents: 230, TiedShare: 0.8})
	for n := range 60 {
		i.Insert("incident", map[string]string{"short_description": "the same words", "number": fmt.Sprintf("INC7%06d", n/2)})
	}
	for _, sort := range []string{"", "sys_updated_on", "number", "-number", "-priority", "sys_id", "-sys_id", "short_description", "closed_at", "-closed_at", "opened_at"} {
		t.Run(sort, func(t *testing.T) {
			whole, next, pages, err := i.list(t, listing.Request{Sort: sort})
			require.NoError(t, err)
			require.Empty(t, next)
			require.GreaterOrEqual(t, pages, 5)
			require.ElementsMatch(t, i.SysIDs("incident"), ids(whole))
			var parts []string
			token := ""
			for range 100 {
				items, next, _, err := i.list(t, listing.Request{Sort: sort, Limit: 37, After: token})
				require.NoError(t, err)
				parts = append(parts, ids(items)...)
				if token = next; token == "" {
					break
				}
				require.Len(t, items, 37)
			}
			require.Equal(t, ids(whole), parts)
		})
	}
	require.Empty(t, i.InvalidTerms())
}

func TestOrder(t *testing.T) {
	i := newInstance(t, emulator.Config{Incidents: 150})
	for _, sort := range []string{"sys_updated_on", "-sys_updated_on", "closed_at", "-closed_at", "-priority"} {
		items, _, _, err := i.list(t, listing.Request{Sort: sort})
		require.NoError(t, err)
		field := strings.TrimPrefix(sort, "-")
		var values []string
		for _, item := range items {
			record, _ := i.Record("incident", item.SysID)
			values = append(values, record[field])
		}
		end := slices.Index(values, "")
		if end < 0 {
			end = len(values)
		}
		require.Empty(t, strings.Join(values[end:], ""), "rows without a value come last")
		sorted := slices.Sorted(slices.Values(values[:end]))
		if field != sort {
			slices.Reverse(sorted)
		}
		require.Equal(t, sorted, values[:end], sort)
	}
}

// The exact end of a listing has no token, also where pages and limit meet it.
func TestNoTokenAtTheEnd(t *testing.T) {
	i := newInstance(t, emulator.Config{Incidents: 100, Attachments: -1})
	for _, limit := range []int{0, 99, 100, 101, 50} {
		items, next, _, err := i.list(t, listing.Request{Limit: limit})
		require.NoError(t, err)
		require.Equal(t, limit > 0 && limit < 100, next != "", limit)
		if limit > 0 {
			require.Len(t, items, min(limit, 100))
		}
	}
}

func TestRowSecurity(t *testing.T) {
	for name, omit := range map[string]bool{"counted": false, "not counted": true} {
		t.Run(name, func(t *testing.T) {
			i := newInstance(t, emulator.Config{Incidents: 400})
			all := i.SysIDs("incident")
			slices.Sort(all)
			visible := map[string]bool{}
			for n, id := range all {
				// Whole pages are hidden, in the middle and at both ends.
				visible[id] = n > 60 && n < 100 || n > 230 && n%3 == 0 && n < 330
			}
			i.HideRows("incident", func(id string, _ func(string) string) bool { return !visible[id] })
			i.OmitTotalCount(omit)
			items, next, _, err := i.list(t, listing.Request{Sort: "sys_id"})
			require.NoError(t, err)
			require.Empty(t, next)
			var want []string
			for _, id := range all {
				if visible[id] {
					want = append(want, id)
				}
			}
			require.Equal(t, want, ids(items))
			items, next, _, err = i.list(t, listing.Request{Sort: "sys_id", Limit: len(want)})
			require.NoError(t, err)
			require.Empty(t, next, "hidden rows are no reason for a token")
			require.Equal(t, want, ids(items))
		})
	}
}

func TestSelection(t *testing.T) {
	i := newInstance(t, emulator.Config{Incidents: 300})
	quoted := i.Insert("incident", map[string]string{"short_description": "a^b, a=b and 100%", "state": "1"})
	i.Insert("incident", map[string]string{"short_description": "Label printer of Ærøhavn"})
	one, _ := i.Record("incident", i.SysIDs("incident")[0])
	find := func(r listing.Request) []listing.Item {
		items, _, _, err := i.list(t, r)
		require.NoError(t, err)
		return items
	}
	require.Equal(t, one["number"], find(listing.Request{Numbers: []string{one["number"]}})[0].Name)
	require.Len(t, find(listing.Request{Numbers: []string{one["number"]}, IDs: []string{quoted}}), 2)
	require.Equal(t, []string{quoted}, ids(find(listing.Request{Search: "a^b, a=b"})))
	require.Len(t, find(listing.Request{Search: "printer of Ærøhavn Label"}), 1, "all words, in any place")
	require.Equal(t, one["number"], find(listing.Request{Search: one["number"]})[0].Name)
	require.Empty(t, find(listing.Request{Search: "no such words"}))

	query, err := servicenow.ParseQuery("state=1^NQstate=2")
	require.NoError(t, err)
	i.cfg.Query = query
	open := find(listing.Request{})
	require.NotEmpty(t, open)
	for _, item := range open {
		record, _ := i.Record("incident", item.SysID)
		require.Contains(t, []string{"1", "2"}, record["state"])
	}
	narrowed := find(listing.Request{Query: "priority=1^ORpriority=5^NQpriority=4"})
	require.Less(t, len(narrowed), len(open))
	require.NotEmpty(t, narrowed)
	for _, item := range narrowed {
		record, _ := i.Record("incident", item.SysID)
		require.Contains(t, []string{"1", "4", "5"}, record["priority"])
		require.Contains(t, []string{"1", "2"}, record["state"], "the config's query holds in every alternative")
	}

	// More picked incidents than one request can name.
	i.cfg.Query = servicenow.Query{}
	i.cfg.Picked = i.SysIDs("incident")[:230]
	for _, sort := range []string{"", "number", "closed_at", "-priority", "-sys_id"} {
		whole := find(listing.Request{Sort: sort})
		require.ElementsMatch(t, i.cfg.Picked, ids(whole))
		items, next, _, err := i.list(t, listing.Request{Sort: sort, Limit: 101})
		require.NoError(t, err)
		rest, _, _, err := i.list(t, listing.Request{Sort: sort, After: next})
		require.NoError(t, err)
		require.Equal(t, ids(whole), append(ids(items), ids(rest)...), sort)
	}
	i.cfg.Picked = []string{}
	require.Empty(t, find(listing.Request{}))
	require.Empty(t, i.InvalidTerms())
}

func TestAttachments(t *testing.T) {
	i := newInstance(t, emulator.Config{Incidents: 60, Attachments: -1})
	incident := i.SysIDs("incident")[7]
	record, _ := i.Record("incident", incident)
	for n := range 120 {
		i.Attach("incident", incident, fmt.Sprintf("file-%03d.%s", n, []string{"pdf", "txt", "docx"}[n%3]), "text/plain", []byte("12345"))
	}
	other := i.Attach("incident", i.SysIDs("incident")[8], "other.pdf", "application/pdf", nil)
	for _, of := range []string{incident, record["number"]} {
		items, _, _, err := i.list(t, listing.Request{Kind: listing.Attachment, Of: of, Sort: "file_name"})
		require.NoError(t, err)
		require.Len(t, items, 120)
		require.NotContains(t, ids(items), other)
		first := items[0]
		require.Equal(t, "file-000.pdf", first.Name)
		require.Equal(t, int64(5), *first.SizeBytes)
		require.Equal(t, "text/plain", first.ContentType)
		require.Equal(t, incident, first.Parent)
		require.False(t, first.Selectable || first.Openable)
		require.Equal(t, i.cfg.BaseURL.String()+"/sys_attachment.do?sys_id="+first.SysID, first.URL)
	}
	items, _, _, err := i.list(t, listing.Request{Kind: listing.Attachment, Of: incident, Formats: []string{"pdf", ".docx"}, Search: "file-00"})
	require.NoError(t, err)
	require.Len(t, items, 7)

	items, _, _, err = i.list(t, listing.Request{})
	require.NoError(t, err)
	for _, item := range items {
		require.True(t, item.Selectable)
		require.Equal(t, item.SysID == incident || item.SysID == i.SysIDs("incident")[8], item.Openable)
	}

	i.cfg.Picked = i.SysIDs("incident")[:3]
	for _, of := range []string{incident, "INC9999999", "no incident", ""} {
		_, _, _, err := i.list(t, listing.Request{Kind: listing.Attachment, Of: of})
		require.Equal(t, listing.CodeNoIncident, usererror.CodeOf(err), of)
	}
}

func TestDeniedTables(t *testing.T) {
	i := newInstance(t, emulator.Config{Incidents: 60})
	items, _, _, err := i.list(t, listing.Request{Kind: listing.Table})
	require.NoError(t, err)
	require.Equal(t, "readable", items[0].State)
	require.True(t, items[0].Selectable && items[0].Openable)

	i.DenyTable("sys_attachment", emulator.DenyForbidden)
	items, _, _, err = i.list(t, listing.Request{Kind: listing.Table})
	require.NoError(t, err)
	require.Equal(t, "forbidden", items[1].State)
	require.False(t, items[1].Selectable)
	require.Equal(t, []string{servicenow.CodeTableForbidden}, i.warnings)

	_, _, _, err = i.list(t, listing.Request{Kind: listing.Attachment, Of: i.SysIDs("incident")[0]})
	require.Equal(t, servicenow.CodeTableForbidden, usererror.CodeOf(err))

	items, _, _, err = i.list(t, listing.Request{})
	require.NoError(t, err, "incidents are listed all the same")
	require.Len(t, items, 60)
	require.Equal(t, listing.CodeNoOpenables, i.warnings[1])

	i.DenyTable("incident", emulator.DenyForbidden)
	_, _, _, err = i.list(t, listing.Request{})
	require.Equal(t, servicenow.CodeTableForbidden, usererror.CodeOf(err))
}

func TestRefusals(t *testing.T) {
	i := newInstance(t, emulator.Config{Incidents: 60})
	_, token, _, err := i.list(t, listing.Request{Limit: 10})
	require.NoError(t, err)
	many := make([]string, 101)
	for n := range many {
		many[n] = fmt.Sprintf("INC%07d", n)
	}
	for name, test := range map[string]struct {
		request listing.Request
		code    string
	}{
		"unknown field":          {listing.Request{Query: "nope=1"}, dictionary.CodeUnknownField},
		"unknown walk":           {listing.Request{Query: "caller_id.nope=1"}, dictionary.CodeUnknownField},
		"field of another table": {listing.Request{Query: "file_name=a"}, dictionary.CodeUnknownField},
		"query syntax":           {listing.Request{Query: "state=1^ORDERBYnumber"}, listing.CodeRequest},
		"script":                 {listing.Request{Query: "opened_by=javascript:gs.getUserID()"}, listing.CodeRequest},
		"script in a search":     {listing.Request{Search: "javascript:gs.x()"}, listing.CodeRequest},
		"control characters":     {listing.Request{Search: "a\x1b[2J"}, listing.CodeRequest},
		"long search":            {listing.Request{Search: strings.Repeat("a", 101)}, listing.CodeRequest},
		"no sys_id":              {listing.Request{IDs: []string{"a^NQstate=1"}}, listing.CodeRequest},
		"too many":               {listing.Request{Numbers: many}, listing.CodeRequest},
		"limit":                  {listing.Request{Limit: -1}, listing.CodeRequest},
		"format":                 {listing.Request{Kind: listing.Attachment, Of: "a", Formats: []string{"p^df"}}, listing.CodeRequest},
		"sort by nothing":        {listing.Request{Sort: "nope"}, dictionary.CodeUnknownField},
		"sort by a reference":    {listing.Request{Sort: "assigned_to"}, listing.CodeSort},
		"sort by a text choice":  {listing.Request{Sort: "category"}, listing.CodeSort},
		"sort by a journal":      {listing.Request{Sort: "-comments"}, listing.CodeSort},
		"sort by a walk":         {listing.Request{Sort: "caller_id.name"}, listing.CodeSort},
		"no token":               {listing.Request{After: "abc"}, listing.CodeAfter},
		"token of other order":   {listing.Request{Sort: "number", After: token}, listing.CodeAfter},
		"token of other query":   {listing.Request{Query: "state=1", After: token}, listing.CodeAfter},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := i.list(t, test.request)
			require.Equal(t, test.code, usererror.CodeOf(err))
		})
	}
	i.cfg.Instance = "another"
	_, _, _, err = i.list(t, listing.Request{After: token})
	require.Equal(t, listing.CodeAfter, usererror.CodeOf(err))
}

// An instance that ignores the window, or sorts otherwise, ends the listing instead of repeating or losing rows.
func TestIgnoredOrder(t *testing.T) {
	for _, fault := range []emulator.FaultKind{emulator.FaultDroppedWindow, emulator.FaultWrongOrder} {
		for _, sort := range []string{"-sys_updated_on", "priority"} {
			i := newInstance(t, emulator.Config{Incidents: 200, TiedShare: -1})
			i.SetFaults(emulator.Fault{Kind: fault, Table: "incident"})
			_, _, _, err := i.list(t, listing.Request{Sort: sort})
			require.Equal(t, servicenow.CodeOutOfOrder, usererror.CodeOf(err), "%s %s", fault, sort)
		}
		i := newInstance(t, emulator.Config{Incidents: 200, TiedShare: -1})
		i.SetFaults(emulator.Fault{Kind: fault, Table: "incident", Times: 2, From: 2})
		items, _, _, err := i.list(t, listing.Request{})
		require.NoError(t, err, "a page that is wrong once is asked for again")
		require.Len(t, items, 200)
	}
}

// A value that an encoded query would take for something else is never put into one.
func TestUnusableSortValue(t *testing.T) {
	i := newInstance(t, emulator.Config{Incidents: -1})
	for n := range 60 {
		i.Insert("incident", map[string]string{"short_description": fmt.Sprintf("javascript:gs.sleep(%03d)", n)})
	}
	_, _, _, err := i.list(t, listing.Request{Sort: "short_description"})
	require.Equal(t, listing.CodeSort, usererror.CodeOf(err))
	items, _, _, err := i.list(t, listing.Request{})
	require.NoError(t, err)
	require.Len(t, items, 60)
}

func TestHiddenSortField(t *testing.T) {
	i := newInstance(t, emulator.Config{Incidents: 20})
	i.HideFields("incident", "priority")
	_, _, _, err := i.list(t, listing.Request{Sort: "priority"})
	require.Equal(t, servicenow.CodeKeyHidden, usererror.CodeOf(err))
	i.HideFields("incident", "short_description", "number")
	items, _, _, err := i.list(t, listing.Request{})
	require.NoError(t, err)
	require.Equal(t, items[0].SysID, items[0].Name)
}

func TestLastSynced(t *testing.T) {
	i := newInstance(t, emulator.Config{Incidents: 20})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	i.cfg.LastSynced = func(_ context.Context, _ listing.Kind, keys []string) map[string]time.Time {
		return map[string]time.Time{keys[0]: at}
	}
	items, _, _, err := i.list(t, listing.Request{})
	require.NoError(t, err)
	require.Equal(t, at, *items[0].LastSyncedAt)
	require.Nil(t, items[1].LastSyncedAt)
}

func FuzzToken(f *testing.F) {
	f.Add("")
	f.Add("abc")
	f.Add("eyJuIjoxLCJvZiI6ImEiLCJzIjoiYiJ9")
	f.Fuzz(func(t *testing.T, token string) {
		err := listing.CheckToken(token)
		if token != "" {
			require.Equal(t, listing.CodeAfter, usererror.CodeOf(err))
		}
	})
}
