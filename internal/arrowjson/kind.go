package arrowjson

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cloudquery/plugin-sdk/v4/types"
	"github.com/go-json-experiment/json/jsontext"
)

// Kind is how a stored value is read.
type Kind int

const (
	Text     Kind = iota // utf8
	Bool                 // bool, from true and false
	Int                  // int64
	Float                // float64
	DateTime             // timestamp[us, UTC], from 2006-01-02 15:04:05
	Date                 // date32, from 2006-01-02
	Duration             // int64 seconds, from a date-time that counts from 1970-01-01 00:00:00
	List                 // JSON array of texts, from texts between commas
)

// DataType returns the Arrow type of a kind.
func (k Kind) DataType() arrow.DataType {
	switch k {
	case Bool:
		return arrow.FixedWidthTypes.Boolean
	case Int, Duration:
		return arrow.PrimitiveTypes.Int64
	case Float:
		return arrow.PrimitiveTypes.Float64
	case DateTime:
		return arrow.FixedWidthTypes.Timestamp_us
	case Date:
		return arrow.FixedWidthTypes.Date32
	case List:
		return types.ExtensionTypes.JSON
	default:
		return arrow.BinaryTypes.String
	}
}

// appender returns what appends a text to a builder; it returns false, and appends nothing, when the text does not fit.
func appender(kind Kind, builder array.Builder) (func([]byte) bool, error) {
	switch b := builder.(type) {
	case *array.StringBuilder:
		if kind == Text {
			return appendText(b), nil
		}
	case *array.BooleanBuilder:
		if kind == Bool {
			return func(text []byte) bool {
				value, ok := parseBool(text)
				if ok {
					b.Append(value)
				}
				return ok
			}, nil
		}
	case *array.Int64Builder:
		parse := parseInt
		if kind == Duration {
			parse = parseSeconds
		}
		if kind == Int || kind == Duration {
			return func(text []byte) bool {
				value, ok := parse(text)
				if ok {
					b.Append(value)
				}
				return ok
			}, nil
		}
	case *array.Float64Builder:
		if kind == Float {
			return func(text []byte) bool {
				value, err := strconv.ParseFloat(string(text), 64)
				if err != nil || math.IsInf(value, 0) || math.IsNaN(value) {
					return false
				}
				b.Append(value)
				return true
			}, nil
		}
	case *array.TimestampBuilder:
		if kind == DateTime {
			return func(text []byte) bool {
				seconds, ok := parseSeconds(text)
				if ok {
					b.Append(arrow.Timestamp(seconds * 1e6))
				}
				return ok
			}, nil
		}
	case *array.Date32Builder:
		if kind == Date {
			return func(text []byte) bool {
				days, ok := parseDate(text)
				if ok {
					b.Append(arrow.Date32(days))
				}
				return ok
			}, nil
		}
	case *types.JSONBuilder:
		if kind == List {
			var list []byte
			return func(text []byte) bool {
				list = appendList(list[:0], text)
				b.AppendBytes(list)
				return true
			}, nil
		}
	}
	return nil, fmt.Errorf("kind %d does not fit %T", kind, builder)
}

func appendText(b *array.StringBuilder) func([]byte) bool {
	return func(text []byte) bool {
		b.BinaryBuilder.Append(text)
		return true
	}
}

func parseBool(text []byte) (value, ok bool) {
	switch string(text) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

func parseInt(text []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(text), 10, 64)
	return n, err == nil
}

// appendList writes texts between commas as a JSON array.
func appendList(dst, text []byte) []byte {
	dst = append(dst, '[')
	for item := range bytes.SplitSeq(text, []byte{','}) {
		if item = bytes.TrimSpace(item); len(item) == 0 {
			continue
		}
		if dst[len(dst)-1] != '[' {
			dst = append(dst, ',')
		}
		dst, _ = jsontext.AppendQuote(dst, item) // the text is valid UTF-8
	}
	return append(dst, ']')
}

const secondsPerDay = 24 * 60 * 60

// parseSeconds reads a stored date-time as seconds since 1970-01-01 00:00:00 UTC; of a duration, that is its length. A
// date alone is its midnight.
func parseSeconds(text []byte) (int64, bool) {
	if len(text) == len(time.DateOnly) {
		days, ok := parseDate(text)
		return days * secondsPerDay, ok
	}
	if len(text) < len(time.DateTime) || text[10] != ' ' || text[13] != ':' || text[16] != ':' {
		return 0, false
	}
	days, ok := parseDate(text[:10])
	hour, ok1 := digits(text[11:13])
	minute, ok2 := digits(text[14:16])
	second, ok3 := digits(text[17:19])
	// A fraction, which some types carry, is below the precision of the column's source.
	rest := bytes.TrimLeft(text[19:], ".0123456789")
	if !ok || !ok1 || !ok2 || !ok3 || hour > 23 || minute > 59 || second > 59 || len(rest) > 0 {
		return 0, false
	}
	return days*secondsPerDay + hour*3600 + minute*60 + second, true
}

// parseDate reads a date as days since 1970-01-01.
func parseDate(text []byte) (int64, bool) {
	if len(text) != len(time.DateOnly) || text[4] != '-' || text[7] != '-' {
		return 0, false
	}
	year, ok := digits(text[:4])
	month, ok1 := digits(text[5:7])
	day, ok2 := digits(text[8:10])
	if !ok || !ok1 || !ok2 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	return daysFromCivil(year, month, day), true
}

func digits(text []byte) (int64, bool) {
	var n int64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func daysIn(year, month int64) int64 {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysFromCivil counts the days from 1970-01-01 in the proleptic Gregorian calendar, with years that begin in March so
// that the leap day is their last.
func daysFromCivil(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return 365*year + floorDiv(year, 4) - floorDiv(year, 100) + floorDiv(year, 400) + (153*(month-3)+2)/5 + day - 719469
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
