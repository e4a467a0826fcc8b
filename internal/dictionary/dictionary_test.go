package dictionary_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/dictionary"
	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

type apiKey struct{}

func (apiKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("x-sn-apikey", "emulator-key")
	return http.DefaultTransport.RoundTrip(r)
}

func open(t *testing.T) (*emulator.Emulator, *dictionary.Dictionary, *[]string) {
	t.Helper()
	e := emulator.New(emulator.Config{})
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	t.Cleanup(func() { require.Empty(t, e.Violations()) })
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	c := servicenow.New(servicenow.Config{BaseURL: base, HTTP: &http.Client{Transport: apiKey{}}, Logger: zerolog.Nop(),
		Retry: servicenow.Retry{Tries: 2, First: time.Millisecond, Longest: time.Millisecond, Budget: time.Second}})
	warnings := &[]string{}
	return e, dictionary.New(c, func(code, _ string) { *warnings = append(*warnings, code) }), warnings
}

func TestLoadWithTwoRequests(t *testing.T) {
	e, d, warnings := open(t)
	require.NoError(t, d.Load(t.Context(), "incident", "sys_attachment"))
	require.Len(t, e.Requests(), 2)
	require.Empty(t, *warnings)
	incident := d.Table("incident")
	require.True(t, incident.FromInstance)
	require.Equal(t, "Incident", incident.Label)
	require.Equal(t, "task", incident.Ancestors[0])
	for name, want := range map[string]dictionary.Field{
		"caller_id":   {Table: "incident", Type: "reference", Reference: "sys_user"},
		"state":       {Table: "task", Type: "integer", Choice: true},
		"sys_id":      {Table: "task", Type: "GUID"},
		"u_vendor":    {Table: "incident", Type: "reference", Reference: "core_company"},
		"opened_at":   {Table: "task", Type: "glide_date_time"},
		"description": {Table: "task", Type: "string"},
	} {
		f, ok := incident.Field(name)
		require.True(t, ok, name)
		require.Equal(t, want, dictionary.Field{Table: f.Table, Type: f.Type, Reference: f.Reference, Choice: f.Choice}, name)
	}
}

// The embedded copy has to agree with what an instance says of the same fields.
func TestOutOfBoxAgreesWithAnInstance(t *testing.T) {
	_, d, _ := open(t)
	require.NoError(t, d.Load(t.Context(), "incident", "sys_attachment"))
	for _, table := range []string{"incident", "sys_attachment"} {
		for _, f := range dictionary.OutOfBox(table).Fields {
			require.NotEmpty(t, f.Description, f.Name)
			require.True(t, strings.HasSuffix(f.Description, "."), f.Name)
			seen, ok := d.Table(table).Field(f.Name)
			if !ok || table == "sys_attachment" && f.Name == "table_name" {
				continue // pseudo-fields such as sys_tags, and a name that is read as plain text
			}
			require.Equal(t, seen.Type, f.Type, "%s.%s", table, f.Name)
			require.Equal(t, seen.Reference, f.Reference, "%s.%s", table, f.Name)
		}
	}
}

func TestHiddenDictionary(t *testing.T) {
	for _, mode := range []emulator.DenyMode{emulator.DenyForbidden, emulator.DenyEmpty} {
		e, d, warnings := open(t)
		e.DenyTable("sys_dictionary", mode)
		e.DenyTable("sys_db_object", mode)
		require.NoError(t, d.Load(t.Context(), "incident"))
		require.Equal(t, []string{dictionary.CodeFamily, dictionary.CodeUnreadable}, *warnings)
		incident := d.Table("incident")
		require.False(t, incident.FromInstance)
		f, ok := incident.Field("caller_id")
		require.True(t, ok)
		require.Equal(t, "sys_user", f.Reference)
		// A record shows the custom fields that the out-of-box schema does not have.
		require.NoError(t, d.CheckFields(t.Context(), "incident", "spec.incidents.query", []string{"u_region", "state"}))
		require.Equal(t, dictionary.CodeUnknownField, usererror.CodeOf(d.CheckFields(t.Context(), "incident", "spec.incidents.query", []string{"u_regoin"})))
	}
}

func TestCheckFieldsWalksReferences(t *testing.T) {
	_, d, _ := open(t)
	require.NoError(t, d.Load(t.Context(), "incident"))
	require.NoError(t, d.CheckFields(t.Context(), "incident", "q", []string{"priority", "caller_id.name", "assigned_to.company.name", "parent_incident.caller_id.name"}))
	for _, field := range []string{"prioritee", "caller_id.nam", "priority.name", "caller_id.company.nope"} {
		err := d.CheckFields(t.Context(), "incident", "q", []string{field})
		require.Equal(t, dictionary.CodeUnknownField, usererror.CodeOf(err), field)
		require.ErrorContains(t, err, field)
	}
}

func TestSelect(t *testing.T) {
	incident := dictionary.OutOfBox("incident")
	names, unknown := incident.Select([]string{"number", "close_*", "u_*", "nope"})
	require.Equal(t, []string{"close_code", "close_notes", "number"}, names)
	require.Equal(t, []string{"u_*", "nope"}, unknown)
	names, _ = incident.Select([]string{"*"})
	require.Len(t, names, len(incident.Fields))
}
