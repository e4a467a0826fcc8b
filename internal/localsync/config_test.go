package localsync

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/localsync/sqlitedest"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

const goodDestination = `
---
kind: destination
spec:
  name: sqlite
  registry: embedded
  path: sqlite
  spec: {connection_string: ./x.db}
`

func TestParseConfig(t *testing.T) {
	c, err := parseConfig([]byte(`# ${NOT_LOOKED_UP}
kind: source
spec:
  name: one
  registry: cloudquery
  path: cqservicenow/servicenow
  version: v1.0.0
  tables: &tables [servicenow_incidents, servicenow_tables]
  skip_tables: [servicenow_tables]
  skip_dependent_tables: false
  deterministic_cq_id: true
  destinations: [sqlite]
  otel_endpoint: localhost:4318
  otel_endpoint_insecure: true
  backend_options:
    table_name: cq_state
    connection: "@@plugins.state.connection"
  spec: &spec
    page_size: 7
    auth: {grant_type: basic}
---
kind: source
spec:
  name: servicenow2
  tables: ["*"]
  destinations: [sqlite]
---
kind: destination
spec:
  name: sqlite
  registry: embedded
  path: sqlite
  write_mode: append
  migrate_mode: forced
  pk_mode: cq-id-only
  spec: {connection_string: ./x.db, batch_size: 5}
---
kind: destination
spec: {name: state, registry: embedded, path: sqlite, spec: {connection_string: ./state.db}}
`), "x.yml")
	require.NoError(t, err)
	require.Equal(t, []*sourceConfig{{
		name:              "one",
		tables:            []string{"servicenow_incidents", "servicenow_tables"},
		skipTables:        []string{"servicenow_tables"},
		deterministicCQID: true,
		destination:       "sqlite",
		backend:           &backendOptions{"cq_state", "@@plugins.state.connection"},
		otelEndpoint:      "localhost:4318",
		otelInsecure:      true,
		spec:              map[string]any{"page_size": uint64(7), "auth": map[string]any{"grant_type": "basic"}},
		references:        []string{"state"},
	}, {
		name:                "servicenow2",
		tables:              []string{"*"},
		skipDependentTables: true,
		destination:         "sqlite",
	}}, c.sources)
	require.Equal(t, map[string]*destinationConfig{
		"sqlite": {"sqlite", "append", "forced", "cq-id-only", sqlitedest.Spec{ConnectionString: "./x.db", BatchSize: 5}},
		"state":  {"state", "overwrite-delete-stale", "safe", "default", sqlitedest.Spec{ConnectionString: "./state.db"}},
	}, c.destinations)
}

func TestConfigConnections(t *testing.T) {
	t.Setenv("LS_NUMBER", "12")
	c, err := parseConfig([]byte(`kind: source
spec:
  name: servicenow
  tables: [${LS_NUMBER}_a, "${LS_NUMBER}"]
  destinations: [sqlite]
  spec:
    number: ${LS_NUMBER}
    connection: "x=@@plugins.sqlite.connection"
`+goodDestination), "x.yml")
	require.NoError(t, err)
	require.Equal(t, []string{"12_a", "12"}, c.sources[0].tables)
	require.Equal(t, []string{"sqlite"}, c.sources[0].references)
	require.Equal(t, map[string]any{"number": uint64(12), "connection": "x=unix:///s"},
		replaceConnections(c.sources[0].spec, map[string]string{"sqlite": "unix:///s"}))
}

func TestConfigFaults(t *testing.T) {
	for name, test := range map[string]struct {
		config string
		code   string
		want   []string
	}{
		"empty": {"", codeConfigFaults, []string{
			"2 faults", "$: a document with `kind: source` is missing", "$: a document with `kind: destination` is missing"}},
		"not YAML": {"kind: [source\nspec: \"topsecret", codeConfigFaults, []string{"1 fault:"}},
		"everything at once": {`kind: source
spec:
  name: hackernews
  tables: "*"
  destinations: [nowhere, sqlite]
  skip_dependent_tables: maybe
  backend_options: {table: x, connection: "@@plugins.lost.connection"}
  secret: ${LS_MISSING}
  spec: {token: "${file:/does/not/exist}"}
---
kind: destination
spec:
  name: 12
  registry: embedded
  path: sqlite
  write_mode: overwite
  sync_group_id: x
  spec: {batch_size: -1}
---
kind: transformer
spec: {name: basic}
---
just text
`, codeConfigFaults, []string{
			"x.yml has 19 faults:",
			`line 3, $.spec.name (source "hackernews"): neither name nor path says servicenow`,
			`line 4, $.spec.tables (source "hackernews"): must be a list, but is text`,
			`$.spec.destinations[0] (source "hackernews"): there is no destination "nowhere" in this config`,
			`$.spec.destinations[1] (source "hackernews"): there is no destination "sqlite" in this config`,
			`$.spec.destinations (source "hackernews"): this command writes one destination per source`,
			`line 6, $.spec.skip_dependent_tables (source "hackernews"): must be true or false, but is text`,
			`$.spec.backend_options.table (source "hackernews"): unknown key; known are table_name, connection`,
			`$.spec.backend_options.table_name (source "hackernews"): is required`,
			`$.spec.backend_options.connection (source "hackernews"): @@plugins.lost.connection names no destination`,
			`line 8, $.spec.secret (source "hackernews"): unknown key`,
			`line 8, $.spec.secret: the environment variable LS_MISSING is not set`,
			`line 9, $.spec.spec.token: the file of ${file:/does/not/exist} cannot be read`,
			`line 13, $.spec.name (destination): must be text, but is a number; put it in quotes`,
			`line 16, $.spec.write_mode (destination): must be one of overwrite-delete-stale, overwrite, append`,
			`line 17, $.spec.sync_group_id (destination): is not supported`,
			`$.spec.spec.connection_string (destination): is required`,
			`$.spec.spec.batch_size (destination): must be a whole number above 0`,
			`(transformer "basic"): transformers are not supported`,
			`$: must be a mapping with `,
		}},
		"two of a name": {`kind: source
spec: {name: servicenow, tables: [a], destinations: [sqlite]}
---
kind: source
spec: {name: servicenow, tables: [a], destinations: [sqlite]}
` + goodDestination + goodDestination, codeConfigFaults, []string{"another source has the same name", "another destination has the same name"}},
		"the CLI's destination": {`kind: source
spec: {name: servicenow, tables: 1}
---
kind: destination
spec: {name: pg, path: cloudquery/postgresql, registry: cloudquery, version: v8.0.0}
`, codeOtherDestination, []string{
			"this command only writes the embedded SQLite destination. Next step: use `cloudquery sync x.yml` for that config"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseConfig([]byte(test.config), "x.yml")
			require.Equal(t, test.code, usererror.CodeOf(err))
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "topsecret")
		})
	}
}
