package extract

import (
	"bytes"
	"compress/zlib"
	"crypto/md5"
	"crypto/rc4"
	"encoding/binary"
	"fmt"
	"strings"
)

// pdfBuilder puts a PDF together: objects in the order of their numbers, a cross-reference table and a trailer.
type pdfBuilder struct {
	objects []string
	trailer string // further entries
	key     []byte // of RC4, for streams
}

// add appends an object and returns its reference.
func (b *pdfBuilder) add(object string) string {
	b.objects = append(b.objects, object)
	return fmt.Sprintf("%d 0 R", len(b.objects))
}

// stream appends a stream.
func (b *pdfBuilder) stream(entries, data string) string {
	if b.key != nil {
		var number [8]byte
		binary.LittleEndian.PutUint32(number[:], uint32(len(b.objects)+1))
		sum := md5.Sum(append(bytes.Clone(b.key), number[0], number[1], number[2], 0, 0))
		data = rc4Text(sum[:len(b.key)+5], data)
	}
	return b.add(fmt.Sprintf("<</Length %d %s>>\nstream\n%s\nendstream", len(data), entries, data))
}

func (b *pdfBuilder) build() []byte {
	var out bytes.Buffer
	out.WriteString("%PDF-1.7\n")
	offsets := make([]int, len(b.objects))
	for i, object := range b.objects {
		offsets[i] = out.Len()
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	xref := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&out, "trailer\n<</Size %d /Root 1 0 R %s>>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, b.trailer, xref)
	return out.Bytes()
}

// newPDF begins a PDF whose pages are the objects that kids refers to.
func newPDF(kids ...string) *pdfBuilder {
	b := &pdfBuilder{}
	b.add("<</Type/Catalog /Pages 2 0 R>>")
	b.add(fmt.Sprintf("<</Type/Pages /Count %d /Kids [%s]>>", len(kids), strings.Join(kids, " ")))
	b.add("<</Type/Font /Subtype/Type1 /BaseFont/Helvetica /Encoding/WinAnsiEncoding>>")
	return b
}

// page appends a page that shows content.
func (b *pdfBuilder) page(content, entries string) string {
	stream := b.stream("", content)
	return b.add(fmt.Sprintf("<</Type/Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %s %s>>",
		stream, withResources(entries)))
}

func withResources(entries string) string {
	if strings.Contains(entries, "/Resources") {
		return entries
	}
	return "/Resources <</Font <</F 3 0 R>>>> " + entries
}

// shown is page content that shows lines of text.
func shown(lines ...string) string {
	out := "BT /F 12 Tf 14 TL 72 720 Td\n"
	for _, line := range lines {
		out += "(" + strings.NewReplacer("\\", "\\\\", "(", "\\(", ")", "\\)").Replace(line) + ") Tj T*\n"
	}
	return out + "ET\n"
}

// textPDF is a PDF with one page for each text.
func textPDF(pages ...string) []byte {
	kids := make([]string, len(pages))
	for i := range pages {
		kids[i] = fmt.Sprintf("%d 0 R", 5+2*i)
	}
	b := newPDF(kids...)
	for _, text := range pages {
		b.page(shown(strings.Split(text, "\n")...), "")
	}
	return b.build()
}

// annotatedPDF is a page with annotations.
func annotatedPDF(text string, annotations ...string) []byte {
	b := newPDF("5 0 R")
	b.page(shown(text), "/Annots ["+strings.Join(annotations, " ")+"]")
	return b.build()
}

// scanPDF has the pages of text and then as many that are pictures.
func scanPDF(pictures int, pages ...string) []byte {
	kids := make([]string, 0, pictures+len(pages))
	for i := range len(pages) + pictures {
		kids = append(kids, fmt.Sprintf("%d 0 R", 6+2*i))
	}
	b := newPDF(kids...)
	b.stream("/Type/XObject /Subtype/Image /Width 8 /Height 8 /BitsPerComponent 8 /ColorSpace/DeviceGray", strings.Repeat("\x40", 64))
	for _, text := range pages {
		b.page(shown(text), "")
	}
	for range pictures {
		b.page("595 0 0 842 0 0 cm /Im Do", "/Resources <</XObject <</Im 4 0 R>>>>")
	}
	return b.build()
}

// encryptedPDF is one page that is encrypted for two passwords: RC4 with 40 bits (PDF 32000-1:2008, 7.6.3, revision 2).
func encryptedPDF(text, user, owner string) []byte {
	const padding = "\x28\xBF\x4E\x5E\x4E\x75\x8A\x41\x64\x00\x4E\x56\xFF\xFA\x01\x08\x2E\x2E\x00\xB6\xD0\x68\x3E\x80\x2F\x0C\xA9\xFE\x64\x53\x69\x7A"
	const id = "0123456789abcdef"
	pad := func(password string) string { return (password + padding)[:32] }
	sum := md5.Sum([]byte(pad(owner)))
	o := rc4Text(sum[:5], pad(user))
	sum = md5.Sum([]byte(pad(user) + o + "\xfc\xff\xff\xff" + id))
	key := sum[:5]
	u := rc4Text(key, padding)
	b := newPDF("5 0 R")
	b.key = key
	b.page(shown(text), "")
	encryption := b.add(fmt.Sprintf("<</Filter/Standard /V 1 /R 2 /P -4 /O <%x> /U <%x>>>", o, u))
	b.trailer = fmt.Sprintf("/Encrypt %s /ID [<%x> <%x>]", encryption, id, id)
	return b.build()
}

func rc4Text(key []byte, text string) string {
	out := []byte(text)
	cipher, _ := rc4.NewCipher(key)
	cipher.XORKeyStream(out, out)
	return string(out)
}

// flateBombPDF is a page whose content unpacks to as many bytes.
func flateBombPDF(size int) []byte {
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	block := bytes.Repeat([]byte("q "), 1<<19)
	for range size >> 20 {
		_, _ = w.Write(block)
	}
	_ = w.Close()
	b := newPDF("5 0 R")
	content := b.stream("/Filter/FlateDecode", packed.String())
	b.add("<</Type/Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents " + content + ">>")
	return b.build()
}

// fanOutPDF is a page of forms in forms, each of which shows the next ten times.
func fanOutPDF(depth int) []byte {
	b := newPDF(fmt.Sprintf("%d 0 R", depth+5))
	for i := range depth {
		content := strings.Repeat("/X Do ", 10)
		if i == depth-1 {
			content = shown("fan")
		}
		b.stream(fmt.Sprintf("/Type/XObject /Subtype/Form /BBox [0 0 595 842] /Resources <</Font <</F 3 0 R>> /XObject <</X %d 0 R>>>>", 5+i), content)
	}
	b.page("/X Do", "/Resources <</XObject <</X 4 0 R>>>>")
	return b.build()
}
