package emulator

import (
	"strconv"
	"strings"
	"time"
)

const secondsPerDay = 86400

// appendDateTime appends a stored date-time: UTC, "2006-01-02 15:04:05".
func appendDateTime(buf []byte, unix int64) []byte {
	buf = appendDate(buf, unix)
	buf = append(buf, ' ')
	return appendClock(buf, unix)
}

func appendDate(buf []byte, unix int64) []byte {
	year, month, day := civil(floorDiv(unix, secondsPerDay))
	buf = appendPadded(buf, year, 4)
	buf = append(buf, '-')
	buf = appendPadded(buf, month, 2)
	buf = append(buf, '-')
	return appendPadded(buf, day, 2)
}

func appendClock(buf []byte, unix int64) []byte {
	second := unix - floorDiv(unix, secondsPerDay)*secondsPerDay
	buf = appendPadded(buf, second/3600, 2)
	buf = append(buf, ':')
	buf = appendPadded(buf, second/60%60, 2)
	buf = append(buf, ':')
	return appendPadded(buf, second%60, 2)
}

func appendPadded(buf []byte, n int64, width int) []byte {
	switch {
	case width == 2 && n < 100:
		return append(buf, byte('0'+n/10), byte('0'+n%10))
	case width == 4 && n >= 0 && n < 10000:
		return append(buf, byte('0'+n/1000), byte('0'+n/100%10), byte('0'+n/10%10), byte('0'+n%10))
	}
	return strconv.AppendInt(buf, n, 10)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// civil turns days since 1970 into a proleptic Gregorian date (Howard Hinnant's days algorithm); package
// time does the same at several times the cost, and a page holds thousands of dates.
func civil(days int64) (year, month, day int64) {
	days += 719468
	era := floorDiv(days, 146097)
	doe := days - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = doy - (153*mp+2)/5 + 1
	month = mp + 3
	if month > 12 {
		month -= 12
	}
	year = yoe + era*400
	if month <= 2 {
		year++
	}
	return year, month, day
}

// parseDateTime reads a stored date-time, or a date as its midnight.
func parseDateTime[T string | []byte](s T) (unix int64, ok bool) {
	if len(s) != 10 && len(s) != 19 {
		return 0, false
	}
	number := func(from, to int) int {
		n := 0
		for _, c := range []byte(s[from:to]) {
			if c < '0' || c > '9' {
				ok = false
				return 0
			}
			n = n*10 + int(c-'0')
		}
		return n
	}
	ok = s[4] == '-' && s[7] == '-'
	year, month, day := number(0, 4), number(5, 7), number(8, 10)
	var hour, minute, second int
	if len(s) == 19 {
		ok = ok && s[10] == ' ' && s[13] == ':' && s[16] == ':'
		hour, minute, second = number(11, 13), number(14, 16), number(17, 19)
	}
	if !ok || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC).Unix(), true
}

// dateLayout writes date-times as the signed-in user sees them.
type dateLayout struct {
	zone  *time.Location
	parts []string // yyyy, MM, dd and what stands between them
}

func newDateLayout(pattern string, zone *time.Location) dateLayout {
	layout := dateLayout{zone: zone}
	for pattern != "" {
		n := 1
		for _, letters := range []string{"yyyy", "MM", "dd"} {
			if strings.HasPrefix(pattern, letters) {
				n = len(letters)
			}
		}
		layout.parts = append(layout.parts, pattern[:n])
		pattern = pattern[n:]
	}
	return layout
}

func (l *dateLayout) appendDate(buf []byte, unix int64) []byte {
	year, month, day := civil(floorDiv(unix, secondsPerDay))
	for _, part := range l.parts {
		switch part {
		case "yyyy":
			buf = appendPadded(buf, year, 4)
		case "MM":
			buf = appendPadded(buf, month, 2)
		case "dd":
			buf = appendPadded(buf, day, 2)
		default:
			buf = append(buf, part...)
		}
	}
	return buf
}

func (l *dateLayout) appendDateTime(buf []byte, unix int64) []byte {
	_, offset := time.Unix(unix, 0).In(l.zone).Zone()
	local := unix + int64(offset)
	buf = l.appendDate(buf, local)
	buf = append(buf, ' ')
	return appendClock(buf, local)
}

// appendDuration writes a duration in words, down to minutes, or seconds where there is nothing above.
func appendDuration(buf []byte, seconds int64) []byte {
	if seconds < 0 {
		buf = append(buf, '-')
		seconds = -seconds
	}
	start := len(buf)
	unit := func(n int64, name string) {
		if n == 0 {
			return
		}
		if len(buf) > start {
			buf = append(buf, ' ')
		}
		buf = strconv.AppendInt(buf, n, 10)
		buf = append(buf, ' ')
		buf = append(buf, name...)
		if n != 1 {
			buf = append(buf, 's')
		}
	}
	unit(seconds/secondsPerDay, "Day")
	unit(seconds/3600%24, "Hour")
	unit(seconds/60%60, "Minute")
	if len(buf) == start {
		unit(seconds, "Second")
	}
	if len(buf) == start {
		buf = append(buf, "0 Seconds"...)
	}
	return buf
}

// appendGrouped writes a number with thousands separators.
func appendGrouped(buf, number []byte) []byte {
	if len(number) > 0 && number[0] == '-' {
		buf = append(buf, '-')
		number = number[1:]
	}
	whole := len(number)
	for i, c := range number {
		if c == '.' {
			whole = i
			break
		}
	}
	for i, c := range number[:whole] {
		if i > 0 && (whole-i)%3 == 0 {
			buf = append(buf, ',')
		}
		buf = append(buf, c)
	}
	return append(buf, number[whole:]...)
}
