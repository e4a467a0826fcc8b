package textview

import (
	"bytes"
	"slices"
	"strings"
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
func (j *journals) stream(values []arrowjson.Halves) []entry {
	if j.streamed >= 0 && len(values[j.streamed].Shown) > 0 {
		return j.read(values, j.streamed)
	}
	return j.read(values, j.parts...)
}

// read returns the entries of journal fields, the oldest first.
func (j *journals) read(values []arrowjson.Halves, fields ...int) []entry {
	fields = slices.DeleteFunc(slices.Clone(fields), func(field int) bool { return len(values[field].Shown) == 0 })
	if len(fields) == 0 {
		return nil
	}
	format := j.format(values, fields)
	var all []entry
	for _, field := range fields {
		list := entries(values[field].Shown, format)
		if rises, falls := turns(list); rises <= falls {
			slices.Reverse(list)
		}
		all = append(all, list...)
	}
	if len(fields) > 1 {
		slices.SortStableFunc(all, func(a, b entry) int { return a.at.Compare(b.at) })
	}
	return all
}

// turns counts the neighbours of which the second is the later one, and those of which it is the earlier one. All of them
// count: a comment can hold a line that looks like a head, with any date.
func turns(list []entry) (rises, falls int) {
	last := time.Time{}
	for _, e := range list {
		switch {
		case e.at.IsZero():
			continue
		case last.IsZero():
		case e.at.After(last):
			rises++
		case e.at.Before(last):
			falls++
		}
		last = e.at
	}
	return rises, falls
}

// entries splits a journal at its head lines. What stands before the first one is an entry without a head.
func entries(text []byte, is headFormat) []entry {
	var found []entry
	start, at, fresh := 0, time.Time{}, true
	cut := func(end int) {
		if piece := text[start:end]; len(bytes.TrimSpace(piece)) > 0 {
			found = append(found, entry{at, piece})
		}
	}
	for rest := text; len(rest) > 0; {
		offset := len(text) - len(rest)
		var line []byte
		line, rest = cutLine(rest)
		if fresh {
			if stamp, ok := is.head(line); ok {
				cut(offset)
				start, at = offset, stamp
			}
		}
		fresh = len(bytes.TrimSpace(line)) == 0 // a head stands behind an empty line
	}
	cut(len(text))
	return found
}

// headFormat is how the date-times of head lines are written: by a layout of package time or, where that is not known, in the
// shape of a date-time that the record shows.
type headFormat struct{ layout, shape string }

// head reads a line such as "2016-12-12 16:56:57 - Beth Anglin (Work notes)".
func (f headFormat) head(line []byte) (time.Time, bool) {
	stamp, rest, found := bytes.Cut(bytes.TrimRight(line, " \t"), []byte(" - "))
	const longest = 40 // of a date-time with the names of a month and a time zone
	if !found || len(stamp) > longest || !bytes.HasSuffix(rest, []byte(")")) || !bytes.Contains(rest, []byte("(")) {
		return time.Time{}, false
	}
	if f.layout == "" {
		return time.Time{}, f.shape != "" && shape(stamp) == f.shape
	}
	at, err := time.Parse(f.layout, string(stamp))
	return at, err == nil
}

// shape writes "0" for each number of a text and "a" for each word.
func shape(text []byte) string {
	var out []byte
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			c = '0'
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80:
			c = 'a'
		}
		if len(out) == 0 || out[len(out)-1] != c || c != '0' && c != 'a' {
			out = append(out, c)
		}
	}
	return string(out)
}

// format finds how the user sees date-times: the way in which every date-time of the record is shown, up to a time zone. More
// than one fits where the number of the day is that of the month. It is then the one that reads most heads, and the most
// plausible dates in them: none behind the record's last change, and the newest first.
func (j *journals) format(values []arrowjson.Halves, fields []int) headFormat {
	fitting := j.fitting(values)
	best, mostHeads, fewestOdd := fitting[0], 0, 0
	if len(fitting) == 1 {
		return best
	}
	for i, f := range fitting {
		heads, odd := 0, 0
		changed, _ := time.Parse(f.layout, string(values[j.stamps[0]].Shown))
		for _, field := range fields {
			list := entries(values[field].Shown, f)
			rises, _ := turns(list)
			odd += rises
			for _, e := range list {
				if !e.at.IsZero() {
					heads++
				}
				if !changed.IsZero() && e.at.After(changed) {
					odd++
				}
			}
		}
		if i == 0 || heads > mostHeads || heads == mostHeads && odd < fewestOdd {
			best, mostHeads, fewestOdd = f, heads, odd
		}
	}
	return best
}

// fitting returns the formats in which every date-time of the record is shown, one at least.
func (j *journals) fitting(values []arrowjson.Halves) []headFormat {
	var fitting []headFormat
	for _, date := range []string{"2006-1-2", "1/2/2006", "2/1/2006", "2-1-2006", "2.1.2006", "1-2-2006", "2006/1/2", "2006.1.2"} {
		if !j.dated(values, date) {
			continue
		}
		for _, clock := range []string{
			"15:04:05", "3:04:05 PM", "3:04:05 pm", "15:04", "3:04 PM", "3:04 pm",
			"15.04.05", "3.04.05 PM", "3.04.05 pm", "15.04", "3.04 PM", "3.04 pm",
		} {
			if layout := date + " " + clock; j.fits(values, layout) {
				fitting = append(fitting, headFormat{layout: layout})
				break // no other clock fits
			}
		}
	}
	if fitting != nil {
		return fitting
	}
	for _, field := range j.stamps {
		if shown := values[field].Shown; len(shown) > 0 {
			return []headFormat{{shape: shape(shown)}}
		}
	}
	return []headFormat{{}}
}

// dated reports whether the first date-time that is shown begins with a date of this layout.
func (j *journals) dated(values []arrowjson.Halves, layout string) bool {
	for _, field := range j.stamps {
		if shown := values[field].Shown; len(shown) > 0 {
			date, _, _ := bytes.Cut(shown, []byte(" "))
			if !alike(date, layout) {
				return false // without the memory that the error of package time takes
			}
			_, err := time.Parse(layout, string(date))
			return err == nil
		}
	}
	return false
}

// alike reports whether a date begins as its layout does: with a year or not, and with the same separator behind that.
func alike(date []byte, layout string) bool {
	inDate := bytes.IndexFunc(date, notDigit)
	inLayout := strings.IndexFunc(layout, notDigit)
	return inDate > 0 && date[inDate] == layout[inLayout] && (inDate == 4) == (inLayout == 4)
}

func notDigit(r rune) bool { return r < '0' || r > '9' }

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
