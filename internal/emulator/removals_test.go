package emulator

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRemovals(t *testing.T) {
	h := start(t, Config{Incidents: 20, Attachments: -1})
	tombstones := func(id string) [][2]string {
		var found [][2]string
		for _, row := range h.rows(h.get("/api/now/table/sys_audit_delete", "sysparm_query", "documentkey="+id)) {
			found = append(found, [2]string{row["tablename"].(string), row["display_value"].(string)})
		}
		return found
	}
	ids := h.SysIDs("incident")
	before, _ := h.Record("incident", ids[0])
	file := h.Attach("incident", ids[0], "a.txt", "text/plain", []byte("a"))
	h.Delete("incident", ids[0])
	require.Equal(t, [][2]string{{"incident", before["number"]}}, tombstones(ids[0]))
	require.Empty(t, tombstones(file), "system tables are not audited")
	h.Restore(ids[0])
	after, ok := h.Record("incident", ids[0])
	require.True(t, ok)
	require.Equal(t, before, after)
	require.Len(t, tombstones(ids[0]), 1, "the row about the delete stays")

	h.SetDeleteAudit("sys_attachment", true)
	file = h.Attach("incident", ids[0], "b.txt", "text/plain", []byte("b"))
	h.Delete("sys_attachment", file)
	require.Equal(t, [][2]string{{"sys_attachment", "b.txt"}}, tombstones(file))

	h.Archive("incident", ids[1])
	require.NotContains(t, h.SysIDs("incident"), ids[1])
	require.Empty(t, tombstones(ids[1]))
	h.SetDeleteAudit("incident", false)
	h.Delete("incident", ids[2])
	require.Empty(t, tombstones(ids[2]))
	h.SetDeleteAudit("incident", true)

	// Filed under the class of the record, where a query for the parent does not find it.
	h.AddTable("u_major_incident", "Major Incident", "incident")
	child := h.Insert("u_major_incident", map[string]string{"short_description": "big"})
	require.Contains(t, h.SysIDs("incident"), child)
	h.Delete("incident", child)
	require.Equal(t, "u_major_incident", tombstones(child)[0][0])

	h.PruneDeleteAudit("9999-01-01 00:00:00")
	require.Empty(t, h.rows(h.get("/api/now/table/sys_audit_delete")))
}
