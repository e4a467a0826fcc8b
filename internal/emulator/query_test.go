package emulator

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// sample is an instance with five incidents named a to e by their correlation_id.
func sample(t *testing.T, cfg Config) *harness {
	cfg.Incidents = -1
	h := start(t, cfg)
	vera := h.Insert("sys_user", map[string]string{"user_name": "vera", "first_name": "Vera", "last_name": "Kowal", "department": h.SysIDs("cmn_department")[0]})
	for name, values := range map[string]map[string]string{
		"a": {"state": "1", "priority": "2", "short_description": "Printer on fire", "sys_updated_on": "2026-01-01 10:00:00", "opened_at": "2026-01-01 09:00:00", "u_score": "9.5", "caller_id": vera},
		"b": {"state": "2", "priority": "10", "short_description": "printer is cold", "sys_updated_on": "2026-01-01 10:00:00", "opened_at": "2026-01-01 11:00:00", "u_score": "10", "assigned_to": vera, "caller_id": vera},
		"c": {"state": "3", "priority": "3", "short_description": "a^b=c", "sys_updated_on": "2026-01-02 10:00:00", "opened_at": "2026-01-02 10:00:00", "u_score": "-1"},
		"d": {"state": "6", "priority": "4", "short_description": "Ends in fire", "sys_updated_on": "2026-01-03 10:00:00", "description": "x,y", "sys_created_by": "emulator.user", "u_score": "9007199254740993"},
		"e": {"state": "7", "priority": "5", "short_description": "", "sys_updated_on": "2026-01-04 10:00:00", "active": "", "sys_created_by": "someone", "caller_id": "0123456789abcdef0123456789abcdef"},
	} {
		values["correlation_id"] = name
		values["sys_id"] = name + "0000000000000000000000000000000"
		h.Insert("incident", values)
	}
	return h
}

func (h *harness) letters(query string) string {
	var letters string
	for _, id := range h.ids("incident", query) {
		letters += id[:1]
	}
	return letters
}

