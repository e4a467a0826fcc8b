package emulator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// serialNumbers hands out what must not repeat.
type serialNumbers struct {
	views        atomic.Uint64
	transactions atomic.Uint64
	ids          *rand.Rand     // guarded by the emulator's lock
	numbers      map[string]int // last number by prefix
}

// fileContent gives an attachment's bytes; seeded ones are made when asked for.
type fileContent func() []byte

var numberPrefixes = [...][2]string{{"incident", "INC"}, {"problem", "PRB"}, {"change_request", "CHG"}, {"ast_contract", "CNTR"}}

func (e *Emulator) mustTable(name string) *table {
	t, ok := e.tables[name]
	if !ok {
		panic(fmt.Sprintf("emulator: unknown table %q", name))
	}
	return t
}

func (e *Emulator) newSysID() string {
	return fmt.Sprintf("%016x%016x", e.serial.ids.Uint64(), e.serial.ids.Uint64())
}

func (e *Emulator) nextNumber(table string) string {
	for _, p := range numberPrefixes {
		if p[0] == table {
			e.serial.numbers[table]++
			return fmt.Sprintf("%s%07d", p[1], e.serial.numbers[table])
		}
	}
	return ""
}

// Insert adds a record and returns its sys_id. What values leave out is set as the platform would, by
// the clock. A journal field's text becomes a journal entry. It panics on an unknown table or field and
// on a sys_id already there.
func (e *Emulator) Insert(table string, values map[string]string) (sysID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.insert(table, values)
}

func (e *Emulator) insert(name string, values map[string]string) string {
	t := e.mustTable(name)
	record := e.defaults(t.schema)
	maps.Copy(record, values)
	sysID := record["sys_id"]
	if _, ok := t.find(sysID); ok {
		panic(fmt.Sprintf("emulator: %s already has sys_id %s", name, sysID))
	}
	if name == "incident" {
		e.completeIncident(record, values)
	}
	if _, ok := t.schema.column("task_effective_number"); ok && values["task_effective_number"] == "" {
		record["task_effective_number"] = record["number"]
	}
	if name == "sys_user" && values["name"] == "" {
		record["name"] = strings.TrimSpace(record["first_name"] + " " + record["last_name"])
	}
	row := make([]string, len(t.schema.columns))
	for field, value := range record {
		column, ok := t.schema.column(field)
		if !ok {
			panic(fmt.Sprintf("emulator: %s has no field %q", name, field))
		}
		if t.schema.columns[column].class == classJournal {
			e.writeJournal(name, sysID, field, value)
			continue
		}
		row[column] = value
	}
	t.insert(row)
	return sysID
}

func (e *Emulator) defaults(s *schema) map[string]string {
	now := string(appendDateTime(nil, e.now().Unix()))
	record := map[string]string{}
	for field, value := range map[string]string{
		"sys_created_on": now, "sys_created_by": e.cfg.Username, "sys_updated_on": now, "sys_updated_by": e.cfg.Username,
		"sys_mod_count": "0", "sys_class_name": s.name, "sys_domain": "global", "sys_domain_path": "/",
		"number": "", "opened_at": now, "active": "true",
	} {
		if _, ok := s.column(field); ok {
			record[field] = value
		}
	}
	if _, ok := s.column("number"); ok {
		record["number"] = e.nextNumber(s.name)
	}
	record["sys_id"] = e.newSysID()
	return record
}

// completeIncident fills in what the incident form's rules would.
func (e *Emulator) completeIncident(record, given map[string]string) {
	for field, value := range map[string]string{
		"state": "1", "impact": "3", "urgency": "3", "severity": "3", "made_sla": "true", "knowledge": "false", "escalation": "0",
		"notify": "1", "category": "inquiry", "approval": "not requested", "upon_reject": "cancel", "upon_approval": "proceed",
		"child_incidents": "0", "reassignment_count": "0", "reopen_count": "0",
	} {
		if record[field] == "" {
			record[field] = value
		}
	}
	if _, ok := given["priority"]; !ok {
		impact, _ := strconv.Atoi(record["impact"])
		urgency, _ := strconv.Atoi(record["urgency"])
		record["priority"] = strconv.Itoa(max(impact+urgency-1, 1))
	}
	if _, ok := given["incident_state"]; !ok {
		record["incident_state"] = record["state"]
	}
	if _, ok := given["active"]; !ok {
		record["active"] = strconv.FormatBool(record["state"] != "7" && record["state"] != "8")
	}
}

