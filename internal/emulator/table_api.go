package emulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recordParams are the parameters of a single record's URL, listParams those of a list's.
var recordParams = []string{
	"sysparm_fields", "sysparm_display_value", "sysparm_exclude_reference_link", "sysparm_view", "sysparm_query_no_domain",
}

var listParams = append([]string{
	"sysparm_query", "sysparm_limit", "sysparm_offset", "sysparm_no_count", "sysparm_suppress_pagination_header", "sysparm_query_category",
}, recordParams...)

// listRequest is a list call of the Table or Attachment API, understood.
type listRequest struct {
	query        encodedQuery
	window       window
	fields       []string
	mode         displayMode
	excludeLinks bool
	suppressLink bool
	extra        func(ref rowRef) string // members added to a record
}

func (x *exchange) serveTable() {
	if x.route.sysID != "" {
		x.serveRecord()
		return
	}
	p := x.readParams(listParams...)
	request := listRequest{
		query:        parseQuery(p.text("sysparm_query")),
		window:       window{offset: p.number("sysparm_offset", 0), limit: p.number("sysparm_limit", 10000), count: !p.flag("sysparm_no_count")},
		mode:         p.display("sysparm_display_value"),
		excludeLinks: p.flag("sysparm_exclude_reference_link"),
		suppressLink: p.flag("sysparm_suppress_pagination_header"),
		fields:       fieldList(p.text("sysparm_fields")),
	}
	if !p.ok() {
		return
	}
	if !request.suppressLink && len(x.r.URL.RequestURI()) > x.e.cfg.PaginationURLLimit {
		x.paginationURLTooLong()
		return
	}
	x.serveList(request)
}