func TestEncodedQueries(t *testing.T) {
	h := sample(t, Config{})
	for _, c := range []struct{ query, want string }{
		// comparisons by type
		{"state=2", "b"},
		{"state!=2", "acde"},
		{"state=02", "b"},
		{"priority>4", "be"},
		{"priority<=3", "ac"},
		{"u_score>9.5", "bd"},
		{"u_score=9007199254740993", "d"},
		{"u_score=9007199254740992", ""},
		{"u_score<0", "c"},
		{"short_description=Printer on fire", "a"},
		{"short_description=printer on fire", ""},
		{"sys_updated_on=2026-01-01 10:00:00", "ab"},
		{"sys_updated_on>2026-01-01 10:00:00", "cde"},
		{"sys_updated_on<2026-01-02", "ab"},
		{"sys_updated_onBETWEEN2026-01-02 00:00:00@2026-01-03 10:00:00", "cd"},
		{"opened_at>=2026-01-01 09:00:00^opened_at<2026-01-01 11:00:00", "a"},
		{"sys_id>b0000000000000000000000000000000", "cde"},
		{"sys_id>=B0000000000000000000000000000000", "bcde"},
		{"sys_idINb0000000000000000000000000000000,d0000000000000000000000000000000,zz", "bd"},
		{"sys_idNOT INb0000000000000000000000000000000,d0000000000000000000000000000000", "ace"},
		{"stateIN1,6", "ad"},
		{"priorityBETWEEN3@5", "cde"},
		// text
		{"short_descriptionLIKErinter", "ab"},
		{"short_description*rinter", "ab"},
		{"short_descriptionLIKEprinter", "b"},
		{"short_descriptionNOT LIKErinter", "cd"},
		{"short_description!*rinter", "cd"},
		{"short_descriptionSTARTSWITHPrinter", "a"},
		{"short_descriptionENDSWITHfire", "ad"},
		{"short_description%fire", "ad"},
		{"short_description=a^^b=c", "c"},
		{"short_descriptionLIKE^^", "c"},
		{"description=x,y", "d"},
		{"caller_idLIKEVera", "ab"},
		// emptiness
		{"short_descriptionISEMPTY", "e"},
		{"short_descriptionISNOTEMPTY", "abcd"},
		{"short_descriptionEMPTYSTRING", "e"},
		{"short_description=", "e"},
		{"short_description!=NULL", "abcd"},
		{"assigned_toISEMPTY", "acde"},
		{"active!=true", "e"},
		{"assigned_to!=x", "b"},
		{"stateANYTHING", "abcde"},
		// between fields and tables
		{"caller_idSAMEASassigned_to", "bcd"},
		{"caller_idNSAMEASassigned_to", "ae"},
		{"opened_atGT_FIELDsys_updated_on", "bde"},
		{"opened_atLT_OR_EQUALS_FIELDsys_updated_on", "ac"},
		{"caller_id.user_name=vera", "ab"},
		{"caller_id.department.name=Nowhere", ""},
		{"caller_id.nameISEMPTY", "cde"},
		{"sys_created_by=javascript:gs.getUserName()", "abcd"},
		{"sys_updated_onRELATIVEGT@dayofweek@ago@59", "cde"},
		// precedence
		{"state=1^ORstate=2^priority=10", "b"},
		{"priority=10^state=1^ORstate=2", "b"},
		{"state=1^ORstate=2^ORstate=3^priority<5", "ac"},
		{"state=1^NQstate=7", "ae"},
		{"state=1^NQstate=7^ORstate=6^priority=4", "ad"},
		{"state=7^EQ", "e"},
		{"", "abcde"},
		// malformed terms fall out, and the rest runs
		{"bogus=1", "abcde"},
		{"bogus=1^state=1", "a"},
		{"bogus=1^ORstate=1", "a"},
		{"state=1^ORbogus=2", "a"},
		{"stateNOTIN1", "abcde"},
		{"state=1^caller_id.bogus=1", "a"},
		{"sys_updated_on>javascript:gs.daysAgoStart(0)", "abcde"},
		{"sys_updated_on>2026-01-02T00:00:00Z", "abcde"},
		{"priority>high^state=1", "a"},
	} {
		got := []byte(h.letters(c.query))
		slices.Sort(got)
		require.Equal(t, c.want, string(got), c.query)
	}
	require.Contains(t, h.InvalidTerms(), "stateNOTIN1")
	require.NotContains(t, h.InvalidTerms(), "state=1")
	require.Empty(t, h.Violations())
}

func TestOrder(t *testing.T) {
	h := sample(t, Config{})
	for _, c := range []struct{ query, want string }{
		{"ORDERBYsys_id", "abcde"},
		{"ORDERBYDESCsys_id", "edcba"},
		{"ORDERBYsys_updated_on^ORDERBYsys_id", "abcde"},
		{"ORDERBYDESCsys_updated_on^ORDERBYDESCsys_id", "edcba"},
		{"ORDERBYsys_updated_on^ORDERBYDESCsys_id", "bacde"},
		{"ORDERBYDESCsys_updated_on^ORDERBYsys_id", "edcab"},
		{"ORDERBYpriority", "acdeb"},
		{"ORDERBYDESCpriority", "bedca"},
		{"ORDERBYactive^ORDERBYDESCsys_id", "edcba"},
		{"stateIN1,2,3^ORDERBYDESCsys_id", "cba"},
		{"state=3^NQstate=1^ORDERBYsys_id", "ac"},
	} {
		for range 5 {
			require.Equal(t, c.want, h.letters(c.query), c.query)
		}
	}
}

func TestOrderOfTiesChangesWithEveryRequest(t *testing.T) {
	h := start(t, Config{Incidents: 300})
	for _, query := range []string{"", "ORDERBYsys_updated_on", "ORDERBYsys_class_name", "ORDERBYDESCsys_updated_on", "stateISNOTEMPTY"} {
		first := h.ids("incident", query)
		require.Len(t, first, 300)
		require.NotEqual(t, first, h.ids("incident", query), query)
		require.ElementsMatch(t, first, h.ids("incident", query), query)
	}
}

