package localsync

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/localsync/sqlitedest"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

const (
	embeddedRegistry = "embedded"
	embeddedPath     = "sqlite"

	writeAppend               = "append"
	writeOverwrite            = "overwrite"
	writeOverwriteDeleteStale = "overwrite-delete-stale"
	migrateSafe               = "safe"
	migrateForced             = "forced"
	pkDefault                 = "default"
	pkCqIDOnly                = "cq-id-only"
)

// config is a checked config file.
type config struct {
	sources      []*sourceConfig
	destinations map[string]*destinationConfig
}

type sourceConfig struct {
	name                string
	tables              []string
	skipTables          []string
	skipDependentTables bool
	deterministicCQID   bool
	destination         string
	backend             *backendOptions
	otelEndpoint        string
	otelInsecure        bool
	spec                any
	// references are the destinations named by @@plugins.….connection.
	references []string
}

type backendOptions struct {
	table      string
	connection string
}

type destinationConfig struct {
	name        string
	writeMode   string
	migrateMode string
	pkMode      string
	spec        sqlitedest.Spec
}

// parseConfig reads a config; title names it in messages.
func parseConfig(data []byte, title string) (*config, error) {
	f := &faults{}
	docs, err := parseYAML(data, newExpander(f))
	if err != nil {
		f.add(0, "$", "", err.Error())
		return nil, f.err(title)
	}
	if foreignDestination(docs) {
		return nil, usererror.New(codeOtherDestination, "this command only writes the embedded SQLite destination",
			fmt.Sprintf("use `cloudquery sync %s` for that config, or give its destination `registry: embedded` and `path: sqlite`", title))
	}
	c := &config{destinations: map[string]*destinationConfig{}}
	var sources []*reader
	for _, doc := range docs {
		r := newReader(f, doc, c)
		if r == nil {
			continue
		}
		switch kind := r.kind; kind {
		case "source":
			c.sources = append(c.sources, r.source())
			sources = append(sources, r)
		case "destination":
			r.destination()
		case "transformer":
			f.add(doc.line, "$.kind", r.of, "transformers are not supported by this command; use `cloudquery sync`")
		default:
			f.add(doc.line, "$.kind", r.of, "must be source or destination")
		}
	}
	for i, r := range sources {
		r.link(c.sources[i])
	}
	if len(c.sources) == 0 {
		f.add(0, "$", "", "a document with `kind: source` is missing")
	}
	if !slices.ContainsFunc(docs, func(d *node) bool { return kindOf(d) == "destination" }) {
		f.add(0, "$", "", "a document with `kind: destination` is missing")
	}
	if err := f.err(title); err != nil {
		return nil, err
	}
	return c, nil
}

func kindOf(doc *node) string {
	if k, ok := doc.fields["kind"]; ok {
		s, _ := k.scalar.(string)
		return s
	}
	return ""
}

// foreignDestination reports whether a destination is one of the CLI's: then the config is right, only not for us.
func foreignDestination(docs []*node) bool {
	for _, doc := range docs {
		spec := doc.fields["spec"]
		if kindOf(doc) != "destination" || spec == nil || spec.fields == nil {
			continue
		}
		text := func(key string) string {
			if n := spec.fields[key]; n != nil {
				s, _ := n.scalar.(string)
				return s
			}
			return ""
		}
		if text("registry") != embeddedRegistry || text("path") != embeddedPath {
			return true
		}
	}
	return false
}

// reader reads one document and notes its faults.
type reader struct {
	faults *faults
	config *config
	kind   string
	of     string
	doc    *node
	spec   *node
}

func newReader(f *faults, doc *node, c *config) *reader {
	r := &reader{faults: f, config: c, doc: doc}
	if doc.fields == nil {
		f.add(doc.line, "$", "", "must be a mapping with `kind` and `spec`, but is "+doc.kind())
		return nil
	}
	r.kind = kindOf(doc)
	r.of = r.kind
	r.only(doc, "$", "kind", "spec")
	r.spec = doc.fields["spec"]
	if r.spec == nil || r.spec.fields == nil {
		r.fault(doc, "$.spec", "must be a mapping")
		r.spec = &node{line: doc.line, fields: map[string]*node{}}
	}
	if n := r.spec.fields["name"]; n != nil {
		if name, ok := n.scalar.(string); ok && name != "" {
			r.of = fmt.Sprintf("%s %q", r.kind, name)
		}
	}
	return r
}

func (r *reader) fault(n *node, path, text string) { r.faults.add(n.line, path, r.of, text) }

