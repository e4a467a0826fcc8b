package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/textproto"
	"golang.org/x/text/encoding/unicode"
)

// maxMailBody is the size of one part that is decoded, in bytes, before its transfer encoding is undone.
const maxMailBody = 2 * maxText

var errEncryptedMail = fmt.Errorf("the mail is encrypted: %w", errEncrypted)

// readEML reads a mail (RFC 5322, MIME): its main header fields, the body, mails inside it, and the names of attachments.
func readEML(ctx context.Context, d *document, w *text) error {
	r, decoded := mailBytes(d.head(4096), d.open(ctx))
	m := &mailReader{ctx: ctx, lines: newMailLines(r), w: w, budget: d.budget, depth: d.depth, decoded: decoded}
	if err := m.mail(); err != nil {
		return err
	}
	return m.cut
}

// mailBytes removes a byte order mark and turns a mail that was saved as UTF-16 into UTF-8.
func mailBytes(head []byte, r io.Reader) (_ io.Reader, decoded bool) {
	endian := unicode.LittleEndian
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		endian = unicode.BigEndian
	case len(head) >= 4 && head[0] != 0 && head[1] == 0 && head[2] != 0 && head[3] == 0:
	case len(head) >= 4 && head[0] == 0 && head[1] != 0 && head[2] == 0 && head[3] != 0:
		endian = unicode.BigEndian
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, _ = io.CopyN(io.Discard, r, 3)
		return r, false
	default:
		return r, false
	}
	return unicode.UTF16(endian, unicode.UseBOM).NewDecoder().Reader(r), true
}

// mailReader reads one mail; the mails inside it have readers of their own.
type mailReader struct {
	ctx    context.Context
	lines  *mailLines
	w      *text
	budget *budget
	depth  int // of mails in mails
	// decoded: the bytes are UTF-8, whatever the parts say.
	decoded     bool
	parts       *int     // read so far, of all mails in this one
	attachments []string // names
	hasText     bool
	encrypted   bool
	// cut is a limit that was hit where the reading could go on.
	cut error
}

// bodyRank says how well a part's form suits, for the alternativeParts between alternatives.
type bodyRank int

const (
	noBody bodyRank = iota
	otherText
	rtfBody
	htmlBody
	plainBody
)

// mail reads a whole mail from its header to the next delimiter of a multipart around it.
func (m *mailReader) mail() error {
	if m.parts == nil {
		m.parts = new(int)
	}
	m.lines.skipEmpty()
	h, more, err := m.lines.header()
	if err != nil {
		return err
	}
	if more {
		m.cut = limit("its header is larger than %d MiB", maxMailHeader>>20)
	}
	head := mailHead{
		from:    headerText(h.Get("From")),
		to:      headerText(strings.Join(h.Values("To"), ", ")),
		cc:      headerText(strings.Join(h.Values("Cc"), ", ")),
		date:    mailDate(h.Get("Date")),
		subject: headerText(h.Get("Subject")),
	}
	if err := head.write(m.w); err != nil {
		return err
	}
	rank, err := m.entity(h, "text/plain", true)
	if listErr := writeAttachments(m.w, m.attachments); err == nil {
		err = listErr
	}
	m.w.Paragraph()
	if err == nil && m.encrypted && rank == noBody && !m.hasText {
		return errEncryptedMail
	}
	return err
}

// entity reads the body of a mail or of a part, and returns the rank of the best text in it.
func (m *mailReader) entity(h textproto.Header, defaultType string, root bool) (bodyRank, error) {
	if *m.parts++; *m.parts > maxMailParts {
		return noBody, limit("the mail has more than %d parts", maxMailParts)
	}
	mediaType, params := headerParams(h.Get("Content-Type"))
	if !strings.Contains(mediaType, "/") {
		mediaType = defaultType
	}
	disposition, dispositionParams := headerParams(h.Get("Content-Disposition"))
	name := dispositionParams["filename"]
	if name == "" {
		name = params["name"]
	}
	encoding := strings.ToLower(strings.TrimSpace(h.Get("Content-Transfer-Encoding")))
	attached := disposition == "attachment" && !root
	switch kind, _, _ := strings.Cut(mediaType, "/"); {
	case mediaType == "multipart/encrypted":
		m.encrypted = true
		return noBody, m.lines.skip()
	case isPKCS7(mediaType, name):
		return noBody, m.pkcs7(params["smime-type"], encoding, name)
	case kind == "multipart" && params["boundary"] != "":
		return m.multipart(mediaType, params["boundary"])
	case mediaType == "message/rfc822" || mediaType == "message/global":
		m.attach(name)
		return noBody, m.inner(encoding)
	case attached:
		if name == "" {
			name = mediaType
		}
		m.attach(name)
		return noBody, m.lines.skip()
	case kind == "text" || kind == "message" || kind == "multipart" || isRTFType(mediaType) || mediaType == "application/ics":
		m.attach(name)
		return m.body(mediaType, params["charset"], encoding)
	}
	m.attach(name)
	return noBody, m.lines.skip()
}

