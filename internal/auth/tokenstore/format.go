package tokenstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
)

// formatVersion changes when an older release could not read the file, or would lose something of it by writing it.
const formatVersion = 1

// document is the token file. Entries that are not asked for are written back as they were read.
type document struct {
	Version int               `json:"version"`
	Tokens  []json.RawMessage `json:"tokens"`
}

// record is one entry as it is written. The end is written for people; it follows from the other times.
type record struct {
	Version         int       `json:"version,omitempty"` // in the keyring, where there is no document around it
	Instance        string    `json:"instance"`
	ClientID        string    `json:"client_id"`
	User            string    `json:"user,omitempty"`
	RefreshToken    string    `json:"refresh_token"`
	SignedInAt      time.Time `json:"signed_in_at"`
	ObtainedAt      time.Time `json:"obtained_at"`
	ExpiresAt       time.Time `json:"expires_at"`
	LifespanSeconds int64     `json:"lifespan_seconds,omitempty"`
}

// The causes hold nothing of the file: a decoder's own words may quote a token.
var (
	errNotJSON    = errors.New("not the JSON that this program writes")
	errNewVersion = errors.New("unknown version")
	errTwice      = errors.New("two entries for the same instance and client id")
	errIncomplete = errors.New("an entry without a refresh token or its times")
)

func newRecord(key Key, e Entry) record {
	utc := func(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
	return record{Instance: key.Instance, ClientID: key.ClientID, User: e.User, RefreshToken: e.RefreshToken,
		SignedInAt: utc(e.SignedInAt), ObtainedAt: utc(e.ObtainedAt), ExpiresAt: utc(e.ExpiresAt()),
		LifespanSeconds: int64(e.Lifespan / time.Second)}
}

func (r record) key() Key { return Key{Instance: r.Instance, ClientID: r.ClientID} }

func (r record) entry() (Entry, error) {
	if r.RefreshToken == "" || r.SignedInAt.IsZero() || r.ObtainedAt.IsZero() || r.LifespanSeconds < 0 || r.LifespanSeconds > 1e10/2 {
		return Entry{}, errIncomplete
	}
	return Entry{RefreshToken: r.RefreshToken, SignedInAt: r.SignedInAt, ObtainedAt: r.ObtainedAt, User: r.User,
		Lifespan: time.Duration(r.LifespanSeconds) * time.Second}, nil
}

// readDocument takes the empty text as an empty document.
func readDocument(data []byte) (*document, error) {
	doc := &document{Version: formatVersion}
	if len(data) == 0 {
		return doc, nil
	}
	var version struct {
		Version *int `json:"version"`
	}
	if json.Unmarshal(data, &version) != nil || version.Version == nil {
		return nil, errNotJSON
	}
	if *version.Version != formatVersion {
		return nil, errNewVersion
	}
	if json.Unmarshal(data, doc) != nil {
		return nil, errNotJSON
	}
	return doc, nil
}

// find returns the place and the entry of key; place is -1 when there is none.
func (d *document) find(key Key) (int, *Entry, error) {
	place := -1
	var found record
	for i, raw := range d.Tokens {
		var name struct {
			Instance string `json:"instance"`
			ClientID string `json:"client_id"`
		}
		if json.Unmarshal(raw, &name) != nil {
			return -1, nil, errNotJSON
		}
		if name.Instance != key.Instance || name.ClientID != key.ClientID {
			continue
		}
		if place >= 0 {
			return -1, nil, errTwice
		}
		place = i
		if json.Unmarshal(raw, &found) != nil {
			return -1, nil, errNotJSON
		}
	}
	if place < 0 {
		return -1, nil, nil
	}
	entry, err := found.entry()
	return place, &entry, err
}

// put replaces, adds or, with a nil entry, removes.
func (d *document) put(place int, key Key, entry *Entry) error {
	if entry == nil {
		if place >= 0 {
			d.Tokens = append(d.Tokens[:place], d.Tokens[place+1:]...)
		}
		return nil
	}
	raw, err := json.Marshal(newRecord(key, *entry))
	if err != nil {
		return errIncomplete // a time outside of the years that JSON can say
	}
	if place < 0 {
		d.Tokens = append(d.Tokens, raw)
	} else {
		d.Tokens[place] = raw
	}
	return nil
}

func (d *document) bytes() ([]byte, error) {
	if d.Tokens == nil {
		d.Tokens = []json.RawMessage{}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if encoder.Encode(d) != nil {
		return nil, errNotJSON
	}
	return b.Bytes(), nil
}
