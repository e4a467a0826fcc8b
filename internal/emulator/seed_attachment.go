package emulator

import (
	"fmt"
	"strconv"
)

// seedAttachments files documents: most under incidents, some under what a sync of incidents' attachments
// must tell apart or leave alone.
func (c *company) seedAttachments() {
	incidents := c.e.tables["incident"]
	kinds := fileKinds()
	for i := range c.e.cfg.Attachments {
		kind := kinds[i%len(kinds)]
		build := func() []byte { return kind.build(i) }
		content := build()
		values := fileFields(content, map[string]string{
			"file_name": kind.name(i), "content_type": kind.contentType, "table_name": "incident",
		})
		var row int32
		if incidents.len() > 0 {
			row = int32(mix(c.seed^uint64(i)*77) % uint64(c.e.cfg.Incidents))
			values["table_sys_id"] = incidents.ids[row]
		}
		switch {
		case incidents.len() == 0 || i%12 == 7: // another table's, not an incident's
			values["table_name"], values["table_sys_id"] = "problem", c.problems[i%len(c.problems)]
		case i%24 == 11:
			values["table_name"], values["table_sys_id"] = "sys_user", c.users[i%len(c.users)]
		case i%12 == 4: // an incident's, filed under the base class
			values["table_name"] = "task"
		case i%15 == 9: // in a field of the record, not on it
			values["table_name"], values["file_name"] = "ZZ_YYincident", "u_photo"
		}
		switch {
		case i%20 == 13:
			values["state"] = "pending"
		case i%20 == 18:
			values["state"] = "not_available"
		}
		if i%9 == 8 { // rows from before hashes were kept
			values["hash"] = ""
		}
		created := c.now - 300 - int64(mix(c.seed+uint64(i))%uint64(700*day))
		values["sys_created_on"] = c.stamp(created)
		values["sys_updated_on"] = c.stamp(created + int64(i%3)*100)
		values["sys_created_by"], values["sys_updated_by"] = c.userNames[i%len(c.userNames)], c.userNames[i%len(c.userNames)]
		values["sys_mod_count"] = strconv.Itoa(i % 3)
		if kind.contentType == "image/png" {
			values["image_width"], values["image_height"], values["average_image_color"] = "1", "1", "#336699"
		}
		sysID := c.add("sys_attachment", i, values)
		c.e.files[sysID] = build
	}
}

// fileKind is a sort of document: its bytes and what people call it.
type fileKind struct {
	contentType string
	name        func(i int) string
	build       func(i int) []byte
}

func called(pattern string) func(i int) string {
	return func(i int) string { return fmt.Sprintf(pattern, i) }
}

func named(name string) func(i int) string { return func(int) string { return name } }

// fileKinds are the sorts of document, hostile names among them.
func fileKinds() []fileKind {
	text := func(i int) []byte { return []byte(documentText(i)) }
	return []fileKind{
		{"text/plain", called("notes-%d.txt"), text},
		{"application/pdf", called("Report %d.pdf"), func(i int) []byte { return buildPDF(documentText(i)) }},
		{"application/vnd.openxmlformats-officedocument.wordprocessingml.document", called("Manual %d.docx"), func(i int) []byte { return buildDOCX(documentText(i)) }},
		{"text/csv", called("export %d.csv"), func(i int) []byte { return []byte(documentTable(i)) }},
		{"image/png", called("screenshot %d.png"), func(int) []byte { return onePixelPNG() }},
		{"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", called("Figures %d.xlsx"), func(i int) []byte { return buildXLSX(i) }},
		{"text/html", called("page-%d.html"), func(i int) []byte {
			return []byte("<html><head><title>Page</title></head><body><p>" + documentText(i) + "</p></body></html>")
		}},
		{"application/octet-stream", named("../../etc/passwd"), text},
		{"text/plain", named("empty.txt"), func(int) []byte { return nil }},
		{"application/json", called("payload-%d.json"), func(i int) []byte { return fmt.Appendf(nil, `{"document":%d,"text":%q}`, i, documentText(i)) }},
		{"text/plain", named("naïve ☃ \"résumé\".txt"), text},
		{"text/plain;charset=utf-16", called("wide-%d.txt"), func(i int) []byte { return utf16Text(documentText(i)) }},
		{"message/rfc822", called("mail %d.eml"), func(i int) []byte {
			return []byte("From: a@company.example\r\nTo: b@company.example\r\nSubject: Document\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + documentText(i) + "\r\n")
		}},
		{"application/x-msdownload", named("dir\\sub/..\\run.exe"), func(i int) []byte { return noise(4096 + i) }},
		{"application/zip", called("bundle %d.zip"), func(i int) []byte { return zipOf(zipEntry{"inner/notes.txt", documentText(i)}) }},
		{"text/plain", named("line\nbreak\ttab.log"), func(i int) []byte { return []byte(longLog(i)) }},
		{"application/pdf", named("CON.pdf"), func(int) []byte { return []byte("%PDF-1.4 not really") }},
		{"text/xml", called("feed-%d.xml"), func(i int) []byte {
			return []byte("<?xml version=\"1.0\"?><feed><entry>" + documentText(i) + "</entry></feed>")
		}},
		{"", named(".hidden"), text},
		{"text/markdown", called("README-%d.md"), func(i int) []byte { return []byte("# Document\n\n* " + documentText(i) + "\n") }},
	}
}
