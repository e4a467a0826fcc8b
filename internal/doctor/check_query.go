package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

const (
	noKeys   = "because no incident shows both sys_id and sys_updated_on"
	queryACL = "give the user read, query_match and query_range access to sys_id and sys_updated_on of incident (System Security > Access Control, ACLs of the operations query_match and query_range)"
)

// fields compares the dictionary with what the sample's records hold: a field that no record has is hidden from this user.
func (e *examination) fields(ctx context.Context) outcome {
	if len(e.sample.Records) == 0 {
		return skipped("because no incident is shown")
	}
	shown := map[string]bool{}
	for _, record := range e.sample.Records {
		var row map[string]json.RawMessage
		if err := json.Unmarshal(record, &row); err != nil {
			return failed(err, "an incident has another form than the Table API documents", "look for a proxy that changes answers")
		}
		for name := range row {
			shown[name] = true
		}
	}
	facts := map[string]any{"shown": len(shown), "sample_rows": len(e.sample.Records)}
	const next = "give the user a role that the fields' read ACLs ask for (System Security > Access Control, names incident.<field> and task.<field>)"
	for _, name := range []string{"sys_id", "sys_updated_on"} {
		if !shown[name] {
			return failed(nil, "the field "+name+" of incident is hidden, and no sync can do without it", next).with(facts)
		}
	}
	if e.results[CodeDictionary].State != OK {
		return skipped("because the dictionary cannot be read (" + CodeDictionary + "); the incidents show " + fmt.Sprint(len(shown)) + " fields").with(facts)
	}
	d := dictionary.New(e.client, func(string, string) {})
	if err := d.Load(ctx, "incident"); err != nil {
		return skipped("because reading the dictionary broke off: " + told(err)).with(facts)
	}
	table := d.Table("incident")
	if !table.FromInstance {
		return skipped("because the dictionary shows only a part of incident's fields to this user").with(facts)
	}
	hidden := []string{}
	for _, f := range table.Fields {
		if !shown[f.Name] {
			hidden = append(hidden, f.Name)
		}
	}
	facts["in_dictionary"], facts["hidden"] = len(table.Fields), hidden
	if len(hidden) == 0 {
		return ok(fmt.Sprintf("all %d fields of incident are shown", len(table.Fields))).with(facts)
	}
	return warning(fmt.Sprintf("%d of the %d fields of incident are in none of %d incidents, so they will be NULL: %s", len(hidden), len(table.Fields), len(e.sample.Records), names(hidden)),
		next+"; encrypted fields need their context as well").with(facts)
}

// utc proves with a real record that the instance reads a literal date-time as UTC: its own stored value finds it, and one
// an hour off does not.
func (e *examination) utc(ctx context.Context) outcome {
	keys := e.keys()
	if len(keys) == 0 {
		return skipped(noKeys)
	}
	var found, off int
	for range 2 { // the record may change in between; the last one is another
		key := keys[0]
		keys = keys[len(keys)-1:]
		at, err := time.Parse(servicenow.DateTime, key.UpdatedOn)
		if err != nil {
			return failed(err, "sys_updated_on does not come in the stored form", "look for a proxy that changes answers")
		}
		if found, err = e.found(ctx, key.SysID, at); err == nil {
			off, err = e.found(ctx, key.SysID, at.Add(-time.Hour))
		}
		switch {
		case refused(err):
			return skipped("because sys_id or sys_updated_on may not be queried; see " + CodeQuery)
		case err != nil:
			return outcome{state: Warning, seen: "the test query did not come back: " + told(err), next: advised(err), err: err}
		case found == 1 && off == 0:
			return ok("a record is found by its stored sys_updated_on, and not by one an hour off")
		case off > 0:
			return skipped("because the instance ignores a term of the query; see " + CodeQuery)
		}
	}
	return failed(nil, "a record is not found by its own sys_updated_on: the instance reads date-times in queries in another time zone than UTC, so windows would miss records",
		"set Time zone to GMT in the user's record (User Administration > Users), which makes both readings agree, run doctor again, and report this instance's release")
}

