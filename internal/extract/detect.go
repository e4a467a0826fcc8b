package extract

import (
	"bytes"
	"context"
	"path"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// format is a kind of file: the media type that its content shows, and what reads it. A format without a reader is
// unsupported.
type format struct {
	mediaType string
	read      reader
}

// detectSample is how many bytes of a file are looked at to find its format.
const detectSample = 64 << 10

// pdfHead is how many bytes may stand before a PDF's header and with it (ISO 32000-1, annex H.3.4.1).
const pdfHead = 1024

// detect finds a document's format. The content decides between binary formats; between formats that are all text, the
// extension does, then the stated content type, then what the text begins with. It does not panic.
func detect(d *document) (found format) {
	found = format{mediaType: "application/octet-stream"}
	defer func() {
		if recover() != nil { // a library did not get along with the file
			found.read = nil
		}
	}()
	head := d.head(detectSample)
	named := extensionFormat(extension(d.name))
	stated := typeFormat(baseType(d.contentType))
	switch {
	case len(head) == 0:
		return format{mediaType: firstType(named, stated)}
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")), bytes.HasPrefix(head, []byte("PK\x07\x08")):
		return archiveFormat(zipKind(d), named, stated)
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		return compoundFormat(compoundKind(d), named, stated)
	}
	start := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case bytes.HasPrefix(start, []byte(`{\rtf`)):
		return extensionFormat("rtf")
	// Readers of PDF accept a header within the first 1,024 bytes (ISO 32000-1, annex H.3.4.1).
	case bytes.HasPrefix(start, []byte("%PDF-")), !named.isText() && bytes.Contains(head[:min(len(head), pdfHead)], []byte("%PDF-")):
		return extensionFormat("pdf")
	}
	kind := mimetype.Detect(head)
	if isBinary(head) || !isText(kind) && !named.isText() && !stated.isText() {
		return binaryFormat(kind, named, stated)
	}
	return textFormat(start, kind, extension(d.name), stated)
}

// archiveFormat is a zip archive's. A broken one is what its name says, so that it is reported as broken.
func archiveFormat(kind string, named, stated format) format {
	if kind != "" {
		return extensionFormat(kind)
	}
	for _, f := range []format{named, stated} {
		if f.read != nil && isArchived(f.mediaType) {
			return f
		}
	}
	return extensionFormat("zip")
}

// isArchived reports the formats that are zip archives.
func isArchived(mediaType string) bool {
	return mediaType == "application/epub+zip" || strings.HasPrefix(mediaType, "application/vnd.openxmlformats-") ||
		strings.HasPrefix(mediaType, "application/vnd.oasis.")
}

// compoundFormat is an OLE compound file's.
func compoundFormat(kind string, named, stated format) format {
	switch kind {
	case "encrypted":
		encrypted := format{"application/vnd.ms-office", func(context.Context, *document, *text) error { return errEncrypted }}
		for _, f := range []format{named, stated} {
			if strings.HasPrefix(f.mediaType, "application/vnd.openxmlformats-") {
				encrypted.mediaType = f.mediaType
				break
			}
		}
		return encrypted
	case "msg", "doc", "xls", "ppt":
		return extensionFormat(kind)
	}
	for _, f := range []format{named, stated} {
		switch f.mediaType {
		case "application/vnd.ms-outlook", "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint":
			return f
		}
	}
	return format{mediaType: "application/x-ole-storage"}
}

// isText reports whether a type that the bytes show is one of text, or unknown.
func isText(kind *mimetype.MIME) bool {
	for m := kind; m != nil; m = m.Parent() {
		if m.Is("text/plain") {
			return true
		}
	}
	return kind.Is("application/octet-stream")
}

// binaryFormat is that of bytes that are no text. Bytes that no signature knows are what their name says, so that a broken
// document is reported as broken.
func binaryFormat(kind *mimetype.MIME, named, stated format) format {
	shown := baseType(kind.String())
	if !isText(kind) || strings.HasPrefix(shown, "image/") {
		return format{mediaType: shown}
	}
	for _, f := range []format{named, stated} {
		if f.read != nil && !f.isText() {
			return f
		}
	}
	return format{mediaType: "application/octet-stream"}
}

