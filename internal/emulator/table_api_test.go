package emulator

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValueShapes(t *testing.T) {
	h := sample(t, Config{})
	vera := h.ids("sys_user", "user_name=vera")[0]
	region := h.Insert("incident", map[string]string{
		"sys_id": "f0000000000000000000000000000000", "caller_id": vera, "u_region": "emea", "calendar_stc": "102197", "u_score": "-1234567.50",
		"calendar_duration": "1970-01-02 04:23:17", "business_duration": "1969-12-31 22:30:00", "sys_updated_on": "2016-12-14 02:46:44",
		"watch_list": vera + ",a@b.example,ffffffffffffffffffffffffffffffff", "short_description": "q\"\\\n\t\u0001é🚨", "opened_by": strings.Repeat("9", 32),
	})
	link := h.server.URL + "/api/now/v2/table/"
	get := func(field string, params ...string) any {
		var decoded struct{ Result map[string]any }
		a := h.get("/api/now/v2/table/incident/"+region, append(params, "sysparm_fields", field)...)
		require.NoError(t, json.Unmarshal(a.body, &decoded), string(a.body))
		return decoded.Result[field]
	}
	type object = map[string]any
	for _, c := range []struct {
		field string
		// by sysparm_display_value: false, true, all; then all without links
		value, display, all, plain any
	}{
		{"state", "1", "New", object{"display_value": "New", "value": "1"}, object{"display_value": "New", "value": "1"}},
		{"u_region", "emea", "Europe, Middle East & Africa", object{"display_value": "Europe, Middle East & Africa", "value": "emea"}, object{"display_value": "Europe, Middle East & Africa", "value": "emea"}},
		{"caller_id", object{"link": link + "sys_user/" + vera, "value": vera}, object{"display_value": "Vera Kowal", "link": link + "sys_user/" + vera},
			object{"display_value": "Vera Kowal", "link": link + "sys_user/" + vera, "value": vera}, object{"display_value": "Vera Kowal", "value": vera}},
		{"assigned_to", "", "", object{"display_value": "", "value": ""}, object{"display_value": "", "value": ""}},
		{"opened_by", object{"link": link + "sys_user/" + strings.Repeat("9", 32), "value": strings.Repeat("9", 32)}, object{"display_value": "", "link": link + "sys_user/" + strings.Repeat("9", 32)},
			object{"display_value": "", "link": link + "sys_user/" + strings.Repeat("9", 32), "value": strings.Repeat("9", 32)}, object{"display_value": "", "value": strings.Repeat("9", 32)}},
		{"caller_id.user_name", "vera", "vera", object{"display_value": "vera", "value": "vera"}, object{"display_value": "vera", "value": "vera"}},
		{"assigned_to.user_name", "", "", object{"display_value": "", "value": ""}, object{"display_value": "", "value": ""}},
		{"sys_updated_on", "2016-12-14 02:46:44", "2016-12-13 18:46:44", object{"display_value": "2016-12-13 18:46:44", "value": "2016-12-14 02:46:44"}, object{"display_value": "2016-12-13 18:46:44", "value": "2016-12-14 02:46:44"}},
		{"calendar_stc", "102197", "102,197", object{"display_value": "102,197", "value": "102197"}, object{"display_value": "102,197", "value": "102197"}},
		{"u_score", "-1234567.50", "-1,234,567.50", object{"display_value": "-1,234,567.50", "value": "-1234567.50"}, object{"display_value": "-1,234,567.50", "value": "-1234567.50"}},
		{"calendar_duration", "1970-01-02 04:23:17", "1 Day 4 Hours 23 Minutes", object{"display_value": "1 Day 4 Hours 23 Minutes", "value": "1970-01-02 04:23:17"}, object{"display_value": "1 Day 4 Hours 23 Minutes", "value": "1970-01-02 04:23:17"}},
		{"business_duration", "1969-12-31 22:30:00", "-1 Hour 30 Minutes", object{"display_value": "-1 Hour 30 Minutes", "value": "1969-12-31 22:30:00"}, object{"display_value": "-1 Hour 30 Minutes", "value": "1969-12-31 22:30:00"}},
		{"sla_due", "", "UNKNOWN", object{"display_value": "UNKNOWN", "value": ""}, object{"display_value": "UNKNOWN", "value": ""}},
		{"sys_class_name", "incident", "Incident", object{"display_value": "Incident", "value": "incident"}, object{"display_value": "Incident", "value": "incident"}},
		{"sys_domain", object{"link": link + "sys_user_group/global", "value": "global"}, object{"display_value": "global", "link": link + "sys_user_group/global"},
			object{"display_value": "global", "link": link + "sys_user_group/global", "value": "global"}, object{"display_value": "global", "value": "global"}},
		{"short_description", "q\"\\\n\t\u0001é🚨", "q\"\\\n\t\u0001é🚨", object{"display_value": "q\"\\\n\t\u0001é🚨", "value": "q\"\\\n\t\u0001é🚨"}, object{"display_value": "q\"\\\n\t\u0001é🚨", "value": "q\"\\\n\t\u0001é🚨"}},
		{"watch_list", vera + ",a@b.example,ffffffffffffffffffffffffffffffff", "Vera Kowal, a@b.example, ffffffffffffffffffffffffffffffff", nil, nil},
	} {
		require.Equal(t, c.value, get(c.field), c.field)
		require.Equal(t, c.display, get(c.field, "sysparm_display_value", "true"), c.field)
		if c.all != nil {
			require.Equal(t, c.all, get(c.field, "sysparm_display_value", "all"), c.field)
			require.Equal(t, c.plain, get(c.field, "sysparm_display_value", "all", "sysparm_exclude_reference_link", "true"), c.field)
		}
	}
	require.Equal(t, vera, get("caller_id", "sysparm_exclude_reference_link", "true"))
	require.Equal(t, "Vera Kowal", get("caller_id", "sysparm_exclude_reference_link", "true", "sysparm_display_value", "true"))
	require.Equal(t, "2016-12-13 18:46:44", h.DisplayRecord("incident", region)["sys_updated_on"])

	types := h.rows(h.get("/api/now/table/sys_dictionary", "sysparm_query", "name=incident^element=caller_id"))
	require.Equal(t, object{"link": h.server.URL + "/api/now/table/sys_glide_object?name=reference", "value": "reference"}, types[0]["internal_type"])
	require.Equal(t, object{"link": h.server.URL + "/api/now/table/sys_db_object?name=sys_user", "value": "sys_user"}, types[0]["reference"])
	require.Empty(t, h.Violations())
}

