package extract

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
)

const (
	propInt32 = 0x0003
	propTime  = 0x0040
)

func filetime(t *testing.T, at string) uint64 {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, at)
	require.NoError(t, err)
	return uint64(parsed.Unix()+11644473600) * 1e7
}

func newMessage() *msgBuilder { return &msgBuilder{header: msgFileHeader} }

func unicodeMessage(t *testing.T) *msgBuilder {
	return newMessage().unicode(propSubject, "Drücker brennt").unicode(propSentFor, "Ada").unicode(propSentForSMTP, "ada@example.com").
		unicode(propDisplayTo, "Bob; Carol").unicode(propDisplayCc, "Dan").
		number(propSubmitTime, propTime, filetime(t, "2026-03-03T09:15:00Z"))
}

func attachment(name string) *msgBuilder {
	return (&msgBuilder{header: msgPartHeader}).unicode(propFilename, name).stream(propAttachmentData, propTypeBinary, []byte("data"))
}

func attachmentName(n int) string { return fmt.Sprintf("__attach_version1.0_#%08X", n) }

// packedRTF is RTF in the form that is stored without compression ([MS-OXRTFCP]).
func packedRTF(rtf string) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(len(rtf)+12))
	b = le.AppendUint32(b, uint32(len(rtf)))
	b = append(b, "MELA"...)
	return append(le.AppendUint32(b, 0), rtf...)
}

// embedded is an attachment that is a message.
func embedded(inner *msgBuilder) *msgBuilder {
	inner.header = msgInnerHeader
	return (&msgBuilder{header: msgPartHeader}).unicode(propDisplayName, "inner").storage(inner.node("__substg1.0_3701000D"))
}

func TestMSG(t *testing.T) {
	long := strings.Repeat("A line of a body that is too long for the mini stream.\r\n", 100)
	tests := map[string]*msgBuilder{
		"unicode": unicodeMessage(t).unicode(propBody, "Hello,\r\n\r\nthe printer\r\nis on fire: 東京\r\n").
			number(propDeliveryTime, propTime, filetime(t, "2026-03-04T00:00:00Z")),
		"delivery_time": newMessage().unicode(propSender, "/O=EXCHANGE/CN=ADA").number(propDeliveryTime, propTime, filetime(t, "2026-03-04T00:00:00Z")).
			unicode(propBody, "Text"),
		"code_page": newMessage().eightBit(propSubject, encodeMail(t, charmap.Windows1251, "Принтер")).
			eightBit(propSender, encodeMail(t, charmap.Windows1251, "Ада")).eightBit(propSenderAddress, "ada@example.com").
			eightBit(propBody, encodeMail(t, charmap.Windows1251, "Принтер горит.\r\nСнова.")).number(propMessageCodePage, propInt32, 1251),
		"internet_code_page": newMessage().eightBit(propSubject, encodeMail(t, japanese.ShiftJIS, "障害")).
			eightBit(propBody, encodeMail(t, japanese.ShiftJIS, "プリンター")).number(propInternetCPID, propInt32, 932),
		"html": unicodeMessage(t).number(propInternetCPID, propInt32, 28595).
			stream(propHTML, propTypeBinary, []byte(encodeMail(t, charmap.ISO8859_5, "<p>Принтер горит</p>"))),
		"html_meta": unicodeMessage(t).stream(propHTML, propTypeBinary, []byte(encodeMail(t, charmap.KOI8R, `<meta http-equiv="Content-Type" content="text/html; charset=koi8-r"><p>Принтер</p>`))),
		"rtf":       unicodeMessage(t).stream(propRTF, propTypeBinary, packedRTF(`{\rtf1 The printer is on fire.}`)),
		"body_order": unicodeMessage(t).unicode(propBody, "The text").stream(propHTML, propTypeBinary, []byte("<p>The page</p>")).
			stream(propRTF, propTypeBinary, packedRTF(`{\rtf1 The rtf}`)),
		"empty_text": unicodeMessage(t).unicode(propBody, " \r\n").stream(propHTML, propTypeBinary, []byte("<p>The page</p>")),
		"long_body":  unicodeMessage(t).unicode(propBody, long),
		"recipients": newMessage().unicode(propSubject, "S").unicode(propDisplayTo, "Bob").
			storage((&msgBuilder{header: msgPartHeader}).unicode(propDisplayName, "Bob").unicode(propSMTPAddress, "bob@example.com").number(propRecipientType, propInt32, 1).node("__recip_version1.0_#00000000")).
			storage((&msgBuilder{header: msgPartHeader}).unicode(propDisplayName, "Carol").unicode(propAddress, "/O=X/CN=CAROL").number(propRecipientType, propInt32, 2).node("__recip_version1.0_#00000001")).
			storage((&msgBuilder{header: msgPartHeader}).unicode(propDisplayName, "Blind").number(propRecipientType, propInt32, 3).node("__recip_version1.0_#00000002")),
		"transport_header": newMessage().unicode(propSubject, "S").unicode(propBody, "Text").
			unicode(propTransportHeader, "Received: x\r\nFrom: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\r\nDate: Tue, 3 Mar 2026 10:15:00 +0100\r\n"),
		"attachments": unicodeMessage(t).unicode(propBody, "Text").
			storage(attachment("später.pdf").node(attachmentName(10))).
			storage(attachment("first.docx").node(attachmentName(2))),
		"clear_signed": unicodeMessage(t).unicode(propClass, "IPM.Note.SMIME.MultipartSigned").
			storage((&msgBuilder{header: msgPartHeader}).unicode(propFilename, "SMIME.p7m").
				stream(propAttachmentData, propTypeBinary, []byte("Content-Type: multipart/signed; boundary=a\r\n\r\n--a\r\n\r\nThe signed text\r\n"+
					"--a\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n\r\nx\r\n--a--\r\n")).node(attachmentName(0))),
		"embedded": unicodeMessage(t).unicode(propBody, "Outer").
			storage(embedded(newMessage().eightBit(propSubject, encodeMail(t, charmap.Windows1251, "Внутри")).number(propMessageCodePage, propInt32, 1251).
				unicode(propBody, "Inner").storage(attachment("inner.pdf").node(attachmentName(0)))).node(attachmentName(0))).
			storage(attachment("outer.pdf").node(attachmentName(1))),
	}
	for name, message := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := readMailString(readMSG, message.file())
			require.NoError(t, err)
			requireMailGolden(t, "msg_"+name, got)
		})
	}
}

