package emulator

import (
	"math/rand/v2"
	"time"
)

// view is what one request sees: the data, the signed-in user's formats, and the request's own chance.
// It is used under the emulator's lock.
type view struct {
	schemas      *schemaSet
	tables       map[string]*table
	families     map[string][]*table
	security     *securityRules
	dates        *dateLayout
	userName     string
	now          time.Time
	random       *rand.Rand
	invalidQuery InvalidQueryMode
	dropWindow   bool
}

func (e *Emulator) view() *view {
	return &view{
		schemas: e.schemas, tables: e.tables, families: e.families, security: &e.security, dates: &e.dates,
		userName: e.cfg.Username, now: e.now(), invalidQuery: e.cfg.InvalidQuery,
		random: rand.New(rand.NewPCG(e.cfg.Seed, e.serial.views.Add(1))),
	}
}

// target finds the record a reference names.
func (v *view) target(c *column, value []byte) (*table, int32, bool) {
	if len(value) == 0 {
		return nil, 0, false
	}
	if c.referenceKey != "" {
		t, ok := v.tables[c.reference]
		if !ok {
			return nil, 0, false
		}
		rows := t.lookup[t.schema.index[c.referenceKey]][string(value)]
		if len(rows) == 0 {
			return nil, 0, false
		}
		return t, rows[0], true
	}
	for _, t := range v.families[c.reference] {
		if row, ok := t.find(string(value)); ok {
			return t, row, true
		}
	}
	return nil, 0, false
}

// find finds a record of a table or of a child of it.
func (v *view) find(name, sysID string) (*table, int32, bool) {
	for _, t := range v.families[name] {
		if row, ok := t.find(sysID); ok {
			return t, row, true
		}
	}
	return nil, 0, false
}
