package emulator

import (
	"bytes"
	"cmp"
	"slices"
)

// appendDisplay appends a field's display value, given its stored value.
func (v *view) appendDisplay(buf []byte, t *table, row int32, number int, value []byte) []byte {
	c := &t.schema.columns[number]
	if c.choice {
		if label, ok := t.schema.labels[number][string(value)]; ok {
			return append(buf, label...)
		}
	}
	switch c.class {
	case classReference:
		return v.appendReferenceDisplay(buf, c, value)
	case classNumber:
		return appendGrouped(buf, value)
	case classDateTime:
		if len(value) == 0 && c.name == "sla_due" {
			return append(buf, "UNKNOWN"...)
		}
		if unix, ok := parseDateTime(value); ok {
			return v.dates.appendDateTime(buf, unix)
		}
	case classDate:
		if unix, ok := parseDateTime(value); ok {
			return v.dates.appendDate(buf, unix)
		}
	case classDuration:
		if unix, ok := parseDateTime(value); ok {
			return appendDuration(buf, unix)
		}
	case classList:
		return v.appendListDisplay(buf, c, value)
	case classJournal:
		return v.appendJournal(buf, t.ids[row], c.name)
	case classTableName:
		if s, ok := v.schemas.byName[string(value)]; ok {
			return append(buf, s.label...)
		}
	}
	return append(buf, value...)
}

// appendReferenceDisplay appends the name of the record referred to; nothing when it is gone.
func (v *view) appendReferenceDisplay(buf []byte, c *column, value []byte) []byte {
	t, row, ok := v.target(c, value)
	if !ok {
		return buf
	}
	return t.append(buf, row, t.schema.index[t.schema.display])
}

// appendListDisplay names a list's records; what is no record (an e-mail address) stays as it is.
func (v *view) appendListDisplay(buf []byte, c *column, value []byte) []byte {
	for i, item := range bytes.Split(value, []byte{','}) {
		if i > 0 {
			buf = append(buf, ", "...)
		}
		named := v.appendReferenceDisplay(buf, c, item)
		if len(named) == len(buf) {
			named = append(buf, item...)
		}
		buf = named
	}
	return buf
}

// appendJournal writes a journal field's whole history, newest first. The combined field holds both.
func (v *view) appendJournal(buf []byte, recordID, element string) []byte {
	journal := v.tables["sys_journal_field"]
	rows := journal.lookup[journal.schema.index["element_id"]][recordID]
	if len(rows) == 0 {
		return buf
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b int32) int { return cmp.Compare(journal.times[b], journal.times[a]) })
	for _, row := range rows {
		kind := journal.valueOf(row, "element")
		if kind != element && element != "comments_and_work_notes" {
			continue
		}
		buf = v.dates.appendDateTime(buf, journal.times[row])
		buf = append(buf, " - "...)
		buf = append(buf, v.nameOfUser(journal.valueOf(row, "sys_created_by"))...)
		buf = append(buf, " ("...)
		buf = append(buf, journalLabel(kind)...)
		buf = append(buf, ")\n"...)
		buf = append(buf, journal.valueOf(row, "value")...)
		buf = append(buf, "\n\n"...)
	}
	return buf
}

func journalLabel(element string) string {
	if element == "work_notes" {
		return "Work notes"
	}
	return "Additional comments"
}

func (v *view) nameOfUser(userName string) string {
	users := v.tables["sys_user"]
	if rows := users.lookup[users.schema.index["user_name"]][userName]; len(rows) > 0 {
		return users.valueOf(rows[0], "name")
	}
	return userName
}
