package extract

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// Properties of [MS-OXPROPS] that are read.
const (
	propClass           = 0x001a
	propSubject         = 0x0037
	propSubmitTime      = 0x0039
	propSentFor         = 0x0042 // the name of who the mail is from
	propSentForAddress  = 0x0065
	propTransportHeader = 0x007d
	propRecipientType   = 0x0c15
	propSender          = 0x0c1a // the name of who sent it
	propSenderAddress   = 0x0c1f
	propDisplayCc       = 0x0e03
	propDisplayTo       = 0x0e04
	propDeliveryTime    = 0x0e06
	propBody            = 0x1000
	propRTF             = 0x1009
	propHTML            = 0x1013
	propDisplayName     = 0x3001
	propAddress         = 0x3003
	propAttachmentData  = 0x3701
	propShortFilename   = 0x3704
	propFilename        = 0x3707
	propSMTPAddress     = 0x39fe
	propInternetCPID    = 0x3fde
	propMessageCodePage = 0x3ffd
	propSenderSMTP      = 0x5d01
	propSentForSMTP     = 0x5d02
)

// Property types of [MS-OXCDATA], section 2.11.1.
const (
	propTypeObject  = 0x000d
	propTypeString8 = 0x001e
	propTypeString  = 0x001f
	propTypeBinary  = 0x0102
)

// Sizes of the header before the properties, in bytes ([MS-OXMSG], section 2.4).
const (
	msgFileHeader  = 32
	msgInnerHeader = 24
	msgPartHeader  = 8
)

// maxProperty is the size of one property that is read, in bytes: a body in UTF-16.
const maxProperty = 2 * maxText

// readMSG reads a mail saved by Outlook ([MS-OXMSG]): its main fields, the body, mails inside it, and the names of
// attachments.
func readMSG(ctx context.Context, d *document, w *text) error {
	c, err := openCompound(d)
	if err != nil {
		return err
	}
	m := &msgReader{ctx: ctx, file: c, w: w, parts: new(int)}
	if err := m.message(c.root(), msgFileHeader, d.depth); err != nil {
		return err
	}
	return m.damage
}

// msgReader reads the mails of one file.
type msgReader struct {
	ctx   context.Context
	file  *compound
	w     *text
	parts *int // attachments so far, of all mails
	// damage is the first thing that kept a part of the file from being read.
	damage error
}

// msgObject is a mail, a recipient or an attachment: its streams, its properties of fixed size by their number, and the
// code pages of its texts.
type msgObject struct {
	storage       compoundDir
	fixed         map[uint16][8]byte
	charset       string // of 8-bit texts
	internetCPage string // of the body as HTML
}

func (m *msgReader) object(s compoundDir, header int) *msgObject {
	o := &msgObject{storage: s, fixed: map[uint16][8]byte{}}
	b := m.stream(s["__PROPERTIES_VERSION1.0"])
	for b = b[min(header, len(b)):]; len(b) >= 16; b = b[16:] {
		o.fixed[binary.LittleEndian.Uint16(b[2:])] = [8]byte(b[8:16])
	}
	o.internetCPage = mailCodePage(o.number(propInternetCPID))
	if o.charset = mailCodePage(o.number(propMessageCodePage)); o.charset == "" {
		o.charset = o.internetCPage
	}
	return o
}

// stream reads a stream that may be missing or broken, and notes what is wrong with it.
func (m *msgReader) stream(e *compoundEntry) []byte {
	if e == nil {
		return nil
	}
	b, err := m.file.read(e, maxProperty)
	if err == nil && e.size > maxProperty {
		err = limit("a property is larger than %d MiB", maxProperty>>20)
	}
	m.note(err)
	return b
}

func (m *msgReader) note(err error) {
	if m.damage == nil {
		m.damage = err
	}
}

func (o *msgObject) number(property uint16) uint32 {
	value := o.fixed[property]
	return binary.LittleEndian.Uint32(value[:])
}

// time reads a FILETIME, 100 ns since 1601, as RFC 3339; "" when it is missing or in no year of four digits.
func (o *msgObject) time(property uint16) string {
	const unixEpoch = 11644473600 // in seconds since 1601
	value := o.fixed[property]
	ticks := binary.LittleEndian.Uint64(value[:])
	t := time.Unix(int64(ticks/1e7)-unixEpoch, 0).UTC()
	if ticks == 0 || t.Year() > 9999 {
		return ""
	}
	return t.Format(time.RFC3339)
}

func (o *msgObject) entry(property uint16, kind int) *compoundEntry {
	return o.storage[fmt.Sprintf("__SUBSTG1.0_%04X%04X", property, kind)]
}

