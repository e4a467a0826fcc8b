package extract

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf16"
)

// cfbNode is a storage, or a stream when it has no children, of a compound file to build.
type cfbNode struct {
	name     string
	data     []byte
	children []*cfbNode
	isStream bool
}

func cfbStorage(name string, children ...*cfbNode) *cfbNode {
	return &cfbNode{name: name, children: children}
}

func cfbStream(name string, data []byte) *cfbNode {
	return &cfbNode{name: name, data: data, isStream: true}
}

// cfbLayout says where the tables of a built file are, so that tests can break them.
type cfbLayout struct {
	fatAt, directoryAt, miniFATAt int // offsets in the file
}

// buildCompound writes a compound file of version 3, with sectors of 512 bytes ([MS-CFB]). The entries of a storage hang on
// one another as right siblings, which readers that walk the tree accept.
func buildCompound(root *cfbNode) ([]byte, cfbLayout) {
	const free, end, fatSector = 0xffffffff, 0xfffffffe, 0xfffffffd
	le := binary.LittleEndian
	var sectors bytes.Buffer
	var fat, miniFAT []uint32
	var mini bytes.Buffer
	// store appends data in sectors of their own and returns the first one.
	store := func(data []byte) uint32 {
		if len(data) == 0 {
			return end
		}
		first := uint32(len(fat))
		for at := 0; at < len(data); at += 512 {
			fat = append(fat, uint32(len(fat)+1))
		}
		fat[len(fat)-1] = end
		sectors.Write(data)
		sectors.Write(make([]byte, (512-len(data)%512)%512))
		return first
	}

	var directory []byte
	var add func(n *cfbNode, kind byte) uint32
	add = func(n *cfbNode, kind byte) uint32 {
		id := len(directory) / 128
		entry := make([]byte, 128)
		directory = append(directory, entry...)
		name := utf16.Encode([]rune(n.name))
		for i, u := range name {
			le.PutUint16(entry[2*i:], u)
		}
		le.PutUint16(entry[64:], uint16(2*len(name)+2))
		entry[66], entry[67] = kind, 1
		for at := 68; at < 80; at += 4 {
			le.PutUint32(entry[at:], free)
		}
		var previous uint32 = free
		for _, child := range n.children {
			kind := byte(compoundStorage)
			if child.isStream {
				kind = compoundStream
			}
			c := add(child, kind)
			if previous == free {
				le.PutUint32(entry[76:], c)
			} else {
				le.PutUint32(directory[previous*128+72:], c)
			}
			previous = c
		}
		if n.isStream {
			le.PutUint64(entry[120:], uint64(len(n.data)))
			if len(n.data) >= 4096 {
				le.PutUint32(entry[116:], store(n.data))
			} else if len(n.data) > 0 {
				le.PutUint32(entry[116:], uint32(len(miniFAT)))
				for at := 0; at < len(n.data); at += 64 {
					miniFAT = append(miniFAT, uint32(len(miniFAT)+1))
				}
				miniFAT[len(miniFAT)-1] = end
				mini.Write(n.data)
				mini.Write(make([]byte, (64-len(n.data)%64)%64))
			}
		}
		copy(directory[id*128:], entry[:72]) // the right sibling is the parent's to set
		copy(directory[id*128+76:], entry[76:])
		if le.Uint32(directory[id*128+72:]) == 0 {
			le.PutUint32(directory[id*128+72:], free)
		}
		return uint32(id)
	}
	add(root, compoundRoot)
	le.PutUint32(directory[116:], store(mini.Bytes()))
	le.PutUint64(directory[120:], uint64(mini.Len()))

	var layout cfbLayout
	table := func(numbers []uint32) []byte {
		b := make([]byte, 0, len(numbers)*4+512)
		for _, n := range numbers {
			b = le.AppendUint32(b, n)
		}
		for len(b)%512 != 0 {
			b = le.AppendUint32(b, free)
		}
		return b
	}
	layout.miniFATAt = 512 + sectors.Len()
	miniFATStart := store(table(miniFAT))
	layout.directoryAt = 512 + sectors.Len()
	directoryStart := store(directory)

	header := make([]byte, 512)
	copy(header, compoundSignature)
	le.PutUint16(header[24:], 0x3e)
	le.PutUint16(header[26:], 3)
	le.PutUint16(header[28:], 0xfffe)
	le.PutUint16(header[30:], 9)
	le.PutUint16(header[32:], 6)
	le.PutUint32(header[48:], directoryStart)
	le.PutUint32(header[56:], 4096)
	le.PutUint32(header[60:], miniFATStart)
	le.PutUint32(header[64:], uint32((len(miniFAT)+127)/128))
	le.PutUint32(header[68:], end)
	for at := 76; at < 512; at += 4 {
		le.PutUint32(header[at:], free)
	}
	layout.fatAt = 512 + sectors.Len()
	fatSectors := 0
	for fatSectors*128 < len(fat)+fatSectors {
		fatSectors++
	}
	first := len(fat)
	for i := range fatSectors {
		fat = append(fat, fatSector)
		if i < 109 {
			le.PutUint32(header[76+4*i:], uint32(first+i))
		}
	}
	le.PutUint32(header[44:], uint32(fatSectors))
	sectors.Write(table(fat))
	return append(header, sectors.Bytes()...), layout
}

// msgBuilder collects the streams and properties of a message, a recipient or an attachment.
type msgBuilder struct {
	header   int // bytes before the properties
	fixed    []byte
	children []*cfbNode
}

func (b *msgBuilder) stream(property, kind int, data []byte) *msgBuilder {
	b.children = append(b.children, cfbStream(fmt.Sprintf("__substg1.0_%04X%04X", property, kind), data))
	return b
}

func (b *msgBuilder) unicode(property int, s string) *msgBuilder {
	var data []byte
	for _, u := range utf16.Encode([]rune(s)) {
		data = binary.LittleEndian.AppendUint16(data, u)
	}
	return b.stream(property, propTypeString, data)
}

func (b *msgBuilder) eightBit(property int, s string) *msgBuilder {
	return b.stream(property, propTypeString8, []byte(s))
}

func (b *msgBuilder) number(property, kind int, value uint64) *msgBuilder {
	b.fixed = binary.LittleEndian.AppendUint16(b.fixed, uint16(kind))
	b.fixed = binary.LittleEndian.AppendUint16(b.fixed, uint16(property))
	b.fixed = binary.LittleEndian.AppendUint32(b.fixed, 6)
	b.fixed = binary.LittleEndian.AppendUint64(b.fixed, value)
	return b
}

func (b *msgBuilder) storage(s *cfbNode) *msgBuilder {
	b.children = append(b.children, s)
	return b
}

func (b *msgBuilder) node(name string) *cfbNode {
	properties := cfbStream("__properties_version1.0", append(make([]byte, b.header), b.fixed...))
	return cfbStorage(name, append([]*cfbNode{properties}, b.children...)...)
}

func (b *msgBuilder) file() string {
	content, _ := buildCompound(b.node("Root Entry"))
	return string(content)
}
