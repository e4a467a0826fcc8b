package emulator

import (
	"fmt"
	"slices"
	"strings"
)

// removals are the ways in which records go, and what is left of those that can come back.
type removals struct {
	audited map[string]bool // by table, where it was set
	gone    map[string]removed
}

// removed is a record that Restore brings back.
type removed struct {
	table  string
	values map[string]string
}

// SetDeleteAudit sets whether deletes of a table's own records leave a row in sys_audit_delete. By default they do, except
// for system tables (their names begin with sys_). Scripts that delete with setWorkflow(false), and the table cleaner,
// leave none either.
func (e *Emulator) SetDeleteAudit(table string, on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mustTable(table)
	e.removals.audited[table] = on
}

// Delete removes a record and writes its sys_audit_delete row, under the record's real class. Its files go with it.
func (e *Emulator) Delete(table, sysID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(table, sysID, true)
}

// Archive moves a record and its files out of its table, as an archive rule does: nothing is written to
// sys_audit_delete, and nothing to the record. The archive table itself (ar_…) is not served.
func (e *Emulator) Archive(table, sysID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(table, sysID, false)
}

// Restore brings back a deleted or archived record with its sys_id and all of its values, stamps included, as Delete
// Recovery does. Its files stay away, and the row in sys_audit_delete stays.
func (e *Emulator) Restore(sysID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	record, ok := e.removals.gone[sysID]
	if !ok {
		panic(fmt.Sprintf("emulator: %s was not removed", sysID))
	}
	delete(e.removals.gone, sysID)
	t := e.tables[record.table]
	row := make([]string, len(t.schema.columns))
	for i, c := range t.schema.columns {
		row[i] = record.values[c.name]
	}
	t.insert(row)
}

// PruneDeleteAudit forgets the deletes from before a stored date-time.
func (e *Emulator) PruneDeleteAudit(before string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.tables["sys_audit_delete"]
	for _, id := range t.sysIDs() {
		if row, ok := t.find(id); ok && t.valueOf(row, "sys_created_on") < before {
			t.remove(row)
		}
	}
}

func (e *Emulator) remove(table, sysID string, deleted bool) {
	t, row, ok := e.view().find(table, sysID)
	if !ok {
		panic(fmt.Sprintf("emulator: %s has no record %s", table, sysID))
	}
	e.removeRow(t, row, deleted)
	files := e.tables["sys_attachment"]
	for _, file := range slices.Clone(files.lookup[files.schema.index["table_sys_id"]][sysID]) {
		e.removeRow(files, file, deleted)
	}
}

func (e *Emulator) removeRow(t *table, row int32, deleted bool) {
	name, sysID := t.schema.name, t.ids[row]
	audited, set := e.removals.audited[name]
	if !set {
		audited = !strings.HasPrefix(name, "sys_")
	}
	if deleted && audited {
		payload := fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?><record_update table=%q><%s action=\"INSERT_OR_UPDATE\"><sys_id>%s</sys_id></%s></record_update>",
			name, name, sysID, name)
		e.insert("sys_audit_delete", map[string]string{
			"tablename": name, "documentkey": sysID, "display_value": t.valueOf(row, t.schema.display), "payload": payload,
		})
	}
	e.removals.gone[sysID] = removed{table: name, values: t.record(row)}
	t.remove(row)
	delete(e.files, sysID)
}
