package servicenow

import (
	"fmt"
	"slices"
	"strings"
)

// Query is an encoded query: alternatives joined by ^NQ, each a list of clauses joined by ^. The zero value asks for
// everything. Values are escaped when the query is written, so a value can never become a clause.
//
// Source: "Operators available for filters and queries", and GlideStringUtil.escapeQueryTermSeparator for ^^.
type Query struct {
	alternatives [][]Clause
	orderBy      []string
}

// Clause is one term of an encoded query.
type Clause struct {
	// Or joins the clause to the one before it: `a^b^ORc` is a AND (b OR c).
	Or       bool
	Field    string
	Operator string
	Value    string
}

// Where returns a query of the given clauses.
func Where(clauses ...Clause) Query {
	return Query{}.And(clauses...)
}

// And returns the query narrowed by clauses, in every alternative: after ^NQ nothing is inherited.
func (q Query) And(clauses ...Clause) Query {
	alternatives := q.alternatives
	if len(alternatives) == 0 {
		alternatives = [][]Clause{nil}
	}
	narrowed := Query{orderBy: q.orderBy, alternatives: make([][]Clause, len(alternatives))}
	for i, alternative := range alternatives {
		narrowed.alternatives[i] = append(slices.Clip(alternative), clauses...)
	}
	return narrowed
}

// AndQuery returns the query narrowed by another one: every alternative of the one with every alternative of the other.
func (q Query) AndQuery(other Query) Query {
	if len(other.alternatives) == 0 {
		return q
	}
	narrowed := Query{orderBy: q.orderBy}
	for _, alternative := range other.alternatives {
		narrowed.alternatives = append(narrowed.alternatives, q.And(alternative...).alternatives...)
	}
	return narrowed
}

// Descending marks a field for OrderBy.
func Descending(field string) string { return "DESC" + field }

// OrderBy returns the query sorted by fields, ascending unless marked by Descending, the first field first.
func (q Query) OrderBy(fields ...string) Query {
	q.orderBy = fields
	return q
}

// IsEmpty reports whether the query narrows nothing.
func (q Query) IsEmpty() bool {
	for _, alternative := range q.alternatives {
		if len(alternative) > 0 {
			return false
		}
	}
	return true
}

