package extract

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// compoundSignature starts every compound file ([MS-CFB], section 2.2).
const compoundSignature = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

const (
	maxRegularSector = 0xfffffffa // a sector number; greater ones have meanings of their own
	endOfChain       = 0xfffffffe
	noEntry          = 0xffffffff // no entry of the directory

	compoundStorage = 1
	compoundStream  = 2
	compoundRoot    = 5
)

var (
	errNotCompound  = errors.New("it is no compound file")
	errCompoundLoop = errors.New("a chain of sectors runs in circles")
	errShortStream  = errors.New("a stream is shorter than it says")
)

// compound is an open compound file ([MS-CFB]): a small file system of storages and streams. What it holds in memory is
// less than the file's size, whatever the file claims.
type compound struct {
	r          io.ReaderAt
	size       int64
	budget     *budget
	sectorSize int64
	cutoff     int64    // streams below this size lie in the mini stream
	fat        []uint32 // sector → the next one of its chain
	miniFAT    []uint32
	mini       []uint32 // the sectors of the mini stream
	miniSize   int64
	entries    []compoundEntry
	owned      []bool // entries that are in a storage already; each is in one only
}

// compoundEntry is an entry of the directory ([MS-CFB], section 2.6.1).
type compoundEntry struct {
	name               string
	kind               byte
	left, right, child uint32
	start              uint32
	size               int64
}

// openCompound reads a compound file's tables. A file that is cut is opened as far as it goes.
func openCompound(d *document) (*compound, error) {
	head := d.head(512)
	if len(head) < 512 || string(head[:8]) != compoundSignature {
		return nil, errNotCompound
	}
	le := binary.LittleEndian
	shift := le.Uint16(head[30:])
	if shift != 9 && shift != 12 || le.Uint16(head[32:]) != 6 {
		return nil, fmt.Errorf("%w: its sectors have a size that there is not", errNotCompound)
	}
	c := &compound{r: d, size: d.size, budget: d.budget, sectorSize: 1 << shift, cutoff: int64(le.Uint32(head[56:]))}
	if err := c.readFAT(head); err != nil {
		return nil, fmt.Errorf("reading the sector table: %w", err)
	}
	if err := c.readDirectory(le.Uint32(head[48:])); err != nil {
		return nil, fmt.Errorf("reading the directory: %w", err)
	}
	root := c.entries[0]
	if root.size > c.size {
		return c, nil // no mini stream can be that large; the streams in it are lost
	}
	mini, err := c.chain(root.start, c.sectors(root.size))
	if err != nil {
		return nil, fmt.Errorf("reading the mini stream: %w", err)
	}
	c.mini, c.miniSize = mini, root.size
	table, err := c.chain(le.Uint32(head[60:]), c.sectors((root.size+63)/64*4))
	if err != nil {
		return nil, fmt.Errorf("reading the mini sector table: %w", err)
	}
	for _, sector := range table {
		c.miniFAT = c.appendSector(c.miniFAT, sector)
	}
	return c, nil
}

// sectors returns how many sectors n bytes take.
func (c *compound) sectors(n int64) int64 { return (n + c.sectorSize - 1) / c.sectorSize }

// readFAT follows the double-indirect table ([MS-CFB], section 2.5) to the sectors of the sector table.
func (c *compound) readFAT(head []byte) error {
	le := binary.LittleEndian
	perSector := c.sectorSize / 4
	wanted := c.sectors(c.sectors(c.size) * 4) // sectors of the table that a file of this size can use
	var table []uint32
	add := func(b []byte) {
		for ; len(b) >= 4 && int64(len(table)) < wanted; b = b[4:] {
			if sector := le.Uint32(b); sector <= maxRegularSector {
				table = append(table, sector)
			}
		}
	}
	add(head[76:512])
	next := le.Uint32(head[68:])
	for seen := int64(0); next < maxRegularSector && int64(len(table)) < wanted; seen++ {
		if seen > wanted/(perSector-1)+1 {
			return errCompoundLoop
		}
		b := make([]byte, c.sectorSize)
		if n, err := c.readSector(next, b); n < len(b) {
			if errors.Is(err, io.EOF) {
				break // the file is cut
			}
			return err
		}
		add(b[:len(b)-4])
		next = le.Uint32(b[len(b)-4:])
	}
	c.fat = make([]uint32, 0, int64(len(table))*perSector)
	for _, sector := range table {
		c.fat = c.appendSector(c.fat, sector)
	}
	return nil
}

// appendSector appends the numbers in a sector. What the file does not hold ends chains.
func (c *compound) appendSector(table []uint32, sector uint32) []uint32 {
	b := make([]byte, c.sectorSize)
	n, _ := c.readSector(sector, b)
	for i := 0; i < len(b); i += 4 {
		if i+4 > n {
			table = append(table, endOfChain)
			continue
		}
		table = append(table, binary.LittleEndian.Uint32(b[i:]))
	}
	return table
}

// readSector reads a sector; it returns less than a whole one where the file ends.
func (c *compound) readSector(sector uint32, b []byte) (int, error) {
	at := (int64(sector) + 1) * c.sectorSize
	if at >= c.size {
		return 0, io.EOF
	}
	n, err := c.r.ReadAt(b[:min(int64(len(b)), c.size-at)], at)
	if n < len(b) && err == nil {
		err = io.EOF
	}
	return n, err
}

// chain returns the sectors of a chain, most of them at most.
func (c *compound) chain(start uint32, most int64) ([]uint32, error) {
	return followChain(c.fat, start, most)
}