func (e *examination) found(ctx context.Context, id string, at time.Time) (int, error) {
	list, err := e.client.ListRecords(ctx, "incident", servicenow.ListOptions{
		Query: servicenow.Where(
			servicenow.Clause{Field: "sys_id", Operator: "=", Value: id},
			servicenow.Clause{Field: "sys_updated_on", Operator: "=", Value: at.Format(servicenow.DateTime)},
		),
		Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: 2,
	})
	if err != nil {
		return 0, err
	}
	return len(list.Records), nil
}

// query asks as a sync does: behind a key, up to a time, in the order of both fields.
func (e *examination) query(ctx context.Context) outcome {
	keys := e.keys()
	if len(keys) == 0 {
		return skipped(noKeys)
	}
	if e.results[CodeUTC].State == Failed { // the records could not be judged
		return skipped("because " + CodeUTC + " (date-times read as UTC) failed")
	}
	middle := keys[(len(keys)-1)/2]
	read := servicenow.Read{
		Table: "incident", Fields: []string{"sys_id", "sys_updated_on"}, Display: servicenow.Values, Pages: servicenow.NewPageSize(0),
		Window: servicenow.Window{After: middle, Through: keys[len(keys)-1].UpdatedOn},
	}
	for _, err := range e.client.ReadPages(ctx, read) {
		if err != nil {
			return failed(err, told(err), queryACL)
		}
		break
	}
	return ok("incidents can be filtered by ranges of sys_updated_on and sys_id, and come sorted by them")
}

// unknownName is a field that no instance has.
const unknownName = "u_cq_doctor_no_such_field"

// unknownField finds out what becomes of a query with a field that does not exist. It informs: the sync checks every name
// against the dictionary.
func (e *examination) unknownField(ctx context.Context) outcome {
	if len(e.sample.Records) == 0 {
		return skipped("because no incident is shown")
	}
	list, err := e.client.ListRecords(ctx, "incident", servicenow.ListOptions{
		Query:  servicenow.Where(servicenow.Clause{Field: unknownName, Operator: "=", Value: "1"}),
		Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: 1,
	})
	mode := func(text, mode string) outcome { return ok(text).with(map[string]any{"mode": mode}) }
	switch {
	case refused(err):
		return mode("a query with an unknown field is refused (403)", "refused")
	case err != nil:
		return outcome{state: Warning, seen: told(err), next: advised(err), err: err}
	case len(list.Records) == 0:
		return mode("a query with an unknown field returns nothing (glide.invalid_query.returns_no_rows)", "no_rows")
	case e.results[CodeDictionary].State == OK:
		return mode("an unknown field in a query is ignored, and the rest returned; the sync checks names against the dictionary first", "ignored")
	}
	return warning("an unknown field in a query is ignored, and without the dictionary not every name in incidents.query can be checked",
		"make the dictionary readable ("+CodeDictionary+"), or set the system property glide.invalid_query.returns_no_rows to true").with(map[string]any{"mode": "ignored"})
}

// rows compares what the sample's page held with what the instance counted.
func (e *examination) rows(ctx context.Context) outcome {
	total := e.sample.Total
	if total < 0 {
		var err error
		if total, err = e.client.Count(ctx, "incident", servicenow.Query{}); err != nil {
			return outcome{state: Warning, seen: "the instance tells this user no row counts, so hidden rows cannot be told from none: " + told(err), err: err,
				next: "give the user a read ACL on incident that rests on a role and on no condition; the Aggregate API counts only then"}
		}
	}
	asked, got := min(total, e.sampleSize), len(e.sample.Records)
	hidden := max(asked-got, 0)
	facts := map[string]any{"counted": total, "sample_asked": asked, "sample_shown": got}
	if hidden == 0 {
		return ok(fmt.Sprintf("%d incidents are counted, and all of a sample of %d are shown", total, got)).with(facts)
	}
	return warning(fmt.Sprintf("%d incidents are counted, and %d of a sample of %d are hidden from this user (%d%%)", total, hidden, asked, max(100*hidden/max(asked, 1), 1)),
		"if these rows are to be synced, look at the row conditions of the read ACLs of incident (System Security > Access Control), and at the user's domain").with(facts)
}

