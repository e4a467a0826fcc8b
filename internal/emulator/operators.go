package emulator

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// test judges a field's stored value.
type test func(value []byte) bool

func (v *view) compileOperator(c condition, path fieldPath, s *schema) (predicate, bool) {
	column := path.last()
	switch c.operator {
	case "ANYTHING":
		return func(*scan, int32) bool { return true }, true
	case "SAMEAS", "NSAMEAS", "GT_FIELD", "LT_FIELD", "GT_OR_EQUALS_FIELD", "LT_OR_EQUALS_FIELD":
		return v.compileFieldComparison(c, path, s)
	case "LIKE", "*", "NOT LIKE", "!*", "STARTSWITH", "ENDSWITH", "%":
		return v.compileTextMatch(c, path)
	}
	t, ok := v.valueTest(c, column)
	if !ok {
		return nil, false
	}
	if len(path) == 1 {
		if p, ok := v.keyPredicate(c, path, t); ok {
			return p, true
		}
		number := path[0].column
		return func(s *scan, row int32) bool {
			s.buf = s.table.append(s.buf[:0], row, number)
			return t(s.buf)
		}, true
	}
	return func(s *scan, row int32) bool {
		s.buf, _, _ = s.view.value(s.buf, s.table, row, path)
		return t(s.buf)
	}, true
}

// keyPredicate compares the two columns kept as keys without writing out their values.
func (v *view) keyPredicate(c condition, path fieldPath, t test) (predicate, bool) {
	schema := path[0].schema
	switch {
	case path[0].column == schema.timeColumn:
		unix, ok := parseDateTime(c.value)
		compare := comparison(c.operator)
		if !ok || compare == nil {
			return nil, false
		}
		return func(s *scan, row int32) bool {
			return s.table.times[row] != noTime && compare(compareInts(s.table.times[row], unix))
		}, true
	case path.last().name == "sys_id" && comparison(c.operator) != nil && c.operator != "=" && c.operator != "!=":
		compare := comparison(c.operator)
		return func(s *scan, row int32) bool { return compare(collate(s.table.ids[row], c.value)) }, true
	}
	return nil, false
}

// comparison turns an operator into a judgement of compare's result; nil when it is no comparison.
func comparison(operator string) func(order int) bool {
	switch operator {
	case "=", "SAMEAS":
		return func(order int) bool { return order == 0 }
	case "!=", "NSAMEAS":
		return func(order int) bool { return order != 0 }
	case ">", "GT_FIELD":
		return func(order int) bool { return order > 0 }
	case ">=", "GT_OR_EQUALS_FIELD":
		return func(order int) bool { return order >= 0 }
	case "<", "LT_FIELD":
		return func(order int) bool { return order < 0 }
	case "<=", "LT_OR_EQUALS_FIELD":
		return func(order int) bool { return order <= 0 }
	}
	return nil
}

func isRange(operator string) bool {
	return operator == ">" || operator == ">=" || operator == "<" || operator == "<="
}

func isEmpty(value []byte) bool { return len(value) == 0 }

func isSet(value []byte) bool { return len(value) > 0 }

// valueTest compiles the operators that judge one stored value. An empty value is SQL's NULL: it matches
// no comparison, not even !=, save for booleans, where "is not true" includes it.
func (v *view) valueTest(c condition, column *column) (test, bool) {
	switch c.operator {
	case "ISEMPTY", "EMPTYSTRING":
		return isEmpty, true
	case "ISNOTEMPTY":
		return isSet, true
	case "IN":
		return inTest(c.value, column), true
	case "NOT IN":
		in := inTest(c.value, column)
		return func(value []byte) bool { return isSet(value) && !in(value) }, true
	case "BETWEEN":
		low, high, ok := strings.Cut(c.value, "@")
		if !ok {
			return nil, false
		}
		atLeast, ok1 := compareTest(">=", low, column)
		atMost, ok2 := compareTest("<=", high, column)
		return func(value []byte) bool { return atLeast(value) && atMost(value) }, ok1 && ok2
	case "RELATIVEGT", "RELATIVELT", "RELATIVEGE", "RELATIVELE":
		return v.relativeTest(c, column)
	}
	if c.value == "" || c.value == "NULL" {
		switch c.operator {
		case "=":
			return isEmpty, true
		case "!=":
			return isSet, true
		}
	}
	return compareTest(c.operator, c.value, column)
}

func inTest(list string, column *column) test {
	wanted := map[string]bool{}
	for item := range strings.SplitSeq(list, ",") {
		if column.class == classNumber || column.class == classBoolean {
			item = strings.TrimSpace(item)
		}
		wanted[item] = true
	}
	return func(value []byte) bool { return wanted[string(value)] }
}

