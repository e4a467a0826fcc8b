package emulator

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// serveAttachment answers GET /api/now/attachment…: a list, a file's metadata, or its bytes.
func (x *exchange) serveAttachment() {
	switch {
	case x.route.file:
		x.serveFile()
	case x.route.sysID != "":
		x.serveFileMetadata()
	default:
		p := x.readParams("sysparm_query", "sysparm_limit", "sysparm_offset")
		request := listRequest{
			query:        parseQuery(p.text("sysparm_query")),
			window:       window{offset: p.number("sysparm_offset", 0), limit: p.number("sysparm_limit", 1000), count: true},
			excludeLinks: true,
			extra:        x.downloadLink,
		}
		if p.ok() {
			x.serveList(request)
		}
	}
}

func (x *exchange) downloadLink(ref rowRef) string {
	link := x.origin() + "/api/now" + x.route.version + "/attachment/" + ref.table.ids[ref.row] + "/file"
	return `"download_link":` + string(appendText(nil, link))
}

// findFile finds an attachment the user may see. Access follows the record it belongs to.
func (x *exchange) findFile(v *view) (rowRef, bool) {
	t := v.tables["sys_attachment"]
	row, ok := t.find(x.route.sysID)
	ref := rowRef{t, row}
	return ref, ok && v.security.tables["sys_attachment"] == DenyNone && v.visible(ref)
}

func (x *exchange) serveFileMetadata() {
	if !x.readParams().ok() {
		return
	}
	x.e.mu.RLock()
	v := x.e.view()
	ref, ok := x.findFile(v)
	buf := []byte(`{"result":`)
	if ok {
		buf = newRenderer(v, "sys_attachment", nil, showValues, true, x.linkBase()).appendRow(buf, ref, x.downloadLink(ref))
	}
	x.e.mu.RUnlock()
	if !ok {
		x.noRecord()
		return
	}
	x.log.Rows = 1
	x.begin(http.StatusOK, "application/json;charset=UTF-8").finish(append(buf, '}'))
}

// serveFile answers a file's bytes: always all of them, as Range is not known here. A file that is not
// available is refused with JSON, whatever was asked for.
func (x *exchange) serveFile() {
	if !x.readParams().ok() {
		return
	}
	x.e.mu.RLock()
	v := x.e.view()
	ref, ok := x.findFile(v)
	var metadata []byte
	var state, name, contentType string
	var content fileContent
	if ok {
		metadata = newRenderer(v, "sys_attachment", nil, showValues, true, x.linkBase()).appendRow(nil, ref, "")
		state, name, contentType = ref.table.valueOf(ref.row, "state"), ref.table.valueOf(ref.row, "file_name"), ref.table.valueOf(ref.row, "content_type")
		content = x.e.files[x.route.sysID]
	}
	x.e.mu.RUnlock()
	switch {
	case !ok:
		x.noRecord()
		return
	case state == "not_available":
		x.fail(http.StatusForbidden, "Operation Failed", "The file "+name+" did not pass the security scan and cannot be downloaded")
		return
	case state == "pending":
		x.fail(http.StatusForbidden, "Operation Failed", "The file "+name+" is waiting for its security scan")
		return
	}
	var bytes []byte
	if content != nil {
		bytes = content()
	}
	h := x.w.Header()
	h.Set("X-Attachment-Metadata", asciiJSON(metadata))
	h.Set("Content-Disposition", "attachment;filename*=UTF-8''"+url.PathEscape(name))
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	x.log.Rows = 1
	x.begin(http.StatusOK, contentType).finish(bytes)
}

// asciiJSON escapes what a header cannot hold.
func asciiJSON(text []byte) string {
	var out strings.Builder
	for _, r := range string(text) {
		switch {
		case r < 0x80:
			out.WriteRune(r)
		case r < 0x10000:
			out.WriteString(`\u` + hex4(r))
		default:
			r -= 0x10000
			out.WriteString(`\u` + hex4(0xd800+r>>10) + `\u` + hex4(0xdc00+r&0x3ff))
		}
	}
	return out.String()
}

func hex4(r rune) string {
	text := strconv.FormatInt(int64(r), 16)
	return strings.Repeat("0", 4-len(text)) + text
}