func TestEncryptedMSG(t *testing.T) {
	smime := func(oid byte) *msgBuilder {
		return unicodeMessage(t).unicode(propClass, "IPM.Note.SMIME").storage((&msgBuilder{header: msgPartHeader}).unicode(propFilename, "smime.p7m").
			stream(propAttachmentData, propTypeBinary, []byte("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07"+string(rune(oid)))).node(attachmentName(0)))
	}
	got, err := readMailString(readMSG, smime(3).file())
	require.ErrorIs(t, err, errEncrypted)
	require.Contains(t, got, "Subject: Drücker brennt")

	got, err = readMailString(readMSG, smime(2).file())
	require.NoError(t, err)
	require.Contains(t, got, "Attachment: smime.p7m")

	_, err = readMailString(readMSG, unicodeMessage(t).unicode(propClass, "IPM.Note.rpmsg.Microsoft.PrivateLabel").file())
	require.ErrorIs(t, err, errEncrypted)
}

func TestMSGDepth(t *testing.T) {
	message := newMessage().unicode(propSubject, "Level 9")
	for level := 8; level >= 0; level-- {
		message = newMessage().unicode(propSubject, fmt.Sprint("Level ", level)).storage(embedded(message).node(attachmentName(0)))
	}
	message.header = msgFileHeader
	got, err := readMailString(readMSG, message.file())
	var limit *limitError
	require.ErrorAs(t, err, &limit)
	require.Contains(t, got, "Level 3")
	require.NotContains(t, got, "Level 4")
}

// What is broken in one place does not hide what stands elsewhere.
func TestDamagedMSG(t *testing.T) {
	got, err := readMailString(readMSG, unicodeMessage(t).stream(propRTF, propTypeBinary, []byte("no rtf")).
		storage(attachment("a.pdf").node(attachmentName(0))).file())
	require.Error(t, err)
	require.Contains(t, got, "Subject: Drücker brennt")
	require.Contains(t, got, "Attachment: a.pdf")
}

func TestCutAndFlippedMSG(t *testing.T) {
	whole := unicodeMessage(t).unicode(propBody, strings.Repeat("Body\n", 2000)).stream(propRTF, propTypeBinary, packedRTF(`{\rtf1 x}`)).
		storage(attachment("a.pdf").node(attachmentName(0))).
		storage(embedded(newMessage().unicode(propBody, "Inner")).node(attachmentName(1))).file()
	for end := 0; end < len(whole); end += 37 {
		_, _ = requireMailEnds(t, readMSG, strings.NewReader(whole[:end]), int64(end))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := []byte(whole)
		for range 1 + random.IntN(20) {
			b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		}
		_, _ = requireMailEnds(t, readMSG, bytes.NewReader(b), int64(len(b)))
	}
}

