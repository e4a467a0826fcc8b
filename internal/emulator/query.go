package emulator

import (
	"slices"
	"strings"
)

// encodedQuery is a parsed sysparm_query: branches joined by ^NQ, each an AND of ORs.
type encodedQuery struct {
	branches []branch
	order    []orderTerm
}

type branch []group

// group is a chain of conditions joined by ^OR: ^OR binds to the condition before it, so
// a^b^ORc^d is a AND (b OR c) AND d.
type group []condition

// condition is one term. Its operator is "" when the term is malformed.
type condition struct {
	term, field, operator, value string
}

type orderTerm struct {
	term, field string
	descending  bool
}

// operators, longest first where one begins with another. NOTIN and NOTLIKE without the space are not
// documented, so they are malformed here.
var operators = [...]string{
	">=", "<=", "!=", "!*", "=", ">", "<", "*", "%",
	"NOT IN", "NOT LIKE", "NSAMEAS", "SAMEAS", "STARTSWITH", "ENDSWITH", "ISEMPTY", "ISNOTEMPTY", "IN", "LIKE",
	"EMPTYSTRING", "ANYTHING", "BETWEEN", "GT_FIELD", "LT_FIELD", "GT_OR_EQUALS_FIELD", "LT_OR_EQUALS_FIELD",
	"RELATIVEGT", "RELATIVELT", "RELATIVEGE", "RELATIVELE",
}

// withoutValue are the operators that take none.
var withoutValue = [...]string{"ISEMPTY", "ISNOTEMPTY", "EMPTYSTRING", "ANYTHING"}

func parseQuery(text string) encodedQuery {
	q := encodedQuery{branches: []branch{{}}}
	current := func() *branch { return &q.branches[len(q.branches)-1] }
	for _, term := range splitTerms(text) {
		switch {
		case term == "" || term == "EQ":
			continue
		case strings.HasPrefix(term, "ORDERBYDESC"):
			q.order = append(q.order, orderTerm{term, term[len("ORDERBYDESC"):], true})
			continue
		case strings.HasPrefix(term, "ORDERBY"):
			q.order = append(q.order, orderTerm{term, term[len("ORDERBY"):], false})
			continue
		case strings.HasPrefix(term, "NQ"):
			q.branches = append(q.branches, branch{})
			if term = term[len("NQ"):]; term == "" {
				continue
			}
		}
		alternative, isOr := strings.CutPrefix(term, "OR")
		b := current()
		if isOr && len(*b) > 0 {
			last := &(*b)[len(*b)-1]
			*last = append(*last, parseCondition(alternative))
			continue
		}
		*b = append(*b, group{parseCondition(alternative)})
	}
	return q
}

// splitTerms splits at ^; ^^ is a ^ within a value.
func splitTerms(text string) []string {
	var terms []string
	var term strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '^':
			term.WriteByte(text[i])
		case i+1 < len(text) && text[i+1] == '^':
			term.WriteByte('^')
			i++
		default:
			terms = append(terms, term.String())
			term.Reset()
		}
	}
	return append(terms, term.String())
}

func parseCondition(term string) condition {
	end := strings.IndexFunc(term, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '.')
	})
	if end <= 0 {
		return condition{term: term}
	}
	c := condition{term: term, field: term[:end]}
	rest := term[end:]
	for _, operator := range operators {
		if value, ok := strings.CutPrefix(rest, operator); ok {
			c.operator, c.value = operator, value
			break
		}
	}
	if c.value != "" && slices.Contains(withoutValue[:], c.operator) {
		c.operator = ""
	}
	return c
}