func fieldList(text string) []string {
	if text == "" {
		return nil
	}
	names := strings.Split(text, ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return names
}

// readable checks the table's existence and its access rule. When it is false the answer is sent, except
// for a table that reads as empty.
func (x *exchange) readable(v *view) (ok, empty bool) {
	if _, known := v.tables[x.route.table]; !known {
		x.fail(http.StatusBadRequest, "Invalid table "+x.route.table, "")
		return false, false
	}
	switch v.security.tables[x.route.table] {
	case DenyForbidden:
		x.fail(http.StatusForbidden, "Insufficient rights to query records", "")
		return false, false
	case DenyEmpty:
		return true, true
	}
	return true, false
}

// serveList answers a query. The page is chosen at once and written in slices, with the data's lock held
// for one slice at a time, so that a slow client does not stop changes.
func (x *exchange) serveList(request listRequest) {
	x.e.mu.RLock()
	v := x.e.view()
	v.dropWindow = x.fault.Kind == FaultDroppedWindow
	ok, empty := x.readable(v)
	if !ok {
		x.e.mu.RUnlock()
		return
	}
	if x.params.Has("sysparm_view") && request.fields == nil {
		request.fields = v.viewFields(x.route.table, x.params.Get("sysparm_view"))
	}
	var page selection
	if !empty {
		page = v.selectRows(x.route.table, request.query, request.window)
	}
	served := len(page.rows)
	page.rows = v.visibleRows(page.rows)
	omitTotal := v.security.omitTotalCount
	x.e.mu.RUnlock()

	x.e.traffic.noteInvalidTerms(page.invalid)
	if len(page.invalid) > 0 && x.e.cfg.InvalidQuery == Forbidden {
		x.fail(http.StatusForbidden, "Insufficient rights to query records", "Field(s) present in the query do not have permission to be read")
		return
	}
	if x.route.version == "/v1" && served == 0 {
		x.fail(http.StatusNotFound, "No Record found", "Records matching query not found. Check query parameter or offset parameter")
		return
	}
	if request.window.count && !omitTotal {
		x.w.Header().Set("X-Total-Count", strconv.Itoa(page.total))
	}
	if !request.suppressLink {
		x.setLink(request.window, served, page.total)
	}
	x.takes(time.Duration(request.window.offset) * x.e.cfg.OffsetLatency)
	x.writePage(v, request, page.rows)
}

const rowsPerSlice = 2000

func (x *exchange) writePage(v *view, request listRequest, refs []rowRef) {
	failure := ""
	switch x.fault.Kind {
	case FaultWrongOrder:
		slices.Reverse(refs)
	case FaultPartialResult, FaultPartialCut:
		refs = refs[:int(float64(len(refs))*x.share())]
		failure = cancelledMessage
	case FaultEmptyWithError:
		refs, failure = nil, cancelledMessage
	}
	body := x.begin(http.StatusOK, "application/json;charset=UTF-8")
	out := newRenderer(v, x.route.table, request.fields, request.mode, request.excludeLinks, x.linkBase())
	buf := x.e.buffers.get()
	buf = append(buf, `{"result":[`...)
	started := false
	for len(refs) > 0 {
		slice := refs[:min(rowsPerSlice, len(refs))]
		refs = refs[len(slice):]
		before := x.log.Rows
		x.e.mu.RLock()
		for _, ref := range slice {
			if ref.table.dead[ref.row] {
				continue
			}
			if started {
				buf = append(buf, ',')
			}
			started = true
			extra := ""
			if request.extra != nil {
				extra = request.extra(ref)
			}
			buf = out.appendRow(buf, ref, extra)
			x.log.Rows++
		}
		x.e.mu.RUnlock()
		x.takes(time.Duration(x.log.Rows-before) * x.e.cfg.RowLatency)
		if len(refs) > 0 {
			body.write(buf)
			buf = buf[:0]
		}
	}
	if x.fault.Kind == FaultPartialCut {
		if started {
			buf = buf[:len(buf)-len(buf)/(3*max(x.log.Rows, 1))-1]
		} else {
			buf = append(buf, `{"sys_id":{"display_val`...)
		}
	} else {
		buf = append(buf, ']')
	}
	if failure != "" {
		buf = appendError(append(buf, ','), failure, cancelledDetail)
	}
	buf = append(buf, '}')
	body.finish(buf)
	x.e.buffers.put(buf)
}

// setLink sets the pagination header. Without a total nobody knows the last page.
func (x *exchange) setLink(w window, served, total int) {
	if w.limit == 0 || (w.count && total <= w.limit && w.offset == 0) {
		return
	}
	var header strings.Builder
	add := func(offset int, relation string) {
		query := x.r.URL.Query()
		query.Set("sysparm_limit", strconv.Itoa(w.limit))
		query.Set("sysparm_offset", strconv.Itoa(offset))
		if header.Len() > 0 {
			header.WriteByte(',')
		}
		header.WriteString("<" + x.origin() + x.r.URL.Path + "?" + query.Encode() + `>;rel="` + relation + `"`)
	}
	add(0, "first")
	if w.offset > 0 {
		add(max(0, w.offset-w.limit), "prev")
	}
	if w.count && w.offset+w.limit < total || !w.count && served == w.limit {
		add(w.offset+w.limit, "next")
	}
	if w.count {
		add((total-1)/w.limit*w.limit, "last")
	}
	x.w.Header().Set("Link", header.String())
}

// serveRecord answers one record: 404 when it is missing or hidden, which nobody can tell apart.
func (x *exchange) serveRecord() {
	p := x.readParams(recordParams...)
	mode, excludeLinks, fields := p.display("sysparm_display_value"), p.flag("sysparm_exclude_reference_link"), fieldList(p.text("sysparm_fields"))
	if !p.ok() {
		return
	}
	x.e.mu.RLock()
	v := x.e.view()
	ok, empty := x.readable(v)
	if !ok {
		x.e.mu.RUnlock()
		return
	}
	if p.text("sysparm_view") != "" && fields == nil {
		fields = v.viewFields(x.route.table, p.text("sysparm_view"))
	}
	t, row, found := v.find(x.route.table, x.route.sysID)
	found = found && !empty && v.visible(rowRef{t, row})
	buf := []byte(`{"result":`)
	if found {
		out := newRenderer(v, x.route.table, fields, mode, excludeLinks, x.linkBase())
		buf = out.appendRow(buf, rowRef{t, row}, "")
	}
	x.e.mu.RUnlock()
	if !found {
		x.noRecord()
		return
	}
	x.takes(x.e.cfg.RowLatency)
	x.log.Rows = 1
	x.begin(http.StatusOK, "application/json;charset=UTF-8").finish(append(buf, '}'))
}

func (x *exchange) noRecord() {
	x.fail(http.StatusNotFound, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
}

// viewFields are the fields of a form view; nil, for all, where the view has no form of this table.
func (v *view) viewFields(table, name string) []string {
	if name == "" || name == "Default view" {
		name = "Default view"
	}
	sections, elements := v.tables["sys_ui_section"], v.tables["sys_ui_element"]
	var fields []string
	sections.keys.ranks(0, sections.len(), func(section int32) bool {
		view := sections.valueOf(section, "view")
		if sections.valueOf(section, "name") != table || (view != name && sections.valueOf(section, "view_name") != name) {
			return true
		}
		elements.keys.ranks(0, elements.len(), func(row int32) bool {
			if elements.valueOf(row, "sys_ui_section") == sections.ids[section] && elements.valueOf(row, "type") == "" {
				fields = append(fields, elements.valueOf(row, "element"))
			}
			return true
		})
		return true
	})
	if fields != nil {
		fields = append(fields, "sys_id")
	}
	return fields
}
