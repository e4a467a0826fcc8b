package sqlitedest

import (
	"database/sql/driver"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cloudquery/plugin-sdk/v4/types"
)

const dateLayout = "2006-01-02"

// valueReader returns the value of one row of one column in the form that SQLite stores.
type valueReader func(row int) (driver.Value, error)

type typedArray[T any] interface {
	arrow.Array
	Value(int) T
}

func readAs[T any](a typedArray[T], convert func(T) driver.Value) valueReader {
	return func(row int) (driver.Value, error) {
		if a.IsNull(row) {
			return nil, nil
		}
		return convert(a.Value(row)), nil
	}
}

func signed[T int8 | int16 | int32 | int64](v T) driver.Value { return int64(v) }

// unsigned: the digits of a number beyond int64 go into a blob, since SQLite would turn such text into a rounded real.
func unsigned[T uint8 | uint16 | uint32 | uint64](v T) driver.Value {
	if uint64(v) > math.MaxInt64 {
		return strconv.AppendUint(nil, uint64(v), 10)
	}
	return int64(v)
}

func bytesValue(v []byte) driver.Value {
	if v == nil {
		return []byte{} // the driver would store nil as NULL
	}
	return v
}

func newValueReader(col arrow.Array) valueReader {
	switch a := col.(type) {
	case *array.String:
		return readAs(a, func(v string) driver.Value { return v })
	case *array.LargeString:
		return readAs(a, func(v string) driver.Value { return v })
	case *array.Boolean:
		return readAs(a, func(v bool) driver.Value { return v })
	case *array.Int8:
		return readAs(a, signed[int8])
	case *array.Int16:
		return readAs(a, signed[int16])
	case *array.Int32:
		return readAs(a, signed[int32])
	case *array.Int64:
		return readAs(a, signed[int64])
	case *array.Uint8:
		return readAs(a, unsigned[uint8])
	case *array.Uint16:
		return readAs(a, unsigned[uint16])
	case *array.Uint32:
		return readAs(a, unsigned[uint32])
	case *array.Uint64:
		return readAs(a, unsigned[uint64])
	case *array.Float32:
		return readAs(a, func(v float32) driver.Value { return float64(v) })
	case *array.Float64:
		return readAs(a, func(v float64) driver.Value { return v })
	case *array.Binary:
		return readAs(a, bytesValue)
	case *array.LargeBinary:
		return readAs(a, bytesValue)
	case *array.Date32:
		return readAs(a, func(v arrow.Date32) driver.Value { return v.ToTime().Format(dateLayout) })
	case *array.Date64:
		return readAs(a, func(v arrow.Date64) driver.Value { return v.ToTime().Format(dateLayout) })
	case *array.Timestamp:
		return timestampReader(a)
	case *types.JSONArray:
		storage := a.Storage().(*array.Binary)
		return readAs(storage, func(v []byte) driver.Value { return string(v) })
	default:
		return func(row int) (driver.Value, error) {
			if col.IsNull(row) {
				return nil, nil
			}
			return col.ValueStr(row), nil
		}
	}
}

func timestampReader(a *array.Timestamp) valueReader {
	unit := a.DataType().(*arrow.TimestampType).Unit
	return func(row int) (driver.Value, error) {
		if a.IsNull(row) {
			return nil, nil
		}
		t := a.Value(row).ToTime(unit)
		if y := t.Year(); y < 0 || y > 9999 {
			return nil, fmt.Errorf("the timestamp's year %d is outside of 0 to 9999", y)
		}
		return formatTimestamp(t, unit == arrow.Nanosecond), nil
	}
}

// formatTimestamp writes t at a fixed width, so that text order is time order. It is several times faster than
// time.Format, and there are many timestamps.
func formatTimestamp(t time.Time, nanoseconds bool) string {
	t = t.UTC()
	var buf [29]byte
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	digits(buf[0:4], year)
	buf[4] = '-'
	digits(buf[5:7], int(month))
	buf[7] = '-'
	digits(buf[8:10], day)
	buf[10] = ' '
	digits(buf[11:13], hour)
	buf[13] = ':'
	digits(buf[14:16], minute)
	buf[16] = ':'
	digits(buf[17:19], second)
	buf[19] = '.'
	if nanoseconds {
		digits(buf[20:29], t.Nanosecond())
		return string(buf[:])
	}
	digits(buf[20:26], t.Nanosecond()/1000)
	return string(buf[:26])
}

func digits(b []byte, v int) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
}

// columnType is the declared type of a column; a change of it is a change of the table.
func columnType(t arrow.DataType) string {
	switch t.ID() {
	case arrow.BINARY, arrow.LARGE_BINARY:
		return "blob"
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64:
		return "integer"
	case arrow.FLOAT32, arrow.FLOAT64:
		return "real"
	case arrow.BOOL:
		return "boolean"
	case arrow.TIMESTAMP:
		return "timestamp"
	case arrow.DATE32, arrow.DATE64:
		return "date"
	default:
		return "text"
	}
}
