package textview_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/arrowjson"
	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/textview"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// record is a record's display values by field; a value with "stored => shown" has both halves.
type record map[string]string

func field(name, label, kind string) dictionary.Element {
	return dictionary.Element{Field: name, Label: label, Type: kind}
}

// form is an incident form with a field of each kind.
func form() *dictionary.Layout {
	return &dictionary.Layout{Sections: []dictionary.Section{
		{Elements: []dictionary.Element{
			field("number", "Number", "string"), field("caller_id", "Caller", "reference"), field("caller_id.email", "Email", ""),
			field("state", "State", "integer"), field("sla_due", "SLA due", "due_date"), field("short_description", "Short description", "string"),
			field("description", "Description", "string"),
		}},
		{Caption: "Notes", Elements: []dictionary.Element{
			field("watch_list", "Watch list", "glide_list"), field("comments", "Additional comments", "journal_input"),
			field("work_notes", "Work notes", "journal_input"), {}, // the activity stream
		}},
		{Caption: "Related  Records\n", Elements: []dictionary.Element{field("problem_id", "Problem", "reference")}},
		{Caption: "Resolution", Elements: []dictionary.Element{
			field("u_review", "Review", "translated_html"), field("approval_history", "Approval history", "journal"), field("close_notes", "Close notes", "string"),
		}},
	}}
}

func everything(string) bool { return true }

// html stands for the reader of markup: it shows what it was given.
func html(source string) string { return "<<" + source + ">>" }

// show writes a record by a form, of which only asked fields are read.
func show(l *dictionary.Layout, asked func(string) bool, r record) string {
	v := textview.New(l, asked, html)
	values := make([]arrowjson.Halves, len(v.Fields()))
	for i, name := range v.Fields() {
		text, ok := r[name]
		if !ok || !asked(name) {
			continue
		}
		stored, shown, both := strings.Cut(text, " => ")
		if !both {
			stored, shown = "", text
		}
		values[i] = arrowjson.Halves{Stored: []byte(stored), Shown: []byte(shown)}
	}
	return string(v.Append(nil, values))
}

