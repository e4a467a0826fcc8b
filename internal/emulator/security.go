package emulator

import "strings"

// DenyMode is how a table refuses to be read.
type DenyMode int

const (
	DenyNone      DenyMode = iota
	DenyForbidden          // 403 Insufficient rights to query records
	DenyEmpty              // 200 with no rows, as older instances do
)

// securityRules are the access controls of the signed-in user.
type securityRules struct {
	rows           map[string]func(sysID string, value func(field string) string) bool
	fields         map[string]map[string]bool
	tables         map[string]DenyMode
	omitTotalCount bool
}

func newSecurityRules() securityRules {
	return securityRules{
		rows:   map[string]func(string, func(string) string) bool{},
		fields: map[string]map[string]bool{},
		tables: map[string]DenyMode{},
	}
}

// HideRows sets the table's row rule; rows for which hide returns true are dropped after limit and offset
// were applied. value reads stored fields. The rule must not call the Emulator. nil clears it.
func (e *Emulator) HideRows(table string, hide func(sysID string, value func(field string) string) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mustTable(table)
	if hide == nil {
		delete(e.security.rows, table)
		return
	}
	e.security.rows[table] = hide
}

// HideFields sets the table's hidden fields, whose keys are missing from every answer. None clears it.
func (e *Emulator) HideFields(table string, fields ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mustTable(table)
	hidden := map[string]bool{}
	for _, f := range fields {
		hidden[f] = true
	}
	e.security.fields[table] = hidden
}

// DenyTable sets whether the table can be read at all.
func (e *Emulator) DenyTable(table string, mode DenyMode) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mustTable(table)
	e.security.tables[table] = mode
}

// OmitTotalCount leaves the X-Total-Count header out of every answer.
func (e *Emulator) OmitTotalCount(omit bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.security.omitTotalCount = omit
}

// hides reports whether any field on the way is hidden. A parent's rules hold for its children.
func (r *securityRules) hides(schemas *schemaSet, path fieldPath) bool {
	if len(r.fields) == 0 {
		return false
	}
	for _, step := range path {
		for _, name := range schemas.ancestry(step.schema.name) {
			if r.fields[name][step.schema.columns[step.column].name] {
				return true
			}
		}
	}
	return false
}

// refusesField reports whether a query may not use a field: enforced on hardened instances only.
func (v *view) refusesField(path fieldPath) bool {
	return v.invalidQuery == Forbidden && v.security.hides(v.schemas, path)
}

// visible reports whether the row rules let a record through. A file is as visible as its record.
func (v *view) visible(ref rowRef) bool {
	for _, name := range v.schemas.ancestry(ref.table.schema.name) {
		hide := v.security.rows[name]
		if hide != nil && hide(ref.table.ids[ref.row], func(field string) string { return ref.table.valueOf(ref.row, field) }) {
			return false
		}
	}
	if ref.table.schema.name != "sys_attachment" {
		return true
	}
	parentTable := strings.TrimPrefix(ref.table.valueOf(ref.row, "table_name"), "ZZ_YY")
	if v.security.tables[parentTable] != DenyNone {
		return false
	}
	t, row, ok := v.find(parentTable, ref.table.valueOf(ref.row, "table_sys_id"))
	return !ok || v.visible(rowRef{t, row})
}

func (v *view) visibleRows(refs []rowRef) []rowRef {
	if len(v.security.rows) == 0 && len(v.security.tables) == 0 {
		return refs
	}
	kept := make([]rowRef, 0, len(refs))
	for _, ref := range refs {
		if v.visible(ref) {
			kept = append(kept, ref)
		}
	}
	return kept
}
