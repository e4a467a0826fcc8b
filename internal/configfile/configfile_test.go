package configfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/configfile"
)

func parseOne(t *testing.T, text string) *configfile.Document {
	t.Helper()
	docs, err := configfile.Parse([]byte(text))
	require.NoError(t, err)
	require.Len(t, docs, 1)
	return docs[0]
}

func TestVariables(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	pem := "-----BEGIN X-----\nYQ==\n-----END X-----\n"
	t.Setenv("CF_SECRET", `a: "b" #c`)
	t.Setenv("CF_NUMBER", "12")
	t.Setenv("CF_LIST", "[x, y]")
	t.Setenv("CF_EMPTY", "")
	t.Setenv("CF_AGAIN", "[CQHIDDENVARIABLE0E, '${CF_NUMBER}']")
	doc := parseOne(t, `
base: &base {x: 1, y: 2}
merged: {<<: *base, y: 3}
alias: *base
plain: ${CF_SECRET} # ${CF_COMMENT}
quoted: "${CF_SECRET}"
number: ${CF_NUMBER}
text: "${CF_NUMBER}"
tagged: [!!str "${CF_NUMBER}", !!str 012]
inside: a-${CF_NUMBER}-b
list: ${CF_LIST}
names: [${CF_NUMBER}_a, '${CF_NUMBER}']
empty: ${CF_EMPTY}
again: ${CF_AGAIN}
line: ${file:`+write("token", "s3cret\r\n")+`}
pem: "${file:`+write("pem", pem)+`}"
block: |
  ${file:`+write("json", "{\n\"a\": 1\n}")+`}
year: ${time:2024-05-06|2006}
`)
	require.Empty(t, doc.Faults)
	one, two, three := uint64(1), uint64(2), uint64(3)
	require.Equal(t, map[string]any{
		"base":   map[string]any{"x": one, "y": two},
		"merged": map[string]any{"x": one, "y": three},
		"alias":  map[string]any{"x": one, "y": two},
		"plain":  `a: "b" #c`,
		"quoted": `a: "b" #c`,
		"number": uint64(12),
		"text":   "12",
		"tagged": []any{"12", "012"},
		"inside": "a-12-b",
		"list":   []any{"x", "y"},
		"names":  []any{"12_a", "12"},
		"empty":  nil,
		"again":  []any{"CQHIDDENVARIABLE0E", "${CF_NUMBER}"},
		"line":   "s3cret",
		"pem":    pem,
		"block":  "{\n\"a\": 1\n}\n",
		"year":   uint64(2024),
	}, doc.Root.Plain())
	require.Equal(t, []int{9, 12, 16}, []int{doc.Root.At("tagged").Line, doc.Root.At("names").Line, doc.Root.At("pem").Line})
}

func TestTagOfUnquotedVariable(t *testing.T) {
	t.Setenv("CF_NUMBER", "12")
	doc := parseOne(t, "a: !!str ${CF_NUMBER}\nb: !!str 12\nc: !!str\n")
	require.Equal(t, map[string]any{"a": "12", "b": "12", "c": nil}, doc.Root.Plain())
}

func TestTimeIsRFC3339WithoutALayout(t *testing.T) {
	text, ok := parseOne(t, "a: ${time:1 day ago}\n").Root.At("a").Text()
	require.True(t, ok)
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().AddDate(0, 0, -1), at, 2*time.Hour)
}

// A secret of digits is a number in YAML, and its zeros at the front count.
func TestTextOfVariables(t *testing.T) {
	t.Setenv("CF_DIGITS", "0012")
	root := parseOne(t, "a: ${CF_DIGITS}\nb: 12\nc: [x]\nd:\ne: x\n").Root
	for key, want := range map[string]string{"a": "0012", "b": "", "c": "", "d": "", "e": "x", "absent": ""} {
		text, ok := root.At(key).Text()
		require.Equal(t, want, text, key)
		require.Equal(t, want != "", ok, key)
	}
	require.NotEqual(t, "0012", root.At("a").Plain())
}

