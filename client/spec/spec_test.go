package spec

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/cloudquery/codegen/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

const valid = `{"instance_subdomain":"example","auth":{"grant_type":"client_credentials","client_id":"id","client_secret":"canary-secret"}}`

func TestParseFillsDefaults(t *testing.T) {
	s, err := Parse([]byte(valid))
	require.NoError(t, err)
	require.Zero(t, s.Concurrency, "adaptive")
	require.Equal(t, 5*time.Minute, s.Overlap.Duration())
	require.Equal(t, "none", s.Deletes)
	require.Zero(t, s.PageSize, "adaptive")
}

func TestInstancesStartFromTheTopLevelKeys(t *testing.T) {
	s, err := Parse([]byte(`{
		"auth":{"grant_type":"basic","username":"u","password":"p"}, "overlap":"1h", "incidents":{"query":"active=true"},
		"instances":[
			{"name":"one","instance_subdomain":"one"},
			{"name":"two","instance_url":"https://two.example.com/","overlap":"2m","incidents":{"query":""},
			 "auth":{"grant_type":"api_key","username":"","password":"","api_key":"k"}}]}`))
	require.NoError(t, err)
	require.Len(t, s.Instances, 2)
	one, two := s.Instances[0], s.Instances[1]
	require.Equal(t, "basic", one.Auth.GrantType)
	require.Equal(t, time.Hour, one.Overlap.Duration())
	require.Equal(t, "active=true", one.Incidents.Query)
	require.Equal(t, "api_key", two.Auth.GrantType)
	require.Equal(t, 2*time.Minute, two.Overlap.Duration())
	require.Empty(t, two.Incidents.Query)
}

func TestItemsShareNoLists(t *testing.T) {
	s, err := Parse([]byte(`{"auth":{"grant_type":"api_key","api_key":"k"},"incidents":{"fields":["a","b","c"]},
		"instances":[{"name":"x","instance_subdomain":"x","incidents":{"fields":["z"]}},{"name":"y","instance_subdomain":"y"}]}`))
	require.NoError(t, err)
	require.Equal(t, []string{"z"}, s.Instances[0].Incidents.Fields)
	require.Equal(t, []string{"a", "b", "c"}, s.Instances[1].Incidents.Fields)
}

func TestParseReportsEveryFaultAtOnce(t *testing.T) {
	_, err := Parse([]byte(`{
		"instance_subdomain":"example.service-now.com", "instance_url":"http://itsm.example.com/path", "page_size":"many", "concurrency":65,
		"auth":{"grant_type":"client_credential","client_id":"id","client_secrets":"canary-secret"},
		"incidents":{"sys_ids":["a b"],"fields":["Number"]}, "attachment":{}, "overlap":"soon", "deletes":"always"}`))
	require.Equal(t, CodeInvalid, usererror.CodeOf(err))
	var invalid *InvalidError
	require.True(t, errors.As(err, &invalid))
	paths := map[string]bool{}
	for _, p := range invalid.Problems {
		paths[p.Path] = true
	}
	for _, path := range []string{"page_size", "concurrency", "auth.grant_type", "auth.client_secrets", "attachment", "overlap", "deletes"} {
		require.True(t, paths[path], "%s is not in: %v", path, err)
	}
	require.NotContains(t, err.Error(), "canary-secret")
}

