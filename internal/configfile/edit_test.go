package configfile_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/configfile"
)

func second(doc *configfile.Document) bool {
	text, _ := doc.Root.At("kind").Text()
	return text == "source"
}

func TestSetList(t *testing.T) {
	const head = "# ${UNSET} of the head\nkind: destination\nspec: {name: x, password: \"${UNSET_PASSWORD}\"}\n---\n# the source\nkind: source\nspec:\n  name: servicenow\n\n"
	entries := []configfile.Entry{{Value: "a1", Comment: "INC1"}, {Value: "12e3"}}
	plain := []any{"spec", "spec", "incidents", "sys_ids"}
	for name, test := range map[string]struct {
		keys         []any
		before, want string
	}{
		"a new block": {plain,
			"  spec:\n    # where\n    instance_url: ${URL} # here\n\n    auth:\n      client_secret: ${SECRET}\n",
			"  spec:\n    # where\n    instance_url: ${URL} # here\n    incidents:\n      sys_ids:\n        - \"a1\" # INC1\n        - \"12e3\"\n\n    auth:\n      client_secret: ${SECRET}\n"},
		"a new block behind a nested one": {plain,
			"  spec:\n    auth:\n      # who\n      client_id: x\n      list:\n      - 1\n    page_size: 3",
			"  spec:\n    auth:\n      # who\n      client_id: x\n      list:\n      - 1\n    incidents:\n      sys_ids:\n        - \"a1\" # INC1\n        - \"12e3\"\n    page_size: 3"},
		"without a line feed at the end": {plain,
			"  spec:\n    page_size: 3",
			"  spec:\n    page_size: 3\n    incidents:\n      sys_ids:\n        - \"a1\" # INC1\n        - \"12e3\"\n"},
		"into a block": {plain,
			"  spec:\n    incidents:\n      query: active=true # open\n    page_size: 3\n",
			"  spec:\n    incidents:\n      query: active=true # open\n      sys_ids:\n        - \"a1\" # INC1\n        - \"12e3\"\n    page_size: 3\n"},
		"into an empty block": {plain,
			"  spec:\n    incidents: # all\n    page_size: 3\n",
			"  spec:\n    incidents: # all\n      sys_ids:\n        - \"a1\" # INC1\n        - \"12e3\"\n    page_size: 3\n"},
		"into an empty list": {plain,
			"  spec:\n    incidents:\n      sys_ids:\n      query: a=b\n",
			"  spec:\n    incidents:\n      sys_ids:\n        - \"a1\" # INC1\n        - \"12e3\"\n      query: a=b\n"},
		"in place of a list": {plain,
			"  spec:\n    incidents:\n      sys_ids:\n      - gone # old\n      # kept by hand\n      - a1 # mine\n      - ${GONE}\n      query: a=b\n",
			"  spec:\n    incidents:\n      sys_ids:\n      # kept by hand\n      - a1 # mine\n      - \"12e3\"\n      query: a=b\n"},
		"in place of a flow list": {plain,
			"  spec:\n    incidents: {query: \"${Q}\", sys_ids: [x, ${Y}], fields: [z]} # tail\n",
			"  spec:\n    incidents: {query: \"${Q}\", sys_ids: [\"a1\", \"12e3\"], fields: [z]} # tail\n"},
		"into a flow mapping": {plain,
			"  spec: {instance_url: \"${URL}\", incidents: {query: a=b}}\n",
			"  spec: {instance_url: \"${URL}\", incidents: {sys_ids: [\"a1\", \"12e3\"], query: a=b}}\n"},
		"a new flow mapping": {plain,
			"  spec: {instance_url: \"${URL}\"}\n",
			"  spec: {incidents: {sys_ids: [\"a1\", \"12e3\"]}, instance_url: \"${URL}\"}\n"},
		"into an anchored block": {plain,
			"  spec:\n    incidents: &i\n      query: a=b\n    page_size: 2\n",
			"  spec:\n    incidents: &i\n      query: a=b\n      sys_ids:\n        - \"a1\" # INC1\n        - \"12e3\"\n    page_size: 2\n"},
		"of an instance": {[]any{"spec", "spec", "instances", 1, "incidents", "sys_ids"},
			"  spec:\n    instances:\n      - name: a\n        instance_url: ${A}\n      - name: b # second\n        instance_url: ${B}\n      - {name: c}\n",
			"  spec:\n    instances:\n      - name: a\n        instance_url: ${A}\n      - name: b # second\n        incidents:\n          sys_ids:\n            - \"a1\" # INC1\n            - \"12e3\"\n        instance_url: ${B}\n      - {name: c}\n"},
		"of a flow instance": {[]any{"spec", "spec", "instances", 1, "incidents", "sys_ids"},
			"  spec:\n    instances:\n      - name: a\n      - {name: \"${C}\"}\n",
			"  spec:\n    instances:\n      - name: a\n      - {incidents: {sys_ids: [\"a1\", \"12e3\"]}, name: \"${C}\"}\n"},
		"with carriage returns": {plain,
			"  spec:\r\n    page_size: 3\r\n",
			"  spec:\n    page_size: 3\n    incidents:\n      sys_ids:\n        - \"a1\" # INC1\n        - \"12e3\"\n"},
		"times": {plain,
			"  since: ${time:5 days ago}\n  spec:\n    page_size: 3\n",
			"  since: ${time:5 days ago}\n  spec:\n    page_size: 3\n    incidents:\n      sys_ids:\n        - \"a1\" # INC1\n        - \"12e3\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			before, want := head+test.before, head+test.want
			if strings.Contains(before, "\r") {
				before = strings.ReplaceAll(strings.ReplaceAll(before, "\r\n", "\n"), "\n", "\r\n")
				want = strings.ReplaceAll(want, "\n", "\r\n")
			}
			got, err := configfile.SetList([]byte(before), second, test.keys, entries)
			require.NoError(t, err)
			require.Equal(t, want, string(got))
			again, err := configfile.SetList(got, second, test.keys, entries)
			require.NoError(t, err)
			require.Equal(t, want, string(again), "a second time changes nothing")
		})
	}
}

