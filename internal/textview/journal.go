package textview

import (
	"bytes"
	"slices"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/arrowjson"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// journals reads the display values of journal fields: every entry, as a rule the newest first, each under a line with its
// date-time in the signed-in user's format, who wrote it, and what kind it is:
//
//	2016-12-12 16:56:57 - Beth Anglin (Work notes)
//	text of any number of lines
type journals struct {
	streamed int    // the field that holds both kinds; -1 when it is not read
	parts    []int  // the fields of single kinds
	stamps   [3]int // date-times that show the user's format
}

// entry is one entry of a journal with its head line.
type entry struct {
	at   time.Time // zero when its format is not known
	text []byte
}

// stream returns every entry, the oldest first.
func (j *journals) stream(values []arrowjson.Halves) []byte {
	if j.streamed >= 0 && len(values[j.streamed].Shown) > 0 {
		return j.one(values, j.streamed)
	}
	var all []entry
	for _, field := range j.parts {
		if text := values[field].Shown; len(text) > 0 {
			all = append(all, oldestFirst(entries(text, j.layout(values)))...)
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.at.Compare(b.at) })
	return join(all)
}

// one returns the entries of a single journal field.
func (j *journals) one(values []arrowjson.Halves, field int) []byte {
	text := values[field].Shown
	if len(text) == 0 {
		return nil
	}
	return join(oldestFirst(entries(text, j.layout(values))))
}

// entries splits a journal at its head lines. What stands before the first one is an entry without a head.
func entries(text []byte, layout string) []entry {
	var found []entry
	start, at, fresh := 0, time.Time{}, true
	for rest := text; len(rest) > 0; {
		offset := len(text) - len(rest)
		var line []byte
		line, rest = cutLine(rest)
		if stamp, ok := head(line, layout); fresh && ok {
			if offset > start {
				found = append(found, entry{at, text[start:offset]})
			}
			start, at = offset, stamp
		}
		fresh = len(bytes.TrimSpace(line)) == 0 // a head stands behind an empty line
	}
	if start < len(text) {
		found = append(found, entry{at, text[start:]})
	}
	return found
}

// head reads a line such as "2016-12-12 16:56:57 - Beth Anglin (Work notes)".
func head(line []byte, layout string) (time.Time, bool) {
	stamp, rest, found := bytes.Cut(line, []byte(" - "))
	if !found || len(stamp) < len("1.1.06 1:02") || len(stamp) > 32 || !bytes.HasSuffix(rest, []byte(")")) || !bytes.Contains(rest, []byte(" (")) {
		return time.Time{}, false
	}
	if layout != "" {
		at, err := time.Parse(layout, string(stamp))
		return at, err == nil
	}
	digits := 0
	for _, c := range stamp {
		if c >= '0' && c <= '9' {
			digits++
		}
	}
	return time.Time{}, digits >= 6
}

// oldestFirst turns a journal round unless its dates say that it is in order already.
func oldestFirst(list []entry) []entry {
	if n := len(list); n > 1 && !list[0].at.IsZero() && list[0].at.Before(list[n-1].at) {
		return list
	}
	slices.Reverse(list)
	return list
}

func join(list []entry) []byte {
	var out []byte
	for _, e := range list {
		out = append(append(out, bytes.TrimSpace(e.text)...), "\n\n"...)
	}
	return out
}

// layout finds the user's format of date-times: the one in which every date-time of the record is shown, up to a time zone.
// It returns "" when none of the usual ones fits.
func (j *journals) layout(values []arrowjson.Halves) string {
	for _, date := range []string{"2006-01-02", "01/02/2006", "02/01/2006", "02-01-2006", "02.01.2006", "01-02-2006", "2006/01/02", "2006.01.02"} {
		for _, clock := range []string{" 15:04:05", " 03:04:05 PM", " 03:04:05 pm", " 15:04", " 03:04 PM", " 15.04.05", " 15.04"} {
			if j.fits(values, date+clock) {
				return date + clock
			}
		}
	}
	return ""
}

func (j *journals) fits(values []arrowjson.Halves, layout string) bool {
	seen := false
	for _, field := range j.stamps {
		stored, shown := values[field].Stored, values[field].Shown
		if len(stored) == 0 || len(shown) == 0 {
			continue
		}
		utc, err1 := time.Parse(servicenow.DateTime, string(stored))
		local, err2 := time.Parse(layout, string(shown))
		const farthest = 14 * time.Hour // of a time zone from UTC
		if err1 != nil || err2 != nil || local.Sub(utc).Abs() > farthest+time.Minute {
			return false
		}
		seen = true
	}
	return seen
}
