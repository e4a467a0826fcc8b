package emulator

import (
	"fmt"
	"slices"
	"strconv"
)

// seedTables describes every table in sys_db_object, sys_dictionary and sys_documentation.
func (c *company) seedTables() {
	set := c.e.schemas
	for _, name := range set.names {
		c.listTable(set.byName[name])
	}
	c.add("sys_dictionary_override", "incident.short_description", map[string]string{
		"name": "incident", "base_table": "task", "element": "short_description", "mandatory": "true", "mandatory_override": "true",
	})
	for _, kind := range glideTypes(set) {
		scalar, ok := scalarTypes()[kind]
		if !ok {
			scalar = scalarType{"string", 255}
		}
		c.add("sys_glide_object", kind, map[string]string{
			"name": kind, "label": typeLabel(kind), "scalar_type": scalar.name, "scalar_length": strconv.Itoa(scalar.length), "visible": "true",
			"class_name": "GlideElement",
		})
	}
}

// describe adds a column's dictionary entry and labels. The entry without an element is the table itself.
func (c *company) describe(s *schema, col column) {
	key := s.name + "." + col.name
	entry := map[string]string{
		"name": s.name, "element": col.name, "internal_type": col.kind, "column_label": col.label, "max_length": strconv.Itoa(col.maxLength),
		"reference": col.reference, "reference_key": col.referenceKey, "active": "true", "array": "false", "mandatory": "false", "read_only": "false",
		"virtual": strconv.FormatBool(col.virtual), "display": strconv.FormatBool(col.name != "" && col.name == s.display),
		"primary": strconv.FormatBool(col.name == "sys_id"), "unique": strconv.FormatBool(col.name == "sys_id"),
		"dependent": col.dependent, "dependent_on_field": col.dependent, "audit": strconv.FormatBool(s.name == "incident"),
		"text_index": "false", "sys_class_name": "sys_dictionary",
	}
	if col.choice {
		entry["choice"] = "3"
		if _, own := c.e.schemas.choices[choiceKey{s.name, col.name}]; !own && s.super == "" && len(c.e.schemas.choicesOf(s.name, col.name)) == 0 {
			entry["choice"] = "1"
		}
	}
	c.add("sys_dictionary", key, entry)
	c.add("sys_documentation", key, map[string]string{
		"name": s.name, "element": col.name, "label": col.label, "plural": col.label + "s", "language": "en",
	})
	if s.name == "incident" || s.name == "task" {
		c.add("sys_documentation", key+"/fr", map[string]string{
			"name": s.name, "element": col.name, "label": col.label + " (fr)", "plural": col.label + "s (fr)", "language": "fr",
		})
	}
}

// listTable writes a table's entries into sys_db_object and the dictionary.
func (c *company) listTable(s *schema) {
	values := map[string]string{
		"name": s.name, "label": s.label, "is_extendable": strconv.FormatBool(len(c.e.schemas.family(s.name)) > 1),
		"ws_access": "true", "read_access": "true", "create_access": "true", "access": "public",
	}
	if s.super != "" {
		values["super_class"] = c.id("sys_db_object", s.super)
	}
	c.add("sys_db_object", s.name, values)
	c.describe(s, column{kind: "collection", label: s.label})
	for _, col := range s.own {
		if !col.pseudo {
			c.describe(s, col)
		}
	}
}

// seedChoices lists the choices in English, and those of incident in French as well.
func (c *company) seedChoices() {
	set := c.e.schemas
	for _, table := range set.names {
		for _, col := range set.byName[table].columns {
			for i, choice := range set.choices[choiceKey{table, col.name}] {
				languages := []string{"en"}
				if table == "incident" {
					languages = append(languages, "fr")
				}
				for _, language := range languages {
					label := choice.label
					if language != "en" {
						label += " (" + language + ")"
					}
					c.add("sys_choice", fmt.Sprintf("%s.%s/%s/%s", table, col.name, choice.value, language), map[string]string{
						"name": table, "element": col.name, "value": choice.value, "label": label, "language": language,
						"sequence": strconv.Itoa(i * 10), "inactive": strconv.FormatBool(choice.inactive), "dependent_value": choice.dependent,
					})
				}
			}
		}
	}
}

type scalarType struct {
	name   string
	length int
}

// scalarTypes are the types that are not stored as a string of 255.
func scalarTypes() map[string]scalarType {
	return map[string]scalarType{
		"boolean": {"boolean", 40}, "integer": {"integer", 40}, "long": {"longint", 40}, "decimal": {"decimal", 15}, "float": {"float", 40},
		"glide_date_time": {"datetime", 40}, "due_date": {"datetime", 40}, "glide_date": {"date", 40}, "glide_duration": {"datetime", 40},
		"timer": {"datetime", 40}, "reference": {"GUID", 32}, "GUID": {"GUID", 32}, "domain_id": {"GUID", 32}, "document_id": {"GUID", 32},
		"glide_list": {"string", 1024}, "html": {"string", 65536}, "journal": {"string", 4000}, "journal_input": {"string", 4000}, "journal_list": {"string", 4000},
	}
}

func glideTypes(set *schemaSet) []string {
	kinds := []string{"collection"}
	for _, name := range set.names {
		for _, col := range set.byName[name].own {
			if !slices.Contains(kinds, col.kind) {
				kinds = append(kinds, col.kind)
			}
		}
	}
	slices.Sort(kinds)
	return kinds
}

// typeLabel is a type's name for people: "glide_date_time" is "Glide date time".
func typeLabel(kind string) string {
	label := []byte(kind)
	for i, c := range label {
		if c == '_' {
			label[i] = ' '
		}
	}
	if label[0] >= 'a' && label[0] <= 'z' {
		label[0] -= 'a' - 'A'
	}
	return string(label)
}