func requireGolden(t *testing.T, got string) {
	t.Helper()
	path := filepath.Join("testdata", strings.ReplaceAll(strings.TrimPrefix(t.Name(), "TestGolden/"), "/", "_")+".txt")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

const (
	comments = "2026-11-02 09:15:00 - Beth Anglin (Additional comments)\nIt works again.\n\n" +
		"2026-11-01 08:00:05 - Joe (Ext. 12) Employee - Sales (Additional comments)\r\nStill nothing.\r\n\r\n\r\nPlease call.\r\n\r\n"
	workNotes = "2026-11-02 08:30:00 - ITIL User (Work notes)\nReplaced the toner.\n\n"
	bothNotes = "2026-11-02 09:15:00 - Beth Anglin (Additional comments)\nIt works again.\n\n" +
		"2026-11-02 08:30:00 - ITIL User (Work notes)\nReplaced the toner.\n\n" +
		"2026-11-01 08:00:05 - Joe (Ext. 12) Employee - Sales (Additional comments)\r\nStill nothing.\r\n\r\n\r\nPlease call.\r\n\r\n"
	updatedOn = "2026-11-02 17:15:00 => 2026-11-02 09:15:00"
)

func TestGolden(t *testing.T) {
	for name, r := range map[string]record{
		"full": {
			"number": "INC0010001", "caller_id": "6816f79c => Joe Employee", "caller_id.email": "joe@example.com", "state": "2 => In Progress",
			"sla_due": " => UNKNOWN", "short_description": "  Printer does not print ", "watch_list": "a,b => Beth Anglin, b@example.com",
			"description": "The printer on floor 3\r\n\tblinks.  \r\n\r\n\r\n\r\nIt does\rnot print.\r\n", "comments": comments, "work_notes": workNotes,
			"comments_and_work_notes": bothNotes, "sys_updated_on": updatedOn, "problem_id": "deadbeef => ", "u_review": "<p>Fine</p>",
			"approval_history": "2026-11-02 09:00:00 - B (Approval history)\nsecond\n\n2026-11-01 09:00:00 - A (Approval history)\nfirst\n\n",
			"close_notes":      "Toner",
		},
		"without_the_combined_field": {
			"number": "INC0010002", "comments": comments, "work_notes": workNotes, "sys_updated_on": updatedOn,
		},
		"code": {
			"sys_updated_on": updatedOn,
			"comments_and_work_notes": "2026-11-02 09:15:00 - B (Work notes)\nSee [code]<b>bold</b>\n<i>x</i>[/code] and [code]more[/code]; array[code] stays\n\n" +
				"2026-11-02 09:14:00 - A (Work notes)\n[/code] is no begin\n\n",
		},
		"hostile": {
			"number": "IN\x00C\x7f\x1b[31m\u0085x\v\fy", "description": "one \x01\r\n\x02\x03\r\n\r\n\x04two\x05  \r\n\x06", "close_notes": "bad\xff\xc3 utf\xed\xa0\x80",
			"short_description": "\x00\x01 \r\n", "problem_id": " \t ", "sys_updated_on": updatedOn,
			"comments": "\r\n\r\n2026-11-02 09:15:00 - \x00 (Work notes)\n\x00\n\n2026-11-02 09:14:00 - A (Work notes)\n\xff\n\n",
		},
		"headless": {
			"comments_and_work_notes": "Imported without a head.\n\nSecond paragraph.",
		},
		"nothing": {"sys_updated_on": updatedOn, "sla_due": " => UNKNOWN"},
	} {
		t.Run(name, func(t *testing.T) { requireGolden(t, show(form(), everything, r)) })
	}
}

// The first section that shows something starts the text.
func TestSectionsWithoutValuesAreLeftOut(t *testing.T) {
	require.Empty(t, show(form(), everything, record{}))
	require.Equal(t, "Resolution\nClose notes: Toner\n", show(form(), everything, record{"close_notes": "Toner"}))
	require.Equal(t, "Number: 1\n\nResolution\nClose notes: Toner\n", show(form(), everything, record{"number": "1", "close_notes": "Toner"}))
}

func TestUnknownIsAWordWhereItIsStored(t *testing.T) {
	require.Empty(t, show(form(), everything, record{"sla_due": " => UNKNOWN"}))
	require.Equal(t, "Short description: UNKNOWN\n", show(form(), everything, record{"short_description": "UNKNOWN => UNKNOWN"}))
}

// What the form shows of a field that is not read is nothing, whatever the record holds.
func TestNothingAppearsThatWasNotAskedFor(t *testing.T) {
	full := record{
		"number": "NUMBER", "caller_id": "CALLER", "caller_id.email": "EMAIL", "short_description": "SHORT", "description": "LONG", "close_notes": "CLOSE",
		"comments": comments, "work_notes": workNotes, "comments_and_work_notes": bothNotes, "sys_updated_on": updatedOn, "opened_at": updatedOn,
		"u_review": "REVIEW", "approval_history": comments,
	}
	for _, test := range []struct {
		asked []string
		want  string
	}{
		{[]string{"number"}, "Number: NUMBER\n"},
		{[]string{"caller_id.email", "sys_updated_on"}, "Email: EMAIL\n"},
		{[]string{"sys_id", "sys_updated_on"}, ""},
		{[]string{"work_notes", "sys_updated_on"}, "Notes\nActivities:\n2026-11-02 08:30:00 - ITIL User (Work notes)\nReplaced the toner.\n"},
	} {
		got := show(form(), func(name string) bool { return slices.Contains(test.asked, name) }, full)
		require.Equal(t, test.want, got, test.asked)
	}
	v := textview.New(form(), func(name string) bool { return name == "number" }, html)
	for _, name := range v.Fields() {
		require.Contains(t, []string{"number", "sys_updated_on", "sys_created_on", "opened_at"}, name)
	}
}

// A form without the activity stream shows the journal where its input fields stand, once.
func TestJournalOfAFormWithoutStream(t *testing.T) {
	l := &dictionary.Layout{Sections: []dictionary.Section{{Elements: []dictionary.Element{
		field("comments", "Additional comments", "journal_input"), field("number", "Number", "string"), field("work_notes", "Work notes", "journal_input"),
	}}}}
	got := show(l, everything, record{"comments": comments, "work_notes": workNotes, "comments_and_work_notes": bothNotes, "sys_updated_on": updatedOn, "number": "1"})
	require.True(t, strings.HasPrefix(got, "Activities:\n2026-11-01 08:00:05 - Joe"), got)
	require.Equal(t, 1, strings.Count(got, "Replaced the toner."))
	require.True(t, strings.HasSuffix(got, "It works again.\nNumber: 1\n"), got)
}

func TestLabelsFitOneLineAndAreNeverEmpty(t *testing.T) {
	l := &dictionary.Layout{Sections: []dictionary.Section{{Caption: "A\x00\r\nB", Elements: []dictionary.Element{
		field("number", "Num\x00ber\n(new)\x1b", "string"), field("state", " \x00 ", "string"), field("priority", "Prio\xffrity", "string"),
	}}}}
	require.Equal(t, "A B\nNumber (new): 1\nstate: 2\nPrio\uFFFDrity: 3\n", show(l, everything, record{"number": "1", "state": "2", "priority": "3"}))
}

func TestAppendKeepsWhatWasThere(t *testing.T) {
	v := textview.New(form(), everything, html)
	values := make([]arrowjson.Halves, len(v.Fields()))
	values[slices.Index(v.Fields(), "number")].Shown = []byte("1")
	require.Equal(t, "before\x00Number: 1\n", string(v.Append([]byte("before\x00"), values)))
}
