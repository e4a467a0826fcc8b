package extract

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
)

// maxRTF is how many bytes the compressed RTF of a message may unpack to.
const maxRTF = 64 << 20

// lzfuDictionary is what the window holds before the first byte (MS-OXRTFCP 2.1.2.1).
const lzfuDictionary = `{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0` +
	"\r\n" + `\par \pard\plain\f0\fs20\b\i\u\tab\tx`

// decompressRTF unpacks PR_RTF_COMPRESSED (MS-OXRTFCP). What a damaged stream held until it broke comes with the error.
// The checksum is not looked at: a text with a wrong letter is worth more than none.
func decompressRTF(b []byte) ([]byte, error) {
	const header = 16
	if len(b) < header {
		return nil, errors.New("reading compressed rtf: its header is cut")
	}
	size := int(min(binary.LittleEndian.Uint32(b[4:]), math.MaxInt32))
	kind := binary.LittleEndian.Uint32(b[8:])
	b = b[header:]
	switch kind {
	case 0x414c454d: // "MELA": stored
		if size > len(b) {
			return b, errors.New("reading compressed rtf: it is cut")
		}
		return b[:size], nil
	case 0x75465a4c: // "LZFu"
		return inflateRTF(b, size)
	}
	return nil, errors.New("reading compressed rtf: it is packed in an unknown way")
}

// inflateRTF unpacks LZFu. The stated size is a hint that is not believed: the stream says where it ends.
func inflateRTF(b []byte, size int) ([]byte, error) {
	const window = 4096
	var dictionary [window]byte
	at := copy(dictionary[:], lzfuDictionary)
	var out bytes.Buffer
	out.Grow(min(size, 8*len(b), maxRTF))
	put := func(c byte) {
		out.WriteByte(c)
		dictionary[at] = c
		at = (at + 1) % window
	}
	for len(b) > 0 {
		flags := b[0]
		b = b[1:]
		for bit := 0; bit < 8; bit++ {
			switch {
			case out.Len() > maxRTF:
				return out.Bytes(), limit("its compressed rtf unpacks to more than %d MiB", maxRTF>>20)
			case flags>>bit&1 == 0:
				if len(b) == 0 {
					return cutRTF(out.Bytes(), size)
				}
				put(b[0])
				b = b[1:]
			default:
				if len(b) < 2 {
					return cutRTF(out.Bytes(), size)
				}
				reference := int(b[0])<<8 | int(b[1])
				b = b[2:]
				offset, length := reference>>4, reference&15+2
				if offset == at { // the mark of the end
					return out.Bytes(), nil
				}
				for i := range length {
					put(dictionary[(offset+i)%window])
				}
			}
		}
	}
	return cutRTF(out.Bytes(), size)
}

// cutRTF judges a stream that ends without the mark: some writers leave it out.
func cutRTF(out []byte, size int) ([]byte, error) {
	if len(out) >= size {
		return out, nil
	}
	return out, errors.New("reading compressed rtf: it is cut")
}
