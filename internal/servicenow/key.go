package servicenow

import (
	"bytes"
	"cmp"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"
)

// Key is a place in a table's keyset order: (sys_updated_on, sys_id). UpdatedOn is in the layout DateTime, so keys
// compare as texts; it is "" for a record without a sys_updated_on.
type Key struct {
	UpdatedOn string `json:"updated_on"`
	SysID     string `json:"sys_id"`
}

// Compare orders keys as the instance sorts them; its collation folds letters to capitals.
func (k Key) Compare(other Key) int {
	if c := strings.Compare(k.UpdatedOn, other.UpdatedOn); c != 0 {
		return c
	}
	return compareFolded(k.SysID, other.SysID)
}

// compareFolded is strings.Compare with letters as capitals, without memory for texts of ASCII.
func compareFolded(a, b string) int {
	for i := range min(len(a), len(b)) {
		c, d := a[i], b[i]
		if c >= utf8.RuneSelf || d >= utf8.RuneSelf {
			return strings.Compare(strings.ToUpper(a), strings.ToUpper(b))
		}
		if c != d && capital(c) != capital(d) {
			return cmp.Compare(capital(c), capital(d))
		}
	}
	return cmp.Compare(len(a), len(b))
}

func capital(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// Key finds a record's key without decoding the record; ok is false when one of its parts is not there.
func (r Record) Key() (key Key, ok bool) {
	updatedOn, ok1 := r.value(`"sys_updated_on":`)
	sysID, ok2 := r.value(`"sys_id":`)
	return Key{string(updatedOn), string(sysID)}, ok1 && ok2 && len(sysID) > 0
}

// value returns the text behind a member's quoted name and colon. The pattern cannot stand inside a text, where every
// quote has a backslash before it. Values with escapes do not occur in the two fields this is for.
func (r Record) value(member string) ([]byte, bool) {
	i := bytes.Index(r, []byte(member))
	if i < 0 {
		return nil, false
	}
	rest := bytes.TrimLeft(r[i+len(member):], " \t\r\n")
	if len(rest) > 0 && rest[0] == '{' {
		end := bytes.IndexByte(rest, '}')
		if end < 0 {
			return nil, false
		}
		return Record(rest[:end]).value(`"value":`)
	}
	if len(rest) == 0 || rest[0] != '"' {
		return nil, false
	}
	end := bytes.IndexByte(rest[1:], '"')
	if end < 0 {
		return nil, false
	}
	return rest[1 : 1+end], true
}

// midTime returns the date-time half way between two seconds, the second of from included and that of through not. A from
// of "" stands for the time before any record: an instance holds few that are older than the product.
func midTime(from, through string) string {
	b, err := time.Parse(DateTime, through)
	if err != nil {
		return from
	}
	a, err := time.Parse(DateTime, from)
	if err != nil {
		if a = time.Date(1998, 1, 1, 0, 0, 0, 0, time.UTC); !a.Before(b) {
			a = time.Time{}
		}
	}
	return a.Add(b.Sub(a) / 2).Truncate(time.Second).Format(DateTime)
}

// idDigits is the alphabet that ranges of sys_ids are halved in: ids are mostly hexadecimal, but not all.
const (
	idDigits = "0123456789abcdefghijklmnopqrstuvwxyz"
	idLength = 32
)

// midID returns a sys_id half way between two; "" is open at its end. ok is false when nothing lies between.
func midID(after, through string) (string, bool) {
	lo := idNumber(after, '0')
	hi := idNumber(through, '0')
	if through == "" {
		hi = idNumber("", 'z')
	}
	mid := new(big.Int).Add(lo, hi)
	mid.Rsh(mid, 1)
	if mid.Cmp(lo) <= 0 || mid.Cmp(hi) >= 0 {
		return "", false
	}
	text := mid.Text(36)
	return strings.Repeat("0", idLength-len(text)) + text, true
}

func idNumber(id string, fill byte) *big.Int {
	digits := []byte(strings.Repeat(string(fill), idLength))
	for i := 0; i < len(id) && i < idLength; i++ {
		digits[i] = '0'
		if c := bytes.ToLower([]byte{id[i]})[0]; strings.IndexByte(idDigits, c) >= 0 {
			digits[i] = c
		}
	}
	n, _ := new(big.Int).SetString(string(digits), 36)
	return n
}

// Text returns the stored value of a field that holds plain ids or names, without decoding the record.
func (r Record) Text(field string) (string, bool) {
	value, ok := r.value(`"` + field + `":`)
	return string(value), ok && len(value) > 0
}

// Has reports whether the record has a field, be it empty. Field security leaves a field out.
func (r Record) Has(field string) bool { return bytes.Contains(r, []byte(`"`+field+`":`)) }