func TestParseReportsContradictions(t *testing.T) {
	for name, test := range map[string]struct{ spec, path string }{
		"nothing":             {`null`, "instance_subdomain"},
		"nothing at all":      {``, "auth.grant_type"},
		"two addresses":       {`{"instance_subdomain":"a","instance_url":"https://b.example.com","auth":{"grant_type":"api_key","api_key":"k"}}`, "instance_url"},
		"a whole address":     {`{"instance_subdomain":"a.service-now.com","auth":{"grant_type":"api_key","api_key":"k"}}`, "instance_subdomain"},
		"plain http":          {`{"instance_url":"http://a.example.com","auth":{"grant_type":"api_key","api_key":"k"}}`, "instance_url"},
		"a path":              {`{"instance_url":"https://a.example.com/now","auth":{"grant_type":"api_key","api_key":"k"}}`, "instance_url"},
		"user in the address": {`{"instance_url":"https://u:p@a.example.com","auth":{"grant_type":"api_key","api_key":"k"}}`, "instance_url"},
		"a missing secret":    {`{"instance_subdomain":"a","auth":{"grant_type":"client_credentials","client_id":"x"}}`, "auth.client_secret"},
		"a useless key":       {`{"instance_subdomain":"a","auth":{"grant_type":"api_key","api_key":"k","password":"p"}}`, "auth.password"},
		"no private key":      {`{"instance_subdomain":"a","auth":{"grant_type":"jwt_bearer","client_id":"x","subject":"s"}}`, "auth.private_key_file"},
		"a missing key file":  {`{"instance_subdomain":"a","auth":{"grant_type":"jwt_bearer","client_id":"x","subject":"s","private_key_file":"/does/not/exist"}}`, "auth.private_key_file"},
		"no overlap":          {`{"instance_subdomain":"a","auth":{"grant_type":"api_key","api_key":"k"},"overlap":"0s"}`, "overlap"},
		"a query that ServiceNow would drop a part of": {`{"instance_subdomain":"a","auth":{"grant_type":"api_key","api_key":"k"},"incidents":{"query":"active=true^ORDERBYnumber"}}`, "incidents.query"},
		"a negative overlap":                           {`{"instance_subdomain":"a","auth":{"grant_type":"api_key","api_key":"k"},"overlap":"-1s"}`, "overlap"},
		"a name twice":                                 {`{"auth":{"grant_type":"api_key","api_key":"k"},"instances":[{"name":"x","instance_subdomain":"a"},{"name":"x","instance_subdomain":"b"}]}`, "instances[1].name"},
		"an item's fault":                              {`{"auth":{"grant_type":"api_key","api_key":"k"},"instances":[{"name":"x"}]}`, "instances[0].instance_subdomain"},
		"an item's bad key":                            {`{"auth":{"grant_type":"api_key","api_key":"k"},"instances":[{"name":"x","instance_subdomain":"a","foo":1}]}`, "instances[0].foo"},
		"an id twice":                                  {`{"instance_subdomain":"a","auth":{"grant_type":"api_key","api_key":"k"},"incidents":{"sys_ids":["a","a"]}}`, "incidents.sys_ids[1]"},
	} {
		_, err := Parse([]byte(test.spec))
		var invalid *InvalidError
		require.True(t, errors.As(err, &invalid), name)
		paths := []string{}
		for _, p := range invalid.Problems {
			paths = append(paths, p.Path)
		}
		require.Contains(t, paths, test.path, name)
	}
}

func TestPlainHTTPIsForLoopback(t *testing.T) {
	for _, address := range []string{"http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:9"} {
		_, err := Parse([]byte(`{"instance_url":"` + address + `","auth":{"grant_type":"api_key","api_key":"k"}}`))
		require.NoError(t, err, address)
	}
}

func TestEveryGrantIsAccepted(t *testing.T) {
	key := t.TempDir() + "/key.pem"
	require.NoError(t, os.WriteFile(key, []byte("x"), 0o600))
	for _, auth := range []string{
		`"grant_type":"client_credentials","client_id":"i","client_secret":"s"`,
		`"grant_type":"refresh_token","client_id":"i","client_secret":"s","refresh_token":"r"`,
		`"grant_type":"refresh_token","client_id":"i","client_secret":"s","refresh_token":"r","access_token":"a"`,
		`"grant_type":"refresh_token","access_token":"a"`,
		`"grant_type":"authorization_code","client_id":"i","refresh_token":"r"`,
		`"grant_type":"authorization_code","client_id":"i","redirect_uri":"http://127.0.0.1:8976/callback","token_store":"keyring"`,
		`"grant_type":"password","client_id":"i","client_secret":"s","username":"u","password":"p"`,
		`"grant_type":"jwt_bearer","client_id":"i","client_secret":"s","subject":"u","key_id":"k","private_key_file":"` + key + `"`,
		`"grant_type":"basic","username":"u","password":"p"`,
		`"grant_type":"api_key","api_key":"k"`,
	} {
		_, err := Parse([]byte(`{"instance_subdomain":"a","auth":{` + auth + `}}`))
		require.NoError(t, err, auth)
	}
}

func TestJSONSchema(t *testing.T) {
	jsonschema.TestJSONSchema(t, JSONSchema, []jsonschema.TestCase{
		{Name: "valid", Spec: valid},
		{Name: "unknown key", Spec: `{"instance":"a"}`, Err: true},
		{Name: "wrong type", Spec: `{"page_size":"1"}`, Err: true},
		{Name: "unknown grant", Spec: `{"auth":{"grant_type":"magic"}}`, Err: true},
		{Name: "an item without a name", Spec: `{"instances":[{"instance_subdomain":"a"}]}`, Err: true},
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte(`{"instances":[{"name":"x","overlap":"5m"}],"page_size":1e9}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err == nil {
			require.NotNil(t, s)
			return
		}
		require.Equal(t, CodeInvalid, usererror.CodeOf(err))
	})
}
