package emulator

import (
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// aggregates are the functions in the order they are answered.
var aggregates = [...]string{"avg", "min", "max", "sum"}

// statsRequest is an Aggregate API call, understood.
type statsRequest struct {
	query   encodedQuery
	count   bool
	fields  map[string][]string // by function
	groupBy []string
	mode    displayMode
}

// serveAggregate answers GET /api/now/stats/{table}. Row rules do not apply, so it counts rows the user
// cannot read; everything is a string.
func (x *exchange) serveAggregate() {
	p := x.readParams("sysparm_query", "sysparm_count", "sysparm_avg_fields", "sysparm_min_fields", "sysparm_max_fields",
		"sysparm_sum_fields", "sysparm_group_by", "sysparm_display_value", "sysparm_query_category")
	request := statsRequest{
		query:   parseQuery(p.text("sysparm_query")),
		count:   p.flag("sysparm_count"),
		fields:  map[string][]string{},
		groupBy: fieldList(p.text("sysparm_group_by")),
		mode:    p.display("sysparm_display_value"),
	}
	wanted := request.count
	for _, function := range aggregates {
		request.fields[function] = fieldList(p.text("sysparm_" + function + "_fields"))
		wanted = wanted || request.fields[function] != nil
	}
	if !wanted {
		p.refuse("stats without a count or an aggregate on %s", x.r.URL.Path)
	}
	if !p.ok() {
		return
	}
	x.e.mu.RLock()
	v := x.e.view()
	v.dropWindow = x.fault.Kind == FaultDroppedWindow
	ok, empty := x.readable(v)
	if !ok {
		x.e.mu.RUnlock()
		return
	}
	answer, invalid := v.aggregate(x.route.table, request, empty)
	x.e.mu.RUnlock()
	x.e.traffic.noteInvalidTerms(invalid)
	if len(invalid) > 0 && x.e.cfg.InvalidQuery == Forbidden {
		x.fail(http.StatusForbidden, "Insufficient rights to query records", "Field(s) present in the query do not have permission to be read")
		return
	}
	if x.fault.Kind == FaultPartialResult || x.fault.Kind == FaultEmptyWithError {
		answer = appendError(append(answer, ','), cancelledMessage, cancelledDetail)
	}
	answer = append(answer, '}')
	if x.fault.Kind == FaultPartialCut {
		answer = answer[:len(answer)-2]
	}
	x.begin(http.StatusOK, "application/json;charset=UTF-8").finish(answer)
}

// aggregate computes the answer, without its closing brace.
func (v *view) aggregate(table string, request statsRequest, empty bool) (answer []byte, invalid []string) {
	request.query.order = nil
	everything := window{limit: 1 << 31, count: true}
	if len(request.groupBy) == 0 && request.onlyCount() {
		everything.limit = 0
	}
	var all selection
	switch ends, ok := v.timeEnds(table, request); {
	case empty:
	case ok:
		all = ends
	default:
		all = v.selectRows(table, request.query, everything)
	}
	answer = append(answer, `{"result":`...)
	if len(request.groupBy) == 0 {
		answer = append(answer, '{')
		answer = v.appendStats(answer, table, request, all.rows, all.total)
		return append(answer, '}'), all.invalid
	}
	answer = append(answer, '[')
	for i, g := range v.groups(table, request.groupBy, all.rows) {
		if i > 0 {
			answer = append(answer, ',')
		}
		answer = append(answer, '{')
		answer = v.appendStats(answer, table, request, g.rows, len(g.rows))
		answer = append(answer, `,"groupby_fields":[`...)
		for j, field := range request.groupBy {
			if j > 0 {
				answer = append(answer, ',')
			}
			answer = appendText(append(answer, `{"field":`...), field)
			value, shown := g.keys[j], g.shown[j]
			if request.mode == showDisplay {
				value = shown
			}
			answer = appendText(append(answer, `,"value":`...), value)
			if request.mode == showAll {
				answer = appendText(append(answer, `,"display_value":`...), shown)
			}
			answer = append(answer, '}')
		}
		answer = append(answer, "]}"...)
	}
	return append(answer, ']'), all.invalid
}

func (r statsRequest) onlyCount() bool {
	for _, fields := range r.fields {
		if fields != nil {
			return false
		}
	}
	return true
}

// timeEnds selects the first and the last row in time, which is all that min and max of the time column
// need: clients ask for them on large tables.
func (v *view) timeEnds(table string, request statsRequest) (selection, bool) {
	s := v.schemas.byName[table]
	if s.timeColumn < 0 || len(request.groupBy) > 0 || request.fields["avg"] != nil || request.fields["sum"] != nil {
		return selection{}, false
	}
	time := s.columns[s.timeColumn].name
	asked := append(slices.Clone(request.fields["min"]), request.fields["max"]...)
	if len(asked) == 0 || slices.ContainsFunc(asked, func(field string) bool { return field != time }) {
		return selection{}, false
	}
	q := request.query
	q.order = []orderTerm{{field: time}}
	ends := v.selectRows(table, q, window{limit: 1, count: true})
	q.order = []orderTerm{{field: time, descending: true}}
	ends.rows = append(ends.rows, v.selectRows(table, q, window{limit: 1}).rows...)
	// A row without a time sorts first and is no minimum.
	return ends, len(ends.rows) == 0 || ends.rows[0].table.times[ends.rows[0].row] != noTime
}

type statsGroup struct {
	keys, shown []string
	rows        []rowRef
}

func (v *view) groups(table string, fields []string, rows []rowRef) []statsGroup {
	byKey := map[string]int{}
	var groups []statsGroup
	for _, ref := range rows {
		g := statsGroup{}
		for _, field := range fields {
			path, ok := v.schemas.resolveField(ref.table.schema, field)
			if !ok {
				g.keys, g.shown = append(g.keys, ""), append(g.shown, "")
				continue
			}
			value, t, row := v.value(nil, ref.table, ref.row, path)
			g.keys = append(g.keys, string(value))
			if t != nil {
				value = v.appendDisplay(nil, t, row, t.schema.index[path.last().name], value)
			}
			g.shown = append(g.shown, string(value))
		}
		key := strings.Join(g.keys, "\x00")
		i, ok := byKey[key]
		if !ok {
			i = len(groups)
			byKey[key] = i
			groups = append(groups, g)
		}
		groups[i].rows = append(groups[i].rows, ref)
	}
	slices.SortFunc(groups, func(a, b statsGroup) int { return slices.Compare(a.keys, b.keys) })
	return groups
}

func (v *view) appendStats(buf []byte, table string, request statsRequest, rows []rowRef, total int) []byte {
	buf = append(buf, `"stats":{`...)
	first := true
	member := func(name string) {
		if !first {
			buf = append(buf, ',')
		}
		first = false
		buf = append(appendText(buf, name), ':')
	}
	if request.count {
		member("count")
		buf = appendText(buf, strconv.Itoa(total))
	}
	for _, function := range aggregates {
		if request.fields[function] == nil || len(rows) == 0 {
			continue
		}
		member(function)
		buf = append(buf, '{')
		for i, field := range request.fields[function] {
			if i > 0 {
				buf = append(buf, ',')
			}
			buf = append(appendText(buf, field), ':')
			buf = appendText(buf, v.fold(function, table, field, rows))
		}
		buf = append(buf, '}')
	}
	return append(buf, '}')
}

// fold computes one aggregate over the rows' non-empty values.
func (v *view) fold(function, table, field string, rows []rowRef) string {
	path, ok := v.schemas.resolveField(v.schemas.byName[table], field)
	if !ok {
		return ""
	}
	column := path.last()
	var best, value []byte
	sum, n := new(big.Rat), int64(0)
	for _, ref := range rows {
		value, _, _ = v.value(value, ref.table, ref.row, path)
		if len(value) == 0 {
			continue
		}
		n++
		switch function {
		case "min", "max":
			order := compareValues(value, best, column, true)
			if n == 1 || (function == "min" && order < 0) || (function == "max" && order > 0) {
				best = append(best[:0], value...)
			}
		default:
			if number, ok := new(big.Rat).SetString(string(value)); ok {
				sum.Add(sum, number)
			}
		}
	}
	switch {
	case function == "min" || function == "max":
		return string(best)
	case n == 0:
		return ""
	case function == "avg":
		return sum.Quo(sum, new(big.Rat).SetInt64(n)).FloatString(4)
	case sum.IsInt():
		return sum.Num().String()
	}
	return strings.TrimRight(sum.FloatString(6), "0")
}