// text reads a text property, as UTF-16 or in the object's code page.
func (m *msgReader) text(o *msgObject, property uint16, charset string) string {
	if e := o.entry(property, propTypeString); e != nil {
		b := m.stream(e)
		units := make([]uint16, 0, len(b)/2)
		for ; len(b) >= 2; b = b[2:] {
			units = append(units, binary.LittleEndian.Uint16(b))
		}
		return strings.TrimRight(string(utf16.Decode(units)), "\x00")
	}
	if b := m.stream(o.entry(property, propTypeString8)); len(b) > 0 {
		return strings.TrimRight(decodeMailText(b, charset), "\x00")
	}
	return ""
}

// first returns the first of some text properties that is there.
func (m *msgReader) first(o *msgObject, properties ...uint16) string {
	for _, p := range properties {
		if s := onOneLine(m.text(o, p, o.charset)); s != "" {
			return s
		}
	}
	return ""
}

// message reads a mail; depth is the number of mails around it.
func (m *msgReader) message(s compoundDir, header, depth int) error {
	o := m.object(s, header)
	head := mailHead{
		from:    withAddress(m.first(o, propSentFor, propSender), m.first(o, propSentForSMTP, propSenderSMTP, propSentForAddress, propSenderAddress)),
		to:      m.first(o, propDisplayTo),
		cc:      m.first(o, propDisplayCc),
		date:    o.time(propSubmitTime),
		subject: m.first(o, propSubject),
	}
	if head.date == "" {
		head.date = o.time(propDeliveryTime)
	}
	m.fromTransport(o, &head)
	m.recipients(o, &head)
	if err := head.write(m.w); err != nil {
		return err
	}
	hasBody, err := m.body(o)
	if err != nil {
		return err
	}
	attachments, encrypted, err := m.attachments(o, hasBody, depth)
	if err != nil {
		return err
	}
	if err := writeAttachments(m.w, attachments); err != nil {
		return err
	}
	m.w.Paragraph()
	class := strings.ToUpper(m.first(o, propClass))
	secret := strings.HasPrefix(class, "IPM.NOTE.RPMSG") || encrypted && strings.HasPrefix(class, "IPM.NOTE.SMIME")
	switch {
	case hasBody || !secret:
	case depth == 0:
		return errEncryptedMail
	default: // the mail around it is not
		_, _ = m.w.WriteString("(encrypted)")
		m.w.Paragraph()
	}
	return m.w.err
}

// withAddress writes a name and a mail address; an address of another kind, as Exchange has them, says nothing.
func withAddress(name, address string) string {
	switch {
	case !strings.Contains(address, "@") && name != "":
		return name
	case name == "" || strings.EqualFold(name, address):
		return address
	}
	return name + " <" + address + ">"
}

// fromTransport fills the fields that are missing from the header that the mail came with.
func (m *msgReader) fromTransport(o *msgObject, head *mailHead) {
	if head.from != "" && head.date != "" {
		return
	}
	h, _, err := newMailLines(strings.NewReader(m.text(o, propTransportHeader, o.charset))).header()
	if err != nil {
		return
	}
	if head.from == "" {
		head.from = headerText(h.Get("From"))
	}
	if head.date == "" {
		head.date = mailDate(h.Get("Date"))
	}
}

// maxRecipients is how many recipients are shown with their addresses; of a mail to more only the names are.
const maxRecipients = 500

// recipients fills To and Cc with names and addresses, where the mail lists its recipients.
func (m *msgReader) recipients(o *msgObject, head *mailHead) {
	listed := o.storage.numbered("__RECIP_VERSION1.0_#")
	if len(listed) > maxRecipients {
		return
	}
	var to, cc []string
	for _, e := range listed {
		r := m.object(m.file.children(e), msgPartHeader)
		r.charset = o.charset
		who := withAddress(m.first(r, propDisplayName), m.first(r, propSMTPAddress, propAddress))
		switch kind := r.number(propRecipientType) & 0xf; {
		case who == "":
		case kind <= 1: // a recipient of no stated kind is one
			to = append(to, who)
		case kind == 2:
			cc = append(cc, who)
		}
	}
	if len(to) > 0 {
		head.to = strings.Join(to, "; ")
	}
	if len(cc) > 0 {
		head.cc = strings.Join(cc, "; ")
	}
}

// count counts an object of the mail, and looks whether there is still time.
func (m *msgReader) count() error {
	if *m.parts++; *m.parts > maxMailParts {
		return limit("the mail has more than %d parts", maxMailParts)
	}
	return context.Cause(m.ctx)
}

// numbered lists the storages with a number behind prefix, in the order of the numbers.
func (s compoundDir) numbered(prefix string) []*compoundEntry {
	var names []string
	for name, e := range s {
		if strings.HasPrefix(name, prefix) && e.kind == compoundStorage {
			names = append(names, name)
		}
	}
	sort.Strings(names) // the numbers have leading zeros
	entries := make([]*compoundEntry, len(names))
	for i, name := range names {
		entries[i] = s[name]
	}
	return entries
}