func TestSetListRefuses(t *testing.T) {
	const head = "x: &x {a: 1}\nkind: source\nspec:\n  name: servicenow\n"
	for name, text := range map[string]string{
		"an alias":        "  other: &i {query: a}\n  spec:\n    incidents: *i\n",
		"a shared anchor": "  spec:\n    incidents: &i {query: a}\n  other: *i\n",
		"a merge alone":   "  spec:\n    <<: *x\n  y: 1\n  spec2: 1\n",
		"a variable":      "  spec:\n    incidents:\n      sys_ids: ${LIST}\n",
		"a flow of lines": "  spec:\n    incidents:\n      sys_ids: [a,\n        b]\n",
		"a text":          "  spec:\n    incidents: text\n",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := configfile.SetList([]byte(head+text), second, []any{"spec", "spec", "incidents", "sys_ids"}, []configfile.Entry{{Value: "a1"}})
			if err == nil { // then nothing else may have changed
				require.Contains(t, string(got), "<<: *x")
				return
			}
			require.ErrorIs(t, err, configfile.ErrShape)
		})
	}
	_, err := configfile.SetList([]byte("kind: other\n"), second, []any{"spec"}, nil)
	require.ErrorIs(t, err, configfile.ErrShape)
	_, err = configfile.SetList([]byte("a: 'b\n"), second, []any{"spec"}, nil)
	var syntax *configfile.SyntaxError
	require.ErrorAs(t, err, &syntax)
}

// What is written reads as the same config with another list, whatever the file looks like.
func FuzzSetList(f *testing.F) {
	for _, seed := range []string{
		"kind: source\nspec:\n  spec:\n    incidents:\n      sys_ids: [a, b] # c\n", "kind: source\nspec: {spec: {a: ${B}}}\n",
		"kind: source\nspec:\n  spec:\n  - a\n", "kind: source\nspec:\n  spec:\n    a: |\n      x\n\n      y\n    b: 1\n", "---\n---\nkind: source\n", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := configfile.SetList([]byte(text), second, []any{"spec", "spec", "incidents", "sys_ids"}, []configfile.Entry{{Value: "a1"}})
		if err != nil {
			return
		}
		docs, err := configfile.Parse(got)
		require.NoError(t, err)
		for _, doc := range docs {
			if second(doc) {
				require.Equal(t, []any{"a1"}, doc.Root.At("spec", "spec", "incidents", "sys_ids").Plain())
				return
			}
		}
		t.Fatal("the document is gone")
	})
}
