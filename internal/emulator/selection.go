package emulator

import (
	"cmp"
	"slices"
	"strings"
)

// rowRef is a row of one of the tables a query ran over.
type rowRef struct {
	table *table
	row   int32
}

// window is the part of the result asked for.
type window struct {
	offset, limit int
	count         bool // whether the total is wanted
}

// selection is a query's result: a page's rows before row security, and the total (if it was wanted).
type selection struct {
	rows    []rowRef
	total   int
	invalid []string
}

// selectRows runs a query over a table and its children.
func (v *view) selectRows(name string, q encodedQuery, w window) selection {
	var result selection
	family := v.families[name]
	if len(family) == 1 {
		t := family[0]
		rows, total, invalid := v.selectFrom(t, q, w)
		result.total, result.invalid = total, invalid
		result.rows = make([]rowRef, len(rows))
		for i, row := range rows {
			result.rows[i] = rowRef{t, row}
		}
		return result
	}
	q = q.onlyColumnsOf(v.schemas.byName[name])
	first := window{limit: w.offset + w.limit, count: w.count}
	for _, t := range family {
		rows, total, invalid := v.selectFrom(t, q, first)
		result.total += total
		result.invalid = invalid
		for _, row := range rows {
			result.rows = append(result.rows, rowRef{t, row})
		}
	}
	v.sortRefs(result.rows, q)
	result.rows = cut(result.rows, w)
	return result
}

// onlyColumnsOf marks terms on a child's own columns as malformed: a query of the parent cannot see them.
func (q encodedQuery) onlyColumnsOf(s *schema) encodedQuery {
	known := func(field string) bool {
		name, _, _ := strings.Cut(field, ".")
		_, ok := s.column(name)
		return ok
	}
	out := encodedQuery{}
	for _, b := range q.branches {
		var copied branch
		for _, g := range b {
			g = slices.Clone(g)
			for i := range g {
				if !known(g[i].field) {
					g[i].operator = ""
				}
			}
			copied = append(copied, g)
		}
		out.branches = append(out.branches, copied)
	}
	for _, o := range q.order {
		if !known(o.field) {
			o.field = ""
		}
		out.order = append(out.order, o)
	}
	return out
}

func cut[T any](rows []T, w window) []T {
	rows = rows[min(w.offset, len(rows)):]
	return rows[:min(w.limit, len(rows))]
}

// keyOrder is an ORDERBY that one of the indexes can serve.
type keyOrder struct {
	kind     indexKind
	backward bool
	ties     bool // sys_id does not break ties
}

// keyOrderOf recognises orders by sys_id, by time, and by time then sys_id in the same direction.
func keyOrderOf(order []compiledOrder, s *schema) (keyOrder, bool) {
	if len(order) == 0 || len(order[0].path) != 1 {
		return keyOrder{}, false
	}
	sysID := func(o compiledOrder) bool { return len(o.path) == 1 && o.path.last().name == "sys_id" }
	first := order[0]
	switch {
	case sysID(first):
		return keyOrder{bySysID, first.descending, false}, true
	case first.path[0].column != s.timeColumn:
		return keyOrder{}, false
	case len(order) == 1:
		return keyOrder{byTime, first.descending, true}, true
	case sysID(order[1]) && order[1].descending == first.descending:
		return keyOrder{byTime, first.descending, false}, true
	}
	return keyOrder{}, false
}

// selectFrom runs a query over one table's rows.
func (v *view) selectFrom(t *table, q encodedQuery, w window) (rows []int32, total int, invalid []string) {
	cq := v.compile(q, t.schema)
	if v.dropWindow {
		cq.dropWindow(t.schema)
	}
	if len(cq.invalid) > 0 && v.invalidQuery != DropTerm {
		return nil, 0, cq.invalid
	}
	s := &scan{view: v, table: t}
	order, indexed := keyOrderOf(cq.order, t.schema)
	if candidates, ok := cq.candidates(t); ok {
		rows = s.filter(candidates, anyBranch(cq.branches))
		s.sort(rows, cq.order)
		return cut(rows, w), len(rows), cq.invalid
	}
	plan := choosePlan(t, cq, order, indexed, w)
	if indexed && plan.kind == order.kind {
		rows, total = s.stream(plan, order, w)
		return rows, total, cq.invalid
	}
	if len(cq.order) == 0 && plan.exact() {
		return v.sample(t, plan, w), plan.rows, cq.invalid
	}
	s.each(plan, false, func(row int32) bool {
		total++
		if w.limit > 0 {
			rows = append(rows, row)
		}
		return true
	})
	s.sort(rows, cq.order)
	return cut(rows, w), total, cq.invalid
}

