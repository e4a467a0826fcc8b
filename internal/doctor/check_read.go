package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

const webServices = "tick Allow access to this table via web services on its record in System Definition > Tables"

// incidents takes the sample that most other checks look at. Sorting by sys_id, which has no meaning, makes it a random one.
func (e *examination) incidents(ctx context.Context) outcome {
	options := servicenow.ListOptions{Query: servicenow.Query{}.OrderBy("sys_id"), Display: servicenow.Both, Limit: e.sampleSize, Count: true}
	take := func() error {
		began := time.Now()
		list, err := e.client.ListRecords(ctx, "incident", options)
		if err == nil {
			e.sample, e.sampleTook = list, time.Since(began)
		}
		return err
	}
	err := take()
	if refused(err) {
		// Sorting has rights of its own, which another check is about.
		options.Query = servicenow.Query{}
		err = take()
	}
	const next = "give the user the role itil, or read access to incident (System Security > Access Control); with the REST_Endpoint ACLs active, snc_platform_rest_api_access as well; and "
	switch {
	case err != nil:
		return failed(err, told(err), next+webServices)
	case len(e.sample.Records) == 0 && e.sample.Total > 0:
		return failed(nil, fmt.Sprintf("%d incidents are counted, and none of the first %d is shown", e.sample.Total, e.sampleSize),
			"look at the row conditions of the read ACLs of incident and at the user's domain; "+next+webServices)
	case len(e.sample.Records) == 0:
		return warning("no incident is there, or all are hidden from this user, which looks the same",
			"if there are incidents: "+next+webServices+". With domain separation, look at the user's domain")
	}
	return ok("incidents can be read, without which there is no sync").with(map[string]any{"sample_rows": len(e.sample.Records), "sample_ms": e.sampleTook.Milliseconds()})
}

func (e *examination) attachments(ctx context.Context) outcome {
	const next = "give the user read access to sys_attachment (System Security > Access Control), as the role itil has for attachments of records it reads; and " + webServices
	list, err := e.client.ListRecords(ctx, "sys_attachment", servicenow.ListOptions{
		Query:  servicenow.Where(servicenow.Clause{Field: "table_name", Operator: "IN", Value: "incident,ZZ_YYincident"}),
		Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: 20, Count: true,
	})
	if err != nil {
		return failed(err, told(err), next)
	}
	e.attachmentRows = list.Total
	switch {
	case len(list.Records) == 0 && list.Total > 0:
		return warning(fmt.Sprintf("%d attachments of incidents are counted, and none of the first 20 is shown", list.Total), "look at the user's access to the incidents they belong to; "+next)
	case len(list.Records) == 0:
		return warning("no attachment of an incident is there, or all are hidden from this user, which looks the same", "if there are attachments: "+next)
	}
	return ok("attachments of incidents can be read").with(map[string]any{"counted": list.Total})
}

// metadata looks for one row in each table: use says what the sync takes from it, lost what becomes of that without it. An
// instance answers a refusal or an empty list, by its age.
func (e *examination) metadata(ctx context.Context, use, lost, next string, tables ...string) outcome {
	for _, table := range tables {
		options := servicenow.ListOptions{Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: 1}
		if table != "sys_ui_element" && table != "sys_ui_form_section" { // which have no name
			options.Query = servicenow.Where(servicenow.Clause{Field: "name", Operator: "IN", Value: "incident,task"})
		}
		list, err := e.client.ListRecords(ctx, table, options)
		switch {
		case refused(err):
			return outcome{state: Warning, seen: fmt.Sprintf("%s may not be read: %s", table, lost), next: next, err: err}
		case err != nil:
			return outcome{state: Warning, seen: fmt.Sprintf("%s cannot be read: %s", table, told(err)), next: advised(err), err: err}
		case len(list.Records) == 0:
			return warning(fmt.Sprintf("%s shows nothing to this user: %s", table, lost), next)
		}
	}
	return ok(names(tables) + " can be read: " + use)
}

func (e *examination) dictionary(ctx context.Context) outcome {
	return e.metadata(ctx, "the types of columns, custom fields, and the names that incidents.query may use",
		"columns are typed by the out-of-box schema, custom fields stay in `record`, and fields in incidents.query are checked less well",
		"give the user the role personalize_dictionary, or a read ACL on sys_dictionary (System Security > Access Control)", "sys_dictionary")
}

func (e *examination) tables(ctx context.Context) outcome {
	return e.metadata(ctx, "the labels, parents and children of tables",
		"the labels, parents and children of tables are those of an out-of-box instance",
		"give the user a read ACL on sys_db_object (System Security > Access Control), or the role personalize_dictionary", "sys_db_object")
}

// choices only informs: a sync does not read that table.
func (e *examination) choices(ctx context.Context) outcome {
	o := e.metadata(ctx, "", "", "", "sys_choice")
	if o.err != nil && !refused(o.err) {
		return o
	}
	readable := o.state == OK
	verb := "cannot be read"
	if readable {
		verb = "can be read"
	}
	return ok("sys_choice " + verb + ", and is not needed: display values come with the records").with(map[string]any{"readable": readable})
}

func (e *examination) layout(ctx context.Context) outcome {
	return e.metadata(ctx, "`text` shows an incident as its form does, section by section",
		"`text` follows the out-of-box form, and what your form shows beyond it, such as custom sections and fields, is missing there",
		"give the user the role personalize_form, or read ACLs on sys_ui_section, sys_ui_form_section and sys_ui_element (System Security > Access Control)",
		"sys_ui_section", "sys_ui_form_section", "sys_ui_element")
}

// journal only informs: the sync does not read that table, whose rows go past the rights on the fields.
func (e *examination) journal(ctx context.Context) outcome {
	list, err := e.client.ListRecords(ctx, "sys_journal_field", servicenow.ListOptions{
		Query:  servicenow.Where(servicenow.Clause{Field: "name", Operator: "=", Value: "incident"}),
		Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: 1,
	})
	switch {
	case err == nil && len(list.Records) > 0:
		return ok("sys_journal_field can be read, and is not needed: comments and work notes come with the incidents").with(map[string]any{"readable": true})
	case err == nil, refused(err):
		return ok("sys_journal_field cannot be read, and is not needed: comments and work notes come with the incidents").with(map[string]any{"readable": false})
	}
	return outcome{state: Warning, seen: "sys_journal_field cannot be read: " + told(err), next: advised(err), err: err}
}