func TestJournalsShowTheirHistory(t *testing.T) {
	h := sample(t, Config{DateFormat: "dd/MM/yyyy"})
	const id = "a0000000000000000000000000000000"
	h.Update("incident", id, map[string]string{"work_notes": "checked\nthe cable"})
	h.Update("incident", id, map[string]string{"comments": "hello"})
	row := h.rows(h.get("/api/now/table/incident", "sysparm_query", "sys_id="+id, "sysparm_display_value", "all"))[0]
	notes := map[string]any{"value": "", "display_value": "01/03/2026 04:00:00 - Ines Integration (Work notes)\nchecked\nthe cable\n\n"}
	require.Equal(t, notes, row["work_notes"])
	both := row["comments_and_work_notes"].(map[string]any)["display_value"]
	require.Contains(t, both, "(Additional comments)\nhello\n\n")
	require.Contains(t, both, "checked")
	require.Len(t, h.ids("sys_journal_field", "element_id="+id), 2)
}

func TestErrors(t *testing.T) {
	h := start(t, Config{Incidents: 3})
	for _, c := range []struct {
		path   string
		params []string
		status int
		body   string
	}{
		{"/api/now/table/nothing", nil, 400, `{"error":{"message":"Invalid table nothing","detail":null},"status":"failure"}`},
		{"/api/now/table/incident/0123", nil, 404, `{"error":{"message":"No Record found","detail":"Record doesn't exist or ACL restricts the record retrieval"},"status":"failure"}`},
		{"/api/now/v1/table/incident", []string{"sysparm_query", "number=none"}, 404, `{"error":{"message":"No Record found","detail":"Records matching query not found. Check query parameter or offset parameter"},"status":"failure"}`},
		{"/api/now/v2/table/incident", []string{"sysparm_query", "number=none"}, 200, `{"result":[]}`},
		{"/api/now/table/incident", []string{"sysparm_query", "number=" + strings.Repeat("x", 5000)}, 400, `{"error":{"message":"the requested query is too long to build the response pagination header URLs","detail":"Please reduce the length of the query or add sysparm_suppress_pagination_header=true to the request"},"status":"failure"}`},
		{"/api/now/table/incident", []string{"sysparm_suppress_pagination_header", "true", "sysparm_query", "number=" + strings.Repeat("x", 5000)}, 200, `{"result":[]}`},
		{"/api/now/table/incident", []string{"sysparm_suppress_pagination_header", "true", "sysparm_query", "number=" + strings.Repeat("x", 9000)}, 414, ""},
	} {
		a := h.get(c.path, c.params...)
		require.Equal(t, c.status, a.StatusCode, c.path)
		if c.body != "" {
			require.JSONEq(t, c.body, string(a.body), c.path)
		}
	}
	require.Empty(t, h.Violations(), "all of these are a server's ordinary answers")
}