// dropWindow removes what a client's window consists of, as FaultDroppedWindow wants.
func (cq *compiledQuery) dropWindow(s *schema) {
	for i, b := range cq.branches {
		cq.branches[i] = slices.DeleteFunc(b, func(g compiledGroup) bool {
			return slices.ContainsFunc(g, func(c compiledCondition) bool { return c.onTime(s) || c.onSysID() })
		})
	}
}

// candidates finds the rows by an equality index, where a term of the only branch allows it.
func (cq *compiledQuery) candidates(t *table) ([]int32, bool) {
	if len(cq.branches) != 1 {
		return nil, false
	}
	for _, g := range cq.branches[0] {
		c := g[0]
		if len(g) != 1 || len(c.path) != 1 || c.value == "" || c.value == "NULL" {
			continue
		}
		var values []string
		switch c.operator {
		case "=":
			values = []string{c.value}
		case "IN":
			values = strings.Split(c.value, ",")
		default:
			continue
		}
		if rows, ok := t.lookupRows(c.path[0].column, values); ok {
			return rows, true
		}
	}
	return nil, false
}

// plan is how a query's rows are found: stretches of one index, each judged by what remains.
type plan struct {
	kind   indexKind
	ranges []keyRange
	ranks  [][2]int // of each range
	rows   int      // in the ranges
	whole  predicate
}

func newPlan(kind indexKind, t *table, cq compiledQuery) plan {
	p := plan{kind: kind}
	var whole bool
	if p.ranges, whole = kind.ranges(cq.branches, t.schema); whole {
		p.whole = anyBranch(cq.branches)
	}
	for _, r := range p.ranges {
		first, end := kind.rank(t, r.low), kind.rank(t, r.high)
		end = max(first, end)
		p.ranks = append(p.ranks, [2]int{first, end})
		p.rows += end - first
	}
	return p
}

// exact reports whether every row of the ranges matches.
func (p *plan) exact() bool {
	return p.whole == nil && !slices.ContainsFunc(p.ranges, func(r keyRange) bool { return len(r.rest) > 0 })
}

// choosePlan takes the index in the wanted order unless the other one leaves far fewer rows to read and sort.
func choosePlan(t *table, cq compiledQuery, order keyOrder, indexed bool, w window) plan {
	timePlan, idPlan := newPlan(byTime, t, cq), newPlan(bySysID, t, cq)
	if !indexed {
		if idPlan.rows < timePlan.rows {
			return idPlan
		}
		return timePlan
	}
	ordered, other := timePlan, idPlan
	if order.kind == bySysID {
		ordered, other = idPlan, timePlan
	}
	if other.rows < ordered.rows/8 && other.rows < 100*(w.offset+w.limit+1) && !ordered.exact() {
		return other
	}
	return ordered
}

// each yields the plan's matching rows in index order.
func (s *scan) each(p plan, backward bool, yield func(row int32) bool) {
	index := p.kind.index(s.table)
	running := true
	for i := range p.ranges {
		if backward {
			i = len(p.ranges) - 1 - i
		}
		judge := p.ranges[i].rest.matches
		if p.whole != nil {
			judge = p.whole
		}
		visit := func(row int32) bool {
			if judge(s, row) {
				running = yield(row)
			}
			return running
		}
		if backward {
			index.ranksBackward(p.ranks[i][0], p.ranks[i][1], visit)
		} else {
			index.ranks(p.ranks[i][0], p.ranks[i][1], visit)
		}
		if !running {
			return
		}
	}
}