func TestInvalidQueryModes(t *testing.T) {
	none := sample(t, Config{InvalidQuery: NoRows})
	require.Empty(t, none.letters("bogus=1^state=1"))
	require.Equal(t, "a", none.letters("state=1"))

	forbidden := sample(t, Config{InvalidQuery: Forbidden})
	a := forbidden.get("/api/now/table/incident", "sysparm_query", "bogus=1^state=1")
	require.Equal(t, http.StatusForbidden, a.StatusCode)
	require.JSONEq(t, `{"error":{"message":"Insufficient rights to query records","detail":"Field(s) present in the query do not have permission to be read"},"status":"failure"}`, string(a.body))
	forbidden.HideFields("incident", "state")
	require.Equal(t, http.StatusForbidden, forbidden.get("/api/now/table/incident", "sysparm_query", "state=1").StatusCode)
}

func TestQueriesOfAParentReachItsChildren(t *testing.T) {
	h := start(t, Config{Incidents: 50})
	require.Len(t, h.ids("task", ""), 50+40+40)
	require.Len(t, h.ids("task", "sys_class_name=incident"), 50)
	ordered := h.ids("task", "ORDERBYsys_updated_on^ORDERBYsys_id")
	var last string
	for _, id := range ordered {
		record, ok := h.Record("task", id)
		require.True(t, ok)
		require.Less(t, last, record["sys_updated_on"]+id)
		last = record["sys_updated_on"] + id
	}
	row := h.rows(h.get("/api/now/table/task", "sysparm_query", "sys_class_name=incident", "sysparm_limit", "1"))[0]
	require.NotContains(t, row, "caller_id", "a parent shows its own columns only")
	require.Contains(t, row, "short_description")
}

// TestRangesAgreeWithScans compares the index's answers with those of the same terms hidden from it
// behind an ^OR that changes nothing.
func TestRangesAgreeWithScans(t *testing.T) {
	h := start(t, Config{Incidents: 400})
	ids := h.ids("incident", "ORDERBYsys_updated_on^ORDERBYsys_id")
	at := func(i int) string { r, _ := h.Record("incident", ids[i]); return r["sys_updated_on"] }
	for _, i := range []int{0, 5, 100, 150, 200, 399} {
		for _, terms := range [][]string{
			{"sys_updated_on>" + at(i)}, {"sys_updated_on>=" + at(i)}, {"sys_updated_on<" + at(i)}, {"sys_updated_on<=" + at(i)},
			{"sys_updated_on=" + at(i)}, {"sys_updated_on=" + at(i), "sys_id>" + ids[i]}, {"sys_updated_on=" + at(i), "sys_id<=" + ids[i]},
			{"sys_updated_on>=" + at(i), "sys_id>=" + ids[i]}, {"sys_id<" + ids[i]}, {"sys_updated_on>" + at(i), "sys_updated_on<" + at(0)},
			{"sys_updated_on>=" + at(i), "sys_updated_on>" + at(i) + "^ORsys_id>" + ids[i]},
			{"sys_updated_on>" + at(i), "sys_updated_on>" + at(i) + "^ORsys_id>" + ids[i]},
			{"sys_id>" + ids[i] + "^ORsys_updated_on>" + at(i), "sys_updated_on>=" + at(i)},
			{"sys_updated_on>" + at(i) + "^ORsys_id>" + ids[i]},
		} {
			plain, hidden := "", ""
			for _, term := range terms {
				plain += term + "^"
				hidden += term + "^ORsys_id=none^ORstate=none^"
			}
			for _, order := range []string{"ORDERBYsys_updated_on^ORDERBYsys_id", "ORDERBYDESCsys_updated_on^ORDERBYDESCsys_id", "ORDERBYsys_id", "ORDERBYDESCsys_id"} {
				want := h.get("/api/now/table/incident", "sysparm_query", hidden+order, "sysparm_fields", "sys_id", "sysparm_limit", "50", "sysparm_offset", "3")
				got := h.get("/api/now/table/incident", "sysparm_query", plain+order, "sysparm_fields", "sys_id", "sysparm_limit", "50", "sysparm_offset", "3")
				require.Equal(t, string(want.body), string(got.body), plain+order)
				require.Equal(t, want.Header.Get("X-Total-Count"), got.Header.Get("X-Total-Count"), plain+order)
			}
		}
	}
}
