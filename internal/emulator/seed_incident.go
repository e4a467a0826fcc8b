package emulator

import (
	"encoding/hex"
	"strconv"
)

// incidentSeed computes incidents from their row number. Every value is a function of (seed, row), so no
// incident is stored until it changes.
type incidentSeed struct {
	*company
	count       int
	tiedShare   float64
	tiedAt      int64 // when the tied share of them was updated
	imported    int64 // when a bulk import created some of them
	sysID       uint64
	columns     []incidentValue // by column number; nil is always empty
	description []string
	strange     int // where the strange descriptions begin
	veryLong    string
}

// incidentValue appends a field of one incident.
type incidentValue func(g *incidentSeed, buf []byte, row int64) []byte

func (c *company) seedIncidents() {
	t := c.e.tables["incident"]
	g := &incidentSeed{
		company: c, count: c.e.cfg.Incidents, tiedShare: c.e.cfg.TiedShare, sysID: mix(c.seed ^ 0x1c1de47),
		tiedAt: c.now - 181*day, imported: c.now - 765*day, columns: make([]incidentValue, len(t.schema.columns)),
	}
	g.description, g.strange = descriptionPool()
	for range 750 {
		g.veryLong += "This is the whole trace, line after line, 42 µs apart. "
	}
	for name, value := range incidentValues() {
		g.columns[t.schema.index[name]] = value
	}
	ids := make([]string, g.count)
	keys := make([]generatedKey, g.count)
	digits := make([]byte, 0, 32*g.count)
	for row := range g.count {
		digits = g.appendID(digits, int64(row))
		keys[row] = generatedKey{g.updated(int64(row)), mix(uint64(row) + g.sysID), int32(row)}
	}
	all := string(digits) // one allocation that all ids share
	for row := range ids {
		ids[row] = all[row*32 : row*32+32]
	}
	t.fillGenerated(g, ids, keys)
	c.e.serial.numbers["incident"] = 1000 + g.count
}

func (g *incidentSeed) append(buf []byte, row int32, column int) []byte {
	if column < len(g.columns) {
		if value := g.columns[column]; value != nil {
			return value(g, buf, int64(row))
		}
	}
	return buf
}

// appendID appends the sys_id: a scrambled row number and a check, so that rowOf needs no map.
func (g *incidentSeed) appendID(buf []byte, row int64) []byte {
	high := mix(uint64(row) + g.sysID)
	return appendHex(appendHex(buf, high), mix(high^g.seed^0x5eed))
}

func appendHex(buf []byte, n uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		buf = append(buf, hexDigits[n>>shift&15])
	}
	return buf
}

func (g *incidentSeed) rowOf(sysID string) (int32, bool) {
	if len(sysID) != 32 {
		return 0, false
	}
	var raw [16]byte
	if _, err := hex.Decode(raw[:], []byte(sysID)); err != nil {
		return 0, false
	}
	var high, low uint64
	for i := range 8 {
		high, low = high<<8|uint64(raw[i]), low<<8|uint64(raw[i+8])
	}
	row := unmix(high) - g.sysID
	if row >= uint64(g.count) || low != mix(high^g.seed^0x5eed) {
		return 0, false
	}
	return int32(row), string(g.appendID(nil, int64(row))) == sysID // upper-case digits are another id
}

// hash is a number that depends on the row and on what it is for.
func (g *incidentSeed) hash(row int64, purpose uint64) uint64 {
	return mix(g.seed + uint64(row)*0x9e3779b97f4a7c15 + purpose*0xd1342543de82ef95)
}

func (g *incidentSeed) pick(row int64, purpose uint64, from []string) string {
	return from[g.hash(row, purpose)%uint64(len(from))]
}

func (g *incidentSeed) updated(row int64) int64 {
	if int64(float64(row+1)*g.tiedShare) > int64(float64(row)*g.tiedShare) {
		return g.tiedAt
	}
	return g.now - 300 - int64(g.hash(row, 1)%uint64(730*day-300))
}

func (g *incidentSeed) created(row int64) int64 {
	if row%7 == 3 {
		return g.imported
	}
	return g.updated(row) - 3600 - int64(g.hash(row, 2)%uint64(20*day))
}

func (g *incidentSeed) opened(row int64) int64 {
	if row%5 == 0 {
		return g.created(row) - 3600
	}
	return g.created(row)
}

func (g *incidentSeed) resolved(row int64) int64 {
	opened := g.opened(row)
	return opened + (g.updated(row)-opened)*int64(1+g.hash(row, 3)%7)/8
}

// state is weighted as in an old instance: most incidents are closed.
func (g *incidentSeed) state(row int64) byte {
	return "11222223377777777777766688"[g.hash(row, 4)%26]
}

func (g *incidentSeed) isResolved(row int64) bool {
	state := g.state(row)
	return state == '6' || state == '7'
}

func (g *incidentSeed) impact(row int64) int64 { return 1 + int64(g.hash(row, 5)%3) }

func (g *incidentSeed) urgency(row int64) int64 { return 1 + int64(g.hash(row, 6)%3) }

// seconds an incident took, with some that no clock should show.
func (g *incidentSeed) took(row int64) int64 {
	switch {
	case row%101 == 7:
		return -5400
	case row%103 == 9:
		return 412*day + 11*3600 + 59
	}
	return g.resolved(row) - g.opened(row)
}

func appendInt(buf []byte, n int64) []byte { return strconv.AppendInt(buf, n, 10) }

func appendBool(buf []byte, b bool) []byte { return strconv.AppendBool(buf, b) }

func appendNumber(buf []byte, row int64) []byte {
	buf = append(buf, "INC"...)
	number := row + 1001
	for limit := int64(1000000); limit > number; limit /= 10 {
		buf = append(buf, '0')
	}
	return appendInt(buf, number)
}
