package emulator

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// keysetForms are the ways to ask for what follows (T, ID).
var keysetForms = map[string]func(base, since, after, until string) string{
	"pair": func(base, since, after, until string) string {
		return fmt.Sprintf("%ssys_updated_on>=%s^sys_updated_on>%s^ORsys_id>%s^sys_updated_on<=%s^ORDERBYsys_updated_on^ORDERBYsys_id", base, since, since, after, until)
	},
	"new query": func(base, since, after, until string) string {
		return fmt.Sprintf("%ssys_updated_on=%s^sys_id>%s^NQ%ssys_updated_on>%s^sys_updated_on<=%s^ORDERBYsys_updated_on^ORDERBYsys_id", base, since, after, base, since, until)
	},
}

func TestKeysetPagingReachesEveryRowOnce(t *testing.T) {
	h := start(t, Config{Incidents: 1000, TiedShare: 0.4})
	for name, form := range keysetForms {
		for _, base := range []string{"", "active=true^"} {
			t.Run(name+base, func(t *testing.T) {
				var seen []string
				since, after := "1970-01-01 00:00:00", ""
				for {
					a := h.get("/api/now/table/incident", "sysparm_query", form(base, since, after, "2026-03-01 12:00:00"), "sysparm_fields", "sys_id,sys_updated_on", "sysparm_limit", "70")
					rows := h.rows(a)
					left, err := strconv.Atoi(a.Header.Get("X-Total-Count"))
					require.NoError(t, err)
					require.Len(t, rows, min(70, left))
					if len(rows) == 0 {
						break
					}
					for _, row := range rows {
						seen = append(seen, row["sys_id"].(string))
					}
					since, after = rows[len(rows)-1]["sys_updated_on"].(string), rows[len(rows)-1]["sys_id"].(string)
				}
				want := h.ids("incident", base)
				slices.Sort(seen)
				slices.Sort(want)
				require.Equal(t, want, seen)
			})
		}
	}
}

func TestOffsetPagingOverTiesLosesRows(t *testing.T) {
	h := start(t, Config{Incidents: 600, TiedShare: 1})
	seen := map[string]bool{}
	for offset := 0; offset < 600; offset += 100 {
		for _, row := range h.rows(h.get("/api/now/table/incident", "sysparm_query", "ORDERBYsys_updated_on", "sysparm_limit", "100", "sysparm_offset", strconv.Itoa(offset))) {
			seen[row["sys_id"].(string)] = true
		}
	}
	require.Less(t, len(seen), 600)
}

func TestRowSecurityComesAfterTheLimit(t *testing.T) {
	h := start(t, Config{Incidents: 300})
	h.HideRows("incident", func(_ string, value func(string) string) bool { return value("state") == "7" })
	hidden, pages, rows := 0, 0, 0
	for _, id := range h.SysIDs("incident") {
		if r, _ := h.Record("incident", id); r["state"] == "7" {
			hidden++
			require.Equal(t, 404, h.get("/api/now/table/incident/"+id).StatusCode)
		}
	}
	require.NotZero(t, hidden)
	for offset := 0; offset < 300; offset += 10 {
		a := h.get("/api/now/table/incident", "sysparm_query", "ORDERBYsys_id", "sysparm_limit", "10", "sysparm_offset", strconv.Itoa(offset))
		require.Equal(t, "300", a.Header.Get("X-Total-Count"))
		n := len(h.rows(a))
		rows += n
		if n < 10 {
			pages++
		}
	}
	require.Equal(t, 300-hidden, rows)
	require.NotZero(t, pages, "some pages are short")
	stats := h.get("/api/now/stats/incident", "sysparm_count", "true")
	require.JSONEq(t, `{"result":{"stats":{"count":"300"}}}`, string(stats.body))

	h.HideRows("incident", nil)
	require.Len(t, h.ids("incident", ""), 300)
}

func TestHiddenFieldsAndDeniedTables(t *testing.T) {
	h := start(t, Config{Incidents: 20})
	h.HideFields("task", "short_description")
	h.HideFields("sys_user", "email")
	a := h.get("/api/now/table/incident", "sysparm_fields", "number,short_description,caller_id.email,caller_id.name")
	for _, row := range h.rows(a) {
		require.Len(t, row, 2)
	}
	require.NotContains(t, h.rows(h.get("/api/now/table/incident"))[0], "short_description")

	h.DenyTable("sys_dictionary", DenyForbidden)
	a = h.get("/api/now/table/sys_dictionary")
	require.Equal(t, 403, a.StatusCode)
	require.JSONEq(t, `{"error":{"message":"Insufficient rights to query records","detail":null},"status":"failure"}`, string(a.body))
	h.DenyTable("sys_dictionary", DenyEmpty)
	require.Empty(t, h.rows(h.get("/api/now/table/sys_dictionary")))
	h.DenyTable("sys_dictionary", DenyNone)
	require.NotEmpty(t, h.ids("sys_dictionary", ""))
}

func TestLinkHeader(t *testing.T) {
	h := start(t, Config{Incidents: 100, LinkBase: "https://elsewhere.example"})
	link := func(params ...string) string {
		return h.get("/api/now/table/incident", params...).Header.Get("Link")
	}
	require.Empty(t, link())
	require.Empty(t, link("sysparm_limit", "10", "sysparm_suppress_pagination_header", "true"))
	const page = "<https://elsewhere.example/api/now/table/incident?sysparm_limit=30&sysparm_offset="
	require.Equal(t, page+`0>;rel="first",`+page+`30>;rel="next",`+page+`90>;rel="last"`, link("sysparm_limit", "30"))
	require.Equal(t, page+`0>;rel="first",`+page+`60>;rel="prev",`+page+`90>;rel="last"`, link("sysparm_limit", "30", "sysparm_offset", "90"))

	a := h.get("/api/now/table/incident", "sysparm_no_count", "true", "sysparm_limit", "5")
	require.Empty(t, a.Header.Get("X-Total-Count"))
	require.Len(t, h.rows(a), 5)
	h.OmitTotalCount(true)
	require.Empty(t, h.get("/api/now/table/incident").Header.Get("X-Total-Count"))
}