// followChain walks a chain and finds circles by Brent's method, which needs no memory of where it was.
func followChain(table []uint32, start uint32, most int64) ([]uint32, error) {
	var chain []uint32
	mark, steps, power := start, 0, 1
	for at := start; at < maxRegularSector && int64(at) < int64(len(table)) && int64(len(chain)) < most; {
		chain = append(chain, at)
		at = table[at]
		if at == mark {
			return nil, errCompoundLoop
		}
		if steps++; steps == power {
			mark, steps, power = at, 0, power*2
		}
	}
	return chain, nil
}

func (c *compound) readDirectory(start uint32) error {
	chain, err := c.chain(start, c.sectors(c.size))
	if err != nil {
		return err
	}
	b := make([]byte, c.sectorSize)
	for _, sector := range chain {
		n, err := c.readSector(sector, b)
		if n < 128 && err != nil {
			if errors.Is(err, io.EOF) {
				break
			}
			return err
		}
		for at := 0; at+128 <= n; at += 128 {
			c.entries = append(c.entries, c.entry(b[at:at+128]))
		}
	}
	if len(c.entries) == 0 || c.entries[0].kind != compoundRoot {
		return errors.New("it has no root")
	}
	c.owned = make([]bool, len(c.entries))
	c.owned[0] = true
	return nil
}

func (c *compound) entry(b []byte) compoundEntry {
	le := binary.LittleEndian
	length := min(int(le.Uint16(b[64:])), 64)
	units := make([]uint16, 0, 32)
	for i := 0; i+1 < length; i += 2 {
		if u := le.Uint16(b[i:]); u != 0 {
			units = append(units, u)
		}
	}
	size := le.Uint64(b[120:])
	if c.sectorSize == 512 { // section 2.6.1: the upper half may be anything
		size &= 0xffffffff
	}
	return compoundEntry{
		name: string(utf16.Decode(units)), kind: b[66],
		left: le.Uint32(b[68:]), right: le.Uint32(b[72:]), child: le.Uint32(b[76:]),
		start: le.Uint32(b[116:]), size: int64(min(size, 1<<62)),
	}
}

// compoundDir is a storage of a compound file: its entries by name, in upper case.
type compoundDir map[string]*compoundEntry

func (c *compound) root() compoundDir { return c.children(&c.entries[0]) }

// children lists a storage. Each entry is listed once in the life of c, so circles end, and all listings together cost no
// more than the directory's size.
func (c *compound) children(parent *compoundEntry) compoundDir {
	found := compoundDir{}
	open := []uint32{parent.child}
	for len(open) > 0 {
		id := open[len(open)-1]
		open = open[:len(open)-1]
		if id == noEntry || int64(id) >= int64(len(c.entries)) || c.owned[id] {
			continue
		}
		c.owned[id] = true
		e := &c.entries[id]
		open = append(open, e.left, e.right)
		if e.kind == compoundStorage || e.kind == compoundStream {
			found[strings.ToUpper(e.name)] = e
		}
	}
	return found
}

// read returns a stream's first bytes, most of them at most. With an error it returns what it got.
func (c *compound) read(e *compoundEntry, most int64) ([]byte, error) {
	if e.kind != compoundStream {
		return nil, errors.New("a storage stands where a stream should")
	}
	if e.size > c.size {
		return nil, fmt.Errorf("%w: %d bytes in a file of %d", errShortStream, e.size, c.size)
	}
	size := min(e.size, most)
	if c.budget.left -= size; c.budget.left < 0 {
		return nil, limit("it unpacks to more than %d MiB", maxUnpacked>>20)
	}
	table, unit := c.fat, c.sectorSize
	if e.size < c.cutoff {
		table, unit = c.miniFAT, 64
	}
	chain, err := followChain(table, e.start, (size+unit-1)/unit)
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(size, int64(len(chain))*unit))
	for i, sector := range chain {
		part := b[int64(i)*unit : min(int64(i+1)*unit, int64(len(b)))]
		var n int
		if e.size < c.cutoff {
			n, err = c.readMini(sector, part)
		} else {
			n, err = c.readSector(sector, part)
		}
		if n < len(part) {
			if errors.Is(err, io.EOF) {
				err = errShortStream
			}
			return b[:int64(i)*unit+int64(n)], err
		}
	}
	if int64(len(b)) < size {
		return b, errShortStream
	}
	return b, nil
}

// readMini reads a sector of the mini stream.
func (c *compound) readMini(sector uint32, b []byte) (int, error) {
	at := int64(sector) * 64
	i := at / c.sectorSize
	if i >= int64(len(c.mini)) || at >= c.miniSize {
		return 0, io.EOF
	}
	from := (int64(c.mini[i])+1)*c.sectorSize + at%c.sectorSize
	if from >= c.size {
		return 0, io.EOF
	}
	n, err := c.r.ReadAt(b[:min(int64(len(b)), c.size-from)], from)
	if n < len(b) && err == nil {
		err = io.EOF
	}
	return n, err
}

// compoundKind says what a compound file holds: "msg", "doc", "xls", "ppt", "encrypted" for an office document behind a
// password or rights management, and "" for anything else and for files that are none.
func compoundKind(d *document) string {
	c, err := openCompound(d)
	if err != nil {
		return ""
	}
	names := c.root()
	for _, kind := range [...]struct{ name, kind string }{
		{"__PROPERTIES_VERSION1.0", "msg"},
		{"ENCRYPTEDPACKAGE", "encrypted"},
		{"\tDRMCONTENT", "encrypted"},
		{"WORDDOCUMENT", "doc"},
		{"WORKBOOK", "xls"},
		{"BOOK", "xls"},
		{"POWERPOINT DOCUMENT", "ppt"},
	} {
		if names[kind.name] != nil {
			return kind.kind
		}
	}
	return ""
}