func TestUnknownThingsAreRefusedAndRecorded(t *testing.T) {
	h := start(t, Config{Incidents: 3})
	for _, c := range []struct {
		path, name, value string
		status            int
		violation         string
	}{
		{"/api/now/table/incident", "sysparm_bogus", "1", 400, "unknown parameter sysparm_bogus on /api/now/table/incident"},
		{"/api/now/table/incident", "state", "1", 400, "unknown parameter state on /api/now/table/incident"},
		{"/api/now/table/incident", "sysparm_limit", "many", 400, `sysparm_limit="many" is not a number of rows`},
		{"/api/now/table/incident", "sysparm_offset", "-1", 400, `sysparm_offset="-1" is not a number of rows`},
		{"/api/now/table/incident", "sysparm_display_value", "both", 400, `sysparm_display_value="both" is none of true, false, all`},
		{"/api/now/table/incident", "sysparm_no_count", "1", 400, `sysparm_no_count="1" is neither true nor false`},
		{"/api/now/attachment", "sysparm_fields", "sys_id", 400, "unknown parameter sysparm_fields on /api/now/attachment"},
		{"/api/now/stats/incident", "sysparm_query", "active=true", 400, "stats without a count or an aggregate on /api/now/stats/incident"},
		{"/api/now/tables/incident", "", "", 404, "unknown path /api/now/tables/incident"},
		{"/api/now/table/incident/", "", "", 404, "unknown path /api/now/table/incident/"},
		{"/", "", "", 404, "unknown path /"},
	} {
		before := len(h.Violations())
		params := []string{c.name, c.value}
		if c.name == "" {
			params = nil
		}
		require.Equal(t, c.status, h.get(c.path, params...).StatusCode, c.violation)
		require.Equal(t, []string{c.violation}, h.Violations()[before:])
	}
	before := len(h.Violations())
	require.Equal(t, 400, h.getWith("/api/now/table/incident", http.Header{"Accept": nil}).StatusCode)
	require.Equal(t, 406, h.getWith("/api/now/table/incident", http.Header{"Accept": {"text/csv"}}).StatusCode)
	require.Equal(t, []string{"no Accept header on /api/now/table/incident", "Accept: text/csv on /api/now/table/incident"}, h.Violations()[before:])
}

func TestRequestLog(t *testing.T) {
	h := start(t, Config{Incidents: 3})
	h.get("/api/now/v2/table/incident", "sysparm_limit", "2")
	log := h.Requests()
	require.Len(t, log, 1)
	require.Equal(t, "incident", log[0].Table)
	require.Equal(t, 2, log[0].Rows)
	require.Equal(t, 200, log[0].Status)
	require.Equal(t, "2", log[0].Query.Get("sysparm_limit"))
	require.NotZero(t, log[0].Bytes)
	h.ResetRequests()
	require.Empty(t, h.Requests())
}

func TestCompressionAndChunking(t *testing.T) {
	h := start(t, Config{Incidents: 300})
	a := h.get("/api/now/table/incident")
	require.True(t, a.Uncompressed, "the transport asked for gzip")
	require.EqualValues(t, -1, a.ContentLength)
	plain := h.getWith("/api/now/table/incident", http.Header{"Accept-Encoding": {"identity"}}, "sysparm_query", "ORDERBYsys_id")
	require.False(t, plain.Uncompressed)
	require.EqualValues(t, -1, plain.ContentLength)
	require.Len(t, h.rows(plain), 300)
}

func TestCookieSessionsAreSerial(t *testing.T) {
	h := start(t, Config{Incidents: 3})
	session := http.Header{"Cookie": {"JSESSIONID=abc"}}
	var once sync.Once
	entered, release := make(chan struct{}), make(chan struct{})
	h.HideRows("incident", func(string, func(string) string) bool {
		once.Do(func() {
			close(entered)
			<-release
		})
		return false
	})
	first := make(chan answer)
	go func() { first <- h.getWith("/api/now/table/incident", session) }()
	<-entered
	second := h.getWith("/api/now/table/problem", session)
	require.Equal(t, http.StatusAccepted, second.StatusCode)
	require.Empty(t, second.body)
	require.Equal(t, http.StatusOK, h.get("/api/now/table/problem").StatusCode)
	close(release)
	require.Equal(t, http.StatusOK, (<-first).StatusCode)
	require.Equal(t, http.StatusOK, h.getWith("/api/now/table/problem", session).StatusCode)
}
