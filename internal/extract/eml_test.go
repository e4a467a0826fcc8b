package extract

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"
)

// readMail runs a reader over content.
func readMail(read reader, content io.ReaderAt, size int64) (string, error) {
	w := &text{}
	d := &document{ReaderAt: content, size: size, budget: newBudget()}
	err := run(context.Background(), read, d, w)
	return w.String(), err
}

func readMailString(read reader, content string) (string, error) {
	return readMail(read, strings.NewReader(content), int64(len(content)))
}

// requireMailGolden compares with a file of testdata; UPDATE_GOLDEN=1 writes it.
func requireMailGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func encodeMail(t *testing.T, e encoding.Encoding, s string) string {
	t.Helper()
	out, err := e.NewEncoder().String(s)
	require.NoError(t, err)
	return out
}

const mailStart = "From: Ada <ada@example.com>\nTo: Bob <bob@example.com>, carol@example.com\nCc: dan@example.com\n" +
	"Date: Tue, 03 Mar 2026 10:15:00 +0100\nSubject: Printer\nMIME-Version: 1.0\n"

func TestEML(t *testing.T) {
	tests := map[string]string{
		"plain": mailStart + "\nHello,\n\nthe printer\nis on fire.\n\n\n\nAda\n",
		"html":  mailStart + "Content-Type: text/html; charset=utf-8\n\n<html><body><p>The printer is <b>on fire</b> – again.</p></body></html>",
		"alternative": mailStart + "Content-Type: multipart/alternative; boundary=\"=_a b\"\n\nFor old readers.\n" +
			"--=_a b\nContent-Type: text/html\n\n<p>As a page</p>\n--=_a b\nContent-Type: text/plain\n\nAs text\nin two lines\n--=_a b--\nepilogue\n",
		"alternative_empty_plain": mailStart + "Content-Type: multipart/alternative; boundary=a\n\n" +
			"--a\nContent-Type: text/plain\n\n \n--a\nContent-Type: multipart/related; boundary=r\n\n--r\nContent-Type: text/html\n\n<p>Only here</p>\n" +
			"--r\nContent-Type: image/png; name=logo.png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n--r--\n--a--\n",
		"alternative_rtf": mailStart + "Content-Type: multipart/alternative; boundary=a\n\n" +
			"--a\nContent-Type: application/rtf\n\n{\\rtf1\\ansi Only here}\n--a--\n",
		"calendar": mailStart + "Content-Type: multipart/mixed; boundary=a\n\n--a\n\nPlease come.\n--a\n" +
			"Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VEVENT\r\nSUMMARY:A long\r\n  meeting\r\nEND:VEVENT\r\n--a--\n",
		"nested": mailStart + "Content-Type: multipart/mixed; boundary=a\n\n--a\n\nSee below.\n--a\nContent-Type: message/rfc822\n" +
			"Content-Disposition: attachment; filename=\"first.eml\"\n\nFrom: eve@example.com\nSubject: First\nContent-Type: multipart/mixed; boundary=b\n\n" +
			"--b\n\nThe first mail\n--b\nContent-Type: application/pdf; name=inner.pdf\n\n%PDF\n--a\n\nBack in the outer one.\n--a--\n",
		"nested_base64": mailStart + "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" +
			base64.StdEncoding.EncodeToString([]byte("From: eve@example.com\nSubject: Packed\n\nInner text\n")) + "\n",
		"attachments": mailStart + "Content-Type: multipart/mixed; boundary=a\n\n--a\n\nText\n" +
			"--a\nContent-Type: application/pdf\nContent-Disposition: attachment;\n filename*=utf-8'de'Pr%C3%BCfung%20%E2%82%AC.pdf; filename=\"Pruefung.pdf\"\n\nx\n" +
			"--a\nContent-Type: image/png;\n name*0*=windows-1251''%EF%F0%E8;\n name*1*=%E2%E5%F2;\n name*2=\".png\"\n\nx\n" +
			"--a\nContent-Type: application/zip; name=\"=?utf-8?B?w6TDtg==?=\n =?utf-8?B?w7wuemlw?=\"\n\nx\n" +
			"--a\nContent-Type: text/plain\nContent-Disposition: attachment; filename=with spaces; size=3\n\nnot shown\n" +
			"--a\nContent-Type: application/x-thing\nContent-Disposition: attachment; filename=\"C:\\temp\\a \\\"b\\\".bin\"\n\nx\n--a--\n",
		"iso-2022-jp": encodeMail(t, japanese.ISO2022JP, "From: a@example.com\nSubject: =?ISO-2022-JP?B?"+
			base64.StdEncoding.EncodeToString([]byte(encodeMail(t, japanese.ISO2022JP, "障害の報告")))+"?=\nContent-Type: text/plain; charset=ISO-2022-JP\n\nプリンターが燃えています。\n"),
		"windows-1251": encodeMail(t, charmap.Windows1251, "From: a@example.com\nSubject: =?windows-1251?Q?"+
			strings.ReplaceAll(fmt.Sprintf("% X", encodeMail(t, charmap.Windows1251, " Принтер")), " ", "=")[2:]+"?=\n"+
			"Content-Type: text/plain; charset=\"windows-1251\"\n\nПринтер горит.\n"),
		"mbox":             "From ada@example.com Tue Mar  3 10:15:00 2026\n" + mailStart + "\nText\n",
		"utf-16":           "\xff\xfe" + encodeMail(t, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), mailStart+"Content-Type: text/plain; charset=utf-16\n\nGrüße, 東京\n"),
		"utf-16be_no_bom":  encodeMail(t, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), mailStart+"\nGrüße\n"),
		"missing_boundary": mailStart + "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\nNever closed\n--a\n\nA second part",
		"no_part_at_all":   mailStart + "Content-Type: multipart/mixed; boundary=a\n\nThe text stands where none should.\n",
		"crlf_prefixes": strings.ReplaceAll(mailStart+"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=a-b\n\n"+
			"--a-b\n\nInner\n--a-b--\n--a\n\nOuter\n--a--\n", "\n", "\r\n"),
		"broken_transfer_encodings": mailStart + "Content-Type: multipart/mixed; boundary=a\n\n" +
			"--a\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe =ZZ 1=\n23 a=b=\n" +
			"--a\nContent-Transfer-Encoding: BASE64\n\nVGhl!!IHBy aW50ZXI=\nIGJ1cm5z\n.IG5v\n--a--\n",
		"bad_header_lines": " starts folded\nFrom: ada@example.com\nSubject : spaced\n \n\t=?utf-8?q?=C3=BC?=\n>From x\nX-Empty:\nnot a header: no\nText\n",
		"split_characters": "Subject: =?utf-8?B?4oI=?= =?utf-8?B?rCA1?= =?utf-8*en?Q?_=E2=82=AC?= x =?UTF-8?Q?a b?=\nFrom: \"M\xfcller\" <m@example.com>\n\nText\n",
	}
	for name, content := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := readMailString(readEML, content)
			require.NoError(t, err)
			requireMailGolden(t, "eml_"+name, got)
		})
	}
}