// only notes every key that is not known.
func (r *reader) only(n *node, path string, known ...string) {
	for _, k := range n.keys {
		if !slices.Contains(known, k) {
			r.fault(n.fields[k], path+"."+k, "unknown key; known are "+strings.Join(known, ", "))
		}
	}
}

func (r *reader) text(n *node, path, key string, required bool) string {
	v := n.fields[key]
	if v == nil || v.isNull() {
		if required {
			r.fault(n, path+"."+key, "is required")
		}
		return ""
	}
	s, ok := v.scalar.(string)
	if !ok {
		hint := ""
		if v.fields == nil && v.items == nil {
			hint = "; put it in quotes"
		}
		r.fault(v, path+"."+key, "must be text, but is "+v.kind()+hint)
	} else if s == "" && required {
		r.fault(v, path+"."+key, "must not be empty")
	}
	return s
}

func (r *reader) boolean(n *node, path, key string, otherwise bool) bool {
	v := n.fields[key]
	if v == nil || v.isNull() {
		return otherwise
	}
	b, ok := v.scalar.(bool)
	if !ok {
		r.fault(v, path+"."+key, "must be true or false, but is "+v.kind())
	}
	return b
}

func (r *reader) texts(n *node, path, key string, required bool) []string {
	v := n.fields[key]
	if v == nil || v.isNull() {
		if required {
			r.fault(n, path+"."+key, "is required: a list with at least one name")
		}
		return nil
	}
	if v.items == nil {
		r.fault(v, path+"."+key, "must be a list, but is "+v.kind())
		return nil
	}
	if required && len(v.items) == 0 {
		r.fault(v, path+"."+key, "must have at least one name")
	}
	var out []string
	for i, item := range v.items {
		s, ok := item.scalar.(string)
		if !ok || s == "" {
			r.fault(item, fmt.Sprintf("%s.%s[%d]", path, key, i), "must be a name, but is "+item.kind())
			continue
		}
		out = append(out, s)
	}
	return out
}

func (r *reader) oneOf(n *node, path, key string, values ...string) string {
	s := r.text(n, path, key, false)
	if s == "" {
		return values[0]
	}
	if !slices.Contains(values, s) {
		r.fault(n.fields[key], path+"."+key, "must be one of "+strings.Join(values, ", "))
	}
	return s
}

func (r *reader) source() *sourceConfig {
	n, path := r.spec, "$.spec"
	r.only(n, path, "name", "path", "registry", "version", "docker_registry_auth_token", "tables", "skip_tables",
		"skip_dependent_tables", "destinations", "backend_options", "deterministic_cq_id", "otel_endpoint",
		"otel_endpoint_insecure", "spec")
	s := &sourceConfig{
		name:                r.text(n, path, "name", true),
		tables:              r.texts(n, path, "tables", true),
		skipTables:          r.texts(n, path, "skip_tables", false),
		skipDependentTables: r.boolean(n, path, "skip_dependent_tables", true),
		deterministicCQID:   r.boolean(n, path, "deterministic_cq_id", false),
		otelEndpoint:        r.text(n, path, "otel_endpoint", false),
		otelInsecure:        r.boolean(n, path, "otel_endpoint_insecure", false),
	}
	pluginPath := r.text(n, path, "path", false)
	if both := strings.ToLower(s.name + " " + pluginPath); s.name != "" && !strings.Contains(both, "servicenow") {
		r.fault(n, path+".name", "neither name nor path says servicenow, and this binary serves no other source")
	}
	if slices.ContainsFunc(r.config.sources, func(o *sourceConfig) bool { return o.name == s.name && s.name != "" }) {
		r.fault(n.fields["name"], path+".name", "another source has the same name")
	}
	if b := n.fields["backend_options"]; b != nil && !b.isNull() {
		if b.fields == nil {
			r.fault(b, path+".backend_options", "must be a mapping, but is "+b.kind())
		} else {
			bp := path + ".backend_options"
			r.only(b, bp, "table_name", "connection")
			s.backend = &backendOptions{
				table:      r.text(b, bp, "table_name", true),
				connection: r.text(b, bp, "connection", true),
			}
		}
	}
	if v := n.fields["spec"]; v != nil && !v.isNull() {
		if v.fields == nil {
			r.fault(v, path+".spec", "must be a mapping, but is "+v.kind())
		} else if len(v.fields) > 0 {
			s.spec = v.plain()
		}
	}
	return s
}