// body writes the body in the first form that holds text: text, HTML, RTF.
func (m *msgReader) body(o *msgObject) (found bool, err error) {
	before := m.w.out.Len()
	for _, write := range [...]func(*msgObject) error{m.plain, m.html, m.rtf} {
		err := write(o)
		m.w.Paragraph()
		if m.w.err != nil {
			return true, m.w.err
		}
		var full *limitError
		switch {
		case err == nil:
		case errors.As(err, &full) || m.ctx.Err() != nil:
			return true, err
		default:
			m.note(err)
		}
		if m.w.out.Len() > before {
			return true, nil
		}
	}
	return false, nil
}

func (m *msgReader) plain(o *msgObject) error {
	return writeMailLines(m.w, m.text(o, propBody, o.charset))
}

func (m *msgReader) html(o *msgObject) error {
	if b := m.stream(o.entry(propHTML, propTypeBinary)); len(b) > 0 {
		return writeMailHTML(m.ctx, b, o.internetCPage, m.w)
	}
	if s := m.text(o, propHTML, o.charset); s != "" {
		return writeHTML(m.ctx, strings.NewReader(s), m.w)
	}
	return nil
}

func (m *msgReader) rtf(o *msgObject) error {
	packed := m.stream(o.entry(propRTF, propTypeBinary))
	if len(packed) == 0 {
		return nil
	}
	b, err := decompressRTF(packed)
	if err != nil {
		return fmt.Errorf("unpacking the body: %w", err)
	}
	return writeRTF(m.ctx, m.file.budget.reader(bytes.NewReader(b)), m.w)
}

// attachments reads the mails among the attachments and returns the names of all others, and whether there is one that is
// encrypted.
func (m *msgReader) attachments(o *msgObject, hasBody bool, depth int) (names []string, encrypted bool, err error) {
	for _, e := range o.storage.numbered("__ATTACH_VERSION1.0_#") {
		if err := m.count(); err != nil {
			return names, encrypted, err
		}
		a := m.object(m.file.children(e), msgPartHeader)
		a.charset = o.charset
		name := m.first(a, propFilename, propShortFilename, propDisplayName)
		if inner := a.entry(propAttachmentData, propTypeObject); inner != nil && inner.kind == compoundStorage {
			if s := m.file.children(inner); s["__PROPERTIES_VERSION1.0"] != nil {
				if depth+1 >= maxDepth {
					m.note(limit("mails are nested more than %d deep", maxDepth))
				} else if err := m.message(s, msgInnerHeader, depth+1); err != nil {
					return names, encrypted, err
				}
				continue
			}
		}
		if name != "" {
			names = append(names, name)
		}
		data := a.entry(propAttachmentData, propTypeBinary)
		if data == nil || !strings.HasSuffix(strings.ToLower(name), ".p7m") {
			continue
		}
		switch start, _ := m.file.read(data, 64); {
		case bytes.HasPrefix(start, []byte("\x30")): // a sequence in DER
			encrypted = encrypted || !isSignedData(start)
		case !hasBody:
			signed, err := m.clearSigned(data, depth)
			if names = append(names, signed...); err != nil {
				return names, encrypted, err
			}
		}
	}
	return names, encrypted, nil
}

// clearSigned reads the body of a mail that is signed but not encrypted: Outlook keeps it as an attachment, as MIME
// ([MS-OXOSMIME]). It returns the names of the attachments in there.
func (m *msgReader) clearSigned(e *compoundEntry, depth int) ([]string, error) {
	lines := newMailLines(&contextReader{m.ctx, bytes.NewReader(m.stream(e))})
	mime := &mailReader{ctx: m.ctx, lines: lines, w: m.w, budget: m.file.budget, depth: depth, parts: m.parts}
	h, _, err := lines.header()
	if err != nil {
		return nil, err
	}
	_, err = mime.entity(h, "text/plain", true)
	m.note(mime.cut)
	return mime.attachments, err
}

// mailCodePage names the charset of a Windows code page; "" for those that it does not know, and for 0.
func mailCodePage(page uint32) string {
	number := strconv.FormatUint(uint64(page), 10)
	switch {
	case page >= 1250 && page <= 1258:
		return "windows-" + number
	case page >= 28591 && page <= 28606:
		return "iso-8859-" + strconv.FormatUint(uint64(page-28590), 10)
	}
	switch page {
	case 437, 850, 852, 855, 858, 860, 862, 863, 865, 866:
		return "ibm" + number
	case 874:
		return "windows-874"
	case 932:
		return "shift_jis"
	case 936:
		return "gbk"
	case 949, 51949:
		return "euc-kr"
	case 950:
		return "big5"
	case 1200:
		return "utf-16le"
	case 1201:
		return "utf-16be"
	case 10000:
		return "macintosh"
	case 20127:
		return "us-ascii"
	case 20866:
		return "koi8-r"
	case 21866:
		return "koi8-u"
	case 20932, 51932:
		return "euc-jp"
	case 50220, 50221, 50222:
		return "iso-2022-jp"
	case 54936:
		return "gb18030"
	case 65001:
		return "utf-8"
	}
	return ""
}
