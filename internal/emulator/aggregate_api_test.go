package emulator

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAggregates(t *testing.T) {
	h := sample(t, Config{})
	for _, c := range []struct {
		params []string
		want   string
	}{
		{[]string{"sysparm_count", "true"}, `{"result":{"stats":{"count":"5"}}}`},
		{[]string{"sysparm_count", "true", "sysparm_query", "state=nothing"}, `{"result":{"stats":{"count":"0"}}}`},
		{[]string{"sysparm_count", "true", "sysparm_query", "sys_updated_on>=2026-01-01 10:00:00^sys_updated_on<2026-01-03 10:00:00"}, `{"result":{"stats":{"count":"3"}}}`},
		{[]string{"sysparm_count", "true", "sysparm_min_fields", "sys_updated_on,priority", "sysparm_max_fields", "sys_updated_on"},
			`{"result":{"stats":{"count":"5","min":{"sys_updated_on":"2026-01-01 10:00:00","priority":"2"},"max":{"sys_updated_on":"2026-01-04 10:00:00"}}}}`},
		{[]string{"sysparm_avg_fields", "priority", "sysparm_sum_fields", "u_score,priority", "sysparm_query", "stateIN1,2,3"},
			`{"result":{"stats":{"avg":{"priority":"5.0000"},"sum":{"u_score":"18.5","priority":"15"}}}}`},
		{[]string{"sysparm_count", "true", "sysparm_group_by", "caller_id.user_name", "sysparm_query", "stateIN1,2,3"},
			`{"result":[{"stats":{"count":"1"},"groupby_fields":[{"field":"caller_id.user_name","value":""}]},{"stats":{"count":"2"},"groupby_fields":[{"field":"caller_id.user_name","value":"vera"}]}]}`},
		{[]string{"sysparm_count", "true", "sysparm_group_by", "state", "sysparm_display_value", "all", "sysparm_query", "state=1"},
			`{"result":[{"stats":{"count":"1"},"groupby_fields":[{"field":"state","value":"1","display_value":"New"}]}]}`},
		{[]string{"sysparm_count", "true", "sysparm_group_by", "state", "sysparm_query", "state=99"}, `{"result":[]}`},
	} {
		a := h.get("/api/now/stats/incident", c.params...)
		require.Equal(t, 200, a.StatusCode)
		require.JSONEq(t, c.want, string(a.body))
	}
	h.DenyTable("incident", DenyForbidden)
	require.Equal(t, 403, h.get("/api/now/stats/incident", "sysparm_count", "true").StatusCode)
	h.DenyTable("incident", DenyEmpty)
	require.JSONEq(t, `{"result":{"stats":{"count":"0"}}}`, string(h.get("/api/now/stats/incident", "sysparm_count", "true").body))
}

func TestDictionaryDescribesWhatIsServed(t *testing.T) {
	h := start(t, Config{Incidents: 30})
	tables := map[string]map[string]any{}
	for _, row := range h.rows(h.get("/api/now/table/sys_db_object", "sysparm_exclude_reference_link", "true")) {
		tables[row["name"].(string)] = row
	}
	require.Equal(t, tables["task"]["sys_id"], tables["incident"]["super_class"])

	described := map[string]bool{"sys_tags": true}
	for _, row := range h.rows(h.get("/api/now/table/sys_dictionary", "sysparm_query", "nameINincident,task^elementISNOTEMPTY^active=true^internal_type!=collection", "sysparm_fields", "element,internal_type,reference,choice")) {
		described[row["element"].(string)] = true
	}
	served := map[string]bool{}
	for field := range h.rows(h.get("/api/now/table/incident", "sysparm_limit", "1"))[0] {
		served[field] = true
	}
	require.Equal(t, described, served)

	states := h.rows(h.get("/api/now/table/sys_choice", "sysparm_query", "name=incident^element=state^language=en^ORDERBYsequence"))
	require.Equal(t, "New", states[0]["label"])
	labels := h.rows(h.get("/api/now/table/sys_documentation", "sysparm_query", "name=task^element=short_description^language=en"))
	require.Equal(t, "Short description", labels[0]["label"])
	require.NotEmpty(t, h.ids("sys_glide_object", "name=glide_date_time^scalar_type=datetime"))
	require.Len(t, h.ids("sys_user", "user_name=javascript:gs.getUserName()^time_zone=America/Los_Angeles"), 1)
	require.Len(t, h.ids("sys_properties", "nameINglide.buildname,glide.buildtag,glide.builddate"), 3)
}

func TestDefaultViewLayout(t *testing.T) {
	h := start(t, Config{Incidents: 1})
	sections := h.rows(h.get("/api/now/table/sys_ui_section", "sysparm_query", "name=incident^view=Default view^sys_userISEMPTY", "sysparm_exclude_reference_link", "true"))
	require.Len(t, sections, 4)
	form := h.ids("sys_ui_form", "name=incident^view=Default view^sys_userISEMPTY")
	require.Len(t, form, 1)
	ordered := h.rows(h.get("/api/now/table/sys_ui_form_section", "sysparm_query", "sys_ui_form="+form[0]+"^ORDERBYposition", "sysparm_display_value", "all"))
	require.Len(t, ordered, 4)
	first := ordered[0]["sys_ui_section"].(map[string]any)["value"].(string)
	elements := h.rows(h.get("/api/now/table/sys_ui_element", "sysparm_query", "sys_ui_section="+first+"^ORDERBYposition"))
	var names []string
	for _, row := range elements {
		names = append(names, row["element"].(string))
	}
	encoded, _ := json.Marshal(names[:5])
	require.Equal(t, `[".begin_split","number","caller_id","category","subcategory"]`, string(encoded))
	require.Equal(t, ".begin_split", elements[0]["type"])

	row := h.rows(h.get("/api/now/table/incident", "sysparm_view", "ess"))[0]
	require.Len(t, row, 4)
	require.Empty(t, h.Violations())
}