// textFormat is that of bytes that are text, or may be.
func textFormat(start []byte, kind *mimetype.MIME, extension string, stated format) format {
	named := extensionFormat(extension)
	page := isPage(start)
	switch {
	// A page that was saved as text is no less a page, but source code or a log may begin like one.
	case page && (!named.isText() || extension == "txt" || extension == "xml"):
		return extensionFormat("html")
	case named.isText():
		return named
	case stated.isText() && stated.mediaType != "text/plain":
		return stated
	case isMail(start):
		return extensionFormat("eml")
	}
	shown := baseType(kind.String())
	switch {
	case strings.HasPrefix(shown, "image/") && shown != "image/svg+xml":
		return format{mediaType: shown}
	case bytes.HasPrefix(start, []byte("<?xml")), strings.HasSuffix(shown, "/xml"):
		return extensionFormat("xml")
	}
	if f := typeFormat(shown); f.read != nil {
		return format{shown, f.read}
	}
	return extensionFormat("txt")
}

// isPage reports whether a text begins as an HTML page does.
func isPage(start []byte) bool {
	begin := bytes.ToLower(start[:min(len(start), 1024)])
	if bytes.HasPrefix(begin, []byte("<!doctype html")) || bytes.HasPrefix(begin, []byte("<html")) {
		return true
	}
	return bytes.HasPrefix(begin, []byte("<?xml")) && bytes.Contains(begin, []byte("<html"))
}

// isMail reports whether a text begins with the header of a mail (RFC 5322), or with the line that a mailbox file puts before
// one (RFC 4155).
func isMail(start []byte) bool {
	if len(start) > 16<<10 {
		start = start[:16<<10]
	}
	known := 0
	for n, line := range bytes.Split(start, []byte("\n")) {
		line = bytes.TrimRight(line, "\r")
		if len(line) == 0 {
			break
		}
		if n == 0 && bytes.HasPrefix(line, []byte("From ")) || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		name, _, found := bytes.Cut(line, []byte(":"))
		if !found || bytes.ContainsAny(name, " \t") {
			break
		}
		switch string(bytes.ToLower(name)) {
		case "from", "to", "cc", "subject", "date", "received", "return-path", "message-id", "mime-version", "delivered-to",
			"content-type", "reply-to", "dkim-signature", "in-reply-to", "references", "x-mailer", "content-transfer-encoding":
			known++
		}
	}
	return known >= 2
}

// isText reports whether a format's files are text, so that their bytes alone do not tell it.
func (f format) isText() bool {
	switch f.mediaType {
	case "":
		return false
	case "message/rfc822", "application/mbox", "multipart/related", "application/json", "application/xml", "application/x-ndjson",
		"application/xhtml+xml", "image/svg+xml":
		return true
	}
	return strings.HasPrefix(f.mediaType, "text/")
}

// firstType returns the first media type that is known.
func firstType(formats ...format) string {
	for _, f := range formats {
		if f.mediaType != "" {
			return f.mediaType
		}
	}
	return ""
}

// extension returns a file name's, in lower case and without its dot.
func extension(name string) string {
	return strings.ToLower(strings.TrimPrefix(path.Ext(strings.TrimRight(strings.TrimSpace(name), ".")), "."))
}

// baseType returns a content type without its parameters, in lower case.
func baseType(contentType string) string {
	base, _, _ := strings.Cut(contentType, ";")
	base = strings.ToLower(strings.TrimSpace(base))
	if !strings.Contains(base, "/") {
		return ""
	}
	return base
}