// stream reads a page off the index in its order, going on behind it only to count.
func (s *scan) stream(p plan, order keyOrder, w window) (rows []int32, total int) {
	end := w.offset + w.limit
	counting := w.count && !p.exact()
	s.each(p, order.backward, func(row int32) bool {
		total++
		wanted := len(rows) < end || (order.ties && len(rows) > 0 && s.table.times[row] == s.table.times[rows[len(rows)-1]])
		if wanted {
			rows = append(rows, row)
		}
		return wanted || counting
	})
	if order.ties {
		s.shuffleTies(rows)
	}
	if p.exact() {
		total = p.rows
	}
	return cut(rows, w), total
}

func (s *scan) shuffleTies(rows []int32) {
	times := s.table.times
	for first := 0; first < len(rows); {
		end := first + 1
		for end < len(rows) && times[rows[end]] == times[rows[first]] {
			end++
		}
		shuffle(s.view, rows[first:end])
		first = end
	}
}

func shuffle[T any](v *view, rows []T) {
	v.random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
}

func (s *scan) filter(candidates []int32, matches predicate) []int32 {
	return slices.DeleteFunc(candidates, func(row int32) bool { return !matches(s, row) })
}

// sample takes a window out of a random order of the plan's rows without building that order: it walks
// the ranks by a step that has no divisor in common with their number.
func (v *view) sample(t *table, p plan, w window) []int32 {
	n := p.rows
	if n == 0 {
		return nil
	}
	step := 1 + v.random.IntN(n)
	for gcd(step, n) != 1 {
		step++
	}
	start := v.random.IntN(n)
	var rows []int32
	for i := w.offset; i < min(w.offset+w.limit, n); i++ {
		rank := int((uint64(start) + uint64(i)*uint64(step)) % uint64(n))
		for _, r := range p.ranks {
			if size := r[1] - r[0]; rank >= size {
				rank -= size
				continue
			}
			p.kind.index(t).ranks(r[0]+rank, r[0]+rank+1, func(row int32) bool {
				rows = append(rows, row)
				return false
			})
			break
		}
	}
	return rows
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// sort orders rows; ties fall differently on every request.
func (s *scan) sort(rows []int32, order []compiledOrder) {
	refs := make([]rowRef, len(rows))
	for i, row := range rows {
		refs[i] = rowRef{s.table, row}
	}
	s.view.sortBy(refs, order)
	for i, ref := range refs {
		rows[i] = ref.row
	}
}

// sortRefs orders rows of several tables.
func (v *view) sortRefs(refs []rowRef, q encodedQuery) {
	if len(refs) > 0 {
		v.sortBy(refs, v.compile(q, refs[0].table.schema).order)
	}
}

func (v *view) sortBy(refs []rowRef, order []compiledOrder) {
	shuffle(v, refs)
	if len(order) == 0 {
		return
	}
	type keyed struct {
		ref  rowRef
		keys []string
	}
	items := make([]keyed, len(refs))
	var buf, display []byte
	for i, ref := range refs {
		items[i] = keyed{ref, make([]string, len(order))}
		for j, o := range order {
			buf, _, _ = v.value(buf, ref.table, ref.row, o.path)
			if c := o.path.last(); c.class == classReference && len(buf) > 0 {
				display = v.appendReferenceDisplay(display[:0], c, buf)
				items[i].keys[j] = string(display)
				continue
			}
			items[i].keys[j] = string(buf)
		}
	}
	slices.SortStableFunc(items, func(a, b keyed) int {
		for j, o := range order {
			c := o.path.last()
			var by int
			switch x, y := a.keys[j], b.keys[j]; {
			case x == "" || y == "": // empty sorts first
				by = cmp.Compare(min(len(x), 1), min(len(y), 1))
			default:
				by = compareValues([]byte(x), []byte(y), c, true)
			}
			if by == 0 {
				continue
			}
			if o.descending {
				return -by
			}
			return by
		}
		return 0
	})
	for i := range items {
		refs[i] = items[i].ref
	}
}