func TestFaults(t *testing.T) {
	t.Setenv("CF_ALIAS", "[x, *lost]")
	docs, err := configfile.Parse([]byte(`# ${UNSET_IN_A_COMMENT}
common: &common {secret: "${UNSET_SECRET}"}
spec:
  tables: [a, "${UNSET_TABLE}"]
  auth: *common
  alias: *nowhere
  merged: {<<: {y: "${UNSET_Y}"}, y: 1}
  lost: {<<: *nowhere}
  in: ${CF_ALIAS}
---
file: ${file:/does/not/exist}
time: ${time:soon}
number: .inf
---
`))
	require.NoError(t, err)
	require.Len(t, docs, 2)
	type fault struct {
		line int
		path string
		what string
	}
	plain := func(in []configfile.Fault) (out []fault) {
		for _, f := range in {
			out = append(out, fault{f.Line, f.Path, f.What})
		}
		return out
	}
	secret := fault{2, "$.common.secret", "the environment variable UNSET_SECRET is not set"}
	table := fault{4, "$.spec.tables[1]", "the environment variable UNSET_TABLE is not set"}
	alias := fault{6, "$.spec.alias", `the anchor "nowhere" does not exist`}
	merged := fault{7, "$.spec.merged.y", "the environment variable UNSET_Y is not set"}
	lost := fault{8, "$.spec.lost", `the anchor "nowhere" does not exist`}
	in := fault{9, "$.spec.in[1]", `the anchor "lost" does not exist`}
	require.Equal(t, []fault{secret, table, alias, merged, lost, in}, plain(docs[0].Faults))
	// A value has the faults of what it refers to, and none of what was replaced.
	require.Equal(t, []fault{table, secret, alias, lost, in}, plain(docs[0].Root.At("spec").Faults()))
	require.Equal(t, []fault{secret}, plain(docs[0].Root.At("spec", "auth").Faults()))
	require.Empty(t, docs[0].Root.At("spec", "absent", "key").Faults())

	require.Equal(t, []fault{
		{11, "$.file", "the file of ${file:/does/not/exist} cannot be read"},
		{12, "$.time", "${time:soon} is not a time"},
		{13, "$.number", "this kind of YAML value is not supported"},
	}, plain(docs[1].Faults))
	require.True(t, docs[0].Faults[2].NoAnchor)
	require.False(t, docs[0].Faults[0].NoAnchor)
	require.ErrorIs(t, docs[1].Faults[0].Cause, os.ErrNotExist)
	require.Contains(t, docs[1].Faults[0].String(), "cannot be read: open /does/not/exist")
	require.Equal(t, docs[0].Faults[0].What, docs[0].Faults[0].String())
}

func TestSyntaxErrorQuotesNothing(t *testing.T) {
	for _, text := range []string{"a: 1\nb: 'topsecret\n", "kind: [source\nspec: \"topsecret", "a: topsecret\na: topsecret\n"} {
		_, err := configfile.Parse([]byte(text))
		var syntax *configfile.SyntaxError
		require.True(t, errors.As(err, &syntax), text)
		require.NotZero(t, syntax.Line)
		require.NotContains(t, err.Error(), "topsecret")
	}
}

func TestEmptyDocuments(t *testing.T) {
	for text, want := range map[string]int{"": 0, "---\n---\n": 0, "# only a comment\n": 0, "null": 1, "---\na: 1\n---\n": 1} {
		docs, err := configfile.Parse([]byte(text))
		require.NoError(t, err)
		require.Len(t, docs, want, text)
	}
}

func TestNode(t *testing.T) {
	root := parseOne(t, "list: []\nmap: {}\nnull:\nbool: true\ntext: ''\nnumber: 1.5\n").Root
	require.Equal(t, []string{"list", "map", "null", "bool", "text", "number"}, root.Keys)
	for key, kind := range map[string]string{
		"list": "a list", "map": "a mapping", "null": "empty", "bool": "true or false", "text": "text", "number": "a number", "absent": "empty",
	} {
		require.Equal(t, kind, root.At(key).Kind())
		require.Equal(t, kind == "empty", root.At(key).IsNull(), key)
	}
	require.Equal(t, map[string]any{}, root.At("map").Plain())
	require.Equal(t, []any{}, root.At("list").Plain())
	require.Nil(t, root.At("absent", "key").Plain())
}