func (m *mailReader) attach(name string) {
	if name != "" {
		m.attachments = append(m.attachments, name)
	}
}

// multipart reads the parts of a multipart (RFC 2046, section 5.1). Its closing delimiter may be missing.
func (m *mailReader) multipart(mediaType, boundary string) (best bodyRank, err error) {
	l := m.lines
	level := len(l.open)
	if level >= maxMailDepth {
		return noBody, limit("multiparts are nested more than %d deep", maxMailDepth)
	}
	l.open = append(l.open, "--"+strings.TrimRight(boundary, " \t"))
	defer func() { l.open = l.open[:level] }()

	preamble, _, err := l.collect(maxMailHeader)
	if err != nil {
		return noBody, err
	}
	if !l.stopped || l.level != level { // no part at all: the text is where none should be
		return plainBody, m.write("text/plain", preamble, "")
	}
	defaultType := "text/plain"
	if mediaType == "multipart/digest" {
		defaultType = "message/rfc822"
	}
	alternatives := alternativeParts{on: mediaType == "multipart/alternative", out: m.w}
	for err == nil && l.level == level && !l.closing {
		l.resume()
		var h textproto.Header
		if h, _, err = l.header(); err != nil {
			break
		}
		var rank bodyRank
		m.w = alternatives.next()
		rank, err = m.entity(h, defaultType, false)
		m.w = alternatives.out
		alternatives.add(rank)
		best = max(best, rank)
		if skipErr := l.skip(); err == nil {
			err = skipErr
		}
	}
	alternatives.write()
	if err == nil {
		err = m.w.err
	}
	if err == nil && l.level == level { // behind the closing delimiter
		l.open = l.open[:level]
		l.resume()
		err = l.skip()
	}
	return best, err
}

// alternativeParts keeps the best of alternatives. When it is off, all parts go to out.
type alternativeParts struct {
	on        bool
	out       *text
	candidate *text
	best      string
	rank      bodyRank
}

func (c *alternativeParts) next() *text {
	if !c.on {
		return c.out
	}
	c.candidate = &text{}
	return c.candidate
}

func (c *alternativeParts) add(rank bodyRank) {
	if !c.on {
		return
	}
	if s := c.candidate.String(); s != "" && (rank > c.rank || c.best == "") {
		c.best, c.rank = s, rank
	}
}

func (c *alternativeParts) write() {
	if c.best != "" {
		c.out.Paragraph()
		_, _ = c.out.WriteString(c.best)
		c.out.Paragraph()
	}
}

// inner reads a mail inside this one.
func (m *mailReader) inner(encoding string) error {
	if m.depth+1 >= maxDepth {
		m.cut = limit("mails are nested more than %d deep", maxDepth)
		return m.lines.skip()
	}
	inner := &mailReader{ctx: m.ctx, lines: m.lines, w: m.w, budget: m.budget, depth: m.depth + 1, decoded: m.decoded, parts: m.parts}
	if encoding == "base64" || encoding == "quoted-printable" {
		content, err := m.decode(encoding)
		if err != nil {
			return err
		}
		r, decoded := mailBytes(content[:min(len(content), 4096)], bytes.NewReader(content))
		inner.lines, inner.decoded = newMailLines(&contextReader{m.ctx, r}), decoded
	}
	err := inner.mail()
	if inner.cut != nil {
		m.cut = inner.cut
	}
	m.hasText = m.hasText || inner.hasText
	if errors.Is(err, errEncrypted) { // the mail around it is not
		_, _ = m.w.WriteString("(encrypted)")
		m.w.Paragraph()
		return m.w.err
	}
	return err
}

// body reads a part that is text and writes it.
func (m *mailReader) body(mediaType, charset, encoding string) (bodyRank, error) {
	content, err := m.decode(encoding)
	if err != nil {
		return noBody, err
	}
	if m.decoded && encoding != "base64" && encoding != "quoted-printable" {
		charset = "utf-8"
	}
	before := m.w.out.Len()
	err = m.write(mediaType, content, charset)
	if m.w.out.Len() == before {
		return noBody, err
	}
	m.hasText = true
	switch {
	case mediaType == "text/plain":
		return plainBody, err
	case mediaType == "text/html":
		return htmlBody, err
	case isRTFType(mediaType):
		return rtfBody, err
	}
	return otherText, err
}

