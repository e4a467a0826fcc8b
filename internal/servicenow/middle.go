package servicenow

import (
	"context"
	"time"
)

// farthestMiddle is how far ahead a middle is looked for. An offset costs the instance more the larger it is; of what lies
// further ahead the next one to read there looks for its own.
const farthestMiddle = 100_000

// middle is a key in the midst of what is unread of a segment, once it is known.
type middle struct {
	found  chan Key // gets one; a zero one where none was to be had
	beyond int      // rows from the key on, by the instance's count
}

// ask looks for the middle of what the next page will leave of a segment, while that page is read. Halving by time alone
// would find it only after many steps where most rows carry a few stamps, as after an import.
func (r *reader) ask(ctx context.Context, s *segment, limit int) {
	offset := limit + min((s.left-limit)/2, farthestMiddle)
	m := &middle{found: make(chan Key, 1), beyond: s.left - offset}
	s.middle = m
	opts := ListOptions{
		Query: s.query(r.read, true), Fields: []string{r.read.stamp(), sysID}, Display: Values, Limit: 1, Offset: offset, stamp: r.read.stamp(),
	}
	r.asking++
	r.asked.Go(func() {
		var key Key
		// One attempt: without a middle the segment is halved by time.
		if list, err := r.client.listOnce(ctx, r.read.Table, opts); err == nil && len(list.keys) == 1 {
			key = list.keys[0].key()
		}
		m.found <- key
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asking--
	})
}

// halved cuts a segment in two where its middle was found to be, or by time where none was. It is false when that is not
// known yet, or lies behind.
func (r *reader) halved(s *segment) (second *segment, ok bool) {
	if s.middle == nil {
		return nil, false
	}
	select {
	case key := <-s.middle.found:
		beyond := s.middle.beyond
		s.middle = nil
		if key == (Key{}) {
			return r.halve(s)
		}
		return r.cutAt(s, key, beyond)
	default:
		return nil, false
	}
}

// cutAt cuts a segment at a key, of which so many rows lie on its far side; in front of the key's second, where there is more
// than one.
func (r *reader) cutAt(s *segment, key Key, beyond int) (second *segment, ok bool) {
	oneSecond := s.Through.SysID != "" || s.After.UpdatedOn == s.Through.UpdatedOn
	switch {
	case key.SysID == "" || key.Compare(s.After) <= 0 || key.UpdatedOn > s.Through.UpdatedOn:
		return nil, false
	case oneSecond:
		if key.UpdatedOn != s.Through.UpdatedOn || s.Through.SysID != "" && (Key{SysID: key.SysID}).Compare(Key{SysID: s.Through.SysID}) >= 0 {
			return nil, false
		}
		near := s.left - beyond
		second = r.cut(s, key, key)
		s.left, second.left = max(near, -1), beyond
	case key.UpdatedOn > s.After.UpdatedOn:
		second = r.cut(s, Key{UpdatedOn: addSeconds(key.UpdatedOn, -1)}, Key{UpdatedOn: key.UpdatedOn})
		second.left = beyond // and what lies in front of the key in its second
	default: // the second in which the segment goes on holds half of it
		second = r.cut(s, Key{UpdatedOn: key.UpdatedOn}, Key{UpdatedOn: addSeconds(key.UpdatedOn, 1)})
	}
	return second, true
}

// addSeconds returns a date-time so many seconds later.
func addSeconds(at string, n int) string {
	t, err := time.Parse(DateTime, at)
	if err != nil {
		return at
	}
	return t.Add(time.Duration(n) * time.Second).Format(DateTime)
}
