package emulator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// valueClass groups the dictionary's types by how their values compare and display.
type valueClass uint8

const (
	classText valueClass = iota
	classNumber
	classBoolean
	classDateTime
	classDate
	classDuration
	classReference
	classList      // comma-separated references
	classJournal   // write-only: the value is always empty
	classTableName // sys_class_name, displayed as the table's label
	classDomain    // sys_domain: a link to sys_user_group with a value that is no record
)

var classOfType = map[string]valueClass{
	"integer": classNumber, "long": classNumber, "longint": classNumber, "decimal": classNumber, "float": classNumber,
	"boolean":         classBoolean,
	"glide_date_time": classDateTime, "due_date": classDateTime, "datetime": classDateTime,
	"glide_date":     classDate,
	"glide_duration": classDuration, "timer": classDuration,
	"reference":  classReference,
	"glide_list": classList,
	"journal":    classJournal, "journal_input": classJournal, "journal_list": classJournal,
	"sys_class_name": classTableName,
	"domain_id":      classDomain,
}

// column is a field of a table.
type column struct {
	name, kind, label string
	class             valueClass
	reference         string // table a reference or list points at
	referenceKey      string // its column the value names; "" is sys_id
	choice            bool
	dependent         string // the column a choice list depends on
	maxLength         int
	pseudo            bool // served by REST but not in the dictionary
	virtual           bool
}

// schema is a table's definition, inherited columns first.
type schema struct {
	name, label, super string
	display            string // the column that names a record
	own                []column
	columns            []column
	index              map[string]int
	labels             []map[string]string // by column: what a choice's values display as
	timeColumn         int                 // sys_updated_on, or sys_created_on where there is none
	lookups            []string            // columns with an equality index
}

func (s *schema) column(name string) (int, bool) {
	i, ok := s.index[name]
	return i, ok
}

// schemaSet holds every table's definition.
type schemaSet struct {
	byName  map[string]*schema
	names   []string // in declaration order: a parent comes before its children
	choices map[choiceKey][]choice
}

// declare adds a table. Columns are written one a line:
//
//	name type[(length)][:reference[.key]][+choice[<dependent]] Label
func (set *schemaSet) declare(name, label, super, display, columns string, lookups ...string) {
	s := &schema{name: name, label: label, super: super, display: display, lookups: lookups, timeColumn: -1}
	for line := range strings.Lines(columns) {
		if line = strings.TrimSpace(line); line != "" {
			s.own = append(s.own, parseColumn(line))
		}
	}
	set.byName[name] = s
	set.names = append(set.names, name)
	set.inherit(s)
}

func (set *schemaSet) inherit(s *schema) {
	s.columns = nil
	if s.super != "" {
		parent := set.byName[s.super]
		s.columns = slices.Clone(parent.columns)
		if s.display == "" {
			s.display = parent.display
		}
	}
	s.columns = append(s.columns, s.own...)
	s.index = make(map[string]int, len(s.columns))
	for i, c := range s.columns {
		s.index[c.name] = i
	}
	for _, name := range []string{"sys_updated_on", "sys_created_on"} {
		if i, ok := s.index[name]; ok {
			s.timeColumn = i
			break
		}
	}
}

func parseColumn(line string) column {
	name, rest, _ := strings.Cut(line, " ")
	kind, label, ok := strings.Cut(strings.TrimSpace(rest), " ")
	if !ok {
		panic("emulator: column without label: " + line)
	}
	c := column{name: name, label: strings.TrimSpace(label), maxLength: 40}
	kind, c.choice = cutSuffixFrom(kind, "+choice", &c.dependent)
	kind, target, _ := strings.Cut(kind, ":")
	c.reference, c.referenceKey, _ = strings.Cut(target, ".")
	if open := strings.IndexByte(kind, '('); open > 0 {
		c.maxLength, _ = strconv.Atoi(strings.TrimSuffix(kind[open+1:], ")"))
		kind = kind[:open]
	}
	c.pseudo = kind == "pseudo"
	c.virtual = kind == "virtual"
	if c.pseudo || c.virtual {
		kind = "string"
	}
	c.kind = kind
	c.class = classOfType[kind]
	if c.class == classReference || c.class == classDomain {
		c.maxLength = 32
	}
	return c
}

// cutSuffixFrom splits "integer+choice<category" into "integer" and the dependent "category".
func cutSuffixFrom(kind, mark string, dependent *string) (string, bool) {
	before, after, found := strings.Cut(kind, mark)
	if found {
		*dependent = strings.TrimPrefix(after, "<")
	}
	return before, found
}

// family is the table and all its descendants.
func (set *schemaSet) family(name string) []string {
	family := []string{name}
	for _, candidate := range set.names {
		if slices.Contains(family, set.byName[candidate].super) {
			family = append(family, candidate)
		}
	}
	return family
}

// ancestry is the table and its parents, nearest first.
func (set *schemaSet) ancestry(name string) []string {
	var line []string
	for name != "" {
		s, ok := set.byName[name]
		if !ok {
			panic(fmt.Sprintf("emulator: unknown table %q", name))
		}
		line = append(line, name)
		name = s.super
	}
	return line
}

func newSchemaSet() *schemaSet {
	set := &schemaSet{byName: map[string]*schema{}, choices: map[choiceKey][]choice{}}
	set.declareTasks()
	set.declareCompany()
	set.declareRecords()
	set.declareMetadata()
	set.declareLayout()
	set.declareChoices()
	for _, s := range set.byName {
		set.label(s)
	}
	return set
}

func (set *schemaSet) label(s *schema) {
	s.labels = make([]map[string]string, len(s.columns))
	for i, c := range s.columns {
		if !c.choice {
			continue
		}
		s.labels[i] = map[string]string{}
		for _, choice := range set.choicesOf(s.name, c.name) {
			s.labels[i][choice.value] = choice.label
		}
	}
}
