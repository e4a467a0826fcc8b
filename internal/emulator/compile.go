package emulator

import (
	"strings"
)

// predicate tells whether a row of the scan's table matches.
type predicate func(s *scan, row int32) bool

// scan evaluates predicates over one table's rows, with buffers of its own.
type scan struct {
	view   *view
	table  *table
	buf    []byte
	second []byte
}

// fieldPath is a column, or a dot-walk: all but the last step are references.
type fieldPath []pathStep

type pathStep struct {
	schema *schema
	column int
}

func (p fieldPath) last() *column {
	step := p[len(p)-1]
	return &step.schema.columns[step.column]
}

// resolveField finds a field by its dotted name, from a table.
func (set *schemaSet) resolveField(s *schema, name string) (fieldPath, bool) {
	var path fieldPath
	for {
		step, rest, more := strings.Cut(name, ".")
		column, ok := s.column(step)
		if !ok {
			return nil, false
		}
		path = append(path, pathStep{s, column})
		if !more {
			return path, true
		}
		if s, ok = set.byName[s.columns[column].reference]; !ok || path.last().class != classReference {
			return nil, false
		}
		name = rest
	}
}

// value reads a field of a row into buf and tells which row of which table holds it (nil when the walk
// ends at an empty or broken reference).
func (v *view) value(buf []byte, t *table, row int32, path fieldPath) ([]byte, *table, int32) {
	for i, step := range path {
		column := step.column
		if t.schema != step.schema {
			// A reference to a parent class leads to a row of a child, whose columns are numbered anew.
			column = t.schema.index[step.schema.columns[step.column].name]
		}
		buf = t.append(buf[:0], row, column)
		if i == len(path)-1 {
			return buf, t, row
		}
		var ok bool
		if t, row, ok = v.target(&step.schema.columns[step.column], buf); !ok {
			return buf[:0], nil, 0
		}
	}
	return buf, t, row
}

// compiledQuery is a query bound to one table.
type compiledQuery struct {
	branches []compiledBranch
	order    []compiledOrder
	invalid  []string
}

type compiledBranch []compiledGroup

type compiledGroup []compiledCondition

type compiledCondition struct {
	condition
	path    fieldPath
	matches predicate
}

type compiledOrder struct {
	path       fieldPath
	descending bool
}

// compile binds a query to a table. Malformed terms leave it; the caller decides what their presence means.
func (v *view) compile(q encodedQuery, s *schema) compiledQuery {
	var compiled compiledQuery
	for _, b := range q.branches {
		var branch compiledBranch
		for _, g := range b {
			var group compiledGroup
			for _, c := range g {
				if bound, ok := v.compileCondition(c, s); ok {
					group = append(group, bound)
				} else {
					compiled.invalid = append(compiled.invalid, c.term)
				}
			}
			if len(group) > 0 {
				branch = append(branch, group)
			}
		}
		compiled.branches = append(compiled.branches, branch)
	}
	for _, o := range q.order {
		if path, ok := v.schemas.resolveField(s, o.field); ok {
			compiled.order = append(compiled.order, compiledOrder{path, o.descending})
		} else {
			compiled.invalid = append(compiled.invalid, o.term)
		}
	}
	return compiled
}

func (v *view) compileCondition(c condition, s *schema) (compiledCondition, bool) {
	if c.operator == "" {
		return compiledCondition{}, false
	}
	path, ok := v.schemas.resolveField(s, c.field)
	if !ok || v.refusesField(path) {
		return compiledCondition{}, false
	}
	if strings.HasPrefix(c.value, "javascript:") {
		if c.value != "javascript:gs.getUserName()" {
			return compiledCondition{}, false
		}
		c.value = v.userName
	}
	matches, ok := v.compileOperator(c, path, s)
	return compiledCondition{c, path, matches}, ok
}

func (b compiledBranch) matches(s *scan, row int32) bool {
	for _, g := range b {
		if !g.matches(s, row) {
			return false
		}
	}
	return true
}

func (g compiledGroup) matches(s *scan, row int32) bool {
	for i := range g {
		if g[i].matches(s, row) {
			return true
		}
	}
	return false
}

// anyBranch matches rows that any of the branches does.
func anyBranch(branches []compiledBranch) predicate {
	return func(s *scan, row int32) bool {
		for _, b := range branches {
			if b.matches(s, row) {
				return true
			}
		}
		return false
	}
}
