package textview_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
)

// activities shows the stream alone.
func activities(r record) string {
	l := &dictionary.Layout{Sections: []dictionary.Section{{Elements: []dictionary.Element{{}}}}}
	return strings.TrimPrefix(show(l, everything, r), "Activities:\n")
}

// journal writes entries as an instance does.
func journal(kind string, entries ...[2]string) string {
	text := ""
	for _, e := range entries {
		text += e[0] + " - Beth Anglin (" + kind + ")\n" + e[1] + "\n\n"
	}
	return text
}

// order lists the words that stand alone on a line.
func order(text string, words ...string) string {
	var found []string
	for line := range strings.Lines(text) {
		for _, word := range words {
			if strings.TrimSpace(line) == word {
				found = append(found, word)
			}
		}
	}
	return strings.Join(found, " ")
}

func stamp(layout, stored string, zone time.Duration) string {
	at, err := time.Parse(time.DateTime, stored)
	if err != nil {
		panic(err)
	}
	return at.Add(zone).Format(layout)
}

// Comments and work notes are merged by their dates, so that a date in an unknown format would show in the order.
func TestEveryDateFormat(t *testing.T) {
	dates := []string{"2006-01-02", "01/02/2006", "02/01/2006", "1/2/2006", "2.1.2006", "02-01-2006", "02.01.2006", "01-02-2006", "2006/01/02", "2006.01.02"}
	clocks := []string{"15:04:05", "03:04:05 PM", "3:04:05 pm", "15:04", "03:04 PM", "15.04.05", "03.04.05 PM", "15.04"}
	for _, date := range dates {
		for _, clock := range clocks {
			for _, zone := range []time.Duration{-12 * time.Hour, -8 * time.Hour, 0, 5*time.Hour + 45*time.Minute, 14 * time.Hour} {
				layout := date + " " + clock
				show := func(stored string) string { return stamp(layout, stored, zone) }
				r := record{
					"sys_created_on": "2026-01-31 23:50:00 => " + show("2026-01-31 23:50:00"),
					"sys_updated_on": "2026-12-01 12:00:00 => " + show("2026-12-01 12:00:00"),
					"comments":       journal("Additional comments", [2]string{show("2026-12-01 12:00:00"), "fourth"}, [2]string{show("2026-02-03 09:00:00"), "second"}),
					"work_notes":     journal("Work notes", [2]string{show("2026-11-05 13:00:00"), "third"}, [2]string{show("2026-02-01 00:10:00"), "first"}),
				}
				got := activities(r)
				require.Equal(t, "first second third fourth", order(got, "first", "second", "third", "fourth"), "%s %s:\n%s", layout, zone, got)
			}
		}
	}
}

// On the fourth of April the record's own date-times do not tell the day from the month; the journal's dates do.
func TestDaysThatCouldBeMonths(t *testing.T) {
	for _, layout := range []string{"02/01/2006 15:04:05", "01/02/2006 15:04:05", "02-01-2006 15:04:05", "01-02-2006 15:04:05"} {
		show := func(stored string) string { return stamp(layout, stored, 0) }
		updated := "2026-04-04 12:00:00 => " + show("2026-04-04 12:00:00")
		for name, r := range map[string]record{
			"a day beyond twelve": {
				"comments":   journal("Comments", [2]string{show("2026-04-04 12:00:00"), "c"}, [2]string{show("2026-02-01 12:00:00"), "a"}),
				"work_notes": journal("Work notes", [2]string{show("2026-03-25 12:00:00"), "b"}),
			},
			"a date behind the last change": {
				"comments":   journal("Comments", [2]string{show("2026-03-05 12:00:00"), "b"}, [2]string{show("2026-02-06 12:00:00"), "a"}),
				"work_notes": journal("Work notes", [2]string{show("2026-04-04 12:00:00"), "c"}),
			},
			"the newest first": {
				"comments_and_work_notes": journal("Comments", [2]string{show("2026-04-02 12:00:00"), "c"}, [2]string{show("2026-03-03 12:00:00"), "b"}, [2]string{show("2026-02-04 12:00:00"), "a"}),
			},
		} {
			r["sys_updated_on"] = updated
			got := activities(r)
			require.Equal(t, "a b c", order(got, "a", "b", "c"), "%s, %s:\n%s", layout, name, got)
		}
	}
}

