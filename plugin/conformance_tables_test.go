package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"github.com/cloudquery/plugin-sdk/v4/types"

	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/resources"
)

// conforming describes a destination table to the suite. Every property of conformance_test.go is asked of every table.
type conforming struct {
	name    string // of the destination table
	records string // the ServiceNow table whose records are its rows
	// reads is the ServiceNow table that is paged through; "" for a table that is not read page by page, has no window and
	// no cursor, and of which the properties about these ask nothing.
	reads   string
	columns func() schema.ColumnList
	// mustRead is the table without which there is nothing to say.
	mustRead string
	// seed is an instance of about so many rows.
	seed func(rows int) emulator.Config
	// insert adds a record that becomes a row, and change alters that of a row; both with the stamp given, or that of the
	// clock for "". remove deletes a record.
	insert func(w *trial, stamp string) (sysID string)
	change func(w *trial, sysID, stamp string)
	remove func(w *trial, sysID string)
	// keys are the places of the rows that the destination should hold; want are these rows, NULL as null, without the
	// columns that other tests look at.
	keys func(w *trial) map[string]servicenow.Key
	want func(w *trial) map[string]map[string]string
	// checkpoint is how many rows a load of which nothing can be lost between two cursors has, and narrow makes their rows
	// small.
	checkpoint int
	narrow     map[string]any
}

func conformingTables() []conforming {
	return []conforming{conformingCatalogue(), conformingIncidents(), conformingAttachments()}
}