// Fields returns every field that the query names, dot-walked ones whole, each once.
func (q Query) Fields() []string {
	var fields []string
	for _, alternative := range q.alternatives {
		for _, c := range alternative {
			fields = append(fields, c.Field)
			if comparesFields(c.Operator) {
				other, _, _ := strings.Cut(c.Value, "@")
				fields = append(fields, other)
			}
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

// String writes the query in ServiceNow's syntax, before percent-encoding.
func (q Query) String() string {
	var b strings.Builder
	for i, alternative := range q.alternatives {
		if i > 0 {
			b.WriteString("^NQ")
		}
		for j, c := range alternative {
			if j > 0 {
				b.WriteByte('^')
				if c.Or {
					b.WriteString("OR")
				}
			}
			b.WriteString(c.Field)
			b.WriteString(c.Operator)
			b.WriteString(strings.ReplaceAll(c.Value, "^", "^^"))
		}
	}
	for _, field := range q.orderBy {
		if b.Len() > 0 {
			b.WriteByte('^')
		}
		b.WriteString("ORDERBY")
		b.WriteString(field)
	}
	return b.String()
}

// textQueryField is the pseudo-field of the full-text index.
const textQueryField = "123TEXTQUERY321"

// operators in the vendor's spelling; one that begins with another stands before it.
func operators() []string {
	return []string{
		"!=", "<=", ">=", "=", "<", ">", "!*", "*", "!%", "%",
		"NOT IN", "IN", "NOT LIKE", "LIKE", "STARTSWITH", "ENDSWITH",
		"ISEMPTY", "ISNOTEMPTY", "EMPTYSTRING", "ANYTHING", "BETWEEN",
		"SAMEAS", "NSAMEAS", "GT_FIELD", "LT_FIELD", "GT_OR_EQUALS_FIELD", "LT_OR_EQUALS_FIELD",
		"RELATIVEGT", "RELATIVELT", "RELATIVEGE", "RELATIVELE", "RELATIVEEE", "MORETHAN", "LESSTHAN",
		"DATEPART", "NOTON", "ON", "DYNAMIC",
	}
}

func comparesFields(operator string) bool {
	return strings.HasSuffix(operator, "SAMEAS") || strings.HasSuffix(operator, "_FIELD")
}

func takesNoValue(operator string) bool {
	switch operator {
	case "ISEMPTY", "ISNOTEMPTY", "EMPTYSTRING", "ANYTHING":
		return true
	}
	return false
}

// QuerySyntaxError says which clause of an encoded query cannot be used, by its place from 1. The clause itself stays out
// of the message: queries can hold personal data.
type QuerySyntaxError struct {
	Clause int
	Reason string
}

func (e *QuerySyntaxError) Error() string {
	return fmt.Sprintf("clause %d of the encoded query: %s", e.Clause, e.Reason)
}

// ParseQuery reads an encoded query. It is stricter than ServiceNow, which drops what it does not understand and runs the
// rest: whatever could be dropped, or would fight with keyset paging, is refused.
func ParseQuery(encoded string) (Query, error) {
	var q Query
	terms := splitTerms(strings.TrimSpace(encoded))
	var current []Clause
	for i, term := range terms {
		fail := func(reason string) (Query, error) { return Query{}, &QuerySyntaxError{i + 1, reason} }
		var c Clause
		switch {
		case term == "EQ" && i == len(terms)-1:
			continue // the form's terminator
		case term == "" && len(terms) == 1:
			continue
		case term == "":
			return fail("it is empty; remove the ^ beside it, or write ^^ for a ^ inside a value")
		case strings.HasPrefix(term, "ORDERBY"), strings.HasPrefix(term, "GROUPBY"):
			return fail("sorting and grouping are the connector's part; remove it")
		case strings.HasPrefix(term, "RLQUERY"), strings.HasPrefix(term, "ENDRLQUERY"):
			return fail("related-list queries are not supported")
		case strings.HasPrefix(term, "NQ"):
			if len(current) == 0 { // an alternative without clauses would ask for everything
				return fail("it begins with NQ, but nothing stands before it")
			}
			q.alternatives, current = append(q.alternatives, current), nil
			term = term[len("NQ"):]
		case strings.HasPrefix(term, "OR"):
			if len(current) == 0 {
				return fail("it begins with OR, but nothing stands before it")
			}
			c.Or = true
			term = term[len("OR"):]
		}
		reason := c.parse(term)
		if reason != "" {
			return fail(reason)
		}
		current = append(current, c)
	}
	if len(q.alternatives) > 0 && len(current) == 0 {
		return Query{}, &QuerySyntaxError{len(terms), "nothing follows ^NQ"}
	}
	if len(current) > 0 {
		q.alternatives = append(q.alternatives, current)
	}
	return q, nil
}

// parse fills the clause from a term without its ^, ^OR or ^NQ; it returns what is wrong, or "".
func (c *Clause) parse(term string) string {
	rest := term
	if after, ok := strings.CutPrefix(term, textQueryField); ok {
		c.Field, rest = textQueryField, after
	} else {
		end := strings.IndexFunc(term, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '.'
		})
		if end <= 0 {
			return "it does not have the form field, operator, value"
		}
		c.Field, rest = term[:end], term[end:]
	}
	known := operators()
	i := slices.IndexFunc(known, func(op string) bool { return strings.HasPrefix(rest, op) })
	if i < 0 {
		return "its operator is unknown; operators are written in capitals, for example IN, NOT IN, LIKE, STARTSWITH"
	}
	c.Operator, c.Value = known[i], rest[len(known[i]):]
	switch {
	case takesNoValue(c.Operator) && c.Value != "":
		return c.Operator + " takes no value"
	case strings.Contains(c.Value, "javascript:"):
		return "scripts are evaluated in the time zone of the session and may be dropped by the instance; write a literal value in UTC, or a relative one such as RELATIVEGT@day@ago@30"
	}
	return ""
}

// splitTerms splits at single ^ and unescapes ^^.
func splitTerms(encoded string) []string {
	var terms []string
	var b strings.Builder
	for i := 0; i < len(encoded); i++ {
		switch {
		case encoded[i] != '^':
			b.WriteByte(encoded[i])
		case i+1 < len(encoded) && encoded[i+1] == '^':
			b.WriteByte('^')
			i++
		default:
			terms = append(terms, b.String())
			b.Reset()
		}
	}
	return append(terms, b.String())
}
