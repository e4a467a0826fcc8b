package emulator

import "fmt"

// AddColumn gives a table a new column, as an administrator would: existing records hold nothing in it,
// and the dictionary describes it. The column is written as "name type[:reference] Label", for example
// "u_site reference:cmn_location Site". It panics on a table that others extend and on a column already there.
func (e *Emulator) AddColumn(table, definition string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.mustTable(table)
	added := parseColumn(definition)
	if _, ok := t.schema.column(added.name); ok || len(e.families[table]) > 1 {
		panic(fmt.Sprintf("emulator: cannot add %s to %s", added.name, table))
	}
	// At the end, where it moves no other column's number.
	t.schema.own = append(t.schema.own, added)
	e.schemas.inherit(t.schema)
	e.schemas.label(t.schema)
	(&company{e: e, now: e.now().Unix(), seed: e.cfg.Seed}).describe(t.schema, added)
}

// AddTable gives the instance a new table that extends another one, without columns of its own. It panics on a table already
// there.
func (e *Emulator) AddTable(name, label, super string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.tables[name]; ok {
		panic(fmt.Sprintf("emulator: %s is already there", name))
	}
	e.mustTable(super)
	e.schemas.declare(name, label, super, "", "")
	s := e.schemas.byName[name]
	e.schemas.label(s)
	t := newTable(s)
	e.tables[name] = t
	for _, ancestor := range e.schemas.ancestry(name) {
		e.families[ancestor] = append(e.families[ancestor], t)
	}
	(&company{e: e, now: e.now().Unix(), seed: e.cfg.Seed}).listTable(s)
}