// extensionFormat returns what an extension stands for, no format for an unknown one.
func extensionFormat(extension string) format {
	const ooxml = "application/vnd.openxmlformats-officedocument."
	const opendocument = "application/vnd.oasis.opendocument."
	switch extension {
	case "pdf":
		return format{"application/pdf", readPDF}
	case "docx", "docm", "dotx", "dotm":
		return format{ooxml + "wordprocessingml.document", readDOCX}
	case "pptx", "pptm", "ppsx", "ppsm", "potx", "potm":
		return format{ooxml + "presentationml.presentation", readPPTX}
	case "xlsx", "xlsm", "xltx", "xltm":
		return format{ooxml + "spreadsheetml.sheet", readXLSX}
	case "odt", "ott":
		return format{opendocument + "text", readODF}
	case "ods", "ots":
		return format{opendocument + "spreadsheet", readODF}
	case "odp", "otp":
		return format{opendocument + "presentation", readODF}
	case "epub":
		return format{"application/epub+zip", readEPUB}
	case "zip":
		return format{"application/zip", readZIP}
	case "msg":
		return format{"application/vnd.ms-outlook", readMSG}
	case "doc", "dot":
		return format{mediaType: "application/msword"}
	case "xlsb":
		return format{mediaType: "application/vnd.ms-excel.sheet.binary.macroenabled.12"}
	case "xls", "xlt":
		return format{mediaType: "application/vnd.ms-excel"}
	case "ppt", "pps", "pot":
		return format{mediaType: "application/vnd.ms-powerpoint"}
	case "rtf":
		return format{"application/rtf", readRTF}
	case "eml":
		return format{"message/rfc822", readEML}
	case "mbox":
		return format{"application/mbox", readEML}
	case "mht", "mhtml":
		return format{"multipart/related", readEML}
	case "html", "htm", "xhtml", "xht", "shtml":
		return format{"text/html", readHTML}
	case "xml", "xsd", "xsl", "xslt", "wsdl", "rss", "atom", "bpmn", "fodt", "fods", "fodp":
		return format{"application/xml", readXML}
	case "svg":
		return format{"image/svg+xml", readXML}
	case "json", "har", "geojson", "ipynb":
		return format{"application/json", readPlain}
	case "ndjson", "jsonl":
		return format{"application/x-ndjson", readPlain}
	case "csv":
		return format{"text/csv", readPlain}
	case "tsv", "tab":
		return format{"text/tab-separated-values", readPlain}
	case "md", "markdown":
		return format{"text/markdown", readPlain}
	case "ics", "ical":
		return format{"text/calendar", readPlain}
	case "vcf":
		return format{"text/vcard", readPlain}
	case "txt", "text", "asc":
		return format{"text/plain", readPlain}
	case "log", "out", "err", "trc", "trace", "ini", "cfg", "conf", "config", "properties", "env", "yaml", "yml", "toml", "diff",
		"patch", "sql", "sh", "bash", "bat", "cmd", "ps1", "psm1", "vbs", "js", "mjs", "ts", "tsx", "jsx", "css", "py", "rb", "pl",
		"php", "java", "c", "h", "cpp", "cs", "go", "rs", "groovy", "tex", "rst", "adoc", "srt", "vtt", "ldif", "pem", "tf", "reg":
		return format{"text/plain", readPlain}
	}
	return format{}
}

// typeFormat returns what a media type stands for, no format for an unknown one or one that says nothing.
func typeFormat(mediaType string) format {
	switch mediaType {
	case "text/plain":
		return extensionFormat("txt")
	case "application/rtf", "text/rtf", "application/x-rtf", "text/richtext":
		return extensionFormat("rtf")
	case "text/html", "application/xhtml+xml":
		return extensionFormat("html")
	case "text/xml", "application/xml":
		return extensionFormat("xml")
	case "image/svg+xml":
		return extensionFormat("svg")
	case "application/json", "text/json":
		return extensionFormat("json")
	case "application/x-ndjson":
		return extensionFormat("ndjson")
	case "text/csv", "application/csv":
		return extensionFormat("csv")
	case "message/rfc822":
		return extensionFormat("eml")
	case "application/mbox":
		return extensionFormat("mbox")
	case "multipart/related":
		return extensionFormat("mht")
	case "application/x-zip-compressed", "application/x-zip":
		return extensionFormat("zip")
	case "application/x-pdf":
		return extensionFormat("pdf")
	}
	for _, e := range []string{"pdf", "docx", "pptx", "xlsx", "odt", "ods", "odp", "epub", "zip", "msg", "doc", "xls", "ppt", "tsv", "md", "ics", "vcf"} {
		if f := extensionFormat(e); f.mediaType == mediaType {
			return f
		}
	}
	switch {
	case strings.HasPrefix(mediaType, "text/"), mediaType == "application/javascript", mediaType == "application/x-sh",
		mediaType == "application/yaml", mediaType == "application/x-yaml", mediaType == "application/sql":
		return extensionFormat("log")
	case strings.HasSuffix(mediaType, "+xml"):
		return extensionFormat("xml")
	case strings.HasSuffix(mediaType, "+json"):
		return extensionFormat("json")
	}
	return format{}
}
