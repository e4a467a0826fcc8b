package doctor

import (
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/auth"
	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

// Each case leads to the states of want, and to ok everywhere else.
func TestEveryConditionIsFound(t *testing.T) {
	type states = map[string]State
	query := func(r *http.Request) string { return r.URL.Query().Get("sysparm_query") }
	refuse := func(w http.ResponseWriter, text string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"error":{"message":"Insufficient rights to query records","detail":"` + text + `"},"status":"failure"}`))
	}
	for name, test := range map[string]struct {
		emulator emulator.Config
		given    func(i *instance)
		want     states
		code     string // whose texts are looked at
		cause    string
		seen     string
		next     string
	}{
		"hibernating": {
			given: func(i *instance) { i.SetFaults(emulator.Fault{Kind: emulator.FaultHibernating}) },
			want:  without(CodeInstance, CodeSignIn), code: CodeInstance, seen: "hibernating", next: "developer.servicenow.com",
		},
		"in maintenance": {
			given: func(i *instance) { i.SetFaults(emulator.Fault{Kind: emulator.FaultUnavailable}) },
			want:  without(CodeInstance, CodeSignIn), code: CodeInstance, seen: "HTTP 503", next: "planned upgrade",
		},
		"another page": {
			given: func(i *instance) {
				i.wrap = func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
					_, _ = w.Write([]byte("<html><title>Corporate \x1b[31mLogin</title></html>"))
				}
			},
			want: without(CodeInstance, CodeSignIn), code: CodeInstance, seen: `titled "Corporate [31mLogin"`, next: "gateway",
		},
		"a redirect": {
			given: func(i *instance) {
				i.wrap = func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
					http.Redirect(w, r, "https://sso.example.com/login?token=x", http.StatusFound)
				}
			},
			want: without(CodeInstance, CodeSignIn), code: CodeInstance, seen: "to sso.example.com", next: "/oauth_token.do",
		},
		"wrong secret": {
			given: func(i *instance) { i.auth.ClientSecret = canary + "wrong" },
			want:  without(CodeSignIn, CodeUser, CodeClock), code: CodeSignIn, cause: auth.CodeClientCredentialsRefused,
			next: "glide.oauth.inbound.client.credential.grant_type.enabled",
		},
		"wrong password": {
			given: func(i *instance) {
				i.auth = auth.Config{BaseURL: i.auth.BaseURL, Grant: auth.GrantBasic, Username: "emulator.user", Password: canary + "wrong"}
			},
			want: without(CodeSignIn, CodeUser, CodeClock), code: CodeSignIn, cause: auth.CodeBasicRefused, next: "snc_basic_auth_api_access",
		},
		"wrong key": {
			given: func(i *instance) {
				i.auth = auth.Config{BaseURL: i.auth.BaseURL, Grant: auth.GrantAPIKey, APIKey: canary + "wrong"}
			},
			want: without(CodeSignIn, CodeUser, CodeClock), code: CodeSignIn, cause: auth.CodeAPIKeyRefused, next: "policy",
		},
		"no sign-in can be made": {
			given: func(i *instance) {
				i.auth = auth.Config{BaseURL: i.auth.BaseURL, Grant: auth.GrantJWTBearer, ClientID: "c", ClientSecret: canary, Subject: "s", PrivateKey: []byte(canary)}
			},
			want: without(CodeSignIn, CodeUser, CodeClock), code: CodeSignIn, cause: auth.CodePrivateKey,
		},
		"a local time zone": {
			emulator: emulator.Config{TimeZone: "America/Los_Angeles"},
			want:     states{CodeUser: Warning}, code: CodeUser, seen: "America/Los_Angeles", next: "GMT",
		},
		"users hidden": {
			given: func(i *instance) { i.DenyTable("sys_user", emulator.DenyForbidden) },
			want:  states{CodeUser: Warning}, code: CodeUser, cause: servicenow.CodeTableForbidden, next: "sys_user",
		},
		"incidents forbidden": {
			given: func(i *instance) { i.DenyTable("incident", emulator.DenyForbidden) },
			want: states{
				CodeIncidents: Failed, CodeAttachments: Warning, CodeFields: Skipped, CodeUTC: Skipped, CodeQuery: Skipped, CodeUnknownField: Skipped,
				CodeRows: Skipped, CodeIndex: Skipped, CodeConcurrency: Skipped, CodeFirstLoad: Skipped, CodeSpecFields: Skipped,
			}, code: CodeIncidents, cause: servicenow.CodeTableForbidden, next: "itil",
		},
		"all incidents hidden": {
			given: func(i *instance) { i.HideRows("incident", func(string, func(string) string) bool { return true }) },
			want: states{
				CodeIncidents: Failed, CodeAttachments: Warning, CodeFields: Skipped, CodeUTC: Skipped, CodeQuery: Skipped, CodeUnknownField: Skipped,
				CodeRows: Skipped, CodeIndex: Skipped, CodeConcurrency: Skipped, CodeFirstLoad: Skipped, CodeSpecFields: Skipped,
			}, code: CodeIncidents, seen: "400 incidents are counted", next: "domain",
		},
		"answers cut": {
			given: func(i *instance) {
				i.SetFaults(emulator.Fault{Kind: emulator.FaultPartialResult, Table: "sys_attachment"})
			},
			want: states{CodeAttachments: Failed}, code: CodeAttachments, cause: servicenow.CodeCancelled,
		},
		"attachments forbidden": {
			given: func(i *instance) { i.DenyTable("sys_attachment", emulator.DenyForbidden) },
			want:  states{CodeAttachments: Failed}, code: CodeAttachments, cause: servicenow.CodeTableForbidden, next: "sys_attachment",
		},
		"dictionary forbidden": {
			given: func(i *instance) { i.DenyTable("sys_dictionary", emulator.DenyForbidden) },
			want:  states{CodeDictionary: Warning, CodeFields: Skipped, CodeUnknownField: Warning}, code: CodeDictionary, cause: servicenow.CodeTableForbidden, next: "personalize_dictionary",
		},
		"dictionary empty": {
			given: func(i *instance) { i.DenyTable("sys_dictionary", emulator.DenyEmpty) },
			want:  states{CodeDictionary: Warning, CodeFields: Skipped, CodeUnknownField: Warning}, code: CodeDictionary, seen: "shows nothing",
		},
		"tables forbidden": {
			given: func(i *instance) { i.DenyTable("sys_db_object", emulator.DenyForbidden) },
			want:  states{CodeTables: Warning}, code: CodeTables, cause: servicenow.CodeTableForbidden, next: "sys_db_object",
		},
		"choices empty": {
			given: func(i *instance) { i.DenyTable("sys_choice", emulator.DenyEmpty) },
			want:  states{}, code: CodeChoices, seen: "cannot be read, and is not needed",
		},
		"choices fail": {
			given: func(i *instance) {
				i.SetFaults(emulator.Fault{Kind: emulator.FaultCancelled, Table: "sys_choice"})
			},
			want: states{CodeChoices: Warning}, code: CodeChoices, cause: servicenow.CodeCancelled,
		},
		"layout forbidden": {
			given: func(i *instance) { i.DenyTable("sys_ui_element", emulator.DenyForbidden) },
			want:  states{CodeLayout: Warning}, code: CodeLayout, cause: servicenow.CodeTableForbidden, seen: "sys_ui_element may not be read: `text` follows the out-of-box form", next: "personalize_form",
		},
		"layout empty": {
			given: func(i *instance) { i.DenyTable("sys_ui_form_section", emulator.DenyEmpty) },
			want:  states{CodeLayout: Warning}, code: CodeLayout, seen: "sys_ui_form_section shows nothing to this user", next: "sys_ui_section",
		},
		"journal forbidden": {
			given: func(i *instance) { i.DenyTable("sys_journal_field", emulator.DenyForbidden) },
			want:  states{}, code: CodeJournal, seen: "not needed",
		},
		"a field hidden": {
			given: func(i *instance) { i.HideFields("incident", "caller_id", "close_notes") },
			want:  states{CodeFields: Warning}, code: CodeFields, seen: "caller_id, close_notes", next: "incident.<field>",
		},
		"the key hidden": {
			given: func(i *instance) { i.HideFields("incident", "sys_updated_on") },
			want:  states{CodeFields: Failed, CodeUTC: Skipped, CodeQuery: Skipped, CodeIndex: Skipped}, code: CodeFields, seen: "sys_updated_on",
		},
		"terms ignored": {
			given: func(i *instance) { i.SetFaults(emulator.Fault{Kind: emulator.FaultDroppedWindow}) },
			want:  states{CodeUTC: Skipped, CodeQuery: Failed, CodeIndex: Skipped}, code: CodeQuery, cause: servicenow.CodeOutsideWindow, next: "query_range",
		},
		"not sorted": {
			given: func(i *instance) { i.SetFaults(emulator.Fault{Kind: emulator.FaultWrongOrder}) },
			want:  states{CodeQuery: Failed, CodeIndex: Skipped}, code: CodeQuery, cause: servicenow.CodeOutOfOrder, next: "query_range",
		},
		"ranges refused": {
			given: func(i *instance) {
				i.wrap = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if q := query(r); strings.Contains(q, "ORDERBY") && strings.HasSuffix(r.URL.Path, "/incident") {
						refuse(w, "Field(s) present in the query do not have permission to be read")
						return
					}
					next.ServeHTTP(w, r)
				}
			},
			want: states{CodeQuery: Failed, CodeIndex: Skipped}, code: CodeQuery, cause: servicenow.CodeQueryForbidden, next: "query_match",
		},
		"literals in another zone": {
			given: func(i *instance) {
				i.wrap = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if query(r) == "" {
						next.ServeHTTP(w, r)
						return
					}
					values := r.URL.Query()
					values.Set("sysparm_query", regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`).ReplaceAllStringFunc(values.Get("sysparm_query"), func(text string) string {
						at, _ := time.Parse(time.DateTime, text)
						return at.Add(8 * time.Hour).Format(time.DateTime)
					}))
					r.URL.RawQuery = values.Encode()
					next.ServeHTTP(w, r)
				}
			},
			want: states{CodeUTC: Failed, CodeQuery: Skipped, CodeIndex: Skipped}, code: CodeUTC, seen: "another time zone", next: "GMT",
		},
		"unknown fields give nothing": {
			emulator: emulator.Config{InvalidQuery: emulator.NoRows}, want: states{}, code: CodeUnknownField, seen: "returns_no_rows",
		},
		"unknown fields are refused": {
			emulator: emulator.Config{InvalidQuery: emulator.Forbidden}, want: states{}, code: CodeUnknownField, seen: "403",
		},
		"rows hidden": {
			given: func(i *instance) {
				i.HideRows("incident", func(id string, _ func(string) string) bool { return id[0] < '4' })
			},
			want: states{CodeRows: Warning}, code: CodeRows, seen: "of a sample of 200 are hidden", next: "row conditions",
		},
		"no counts": {
			given: func(i *instance) {
				i.OmitTotalCount(true)
				i.wrap = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if strings.Contains(r.URL.Path, "/stats/") {
						refuse(w, "")
						return
					}
					next.ServeHTTP(w, r)
				}
			},
			want: states{CodeRows: Warning, CodeFirstLoad: Skipped}, code: CodeRows, cause: servicenow.CodeTableForbidden, seen: "no row counts", next: "role",
		},
		"no index": {
			given: func(i *instance) {
				i.cfg.slowRange = 100 * time.Millisecond
				i.wrap = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if strings.HasPrefix(query(r), "sys_updated_on") {
						time.Sleep(300 * time.Millisecond)
					}
					next.ServeHTTP(w, r)
				}
			},
			want: states{CodeIndex: Warning}, code: CodeIndex, seen: "no index", next: "Database Indexes",
		},
		"an index in the catalogue": {
			given: func(i *instance) {
				i.wrap = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if !strings.HasSuffix(r.URL.Path, "/sys_index") {
						next.ServeHTTP(w, r)
						return
					}
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(`{"result":[{"logical_table_name":"problem","col_name_string":"sys_updated_on"},{"logical_table_name":"task","col_name_string":"sys_updated_on,sys_id"}]}`))
				}
			},
			want: states{}, code: CodeIndex, seen: "sys_updated_on of task",
		},
		"a rate limit met": {
			given: func(i *instance) {
				i.SetFaults(emulator.Fault{Kind: emulator.FaultRateLimited, From: 6, Times: 1})
			},
			want: states{CodeRateLimit: Warning}, code: CodeRateLimit, seen: "36000 requests an hour", next: "Rate Limit Rules",
		},
		"a rate limit announced": {
			given: func(i *instance) {
				i.wrap = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					w.Header().Set("X-RateLimit-Limit", "5000")
					next.ServeHTTP(w, r)
				}
			},
			want: states{}, code: CodeRateLimit, seen: "5000 requests an hour",
		},
		"a full queue": {
			given: func(i *instance) {
				var running atomic.Int32
				i.wrap = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					defer running.Add(-1)
					if running.Add(1) > 1 {
						http.Error(w, "{}", http.StatusTooManyRequests)
						return
					}
					if strings.HasSuffix(r.URL.Path, "/incident") {
						time.Sleep(20 * time.Millisecond)
					}
					next.ServeHTTP(w, r)
				}
			},
			want: states{CodeConcurrency: Warning}, code: CodeConcurrency, seen: "queue full", next: "concurrency",
		},
		"an unknown field in the query": {
			given: func(i *instance) {
				i.cfg.Query = servicenow.Where(servicenow.Clause{Field: "prioritee", Operator: "=", Value: "1"})
			},
			want: states{CodeSpecFields: Failed}, code: CodeSpecFields, cause: dictionary.CodeUnknownField, seen: "prioritee", next: "Dictionary",
		},
		"an unknown field among the columns": {
			given: func(i *instance) { i.cfg.Fields = []string{"number", "u_*", "numbr"} },
			want:  states{CodeSpecFields: Failed}, code: CodeSpecFields, cause: dictionary.CodeUnknownField, seen: "numbr", next: "Dictionary",
		},
		"clocks differ": {
			emulator: emulator.Config{Now: func() time.Time { return time.Now().Add(10 * time.Minute) }},
			want:     states{CodeClock: Warning}, code: CodeClock, seen: "10m", next: "NTP",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newInstance(t, test.emulator)
			if test.given != nil {
				test.given(i)
			}
			r := i.examine(t)
			require.Equal(t, test.want, notOK(r), printed(t, r, Style{}))
			found := r.result(test.code)
			require.Equal(t, test.cause, found.Cause)
			require.Contains(t, found.Seen, test.seen)
			require.Contains(t, found.NextStep, test.next)
			require.Equal(t, r.Count(Failed) == 0, r.OK)
			require.Equal(t, r.OK, r.Err() == nil)
		})
	}
}