func TestMailDate(t *testing.T) {
	for date, want := range map[string]string{
		"Tue, 03 Mar 2026 10:15:00 +0100 (CET)": "2026-03-03T09:15:00Z",
		"3 Mar 2026 10:15 EST":                  "2026-03-03T15:15:00Z",
		"Tue, 3 Mar 2026 10:15:00 GMT":          "2026-03-03T10:15:00Z",
		"Tue, 3 Mar 2026 10:15:00 CET":          "Tue, 3 Mar 2026 10:15:00 CET",
		"yesterday":                             "yesterday",
		"":                                      "",
	} {
		require.Equal(t, want, mailDate(date), date)
	}
}

func TestEncryptedEML(t *testing.T) {
	cms := func(oid string) string {
		return base64.StdEncoding.EncodeToString([]byte("\x30\x80\x06\x09" + oid + "\xa0\x80rest"))
	}
	const enveloped, signed = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
	tests := map[string]struct {
		content   string
		encrypted bool
	}{
		"pgp":           {"Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=a\n\n--a\n\nVersion: 1\n--a--\n", true},
		"s/mime":        {"Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n\nx\n", true},
		"s/mime untold": {"Content-Type: application/x-pkcs7-mime\nContent-Transfer-Encoding: base64\n\n" + cms(enveloped) + "\n", true},
		"s/mime name":   {"Content-Type: application/octet-stream; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n" + cms(enveloped) + "\n", true},
		"signed":        {"Content-Type: application/pkcs7-mime; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n" + cms(signed) + "\n", false},
		"with a text": {"Content-Type: multipart/mixed; boundary=a\n\n--a\n\nA footer of the list\n" +
			"--a\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nx\n--a--\n", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := readMailString(readEML, mailStart+tt.content)
			require.Contains(t, got, "From: Ada <ada@example.com>\n")
			require.Contains(t, got, "Subject: Printer")
			if tt.encrypted {
				require.ErrorIs(t, err, errEncrypted)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

// repeatedMail is a file that repeats a piece between a start and an end, without being held in memory.
type repeatedMail struct {
	start, piece string
	size         int64
}

func (r repeatedMail) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && off < r.size {
		from := r.start
		if off < int64(len(r.start)) {
			from = from[off:]
		} else {
			from = r.piece[(off-int64(len(r.start)))%int64(len(r.piece)):]
		}
		copied := copy(p[n:], from[:min(int64(len(from)), r.size-off)])
		n, off = n+copied, off+int64(copied)
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

// requireMailEnds reads content and fails when that takes more than 5 s. It returns the text and the error.
func requireMailEnds(t *testing.T, read reader, content io.ReaderAt, size int64) (string, error) {
	t.Helper()
	start := time.Now()
	got, err := readMail(read, content, size)
	require.Less(t, time.Since(start), 5*time.Second)
	if err != nil {
		require.NotContains(t, err.Error(), "the reader broke down")
	}
	return got, err
}

func TestHostileEML(t *testing.T) {
	longRun := strings.Repeat("x", 4096)
	var nested, mails strings.Builder
	nested.WriteString(mailStart)
	for i := range 20000 {
		fmt.Fprintf(&nested, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
		mails.WriteString("Content-Type: message/rfc822\n\n")
	}
	tests := map[string]struct {
		content repeatedMail
		limited string // the limit that ends it, "" for none
		text    string // that is kept
	}{
		"nested multiparts":  {repeatedMail{nested.String(), "x", int64(nested.Len())}, "nested more than 20", "Subject: Printer"},
		"nested mails":       {repeatedMail{mailStart + mails.String(), "x", int64(len(mailStart) + mails.Len())}, "nested more than 4", "Subject: Printer"},
		"a million parts":    {repeatedMail{mailStart + "Content-Type: multipart/mixed; boundary=a\n\n", "--a\n\nx\n", 7 << 20}, "more than 2000 parts", "Subject: Printer"},
		"a huge header":      {repeatedMail{mailStart, "X-Filler: " + strings.Repeat("x", 80) + "\n", 100 << 20}, "header is larger", "Subject: Printer"},
		"a huge field":       {repeatedMail{mailStart + "X-Filler: ", longRun, 100 << 20}, "header is larger", "Subject: Printer"},
		"a huge part header": {repeatedMail{mailStart + "Content-Type: multipart/mixed; boundary=a\n\n--a\nX: ", longRun, 100 << 20}, "", "Subject: Printer"},
		"a long line":        {repeatedMail{mailStart + "\n", longRun, 100 << 20}, "", "xxx"},
		"no line end":        {repeatedMail{"", longRun, 100 << 20}, "", ""},
		"empty lines":        {repeatedMail{"", strings.Repeat("\n", 4096), 100 << 20}, "", ""},
		"dashes":             {repeatedMail{mailStart + "Content-Type: multipart/mixed; boundary=a\n\n--a\n\n", strings.Repeat("--\n", 4096), 60 << 20}, "", "--"},
		"parameters":         {repeatedMail{mailStart + "Content-Type: text/plain", "; a*1=b", 900 << 10}, "", "Subject: Printer"},
		"encoded words":      {repeatedMail{"Subject: ", "=?utf-8?q?=E2?= ", 900 << 10}, "", "Subject:"},
		"a huge date":        {repeatedMail{"Subject: S\nDate: 1 Jan 2026 ", "(", 900 << 10}, "", "Subject: S"},
		"word starts":        {repeatedMail{"Subject: ", "=?", 900 << 10}, "", "Subject:"},
		"a huge boundary":    {repeatedMail{mailStart + "Content-Type: multipart/mixed; boundary=", "a", 900 << 10}, "", "Subject: Printer"},
		"empty":              {repeatedMail{}, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := requireMailEnds(t, readEML, tt.content, tt.content.size)
			require.Contains(t, got, tt.text)
			if tt.limited != "" {
				var limit *limitError
				require.ErrorAs(t, err, &limit)
				require.ErrorContains(t, err, tt.limited)
			}
		})
	}
}

// A mail that is cut anywhere keeps what stands before the cut.
func TestCutEML(t *testing.T) {
	const whole = mailStart + "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Transfer-Encoding: base64\n\nVGhlIHByaW50ZXI=\n" +
		"--a\nContent-Type: message/rfc822\n\nSubject: Inner\n\nText\n--a--\n"
	for end := range whole {
		got, err := readMailString(readEML, whole[:end])
		require.NoError(t, err)
		if end > len(mailStart) {
			require.Contains(t, got, "Subject: Printer")
		}
	}
}

func TestEMLBudget(t *testing.T) {
	content := []byte(mailStart + "\nText that is longer than what may still be unpacked\n")
	d := &document{ReaderAt: bytes.NewReader(content), size: int64(len(content)), budget: &budget{left: 4}}
	w := &text{}
	err := readEML(context.Background(), d, w)
	var limit *limitError
	require.ErrorAs(t, err, &limit)
	require.True(t, strings.HasSuffix(w.String(), "Subject: Printer\n\nText"), w.String())
}

func TestEMLEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	d := &document{ReaderAt: strings.NewReader(mailStart), size: int64(len(mailStart)), budget: newBudget()}
	require.ErrorIs(t, readEML(ctx, d, &text{}), context.Canceled)
}

func FuzzEML(f *testing.F) {
	f.Add([]byte(mailStart + "\nText\n"))
	f.Add([]byte(mailStart + "Content-Type: multipart/alternative; boundary=a\n\n--a\nContent-Type: text/html\n\n<p>x\n--a\nContent-Type: message/rfc822\n\nSubject: =?utf-8?b?eA==?=\n\n--a--"))
	f.Add([]byte("Content-Type: application/pdf; name*0*=a'b'c; name*1=d\nContent-Transfer-Encoding: base64\n\nAAAA"))
	f.Add([]byte("\xff\xfeS\x00:\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := requireMailEnds(t, readEML, bytes.NewReader(b), int64(len(b))); err != nil {
			return
		}
	})
}
