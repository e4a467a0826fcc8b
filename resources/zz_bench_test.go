package resources

import (
	"net/http/httptest"
	"testing"
	"encoding/json"

	"github.com/apache/arrow-go/v18/arrow/memory"
	pb "github.com/cloudquery/plugin-pb-go/pb/plugin/v3"
	"github.com/cqservicenow/cq-source-servicenow/internal/arrowjson"
	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/extract"
	"github.com/cqservicenow/cq-source-servicenow/internal/textview"
)

func zzPage(b *testing.B) [][]byte {
	e := emulator.New(emulator.Config{Incidents: 1000, Attachments: -1})
	req := httptest.NewRequest("GET", "/api/now/table/incident?sysparm_limit=1000&sysparm_display_value=all&sysparm_exclude_reference_link=true&sysparm_suppress_pagination_header=true&sysparm_no_count=true&sysparm_query=ORDERBYsys_id", nil)
	req.Header.Set("x-sn-apikey", "emulator-key")
	req.Header.Set("Accept", "application/json")
	w := httptest.NewRecorder()
	e.ServeHTTP(w, req)
	var l struct{ Result []json.RawMessage }
	if err := json.Unmarshal(w.Body.Bytes(), &l); err != nil { b.Fatal(err, w.Body.String()) }
	out := make([][]byte, len(l.Result))
	for i := range l.Result { out[i] = l.Result[i] }
	return out
}

func zzBuilder(b *testing.B) *arrowjson.Builder {
	fields := OutOfBoxIncidentFields()
	c := newColumns()
	c.all(fields)
	c.link("incident")
	c.text("x")
	c.record("y")
	d := dictionary.OutOfBox("incident")
	_ = d
	layout := zzLayout()
	v := textview.New(layout, func(f string) bool { return true }, extract.HTML)
	fill := c.with("text", arrowjson.Column{Source: arrowjson.Composed, Of: v.Fields(), Compose: v.Append})
	t := Incidents(fields)
	fill["record_url"] = arrowjson.Column{Source: arrowjson.Null}
	cols := make([]arrowjson.Column, len(t.Columns))
	for i, col := range t.Columns { cols[i] = fill[col.Name] }
	bl, err := arrowjson.NewBuilder(memory.DefaultAllocator, t.ToArrowSchema(), cols)
	if err != nil { b.Fatal(err) }
	return bl
}

func zzLayout() *dictionary.Layout {
	s := dictionary.Section{}
	for _, f := range []string{"number","caller_id","category","subcategory","business_service","service_offering","cmdb_ci","contact_type","state","impact","urgency","priority","assignment_group","assigned_to","short_description","description"} {
		s.Elements = append(s.Elements, dictionary.Element{Field: f, Label: f, Type: "string"})
	}
	n := dictionary.Section{Caption: "Notes", Elements: []dictionary.Element{{Field: "watch_list", Label: "Watch"}, {Field: "work_notes_list", Label: "wnl"}, {}}}
	r := dictionary.Section{Caption: "Resolution", Elements: []dictionary.Element{{Field: "close_code", Label: "Watch"}, {Field: "close_notes", Label: "wnl"}, {Field: "resolved_by", Label: "wnl"}, {Field: "resolved_at", Label: "wnl"}}}
	return &dictionary.Layout{Sections: []dictionary.Section{s, n, r}}
}

func BenchmarkZZ(b *testing.B) {
	page := zzPage(b)
	total := 0
	for _, r := range page { total += len(r) }
	b.Run("append", func(b *testing.B) {
		bl := zzBuilder(b)
		b.ReportAllocs()
		for b.Loop() {
			for _, r := range page {
				if err := bl.Append(r); err != nil { b.Fatal(err) }
			}
			bl.Batch().Release()
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "us/row")
	})
	b.Run("encode", func(b *testing.B) {
		bl := zzBuilder(b)
		for _, r := range page { _ = bl.Append(r) }
		rec := bl.Batch()
		b.ReportAllocs()
		for b.Loop() {
			x, err := pb.RecordToBytes(rec)
			if err != nil { b.Fatal(err) }
			total = len(x)
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "us/row")
		b.ReportMetric(float64(total)/1000, "bytes/row")
	})
}
