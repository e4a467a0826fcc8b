package doctor

import "context"

// The checks' codes; docs/doctor.md explains each.
const (
	CodeAddress      = "SN-DOC-001"
	CodeInstance     = "SN-DOC-002"
	CodeSignIn       = "SN-DOC-003"
	CodeUser         = "SN-DOC-004"
	CodeIncidents    = "SN-DOC-005"
	CodeAttachments  = "SN-DOC-006"
	CodeDictionary   = "SN-DOC-007"
	CodeTables       = "SN-DOC-008"
	CodeChoices      = "SN-DOC-009"
	CodeLayout       = "SN-DOC-010"
	CodeJournal      = "SN-DOC-011"
	CodeFields       = "SN-DOC-012"
	CodeUTC          = "SN-DOC-013"
	CodeQuery        = "SN-DOC-014"
	CodeUnknownField = "SN-DOC-015"
	CodeRows         = "SN-DOC-016"
	CodeIndex        = "SN-DOC-017"
	CodeRateLimit    = "SN-DOC-018"
	CodeConcurrency  = "SN-DOC-019"
	CodeClock        = "SN-DOC-020"
	CodeFirstLoad    = "SN-DOC-021"
	CodeSpecFields   = "SN-DOC-022"
)

// check is one question to the instance.
type check struct {
	code, key, title string
	// needs are the checks without which this one means nothing: it is skipped when one of them failed or was skipped.
	needs []string
	// connects marks the checks of the connection test.
	connects bool
	run      func(*examination, context.Context) outcome
}

// checks returns every check in its order: what is needed stands before what needs it.
func checks() []check {
	signedIn := []string{CodeSignIn}
	sample := []string{CodeIncidents}
	return []check{
		{CodeAddress, "address", "Address and TLS", nil, true, (*examination).address},
		{CodeInstance, "instance", "ServiceNow instance, awake", []string{CodeAddress}, true, (*examination).instance},
		{CodeSignIn, "sign_in", "Sign-in", []string{CodeInstance}, true, (*examination).signIn},
		{CodeUser, "session_user", "Session user and time zone", signedIn, false, (*examination).user},
		{CodeIncidents, "incidents_readable", "Incidents readable", signedIn, true, (*examination).incidents},
		{CodeAttachments, "attachments_readable", "Attachments readable", signedIn, true, (*examination).attachments},
		{CodeDictionary, "dictionary_readable", "Dictionary readable", signedIn, false, (*examination).dictionary},
		{CodeTables, "tables_readable", "Table catalogue readable", signedIn, false, (*examination).tables},
		{CodeChoices, "choices_readable", "Choices readable", signedIn, false, (*examination).choices},
		{CodeLayout, "layout_readable", "Form layout readable", signedIn, false, (*examination).layout},
		{CodeJournal, "journal_readable", "Journal table", signedIn, false, (*examination).journal},
		{CodeFields, "hidden_fields", "Fields shown", sample, false, (*examination).fields},
		{CodeUTC, "literal_times_utc", "Date-times read as UTC", sample, false, (*examination).utc},
		{CodeQuery, "range_and_sort", "Range filter and sorting", sample, false, (*examination).query},
		{CodeUnknownField, "unknown_query_field", "Unknown fields in queries", sample, false, (*examination).unknownField},
		{CodeRows, "hidden_rows", "Rows shown", sample, false, (*examination).rows},
		{CodeIndex, "updated_on_index", "Index on sys_updated_on", []string{CodeIncidents, CodeQuery}, false, (*examination).index},
		{CodeRateLimit, "rate_limits", "Rate limits", signedIn, false, (*examination).rateLimit},
		{CodeConcurrency, "concurrency", "Requests side by side", sample, false, (*examination).concurrency},
		{CodeClock, "clock", "Clock", []string{CodeInstance}, false, (*examination).clock},
		{CodeFirstLoad, "first_load", "First load, estimated", sample, false, (*examination).firstLoad},
		{CodeSpecFields, "spec_fields", "Fields that the spec names", sample, false, (*examination).specFields},
	}
}