// link checks what a source says about destinations, once all of them are known.
func (r *reader) link(s *sourceConfig) {
	n, path := r.spec, "$.spec"
	names := r.texts(n, path, "destinations", true)
	for i, name := range names {
		if r.config.destinations[name] == nil {
			r.fault(n.fields["destinations"], fmt.Sprintf("%s.destinations[%d]", path, i),
				fmt.Sprintf("there is no destination %q in this config", name))
		}
	}
	if len(names) > 1 {
		r.fault(n.fields["destinations"], path+".destinations", "this command writes one destination per source")
	}
	if len(names) > 0 {
		s.destination = names[0]
	}
	for _, ref := range findConnections(n, path) {
		if r.config.destinations[ref.name] == nil {
			r.faults.add(ref.line, ref.path, r.of, fmt.Sprintf("@@plugins.%s.connection names no destination of this config", ref.name))
		} else if !slices.Contains(s.references, ref.name) {
			s.references = append(s.references, ref.name)
		}
	}
}

func (r *reader) destination() {
	n, path := r.spec, "$.spec"
	r.only(n, path, "name", "path", "registry", "version", "docker_registry_auth_token", "write_mode", "migrate_mode",
		"pk_mode", "sync_group_id", "send_sync_summary", "transformers", "spec")
	d := &destinationConfig{
		name:        r.text(n, path, "name", true),
		writeMode:   r.oneOf(n, path, "write_mode", writeOverwriteDeleteStale, writeOverwrite, writeAppend),
		migrateMode: r.oneOf(n, path, "migrate_mode", migrateSafe, migrateForced),
		pkMode:      r.oneOf(n, path, "pk_mode", pkDefault, pkCqIDOnly),
	}
	for _, key := range []string{"sync_group_id", "transformers"} {
		if v := n.fields[key]; v != nil && !v.isNull() && v.scalar != "" && (v.items == nil || len(v.items) > 0) {
			r.fault(v, path+"."+key, "is not supported by this command; use `cloudquery sync`")
		}
	}
	if r.boolean(n, path, "send_sync_summary", false) {
		r.fault(n.fields["send_sync_summary"], path+".send_sync_summary", "is not supported by this command; use `cloudquery sync`")
	}
	r.databaseSpec(d)
	if r.config.destinations[d.name] != nil && d.name != "" {
		r.fault(n.fields["name"], path+".name", "another destination has the same name")
	}
	r.config.destinations[d.name] = d
}

func (r *reader) databaseSpec(d *destinationConfig) {
	path := "$.spec.spec"
	n := r.spec.fields["spec"]
	if n == nil || n.fields == nil {
		r.fault(r.spec, path, "must be a mapping with connection_string, for example ./servicenow.db")
		return
	}
	r.only(n, path, "connection_string", "batch_size", "batch_size_bytes")
	d.spec.ConnectionString = r.text(n, path, "connection_string", true)
	d.spec.BatchSize = r.positive(n, path, "batch_size")
	d.spec.BatchSizeBytes = r.positive(n, path, "batch_size_bytes")
}

// positive returns 0 when the key is left out.
func (r *reader) positive(n *node, path, key string) int64 {
	v := n.fields[key]
	if v == nil || v.isNull() {
		return 0
	}
	switch i := v.scalar.(type) {
	case int64:
		if i > 0 {
			return i
		}
	case uint64:
		if i > 0 && i < 1<<62 {
			return int64(i)
		}
	}
	r.fault(v, path+"."+key, "must be a whole number above 0")
	return 0
}

// connectionRef is one @@plugins.NAME.connection.
type connectionRef struct {
	name string
	path string
	line int
}

func connectionPattern() *regexp.Regexp {
	return regexp.MustCompile(`@@plugins\.([a-zA-Z0-9_-]+)\.connection`)
}

func findConnections(n *node, path string) []connectionRef {
	var refs []connectionRef
	if s, ok := n.scalar.(string); ok {
		for _, m := range connectionPattern().FindAllStringSubmatch(s, -1) {
			refs = append(refs, connectionRef{m[1], path, n.line})
		}
	}
	for _, k := range n.keys {
		refs = append(refs, findConnections(n.fields[k], path+"."+k)...)
	}
	for i, item := range n.items {
		refs = append(refs, findConnections(item, fmt.Sprintf("%s[%d]", path, i))...)
	}
	return refs
}

// replaceConnections returns v with every @@plugins.NAME.connection replaced by that destination's address.
func replaceConnections(v any, addresses map[string]string) any {
	switch v := v.(type) {
	case string:
		re := connectionPattern()
		return re.ReplaceAllStringFunc(v, func(match string) string {
			if a, ok := addresses[re.FindStringSubmatch(match)[1]]; ok {
				return a
			}
			return match
		})
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[k] = replaceConnections(item, addresses)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = replaceConnections(item, addresses)
		}
		return out
	default:
		return v
	}
}
