package extract

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	_ "image/gif" // registers the format
	_ "image/jpeg"
	_ "image/png"
)

// maxFrames is how many pictures a TIFF file may hold.
const maxFrames = 20

// imagePixels returns how many pixels an image file unpacks to, as its header states.
func imagePixels(ctx context.Context, d *document) (int64, error) {
	head := d.head(32)
	switch {
	case bytes.HasPrefix(head, []byte("BM")):
		return bmpPixels(head)
	case bytes.HasPrefix(head, []byte("RIFF")):
		return webpPixels(head)
	case bytes.HasPrefix(head, []byte("II*\x00")):
		return tiffPixels(d, binary.LittleEndian)
	case bytes.HasPrefix(head, []byte("MM\x00*")):
		return tiffPixels(d, binary.BigEndian)
	}
	config, _, err := image.DecodeConfig(d.open(ctx))
	return int64(config.Width) * int64(config.Height), err
}

var errImageHeader = errors.New("its header is broken")

// bmpPixels reads a BITMAPINFOHEADER or the older BITMAPCOREHEADER.
func bmpPixels(head []byte) (int64, error) {
	if len(head) < 26 {
		return 0, errImageHeader
	}
	if binary.LittleEndian.Uint32(head[14:]) == 12 {
		return int64(binary.LittleEndian.Uint16(head[18:])) * int64(binary.LittleEndian.Uint16(head[20:])), nil
	}
	width, height := int64(int32(binary.LittleEndian.Uint32(head[18:]))), int64(int32(binary.LittleEndian.Uint32(head[22:]))) // a negative height: rows from top to bottom
	if width <= 0 {
		return 0, errImageHeader
	}
	return width * max(height, -height), nil
}

// webpPixels reads the first chunk of a WebP file (RFC 9649, section 2).
func webpPixels(head []byte) (int64, error) {
	if len(head) < 30 {
		return 0, errImageHeader
	}
	var width, height uint32
	switch string(head[8:16]) {
	case "WEBPVP8 ":
		width = uint32(binary.LittleEndian.Uint16(head[26:]) & 0x3fff)
		height = uint32(binary.LittleEndian.Uint16(head[28:]) & 0x3fff)
	case "WEBPVP8L":
		bits := binary.LittleEndian.Uint32(head[21:])
		width, height = bits&0x3fff+1, bits>>14&0x3fff+1
	case "WEBPVP8X":
		width = binary.LittleEndian.Uint32(head[24:])&0xffffff + 1
		height = binary.LittleEndian.Uint32(head[26:])>>8 + 1
	default:
		return 0, errImageHeader
	}
	return int64(width) * int64(height), nil
}

// tiffPixels adds up the pictures of a TIFF file: ImageWidth and ImageLength of each directory (TIFF 6.0, section 2).
func tiffPixels(d *document, order binary.ByteOrder) (int64, error) {
	const imageWidth, imageLength = 256, 257
	var total int64
	var buf [12]byte
	if _, err := d.ReadAt(buf[:4], 4); err != nil {
		return 0, errImageHeader
	}
	offset := int64(order.Uint32(buf[:]))
	for frames := 0; offset != 0; frames++ {
		if frames == maxFrames {
			return 0, limit("it holds more than %d pictures", maxFrames)
		}
		if _, err := d.ReadAt(buf[:2], offset); err != nil {
			return 0, errImageHeader
		}
		var width, height int64
		entries := int64(order.Uint16(buf[:]))
		for i := range entries {
			if _, err := d.ReadAt(buf[:12], offset+2+12*i); err != nil {
				return 0, errImageHeader
			}
			value := int64(order.Uint32(buf[8:]))
			if order.Uint16(buf[2:]) == 3 { // a short
				value = int64(order.Uint16(buf[8:]))
			}
			switch order.Uint16(buf[:]) {
			case imageWidth:
				width = value
			case imageLength:
				height = value
			}
		}
		total += min(width, maxPixels+1) * min(height, maxPixels+1) // cut, because two 32-bit numbers may overflow
		if _, err := d.ReadAt(buf[:4], offset+2+12*entries); err != nil {
			return 0, errImageHeader
		}
		offset = int64(order.Uint32(buf[:]))
	}
	if total == 0 {
		return 0, errImageHeader
	}
	return total, nil
}
