package emulator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestInsertUpdateDelete(t *testing.T) {
	var c clock
	h := start(t, Config{Incidents: 100, Now: c.now})
	id := h.Insert("incident", map[string]string{"short_description": "new", "impact": "1", "urgency": "2", "comments": "first"})
	record, ok := h.Record("incident", id)
	require.True(t, ok)
	for field, want := range map[string]string{
		"number": "INC0001101", "task_effective_number": "INC0001101", "state": "1", "incident_state": "1", "active": "true", "priority": "2",
		"sys_created_on": "2026-03-01 12:00:00", "sys_updated_on": "2026-03-01 12:00:00", "sys_created_by": "emulator.user", "sys_mod_count": "0",
		"sys_class_name": "incident", "comments": "",
	} {
		require.Equal(t, want, record[field], field)
	}
	require.Equal(t, []string{id}, h.ids("incident", "sys_updated_on>=2026-03-01 12:00:00"))
	require.Len(t, h.ids("sys_journal_field", "element_id="+id), 1)

	seeded := h.SysIDs("incident")[17]
	before, _ := h.Record("incident", seeded)
	c.advance(time.Hour)
	for _, changed := range []string{id, seeded} {
		h.Update("incident", changed, map[string]string{"state": "7", "close_notes": "done"})
		record, _ = h.Record("incident", changed)
		require.Equal(t, "2026-03-01 13:00:00", record["sys_updated_on"])
		require.Equal(t, "7", record["incident_state"])
		require.Equal(t, "false", record["active"])
		require.Equal(t, "done", record["close_notes"])
		require.Equal(t, "Closed", h.DisplayRecord("incident", changed)["state"])
	}
	require.ElementsMatch(t, []string{id, seeded}, h.ids("incident", "sys_updated_on>2026-03-01 12:00:00"))
	record, _ = h.Record("incident", seeded)
	require.Equal(t, before["sys_created_on"], record["sys_created_on"])
	require.Equal(t, before["description"], record["description"])

	// A change without a stamp of its own (autoSysFields(false)), and one that surfaces late.
	h.Update("incident", id, map[string]string{"description": "quiet", "sys_updated_on": "2026-03-01 13:00:00", "sys_mod_count": "1"})
	record, _ = h.Record("incident", id)
	require.Equal(t, "1", record["sys_mod_count"])
	late := h.Insert("incident", map[string]string{"sys_updated_on": "2026-02-01 00:00:00"})
	require.Equal(t, []string{late}, h.ids("incident", "sys_updated_on=2026-02-01 00:00:00"))

	h.Delete("incident", seeded)
	h.Delete("task", id)
	require.Len(t, h.SysIDs("incident"), 100)
	require.Len(t, h.ids("incident", ""), 100)
	_, ok = h.Record("incident", seeded)
	require.False(t, ok)
	require.Equal(t, 404, h.get("/api/now/table/incident/"+seeded).StatusCode)
	tombs := h.rows(h.get("/api/now/table/sys_audit_delete", "sysparm_query", "documentkeyIN"+id+","+seeded))
	require.Len(t, tombs, 2)
	require.Equal(t, "incident", tombs[0]["tablename"], "filed under the real class")

	// Undelete brings the same sys_id back.
	h.Insert("incident", map[string]string{"sys_id": seeded, "number": before["number"]})
	require.Equal(t, []string{seeded}, h.ids("incident", "number="+before["number"]))

	require.Panics(t, func() { h.Insert("incident", map[string]string{"sys_id": seeded}) })
	require.Panics(t, func() { h.Insert("incident", map[string]string{"bogus": "1"}) })
	require.Panics(t, func() { h.Update("incident", id, nil) })
	require.Panics(t, func() { h.SysIDs("bogus") })
}

func TestManyChangesKeepTheIndexes(t *testing.T) {
	var c clock
	h := start(t, Config{Incidents: 3000, Now: c.now})
	ids := h.SysIDs("incident")
	for i, id := range ids {
		c.advance(time.Second)
		switch i % 4 {
		case 0:
			h.Update("incident", id, map[string]string{"state": "2"})
		case 1:
			h.Delete("incident", id)
		case 2:
			h.Insert("incident", nil)
		}
	}
	got := h.ids("incident", "ORDERBYsys_updated_on^ORDERBYsys_id")
	require.Len(t, got, 3000)
	require.ElementsMatch(t, h.SysIDs("incident"), got)
	last := ""
	for _, id := range got {
		r, ok := h.Record("incident", id)
		require.True(t, ok)
		require.Less(t, last, r["sys_updated_on"]+id)
		last = r["sys_updated_on"] + id
	}
	require.Len(t, h.ids("incident", "sys_updated_on>2026-03-01 12:00:00"), 1500)
}

func TestScramblingIsReversible(t *testing.T) {
	for _, n := range []uint64{0, 1, 42, 1 << 63, ^uint64(0)} {
		require.Equal(t, n, unmix(mix(n)))
	}
}

func TestDates(t *testing.T) {
	for unix := int64(-3e9); unix < 5e9; unix += 86_399_771 {
		want := time.Unix(unix, 0).UTC().Format(time.DateTime)
		require.Equal(t, want, string(appendDateTime(nil, unix)))
		got, ok := parseDateTime(want)
		require.True(t, ok)
		require.Equal(t, unix, got)
	}
}

func TestAddColumn(t *testing.T) {
	h := start(t, Config{Incidents: 10})
	old := h.SysIDs("incident")[3]
	h.AddColumn("incident", "u_site reference:cmn_location Site")
	site := h.SysIDs("cmn_location")[0]
	h.Update("incident", old, map[string]string{"u_site": site})
	added := h.Insert("incident", map[string]string{"u_site": site})
	require.ElementsMatch(t, []string{old, added}, h.ids("incident", "u_site="+site))
	require.Len(t, h.ids("sys_dictionary", "name=incident^element=u_site^internal_type=reference"), 1)
	require.Panics(t, func() { h.AddColumn("incident", "u_site string Again") })
	require.Panics(t, func() { h.AddColumn("task", "u_site string Inherited") })
}
