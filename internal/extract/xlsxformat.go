package extract

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// cellFormat is what a cell's number format says about its value. The zero value is a plain number.
type cellFormat struct {
	date, time bool
	elapsed    bool // hours or minutes run on over a day's end
	fraction   bool // of seconds
	percent    bool
}

// builtinFormat returns the formats that files name only by number (ECMA-376 part 1, section 18.8.30; 27 to 36 and 50 to 58
// are dates in the East Asian versions).
func builtinFormat(id int) cellFormat {
	switch {
	case id == 9 || id == 10:
		return cellFormat{percent: true}
	case id >= 14 && id <= 17, id >= 27 && id <= 31, id == 36, id >= 50 && id <= 58:
		return cellFormat{date: true}
	case id >= 18 && id <= 21, id >= 32 && id <= 35, id == 45:
		return cellFormat{time: true}
	case id == 46:
		return cellFormat{time: true, elapsed: true}
	case id == 47:
		return cellFormat{time: true, fraction: true}
	case id == 22:
		return cellFormat{date: true, time: true}
	}
	return cellFormat{}
}

// parseFormat reads a number format's first section, such as `[$-409]d\-mmm\ yyyy;@` (ECMA-376 part 1, section 18.8.31).
func parseFormat(code string) cellFormat {
	var f cellFormat
	month := false
	for i := 0; i < len(code); i++ {
		switch c := letter(code[i]); c {
		case ';':
			return f.withMonth(month)
		case '\\', '_', '*':
			i++ // the next character is shown, or makes room
		case '"':
			i = closing(code, i+1, '"')
		case '[':
			end := closing(code, i+1, ']')
			if i+1 < end && strings.Trim(strings.ToLower(code[i+1:end]), code[i+1:i+2]) == "" && strings.ContainsRune("hms", rune(letter(code[i+1]))) {
				f.time, f.elapsed = true, true
			}
			i = end
		case 'g':
			if len(code)-i >= 7 && strings.EqualFold(code[i:i+7], "general") {
				i += 6
			}
		case 'e':
			if i+1 < len(code) && (code[i+1] == '+' || code[i+1] == '-') {
				continue // an exponent
			}
			f.date = true
		case 'a':
			if strings.HasPrefix(strings.ToLower(code[i:]), "am/pm") {
				f.time, i = true, i+4
			} else if strings.HasPrefix(strings.ToLower(code[i:]), "aaa") {
				f.date = true // a weekday
			}
		case 'y', 'd', 'b':
			f.date = true
		case 'h', 's':
			f.time = true
			if c == 's' && i+2 < len(code) && code[i+1] == '.' && code[i+2] == '0' {
				f.fraction = true
			}
		case 'm':
			month = true
		case '%':
			f.percent = true
		}
	}
	return f.withMonth(month)
}

// withMonth decides what an m is: minutes beside hours or seconds, and else a month.
func (f cellFormat) withMonth(m bool) cellFormat {
	if m && !f.time {
		f.date = true
	}
	return f
}

func letter(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// closing returns the index of the next c, or of the last character.
func closing(s string, from int, c byte) int {
	if n := strings.IndexByte(s[from:], c); n >= 0 {
		return from + n
	}
	return len(s) - 1
}

const (
	daySeconds = 24 * 60 * 60
	lastDay    = 2958465 // 9999-12-31, the last date of a workbook
	shift1904  = 1462    // days between the two systems of dates
)

// show returns a cell's number as text: a date as ISO 8601, a number with the 15 digits that a workbook keeps, a share
// in percent. Days are counted from 1900-01-01, or from 1904-01-01. A number that is no date whatever its format says stays
// a number.
func (f cellFormat) show(raw string, from1904 bool) string {
	if f == (cellFormat{}) && shortNumber(raw) {
		return raw
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(raw), 64)
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return raw
	}
	if f.percent {
		const whole = 100
		return plainNumber(n*whole) + "%"
	}
	if !f.date && !f.time {
		return plainNumber(n)
	}
	if n < 0 || n >= lastDay+1 {
		return plainNumber(n)
	}
	if f.date && from1904 {
		n += shift1904
	}
	day := math.Floor(n)
	if f.date && !f.time {
		if day == 0 {
			return plainNumber(n)
		}
		return isoDay(int(day))
	}
	const millisecond = 1000
	unit := float64(millisecond)
	if f.fraction {
		unit = 1
	}
	clock := int(math.Round((n-day)*daySeconds*millisecond/unit) * unit)
	if clock >= daySeconds*millisecond {
		clock -= daySeconds * millisecond
		day++
	}
	switch {
	case f.elapsed && !f.date:
		return isoClock(int(day)*daySeconds*millisecond + clock)
	case f.date && day > 0:
		return isoDay(int(day)) + "T" + isoClock(clock)
	}
	return isoClock(clock)
}

// isoDay returns the date of a day in the system of 1900, which knows a 29 February 1900 that never was.
func isoDay(day int) string {
	switch {
	case day == 60:
		return "1900-02-29"
	case day < 60:
		day++
	}
	return time.Date(1899, time.December, 30, 0, 0, 0, 0, time.UTC).AddDate(0, 0, day).Format(time.DateOnly)
}

// isoClock returns hours, minutes and seconds, and milliseconds where there are any.
func isoClock(milliseconds int) string {
	seconds := milliseconds / 1000
	s := fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	if milliseconds %= 1000; milliseconds > 0 {
		s += fmt.Sprintf(".%03d", milliseconds)
	}
	return s
}

// shortNumber reports whether a number is written so that there is nothing to round: digits, a sign and a point.
func shortNumber(s string) bool {
	if len(s) == 0 || len(s) > 15 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && (c != '-' || i > 0) {
			return false
		}
	}
	return strings.IndexByte(s, '.') < 0 || s[len(s)-1] != '0' && s[len(s)-1] != '.'
}

// plainNumber writes a number with 15 digits, so that 0.1+0.2 is 0.3.
func plainNumber(n float64) string {
	if a := math.Abs(n); a != 0 && (a < 1e-9 || a >= 1e21) {
		return strconv.FormatFloat(n, 'G', 15, 64)
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(n, 'e', 14, 64), 64)
	if err != nil {
		rounded = n
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}