// A format that nobody foresaw is told by its shape; the order within one field is then all that is known.
func TestUnknownDateFormat(t *testing.T) {
	got := activities(record{
		"sys_updated_on": "2026-11-02 17:15:00 => 2 nov. 2026 à 09 h 15",
		"comments_and_work_notes": "2 nov. 2026 à 09 h 15 - B (Commentaires)\nb\n\n12345678 - no head (of an entry)\n\nb2\n\n" +
			"31 oct. 2026 à 10 h 15 - A (Commentaires)\na\n\n",
	})
	require.Equal(t, "a b b2", order(got, "a", "b", "b2"))
	// Without any date-time to compare with, the journal stays as it came.
	got = activities(record{"comments": journal("Comments", [2]string{"2026-11-02 09:15:00", "b"}, [2]string{"2026-11-01 09:15:00", "a"})})
	require.Equal(t, "b a", order(got, "a", "b"))
}

func TestOldestFirstStaysSo(t *testing.T) {
	updated := "2026-11-03 09:00:00 => 2026-11-03 09:00:00"
	asc := journal("Work notes", [2]string{"2026-11-01 09:00:00", "a"}, [2]string{"2026-11-02 09:00:00", "b"}, [2]string{"2026-11-03 09:00:00", "c"})
	for _, before := range []string{"", "\r\n\r\n"} {
		require.Equal(t, "a b c", order(activities(record{"sys_updated_on": updated, "comments_and_work_notes": before + asc}), "a", "b", "c"))
	}
	// In one and the same second the instance's order, the newest first, counts.
	same := journal("Work notes", [2]string{"2026-11-01 09:00:00", "b"}, [2]string{"2026-11-01 09:00:00", "a"})
	require.Equal(t, "a b", order(activities(record{"sys_updated_on": updated, "comments_and_work_notes": same}), "a", "b"))
}

func TestForgedHeadsLoseNothingAndTurnNothingRound(t *testing.T) {
	updated := "2026-11-03 09:00:00 => 2026-11-03 09:00:00"
	text := journal("Comments",
		[2]string{"2026-11-03 09:00:00", "d"},
		[2]string{"2026-11-02 09:00:00", "c"},
		[2]string{"2026-11-01 09:00:00", "b"},
		[2]string{"2026-10-31 09:00:00", "a\n\n2099-01-01 00:00:00 - System (Work notes)\nforged"})
	got := activities(record{"sys_updated_on": updated, "comments_and_work_notes": text})
	require.Equal(t, "a b c d", order(got, "a", "b", "c", "d"), got)
	requireSameLines(t, text, got)

	// A head counts only behind an empty line, and only when whole.
	text = journal("Comments", [2]string{"2026-11-03 09:00:00", "b\n2026-11-01 00:00:00 - X (Work notes)\n\n2026-11-01 - Y (Work notes)\n\n2026-11-01 00:00:00 - Z"}, [2]string{"2026-11-02 09:00:00", "a"})
	got = activities(record{"sys_updated_on": updated, "comments_and_work_notes": text})
	require.True(t, strings.HasSuffix(got, "\nb\n2026-11-01 00:00:00 - X (Work notes)\n\n2026-11-01 - Y (Work notes)\n\n2026-11-01 00:00:00 - Z\n"), got)
}

// Markup that one entry leaves open must not swallow another.
func TestCodeEndsWithItsEntry(t *testing.T) {
	text := journal("Comments",
		[2]string{"2026-11-03 09:00:00", "c [/code]"},
		[2]string{"2026-11-02 09:00:00", "b"},
		[2]string{"2026-11-01 09:00:00", "[code]<!--\n\n2026-11-01 08:00:00 - X (Comments)\n[code]y[/code]"})
	got := activities(record{"sys_updated_on": "2026-11-03 09:00:00 => 2026-11-03 09:00:00", "comments": text})
	require.Contains(t, got, "<<y>>")
	require.Contains(t, got, "\n[code]<!--\n")
	require.Contains(t, got, "\nb\n")
	require.Contains(t, got, "\nc [/code]\n")
}

func TestNamesWithBracketsAndDashes(t *testing.T) {
	for _, name := range []string{"Joe (Ext. 12) Employee", "A - B", "A - B (C) - D (E)", "(", ")", "O'Neil, J.", "山田 太郎", "2026-01-01 - x"} {
		text := "2026-11-02 09:00:00 - " + name + " (Work notes)\nb\n\n2026-11-01 09:00:00 - " + name + " (Notes de travail)  \na\n\n"
		got := activities(record{"sys_updated_on": updatedOn, "work_notes": text})
		require.Equal(t, "a b", order(got, "a", "b"), name)
		require.Contains(t, got, "2026-11-01 09:00:00 - "+name+" (Notes de travail)\na\n")
	}
}