func TestHostileMSG(t *testing.T) {
	patched := func(message *msgBuilder, patch func(b []byte, layout cfbLayout)) []byte {
		b, layout := buildCompound(message.node("Root Entry"))
		patch(b, layout)
		return b
	}
	le := binary.LittleEndian
	message := unicodeMessage(t).unicode(propBody, strings.Repeat("Body\n", 4000))
	bigBody := func(b []byte, layout cfbLayout) int { // the offset of the body's directory entry
		name := []byte("1\x000\x000\x000\x000\x000\x001\x00F")
		return layout.directoryAt + bytes.Index(b[layout.directoryAt:], name)/128*128
	}
	nested := newMessage().unicode(propSubject, "S")
	deep := cfbStorage("bottom")
	for i := range 50000 {
		deep = cfbStorage(fmt.Sprint("s", i), deep)
	}
	nested.storage(deep)
	many := newMessage().unicode(propSubject, "S")
	for i := range 20000 {
		many.storage(attachment("a").node(attachmentName(i)))
	}
	tests := map[string]struct {
		content []byte
		reason  string // "" when nothing is wrong with what is read
	}{
		"empty":                  {nil, "no compound file"},
		"only a signature":       {[]byte(compoundSignature), "no compound file"},
		"50,000 nested storages": {patched(nested, func([]byte, cfbLayout) {}), ""},
		"20,000 attachments":     {patched(many, func([]byte, cfbLayout) {}), "more than 2000 parts"},
		"sector table loop": {patched(message, func(b []byte, l cfbLayout) {
			le.PutUint32(b[l.fatAt+4*int(le.Uint32(b[48:])):], le.Uint32(b[48:]))
		}), "in circles"},
		"sector table loop in a stream": {patched(message, func(b []byte, l cfbLayout) {
			start := le.Uint32(b[bigBody(b, l)+116:])
			le.PutUint32(b[l.fatAt+4*int(start+5):], start+2)
		}), "in circles"},
		"mini sector table loop": {patched(newMessage().unicode(propSubject, strings.Repeat("S", 500)), func(b []byte, l cfbLayout) {
			for i := range 8 {
				le.PutUint32(b[l.miniFATAt+4*i:], uint32(i))
			}
		}), "in circles"},
		"table of tables loop": {patched(message, func(b []byte, l cfbLayout) {
			own := uint32((l.directoryAt - 512) / 512)
			le.PutUint32(b[68:], own)
			le.PutUint32(b[72:], 0xffffffff)
			for at := 76; at < 512; at += 4 {
				le.PutUint32(b[at:], 0xffffffff)
			}
			for at := range 508 {
				b[l.directoryAt+at] = 0xff
			}
			le.PutUint32(b[l.directoryAt+508:], own)
		}), "in circles"},
		"directory loop": {patched(message, func(b []byte, l cfbLayout) {
			for at := l.directoryAt; at < l.directoryAt+128*5; at += 128 {
				le.PutUint32(b[at+68:], 0)
				le.PutUint32(b[at+72:], 1)
				le.PutUint32(b[at+76:], 1)
			}
		}), ""},
		"stream larger than the file": {patched(message, func(b []byte, l cfbLayout) {
			le.PutUint32(b[bigBody(b, l)+120:], 0xfffffff0)
		}), "shorter than it says"},
		"stream longer than its chain": {patched(message, func(b []byte, l cfbLayout) {
			le.PutUint32(b[bigBody(b, l)+120:], uint32(len(b)-1))
		}), "shorter than it says"},
		"huge root": {patched(message, func(b []byte, l cfbLayout) {
			le.PutUint64(b[l.directoryAt+120:], 1<<63)
			le.PutUint32(b[l.directoryAt+120:], 0xffffffff)
		}), "shorter than it says"},
		"huge counts": {patched(message, func(b []byte, _ cfbLayout) {
			for _, at := range []int{40, 44, 64, 72} {
				le.PutUint32(b[at:], 0xffffffff)
			}
		}), ""},
		"bad sector size": {patched(message, func(b []byte, _ cfbLayout) { le.PutUint16(b[30:], 62) }), "no compound file"},
		"tables all ones": {patched(message, func(b []byte, l cfbLayout) {
			for i := l.fatAt; i < len(b); i++ {
				b[i] = 0xff
			}
		}), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := requireMailEnds(t, readMSG, bytes.NewReader(tt.content), int64(len(tt.content)))
			if tt.reason == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.reason)
			}
		})
	}
}

func FuzzMSG(f *testing.F) {
	m := newMessage().unicode(propSubject, "S").eightBit(propBody, "Text").storage(attachment("a").node(attachmentName(0)))
	f.Add([]byte(m.file()))
	f.Add([]byte(newMessage().stream(propRTF, propTypeBinary, packedRTF(`{\rtf1 x}`)).storage(embedded(newMessage().unicode(propBody, "I")).node(attachmentName(0))).file()))
	f.Add([]byte(compoundSignature))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = requireMailEnds(t, readMSG, bytes.NewReader(b), int64(len(b)))
	})
}