// decode reads a part up to the next delimiter and undoes its transfer encoding. Of a part larger than maxMailBody it
// returns the beginning.
func (m *mailReader) decode(encoding string) ([]byte, error) {
	content, more, err := m.lines.collect(int(min(maxMailBody, max(m.budget.left, 0))))
	if err != nil {
		return nil, err
	}
	if more {
		m.cut = limit("a part is larger than what may be unpacked")
	}
	m.budget.left -= int64(len(content))
	switch encoding {
	case "base64":
		content = decodeBase64(content)
	case "quoted-printable":
		content = decodeQuotedPrintable(content)
	}
	return content, nil
}

// A page may state its charset where the mail does not.
var metaCharset = regexp.MustCompile(`(?i)<meta[^>]{0,200}charset\s*=\s*["']?([\w.:-]+)`)

// write writes a part's text.
func (m *mailReader) write(mediaType string, content []byte, charset string) error {
	m.w.Paragraph()
	var err error
	switch {
	case isRTFType(mediaType):
		err = writeRTF(m.ctx, bytes.NewReader(content), m.w)
	case mediaType == "text/html":
		err = writeMailHTML(m.ctx, content, charset, m.w)
	default:
		s := decodeMailText(content, charset)
		if mediaType == "text/calendar" || mediaType == "application/ics" { // RFC 5545, section 3.1: folded lines
			s = strings.NewReplacer("\r\n ", "", "\n ", "", "\r\n\t", "", "\n\t", "").Replace(s)
		}
		err = writeMailLines(m.w, s)
	}
	m.w.Paragraph()
	if m.w.err != nil {
		return m.w.err
	}
	var full *limitError
	if err == nil || errors.As(err, &full) || m.ctx.Err() != nil {
		return err
	}
	return nil // a broken part does not keep the others from being read
}

func writeMailHTML(ctx context.Context, content []byte, charset string, w *text) error {
	if stated := metaCharset.FindSubmatch(content[:min(len(content), 64<<10)]); charset == "" && stated != nil {
		charset = strings.ToLower(string(stated[1]))
	}
	return writeHTML(ctx, strings.NewReader(decodeMailText(content, charset)), w)
}

// decodeMailText decodes bytes of a stated charset. Mails state us-ascii, or nothing, and hold something else.
func decodeMailText(b []byte, charset string) string {
	switch charset = strings.ToLower(strings.Trim(charset, " '\"")); charset {
	case "", "us-ascii", "ascii", "utf-8":
		charset = ""
		if utf8.Valid(b) && bytes.IndexByte(b, '\x1b') < 0 { // the escape of ISO-2022
			return string(b)
		}
	}
	return decodeBytes(b, charset)
}

// writeMailLines writes text with its lines, whatever ends them.
func writeMailLines(w *text, s string) error {
	if strings.Contains(s, "\r") {
		s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	}
	_, err := w.WriteString(s)
	return err
}

func isRTFType(mediaType string) bool {
	return mediaType == "text/rtf" || mediaType == "application/rtf"
}

func isPKCS7(mediaType, name string) bool {
	switch mediaType {
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return true
	case "application/octet-stream":
		return strings.HasSuffix(strings.ToLower(name), ".p7m")
	}
	return false
}

// pkcs7 tells an encrypted part (RFC 8551) from a signed one, which is listed as an attachment.
func (m *mailReader) pkcs7(smimeType, encoding, name string) error {
	head, _, err := m.lines.collect(4096)
	if encoding == "base64" {
		head = decodeBase64(head)
	}
	switch smimeType = strings.ToLower(smimeType); {
	case smimeType == "enveloped-data", smimeType == "authenveloped-data", smimeType == "" && !isSignedData(head):
		m.encrypted = true
	default:
		m.attach(name)
	}
	return err
}

// isSignedData reports whether CMS content starts with the object identifier of signed or compressed data (RFC 5652,
// section 5.1, RFC 3274): 1.2.840.113549.1.7.2 or 1.2.840.113549.1.9.16.1.9.
func isSignedData(cms []byte) bool {
	cms = cms[:min(len(cms), 64)]
	return bytes.Contains(cms, []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02")) ||
		bytes.Contains(cms, []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09"))
}
