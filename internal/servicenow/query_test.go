package servicenow

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseQueryAndWrite(t *testing.T) {
	for _, encoded := range []string{
		"",
		"active=true",
		"active=true^priorityIN1,2^ORurgency=1^short_descriptionLIKEa b",
		"caller_id.department.name=IT^NQactive=false^numberSTARTSWITHINC",
		"priorityNOT IN4,5^descriptionISEMPTY",
		"opened_atRELATIVEGT@day@ago@30",
		"123TEXTQUERY321=printer^sys_updated_on>=2026-01-01 00:00:00",
		"short_description=a^^b",
		"opened_atSAMEASclosed_at",
		"correlation_id=",
	} {
		q, err := ParseQuery(encoded)
		require.NoError(t, err, encoded)
		require.Equal(t, encoded, q.String())
	}
	q, err := ParseQuery("active=true^EQ")
	require.NoError(t, err)
	require.Equal(t, "active=true", q.String())
}

func TestParseQueryRefusesWhatServiceNowWouldDrop(t *testing.T) {
	for encoded, clause := range map[string]int{
		"active=true^":              2,
		"active=true^^^priority=1":  0, // an escaped ^ inside the value, then a clause: fine
		"active=true^ORDERBYnumber": 2,
		"ORactive=true":             1,
		"NQactive=true":             1,
		"active":                    1,
		"activeFOO1":                1,
		"Active=true":               1,
		"active=true^NQ":            2,
		"descriptionISEMPTYx":       1,
		"opened_at>javascript:gs.daysAgoStart(3)":  1,
		"RLQUERYincident.caller_id,>=1^ENDRLQUERY": 1,
		"a=1^^=2^b=3^=4":     3,
		"priority NOT IN4,5": 1,
		"active=true^opened_atON\u0000^GROUPBYpriority": 3,
	} {
		_, err := ParseQuery(encoded)
		if clause == 0 {
			require.NoError(t, err, encoded)
			continue
		}
		var syntax *QuerySyntaxError
		require.True(t, errors.As(err, &syntax), "%q: %v", encoded, err)
		require.Equal(t, clause, syntax.Clause, encoded)
	}
}

func TestAndReachesEveryAlternative(t *testing.T) {
	q, err := ParseQuery("a=1^ORb=2^NQc=3")
	require.NoError(t, err)
	narrowed := q.And(Clause{Field: "x", Operator: ">", Value: "5"}, Clause{Or: true, Field: "y", Operator: ">", Value: "^NQz"}).OrderBy("x", "y")
	require.Equal(t, "a=1^ORb=2^x>5^ORy>^^NQz^NQc=3^x>5^ORy>^^NQz^ORDERBYx^ORDERBYy", narrowed.String())
	require.Equal(t, "a=1^ORb=2^NQc=3", q.String(), "the narrowed query must not change the one it came from")
}

func TestQueryFields(t *testing.T) {
	q, err := ParseQuery("caller_id.name=x^opened_atSAMEASclosed_at@day^NQcaller_id.name=y")
	require.NoError(t, err)
	require.Equal(t, []string{"caller_id.name", "closed_at", "opened_at"}, q.Fields())
}

func FuzzParseQuery(f *testing.F) {
	for _, seed := range []string{"active=true^ORpriority=1^NQnumber=INC1", "a=^^^b=1", "a=b^^c", "x>javascript:gs.now()", "^^^^", "a=1^EQ", "NQ0%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		q, err := ParseQuery(encoded)
		if err != nil {
			return
		}
		again, err := ParseQuery(q.String())
		require.NoError(t, err)
		require.Equal(t, q.String(), again.String())
		require.Equal(t, q.Fields(), again.Fields())
	})
}

// A value can never become a clause, whatever it holds.
func FuzzValueStaysAValue(f *testing.F) {
	f.Add("x^ORactive=true")
	f.Add("^")
	f.Add("a\n^^NQ=")
	f.Fuzz(func(t *testing.T, value string) {
		q := Where(Clause{Field: "a", Operator: "=", Value: value}, Clause{Field: "b", Operator: "=", Value: "1"})
		terms := splitTerms(q.String())
		require.Equal(t, []string{"a=" + value, "b=1"}, terms)
	})
}

func TestAndQuery(t *testing.T) {
	parse := func(text string) Query {
		q, err := ParseQuery(text)
		require.NoError(t, err)
		return q
	}
	for _, test := range []struct{ one, other, want string }{
		{"", "", ""},
		{"a=1", "", "a=1"},
		{"", "a=1^ORb=2", "a=1^ORb=2"},
		{"a=1^ORb=2", "c=3^ORd=4", "a=1^ORb=2^c=3^ORd=4"},
		{"a=1^NQb=2", "c=3^NQd=4^e=5", "a=1^c=3^NQb=2^c=3^NQa=1^d=4^e=5^NQb=2^d=4^e=5"},
	} {
		require.Equal(t, test.want, parse(test.one).AndQuery(parse(test.other)).String())
	}
	require.Equal(t, "a=1^b=2^ORDERBYDESCc^ORDERBYsys_id", parse("a=1").AndQuery(parse("b=2")).OrderBy(Descending("c"), "sys_id").String())
}