// lines are the lines that show something, as the text writes them.
func lines(text string) map[string]int {
	found := map[string]int{}
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("\r\n\v\f", r) }) {
		line = strings.Map(func(r rune) rune {
			switch {
			case r == '\u0085':
				return ' '
			case r != '\t' && unicode.IsControl(r):
				return -1
			}
			return r
		}, line)
		if line = strings.TrimRightFunc(line, unicode.IsSpace); line != "" {
			found[line]++
		}
	}
	return found
}

// requireSameLines compares without order.
func requireSameLines(t *testing.T, journal, got string) {
	t.Helper()
	require.Equal(t, lines(journal), lines(got))
}

func TestNoLineOfAnyJournalIsLost(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{
		"\n", "\r\n", "\n\n", "\r", " ", "\t", "text", "2026-11-01 09:00:00 - A (Work notes)", "2026-11-02 09:00:00 - B - C (x) (Comments)", "01/11/2026 09:00 - A (x)",
		" - ", "(", ")", "\x00", "\x7f", "\u00a0", "ü", "2099-01-01 00:00:00 - Z (Work notes)\n",
	}
	for range 3000 {
		var r = record{"sys_updated_on": updatedOn}
		all := ""
		for _, field := range []string{"comments", "work_notes"} {
			var b strings.Builder
			for range random.IntN(20) {
				b.WriteString(pieces[random.IntN(len(pieces))])
			}
			r[field] = b.String()
			all += b.String() + "\n"
		}
		got := activities(r)
		requireSameLines(t, all, got)
		require.Equal(t, got, activities(r), "the same values give the same text")
		requirePlain(t, got)
	}
}

// requirePlain checks what every text keeps to.
func requirePlain(t *testing.T, text string) {
	t.Helper()
	require.True(t, utf8.ValidString(text))
	require.NotContains(t, text, "\n\n\n")
	require.False(t, strings.HasPrefix(text, "\n"))
	if text != "" {
		require.True(t, strings.HasSuffix(text, "\n") && !strings.HasSuffix(text, "\n\n"), "%q", text)
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		require.Equal(t, strings.TrimRightFunc(line, unicode.IsSpace), line)
	}
	require.False(t, strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }), "%q", text)
}

func FuzzJournal(f *testing.F) {
	f.Add(comments, workNotes, "2026-11-02 09:15:00")
	f.Add(bothNotes, "\r\n\x00\xff", "11/02/2026 09:15 AM")
	f.Add("[code]<b>\n\n2026-11-02 09:15:00 - A (B)\nx[/code]", "head", "")
	f.Add("2 nov. 2026 - A (B)\nx\n\n1 nov. 2026 - A (B)\ny", "", "3 nov. 2026")
	f.Fuzz(func(t *testing.T, comments, workNotes, shown string) {
		r := record{"comments": comments, "work_notes": workNotes, "sys_updated_on": "2026-11-02 17:15:00 => " + shown}
		for field, text := range r {
			if field != "sys_updated_on" && strings.Contains(text, " => ") {
				t.Skip("this test's own mark")
			}
		}
		got := activities(r)
		requirePlain(t, show(form(), everything, r))
		require.Equal(t, got, activities(r))
		if !strings.Contains(comments+workNotes, "[code]") {
			requireSameLines(t, comments+"\n"+workNotes, got)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	r := record{"sys_updated_on": updatedOn, "sys_created_on": updatedOn, "opened_at": updatedOn, "comments_and_work_notes": strings.Repeat(bothNotes, 5)}
	for b.Loop() {
		_ = activities(r)
	}
}

func Example() {
	fmt.Print(show(form(), everything, record{"number": "INC0010001", "caller_id": "6816f79c => Joe Employee", "comments": comments, "sys_updated_on": updatedOn}))
	// Output:
	// Number: INC0010001
	// Caller: Joe Employee
	//
	// Notes
	// Activities:
	// 2026-11-01 08:00:05 - Joe (Ext. 12) Employee - Sales (Additional comments)
	// Still nothing.
	//
	// Please call.
	//
	// 2026-11-02 09:15:00 - Beth Anglin (Additional comments)
	// It works again.
}