// noneIfZero is a number of the emulator's config, whose 0 is a default.
func noneIfZero(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// stamped adds a stamp to the values of a change.
func stamped(values map[string]string, stamp string) map[string]string {
	if stamp != "" {
		values["sys_updated_on"] = stamp
	}
	return values
}

func nullIfEmpty(text string) string {
	if text == "" {
		return null
	}
	return text
}

// fieldsAsRow lays a record out as the columns of its fields, the other way round than the product: from the column's
// name and type, not from the dictionary.
func fieldsAsRow(w *trial, columns schema.ColumnList, stored, shown map[string]string) map[string]string {
	row := map[string]string{}
	for _, c := range columns {
		name, display := strings.CutSuffix(c.Name, "_display")
		if _, own := stored[c.Name]; own {
			name, display = c.Name, false
		}
		text, ok := stored[name]
		switch {
		case !ok, !slices.Contains(w.columns, c.Name):
			continue
		case display, isJournal(name):
			text = shown[name]
		case text == "":
		case arrow.TypeEqual(c.Type, arrow.PrimitiveTypes.Int64) && strings.Contains(text, "-"):
			at, err := time.Parse(time.DateTime, text)
			if err == nil {
				text = strconv.FormatInt(at.Unix(), 10)
			}
		case arrow.TypeEqual(c.Type, types.ExtensionTypes.JSON):
			list, _ := json.Marshal(strings.Split(text, ","))
			text = string(list)
		}
		row[c.Name] = nullIfEmpty(text)
	}
	return row
}

func isJournal(field string) bool {
	switch field {
	case "comments", "work_notes", "comments_and_work_notes", "approval_history":
		return true
	}
	return false
}

func conformingIncidents() conforming {
	return conforming{
		name: resources.IncidentsTable, records: "incident", reads: "incident", mustRead: "incident", checkpoint: 20000,
		narrow:  map[string]any{"page_size": 2000, "incidents": map[string]any{"fields": []string{"number", "state"}, "record": "column"}},
		columns: func() schema.ColumnList { return resources.Incidents(resources.OutOfBoxIncidentFields()).Columns },
		seed: func(rows int) emulator.Config {
			return emulator.Config{Incidents: noneIfZero(rows), Attachments: -1}
		},
		insert: func(w *trial, stamp string) string {
			return w.Insert("incident", stamped(map[string]string{"short_description": "opened at " + w.now()}, stamp))
		},
		change: func(w *trial, id, stamp string) {
			w.Update("incident", id, stamped(map[string]string{"short_description": "changed at " + w.now(), "state": "2"}, stamp))
		},
		remove: func(w *trial, id string) {
			for _, other := range w.SysIDs("incident") {
				if r, _ := w.Record("incident", other); r["parent_incident"] == id || r["parent"] == id {
					return // its name would vanish from rows that do not change
				}
			}
			w.Delete("incident", id)
		},
		keys: func(w *trial) map[string]servicenow.Key { return w.keysOf("incident", nil) },
		want: func(w *trial) map[string]map[string]string {
			rows, columns := map[string]map[string]string{}, resources.Incidents(resources.OutOfBoxIncidentFields()).Columns
			for id := range w.keysOf("incident", nil) {
				stored, ok := w.Record("incident", id)
				if !ok {
					continue
				}
				shown := w.DisplayRecord("incident", id)
				caller, _ := w.Record("sys_user", stored["caller_id"])
				stored["caller_id.email"], shown["caller_id.email"] = caller["email"], caller["email"]
				for field := range w.hiddenFields {
					delete(stored, field)
				}
				row := fieldsAsRow(w, columns, stored, shown)
				for field := range w.hiddenFields {
					row[field] = null
				}
				row["url"] = w.url + "/incident.do?sys_id=" + id
				if w.spec["incidents"] == nil {
					record := map[string]cell{}
					for field := range stored {
						record[field] = cell{Value: stored[field], Display: shown[field]}
					}
					text, _ := json.Marshal(record)
					row["record"] = string(text)
				}
				rows[id] = row
			}
			return rows
		},
	}
}

func conformingAttachments() conforming {
	covered := func(w *trial) func(map[string]string) bool {
		return func(a map[string]string) bool {
			if table := strings.TrimPrefix(a["table_name"], "ZZ_YY"); table != "incident" && table != "task" {
				return false
			}
			_, ok := w.Record("incident", a["table_sys_id"])
			return ok
		}
	}
	return conforming{
		name: resources.AttachmentsTable, records: "sys_attachment", reads: "sys_attachment", mustRead: "sys_attachment", checkpoint: 2000,
		narrow:  map[string]any{"page_size": 500},
		columns: func() schema.ColumnList { return resources.Attachments().Columns },
		seed: func(rows int) emulator.Config {
			return emulator.Config{Incidents: 20, Attachments: noneIfZero(rows + rows/8)}
		},
		insert: func(w *trial, stamp string) string {
			id := w.Attach("incident", w.SysIDs("incident")[3], "filed.txt", "text/plain", []byte("filed at "+w.now()))
			if stamp != "" {
				w.Update("sys_attachment", id, map[string]string{"sys_updated_on": stamp})
			}
			return id
		},
		change: func(w *trial, id, stamp string) {
			w.Update("sys_attachment", id, stamped(map[string]string{"file_name": "renamed " + w.now() + ".txt"}, stamp))
		},
		remove: func(w *trial, id string) { w.Delete("sys_attachment", id) },
		keys:   func(w *trial) map[string]servicenow.Key { return w.keysOf("sys_attachment", covered(w)) },
		want: func(w *trial) map[string]map[string]string {
			rows, columns := map[string]map[string]string{}, resources.Attachments().Columns
			for id := range w.keysOf("sys_attachment", covered(w)) {
				stored, ok := w.Record("sys_attachment", id)
				if !ok {
					continue
				}
				state := stored["state"]
				for field := range w.hiddenFields {
					delete(stored, field)
				}
				row := fieldsAsRow(w, columns, stored, nil)
				for field := range w.hiddenFields {
					row[field] = null
				}
				row["incident_sys_id"] = stored["table_sys_id"]
				row["url"] = w.url + "/sys_attachment.do?sys_id=" + id
				content, _ := w.Content(id)
				row["content_status"], row["content"], row["content_sha256"] = "unavailable", null, null
				if state == "available" {
					sum := sha256.Sum256(content)
					row["content_status"], row["content"], row["content_sha256"] = "stored", string(content), hex.EncodeToString(sum[:])
					row["content_error"] = null
				}
				rows[id] = row
			}
			return rows
		},
	}
}

// conformingCatalogue is the table of tables: two rows that every sync writes anew, so that it has neither window nor
// cursor. A change of its records is one of the tables that it counts.
func conformingCatalogue() conforming {
	return conforming{
		name: resources.TablesTable, records: "sys_db_object", mustRead: "incident",
		columns: func() schema.ColumnList { return resources.Tables().Columns },
		seed: func(rows int) emulator.Config {
			return emulator.Config{Incidents: noneIfZero(rows), Attachments: noneIfZero(rows / 2)}
		},
		insert: func(w *trial, stamp string) string {
			return w.Insert("incident", stamped(map[string]string{"short_description": "counted"}, stamp))
		},
		change: func(w *trial, _, stamp string) {
			w.Update("sys_db_object", w.tableRecord("incident")["sys_id"], stamped(map[string]string{"label": "Incident at " + w.now()}, stamp))
		},
		remove: func(w *trial, _ string) { w.Delete("incident", w.SysIDs("incident")[0]) },
		keys: func(w *trial) map[string]servicenow.Key {
			keys := map[string]servicenow.Key{}
			for _, name := range []string{"incident", "sys_attachment"} {
				r := w.tableRecord(name)
				keys[r["sys_id"]] = servicenow.Key{UpdatedOn: r["sys_updated_on"], SysID: r["sys_id"]}
			}
			return keys
		},
		want: func(w *trial) map[string]map[string]string {
			rows := map[string]map[string]string{}
			for _, name := range []string{"incident", "sys_attachment"} {
				r, owners := w.tableRecord(name), append(dictionary.OutOfBox(name).Ancestors, name)
				ids := w.SysIDs(name)
				selected, fields, custom := 0, map[string]bool{}, 0
				for _, id := range ids {
					record, _ := w.Record(name, id)
					if table := strings.TrimPrefix(record["table_name"], "ZZ_YY"); name == "incident" || table == "incident" || table == "task" {
						selected++
					}
				}
				for _, id := range w.SysIDs("sys_dictionary") {
					f, _ := w.Record("sys_dictionary", id)
					if slices.Contains(owners, f["name"]) && f["element"] != "" {
						fields[f["element"]] = true
					}
				}
				for field := range fields {
					if strings.HasPrefix(field, "u_") || strings.HasPrefix(field, "x_") {
						custom++
					}
				}
				super := null
				if name == "incident" {
					super = "task"
				}
				rows[r["sys_id"]] = map[string]string{
					"name": name, "label": r["label"], "sys_updated_on": r["sys_updated_on"], "super_class": super, "dictionary_readable": "true",
					"row_count": strconv.Itoa(len(ids)), "selected_row_count": strconv.Itoa(selected),
					"field_count": strconv.Itoa(len(fields)), "custom_field_count": strconv.Itoa(custom),
				}
			}
			return rows
		},
	}
}

// tableRecord is the record of sys_db_object of a table.
func (w *trial) tableRecord(name string) map[string]string {
	for _, id := range w.SysIDs("sys_db_object") {
		if r, ok := w.Record("sys_db_object", id); ok && r["name"] == name {
			return r
		}
	}
	panic(fmt.Sprintf("no table %s", name))
}

// keysOf returns the keys of the records of a table that are covered and not hidden.
func (w *trial) keysOf(table string, covered func(map[string]string) bool) map[string]servicenow.Key {
	keys := map[string]servicenow.Key{}
	for _, id := range w.SysIDs(table) {
		if w.hidden != nil && w.hidden(id) {
			continue
		}
		r, ok := w.Record(table, id)
		if ok && (covered == nil || covered(r)) {
			keys[id] = servicenow.Key{UpdatedOn: r["sys_updated_on"], SysID: id}
		}
	}
	return keys
}
