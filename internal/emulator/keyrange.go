package emulator

import "strings"

// keyRange is a branch reduced to a stretch of an index and the groups that remain to be judged.
type keyRange struct {
	low, high bound
	rest      compiledBranch
}

// indexKind chooses one of a table's two orders.
type indexKind int

const (
	byTime  indexKind = iota // (time column, sys_id)
	bySysID                  // sys_id
)

func (k indexKind) index(t *table) *rowIndex {
	if k == byTime {
		return &t.order
	}
	return &t.keys
}

// rank counts the rows before a bound.
func (k indexKind) rank(t *table, b bound) int {
	return k.index(t).rank(func(row int32) bool {
		if k == byTime {
			return b.follows(t.times[row], t.ids[row])
		}
		return b.follows(0, t.ids[row])
	})
}

func (r *keyRange) atLeast(b bound) {
	if b.compare(r.low) > 0 {
		r.low = b
	}
}

func (r *keyRange) atMost(b bound) {
	if b.compare(r.high) < 0 {
		r.high = b
	}
}

// narrow reduces a branch by its terms on the index's columns.
func (k indexKind) narrow(b compiledBranch, s *schema) keyRange {
	r := keyRange{low: lowestBound, high: highestBound}
	var ids, pairs []compiledGroup
	for _, g := range b {
		switch {
		case len(g) == 1 && k == byTime && g[0].onTime(s) && r.narrowTime(g[0].condition):
		case len(g) == 1 && g[0].onSysID() && isRange(g[0].operator):
			ids = append(ids, g)
		case k == byTime && isKeysetPair(g, s):
			pairs = append(pairs, g)
		default:
			r.rest = append(r.rest, g)
		}
	}
	for _, g := range pairs {
		if !r.narrowPair(g) {
			r.rest = append(r.rest, g)
		}
	}
	// Rows are in sys_id order only within one time.
	sameTime := k == bySysID || (r.low.time == r.high.time && r.low.edge != afterTime && r.high.edge != beforeTime)
	for _, g := range ids {
		if !sameTime {
			r.rest = append(r.rest, g)
			continue
		}
		time := r.low.time
		if k == bySysID {
			time = 0
		}
		c := g[0]
		switch c.operator {
		case ">":
			r.atLeast(bound{time, afterID, c.value})
		case ">=":
			r.atLeast(bound{time, beforeID, c.value})
		case "<":
			r.atMost(bound{time, beforeID, c.value})
		case "<=":
			r.atMost(bound{time, afterID, c.value})
		}
	}
	if r.high.compare(r.low) < 0 {
		r.high = r.low
	}
	return r
}

func (c *compiledCondition) onTime(s *schema) bool {
	return len(c.path) == 1 && c.path[0].column == s.timeColumn
}

func (c *compiledCondition) onSysID() bool {
	return len(c.path) == 1 && c.path.last().name == "sys_id"
}

// narrowTime takes in a term on the time column, if it is a range.
func (r *keyRange) narrowTime(c condition) bool {
	if c.operator == "BETWEEN" {
		low, high, _ := strings.Cut(c.value, "@")
		from, ok1 := parseDateTime(low)
		to, ok2 := parseDateTime(high)
		if ok1 && ok2 {
			r.atLeast(bound{time: from, edge: beforeTime})
			r.atMost(bound{time: to, edge: afterTime})
		}
		return ok1 && ok2
	}
	unix, ok := parseDateTime(c.value)
	if !ok {
		return false
	}
	switch c.operator {
	case "=":
		r.atLeast(bound{time: unix, edge: beforeTime})
		r.atMost(bound{time: unix, edge: afterTime})
	case ">":
		r.atLeast(bound{time: unix, edge: afterTime})
	case ">=":
		r.atLeast(bound{time: unix, edge: beforeTime})
	case "<":
		r.atMost(bound{time: unix, edge: beforeTime})
	case "<=":
		r.atMost(bound{time: unix, edge: afterTime})
	default:
		return false
	}
	// A row without a time matches no comparison.
	r.atLeast(bound{time: noTime, edge: afterTime})
	return true
}

// isKeysetPair recognises time>T^ORsys_id>ID.
func isKeysetPair(g compiledGroup, s *schema) bool {
	if len(g) != 2 {
		return false
	}
	if g[1].onTime(s) {
		g = compiledGroup{g[1], g[0]}
	}
	return g[0].onTime(s) && g[0].operator == ">" && g[1].onSysID() && (g[1].operator == ">" || g[1].operator == ">=")
}

// narrowPair takes in time>T^ORsys_id>ID where the range begins at T or later: there it says "after (T, ID)".
func (r *keyRange) narrowPair(g compiledGroup) bool {
	if !g[1].onSysID() {
		g = compiledGroup{g[1], g[0]}
	}
	unix, ok := parseDateTime(g[0].value)
	if !ok || r.low.compare(bound{time: unix, edge: beforeTime}) < 0 {
		return false
	}
	edge := afterID
	if g[1].operator == ">=" {
		edge = beforeID
	}
	r.atLeast(bound{unix, edge, g[1].value})
	return true
}

// ranges reduces all branches. Where the stretches overlap they become one, judged by the whole query.
func (k indexKind) ranges(branches []compiledBranch, s *schema) (ranges []keyRange, whole bool) {
	for _, b := range branches {
		ranges = append(ranges, k.narrow(b, s))
	}
	for i := 1; i < len(ranges); i++ {
		for j := i; j > 0 && ranges[j].low.compare(ranges[j-1].low) < 0; j-- {
			ranges[j], ranges[j-1] = ranges[j-1], ranges[j]
		}
	}
	for i := 1; i < len(ranges); i++ {
		if ranges[i].low.compare(ranges[i-1].high) < 0 {
			hull := keyRange{low: ranges[0].low, high: ranges[0].high}
			for _, r := range ranges {
				hull.widen(r.high)
			}
			return []keyRange{hull}, true
		}
	}
	return ranges, false
}

// widen makes the range end no earlier than b.
func (r *keyRange) widen(b bound) {
	if b.compare(r.high) > 0 {
		r.high = b
	}
}