// compareTest compiles = != < <= > >= against a literal. A range against something that is no number or
// date of the column's type is malformed.
func compareTest(operator, literal string, column *column) (test, bool) {
	compare := comparison(operator)
	if compare == nil {
		return nil, false
	}
	switch column.class {
	case classNumber:
		if _, ok := compareNumbers([]byte(literal), []byte(literal)); !ok {
			return func([]byte) bool { return operator == "!=" }, !isRange(operator)
		}
	case classDateTime, classDate, classDuration:
		unix, ok := parseDateTime(literal)
		if !ok {
			return nil, false
		}
		if column.class == classDate {
			unix = floorDiv(unix, secondsPerDay) * secondsPerDay
		}
		return func(value []byte) bool {
			stored, ok := parseDateTime(value)
			return ok && compare(compareInts(stored, unix))
		}, true
	case classBoolean:
		switch literal {
		case "1":
			literal = "true"
		case "0":
			literal = "false"
		}
		if operator == "!=" {
			return func(value []byte) bool { return string(value) != literal }, true
		}
	}
	want := []byte(literal)
	return func(value []byte) bool {
		return isSet(value) && compare(compareValues(value, want, column, isRange(operator)))
	}, true
}

// compareValues orders two values of a column. Equality minds case, as the Table API documents; order
// does not, as the database's collation does not.
func compareValues(a, b []byte, column *column, ordered bool) int {
	if column.class == classNumber {
		if order, ok := compareNumbers(a, b); ok {
			return order
		}
	}
	if ordered {
		return collate(string(a), string(b))
	}
	return bytes.Compare(a, b)
}

// compareNumbers compares exactly where both are integers, as big ones exceed a float's precision.
func compareNumbers(a, b []byte) (order int, ok bool) {
	x, errX := strconv.ParseInt(string(a), 10, 64)
	y, errY := strconv.ParseInt(string(b), 10, 64)
	if errX == nil && errY == nil {
		return compareInts(x, y), true
	}
	f, errF := strconv.ParseFloat(string(a), 64)
	g, errG := strconv.ParseFloat(string(b), 64)
	if errF != nil || errG != nil {
		return 0, false
	}
	return cmp.Compare(f, g), true
}

// compileTextMatch compiles the text operators; on a reference they look at its display value.
func (v *view) compileTextMatch(c condition, path fieldPath) (predicate, bool) {
	want := []byte(c.value)
	var match test
	negated := false
	switch c.operator {
	case "LIKE", "*":
		match = func(value []byte) bool { return bytes.Contains(value, want) }
	case "NOT LIKE", "!*":
		negated = true
		match = func(value []byte) bool { return !bytes.Contains(value, want) }
	case "STARTSWITH":
		match = func(value []byte) bool { return bytes.HasPrefix(value, want) }
	case "ENDSWITH", "%":
		match = func(value []byte) bool { return bytes.HasSuffix(value, want) }
	}
	column := path.last()
	displayed := column.class == classReference
	return func(s *scan, row int32) bool {
		s.buf, _, _ = s.view.value(s.buf, s.table, row, path)
		if displayed && len(s.buf) > 0 {
			s.second = s.view.appendReferenceDisplay(s.second[:0], column, s.buf)
			return match(s.second)
		}
		return (len(s.buf) > 0 || (!negated && len(want) == 0)) && match(s.buf)
	}, true
}

func (v *view) compileFieldComparison(c condition, path fieldPath, s *schema) (predicate, bool) {
	other, ok := v.schemas.resolveField(s, c.value)
	if !ok {
		return nil, false
	}
	compare := comparison(c.operator)
	ordered := c.operator != "SAMEAS" && c.operator != "NSAMEAS"
	column := path.last()
	return func(s *scan, row int32) bool {
		s.buf, _, _ = s.view.value(s.buf, s.table, row, path)
		s.second, _, _ = s.view.value(s.second, s.table, row, other)
		if ordered && (isEmpty(s.buf) || isEmpty(s.second)) {
			return false
		}
		return compare(compareValues(s.buf, s.second, column, ordered))
	}, true
}

// relativeTest compiles RELATIVEGT@unit@ago|ahead@n, a comparison with a time relative to the server's now.
func (v *view) relativeTest(c condition, column *column) (test, bool) {
	parts := strings.Split(c.value, "@")
	if column.class != classDateTime || len(parts) != 4 || parts[0] != "" || !slices.Contains([]string{"ago", "ahead"}, parts[2]) {
		return nil, false
	}
	n, err := strconv.Atoi(parts[3])
	if err != nil {
		return nil, false
	}
	if parts[2] == "ago" {
		n = -n
	}
	at := v.now.UTC()
	switch parts[1] {
	case "minute":
		at = at.Add(time.Duration(n) * time.Minute)
	case "hour":
		at = at.Add(time.Duration(n) * time.Hour)
	case "dayofweek":
		at = at.AddDate(0, 0, n)
	case "month":
		at = at.AddDate(0, n, 0)
	case "year":
		at = at.AddDate(n, 0, 0)
	default:
		return nil, false
	}
	operator := map[string]string{"RELATIVEGT": ">", "RELATIVEGE": ">=", "RELATIVELT": "<", "RELATIVELE": "<="}[c.operator]
	return compareTest(operator, at.Format(time.DateTime), column)
}