// Update changes fields of a record. sys_updated_on, sys_updated_by and sys_mod_count move on unless
// values give them. It panics when there is no such record or field.
func (e *Emulator) Update(table, sysID string, values map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t, row, ok := e.view().find(table, sysID)
	if !ok {
		panic(fmt.Sprintf("emulator: %s has no record %s", table, sysID))
	}
	changes := map[string]string{
		"sys_updated_on": string(appendDateTime(nil, e.now().Unix())),
		"sys_updated_by": e.cfg.Username,
	}
	count, _ := strconv.Atoi(t.valueOf(row, "sys_mod_count"))
	changes["sys_mod_count"] = strconv.Itoa(count + 1)
	for field := range changes {
		if _, ok := t.schema.column(field); !ok {
			delete(changes, field)
		}
	}
	if state, ok := values["state"]; ok && t.schema.name == "incident" {
		changes["incident_state"] = state
		changes["active"] = strconv.FormatBool(state != "7" && state != "8")
	}
	maps.Copy(changes, values)
	byColumn := map[int]string{}
	for field, value := range changes {
		column, ok := t.schema.column(field)
		switch {
		case !ok || field == "sys_id":
			panic(fmt.Sprintf("emulator: cannot set %s.%s", table, field))
		case t.schema.columns[column].class == classJournal:
			e.writeJournal(t.schema.name, sysID, field, value)
		default:
			byColumn[column] = value
		}
	}
	t.update(row, byColumn)
}

func (e *Emulator) writeJournal(table, recordID, element, text string) {
	if text == "" || element == "comments_and_work_notes" {
		return
	}
	e.insert("sys_journal_field", map[string]string{"name": table, "element_id": recordID, "element": element, "value": text})
}

// Attach files content under a record. The record itself does not change, as on the platform.
func (e *Emulator) Attach(table, recordSysID, fileName, contentType string, content []byte) (sysID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	content = slices.Clone(content)
	sysID = e.insert("sys_attachment", fileFields(content, map[string]string{
		"table_name": table, "table_sys_id": recordSysID, "file_name": fileName, "content_type": contentType,
	}))
	e.files[sysID] = func() []byte { return content }
	return sysID
}

// fileFields adds what follows from a file's bytes.
func fileFields(content []byte, values map[string]string) map[string]string {
	sum := sha256.Sum256(content)
	fields := map[string]string{
		"size_bytes": strconv.Itoa(len(content)), "size_compressed": strconv.Itoa(len(content)*3/4 + 20),
		"compressed": "true", "chunk_size_bytes": "700000", "hash": hex.EncodeToString(sum[:]), "state": "available",
	}
	maps.Copy(fields, values)
	return fields
}

// Record returns a record's stored (UTC) values: the truth a client's copy is compared with.
func (e *Emulator) Record(table, sysID string) (map[string]string, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	t, row, ok := e.view().find(table, sysID)
	if !ok {
		return nil, false
	}
	return t.record(row), true
}

// DisplayRecord returns a record's display values as the signed-in user sees them; nil when there is no such record.
func (e *Emulator) DisplayRecord(table, sysID string) map[string]string {
	e.mu.RLock()
	defer e.mu.RUnlock()
	v := e.view()
	t, row, ok := v.find(table, sysID)
	if !ok {
		return nil
	}
	shown := map[string]string{}
	for i, c := range t.schema.columns {
		shown[c.name] = string(v.appendDisplay(nil, t, row, i, []byte(t.value(row, i))))
	}
	return shown
}

// SysIDs returns the ids of all rows of the table and its children, before security.
func (e *Emulator) SysIDs(table string) []string {
	e.mu.RLock()
	defer e.mu.RUnlock()
	e.mustTable(table)
	var ids []string
	for _, t := range e.families[table] {
		ids = append(ids, t.sysIDs()...)
	}
	return ids
}

// Content returns an attachment's bytes as they are stored.
func (e *Emulator) Content(attachmentSysID string) ([]byte, bool) {
	e.mu.RLock()
	content, ok := e.files[attachmentSysID]
	e.mu.RUnlock()
	if !ok {
		return nil, false
	}
	return content(), true
}
