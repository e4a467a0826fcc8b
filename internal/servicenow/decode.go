package servicenow

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/cqservicenow/cq-source-servicenow/internal/recordjson"
)

// rawKey is what stands in a record for its Key; both are nil where the record has no such texts.
type rawKey struct{ stamp, sysID []byte }

func (k rawKey) key() Key { return Key{string(k.stamp), string(k.sysID)} }

var (
	errNotObject = errors.New("it is not an object")
	errCut       = errors.New("it is no whole JSON text")
)

// decodeList checks that body is one whole JSON object with a list of objects in `result` and no `error`, and returns the
// list's items as parts of body, and their keys with the time from the given field. A result with an error behind it is what
// a cancelled transaction leaves under status 200.
func decodeList(body []byte, stamp string) ([]Record, []rawKey, error) {
	d := listDecoder{body: body, stamp: stamp}
	d.scanner = recordjson.NewScanner(d.id)
	if err := d.object(); err != nil {
		return nil, nil, err
	}
	switch {
	case d.failure != "":
		return nil, nil, fmt.Errorf("the result is followed by an error: %s", d.failure)
	case !d.hasResult:
		return nil, nil, errors.New("it has no result")
	}
	return d.records, d.keys, nil
}

type listDecoder struct {
	body      []byte
	at        int
	stamp     string
	scanner   *recordjson.Scanner
	records   []Record
	keys      []rawKey
	key       rawKey // of the record that is being read
	hasResult bool
	failure   string
}

// Ids of fields; others are 0.
const (
	stampField = 1 + iota
	sysIDField
)

func (d *listDecoder) id(name []byte) int {
	switch string(name) {
	case d.stamp:
		return stampField
	case sysID:
		return sysIDField
	}
	return 0
}

// take notes the key's parts. Of a field that appears twice the first one counts.
func (d *listDecoder) take(f recordjson.Field) error {
	if f.ID == 0 || len(f.Stored.Raw) == 0 || f.Stored.Raw[0] != '"' {
		return nil
	}
	text := f.Stored.Raw[1 : len(f.Stored.Raw)-1]
	switch {
	case f.ID == stampField && d.key.stamp == nil:
		d.key.stamp = text
	case f.ID == sysIDField && d.key.sysID == nil:
		d.key.sysID = text
	}
	return nil
}

// object reads the whole body.
func (d *listDecoder) object() error {
	if !d.next('{') {
		return errNotObject
	}
	for first := true; ; first = false {
		if d.next('}') {
			break
		}
		if !first && !d.next(',') {
			return errCut
		}
		name, err := d.name()
		if err != nil {
			return err
		}
		if err := d.member(name); err != nil {
			return err
		}
	}
	if recordjson.Space(d.body, d.at) < len(d.body) {
		return errors.New("something follows the object")
	}
	return nil
}

func (d *listDecoder) member(name string) error {
	if name == "result" {
		d.hasResult = true
		return d.list()
	}
	value, err := d.value()
	switch {
	case err != nil:
		return err
	case name == "error":
		d.failure = clean(string(value))
	case name == "status" && d.failure == "" && string(value) == `"failure"`:
		d.failure = "status failure"
	}
	return nil
}

func (d *listDecoder) list() error {
	if !d.next('[') {
		return errors.New("the result is not a list")
	}
	take := d.take // once, since it takes memory
	for first := true; !d.next(']'); first = false {
		if !first && !d.next(',') {
			return errCut
		}
		start := recordjson.Space(d.body, d.at)
		if start < len(d.body) && d.body[start] != '{' {
			return errors.New("an item of the result is not an object")
		}
		d.key = rawKey{}
		end, _, err := d.scanner.Scan(d.body, start, take)
		if err != nil {
			return fmt.Errorf("%w: %w", errCut, err)
		}
		d.at = end
		d.records, d.keys = append(d.records, Record(d.body[start:end:end])), append(d.keys, d.key)
	}
	return nil
}

// next takes a character behind white space, if it is the one that stands there.
func (d *listDecoder) next(c byte) bool {
	at := recordjson.Space(d.body, d.at)
	if at >= len(d.body) || d.body[at] != c {
		return false
	}
	d.at = at + 1
	return true
}

// name takes the name of a member, and its colon.
func (d *listDecoder) name() (string, error) {
	start := recordjson.Space(d.body, d.at)
	end := recordjson.Text(d.body, start)
	if end < 0 {
		return "", errCut
	}
	name, _ := jsontext.AppendUnquote(nil, d.body[start:end]) // invalid UTF-8 is replaced
	if d.at = end; !d.next(':') {
		return "", errCut
	}
	return string(name), nil
}

// value takes a value of any kind.
func (d *listDecoder) value() ([]byte, error) {
	start := recordjson.Space(d.body, d.at)
	end := recordjson.Value(d.body, start)
	if end < 0 {
		return nil, errCut
	}
	d.at = end
	return d.body[start:end], nil
}