const (
	// smallTable is how many rows are read without an index in no time.
	smallTable = 10000
	// slowRange is how much longer than a look-up by sys_id a range may take.
	slowRange = time.Second
)

// index looks for an index that begins with sys_updated_on, among those that were made by hand; otherwise it takes the
// time of a range query. Indexes of the platform itself are in no table that can be read.
func (e *examination) index(ctx context.Context) outcome {
	keys := e.keys()
	if len(keys) == 0 {
		return skipped(noKeys)
	}
	if on := e.declaredIndex(ctx); on != "" {
		return ok("sys_index has an index on sys_updated_on of " + on).with(map[string]any{"declared_on": on})
	}
	last := keys[len(keys)-1]
	byID := servicenow.Where(servicenow.Clause{Field: "sys_id", Operator: "=", Value: last.SysID})
	byTime := servicenow.Where(
		servicenow.Clause{Field: "sys_updated_on", Operator: ">=", Value: last.UpdatedOn},
		servicenow.Clause{Field: "sys_updated_on", Operator: "<=", Value: last.UpdatedOn},
	).OrderBy("sys_updated_on", "sys_id")
	base, err := e.fastest(ctx, byID)
	if err != nil {
		return outcome{state: Warning, seen: "the time of a query cannot be taken: " + told(err), next: advised(err), err: err}
	}
	ranged, err := e.fastest(ctx, byTime)
	if err != nil {
		return outcome{state: Warning, seen: "the time of a range query cannot be taken: " + told(err), next: advised(err), err: err}
	}
	facts := map[string]any{"by_sys_id_ms": base.Milliseconds(), "by_range_ms": ranged.Milliseconds()}
	switch {
	case ranged-base > e.cfg.slowRange:
		return warning(fmt.Sprintf("a range of sys_updated_on takes %s, a look-up by sys_id %s: there seems to be no index on sys_updated_on", brief(ranged), brief(base)),
			"have an index on sys_updated_on of the table task made (System Definition > Tables > Task, related list Database Indexes)").with(facts)
	case e.sample.Total >= 0 && e.sample.Total < smallTable:
		return ok(fmt.Sprintf("a range of sys_updated_on takes %s; with %d rows an index makes no difference", brief(ranged), e.sample.Total)).with(facts)
	}
	return ok(fmt.Sprintf("a range of sys_updated_on takes %s, a look-up by sys_id %s", brief(ranged), brief(base))).with(facts)
}

// declaredIndex returns the table that has the index. Every column is checked here too: the instance drops terms with
// columns that it does not know.
func (e *examination) declaredIndex(ctx context.Context) string {
	list, err := e.client.ListRecords(ctx, "sys_index", servicenow.ListOptions{
		Query:  servicenow.Where(servicenow.Clause{Field: "logical_table_name", Operator: "IN", Value: "incident,task"}),
		Fields: []string{"logical_table_name", "col_name_string"}, Display: servicenow.Values, Limit: 200,
	})
	if err != nil {
		return ""
	}
	for _, record := range list.Records {
		table, _ := record.Text("logical_table_name")
		columns, _ := record.Text("col_name_string")
		first, _, _ := strings.Cut(columns, ",")
		if slices.Contains([]string{"incident", "task"}, table) && strings.TrimSpace(first) == "sys_updated_on" {
			return table
		}
	}
	return ""
}

// fastest returns the shorter time of two identical requests.
func (e *examination) fastest(ctx context.Context, q servicenow.Query) (time.Duration, error) {
	var best time.Duration
	for range 2 {
		began := time.Now()
		if _, err := e.client.ListRecords(ctx, "incident", servicenow.ListOptions{Query: q, Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: 1}); err != nil {
			return 0, err
		}
		if took := time.Since(began); best == 0 || took < best {
			best = took
		}
	}
	return best, nil
}
