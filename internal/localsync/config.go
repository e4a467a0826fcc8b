package localsync

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/configfile"
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
	parsed, err := configfile.Parse(data)
	if err != nil {
		f.add(0, "$", "", err.Error())
		return nil, f.err(title)
	}
	var docs []*configfile.Node
	for _, doc := range parsed {
		for _, fault := range doc.Faults {
			f.add(fault.Line, fault.Path, "", fault.String())
		}
		if !doc.Root.IsNull() {
			docs = append(docs, doc.Root)
		}
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
			f.add(doc.Line, "$.kind", r.of, "transformers are not supported by this command; use `cloudquery sync`")
		default:
			f.add(doc.Line, "$.kind", r.of, "must be source or destination")
		}
	}
	for i, r := range sources {
		r.link(c.sources[i])
	}
	if len(c.sources) == 0 {
		f.add(0, "$", "", "a document with `kind: source` is missing")
	}
	if !slices.ContainsFunc(docs, func(d *configfile.Node) bool { return kindOf(d) == "destination" }) {
		f.add(0, "$", "", "a document with `kind: destination` is missing")
	}
	if err := f.err(title); err != nil {
		return nil, err
	}
	return c, nil
}

func kindOf(doc *configfile.Node) string {
	if k, ok := doc.Fields["kind"]; ok {
		s, _ := k.Scalar.(string)
		return s
	}
	return ""
}

// foreignDestination reports whether a destination is one of the CLI's: then the config is right, only not for us.
func foreignDestination(docs []*configfile.Node) bool {
	for _, doc := range docs {
		spec := doc.Fields["spec"]
		if kindOf(doc) != "destination" || spec == nil || spec.Fields == nil {
			continue
		}
		text := func(key string) string {
			if n := spec.Fields[key]; n != nil {
				s, _ := n.Scalar.(string)
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
	doc    *configfile.Node
	spec   *configfile.Node
}

func newReader(f *faults, doc *configfile.Node, c *config) *reader {
	r := &reader{faults: f, config: c, doc: doc}
	if doc.Fields == nil {
		f.add(doc.Line, "$", "", "must be a mapping with `kind` and `spec`, but is "+doc.Kind())
		return nil
	}
	r.kind = kindOf(doc)
	r.of = r.kind
	r.only(doc, "$", "kind", "spec")
	r.spec = doc.Fields["spec"]
	if r.spec == nil || r.spec.Fields == nil {
		r.fault(doc, "$.spec", "must be a mapping")
		r.spec = &configfile.Node{Line: doc.Line, Fields: map[string]*configfile.Node{}}
	}
	if n := r.spec.Fields["name"]; n != nil {
		if name, ok := n.Scalar.(string); ok && name != "" {
			r.of = fmt.Sprintf("%s %q", r.kind, name)
		}
	}
	return r
}

func (r *reader) fault(n *configfile.Node, path, text string) { r.faults.add(n.Line, path, r.of, text) }

// only notes every key that is not known.
func (r *reader) only(n *configfile.Node, path string, known ...string) {
	for _, k := range n.Keys {
		if !slices.Contains(known, k) {
			r.fault(n.Fields[k], path+"."+k, "unknown key; known are "+strings.Join(known, ", "))
		}
	}
}

func (r *reader) text(n *configfile.Node, path, key string, required bool) string {
	v := n.Fields[key]
	if v == nil || v.IsNull() {
		if required {
			r.fault(n, path+"."+key, "is required")
		}
		return ""
	}
	s, ok := v.Scalar.(string)
	if !ok {
		hint := ""
		if v.Fields == nil && v.Items == nil {
			hint = "; put it in quotes"
		}
		r.fault(v, path+"."+key, "must be text, but is "+v.Kind()+hint)
	} else if s == "" && required {
		r.fault(v, path+"."+key, "must not be empty")
	}
	return s
}

func (r *reader) boolean(n *configfile.Node, path, key string, otherwise bool) bool {
	v := n.Fields[key]
	if v == nil || v.IsNull() {
		return otherwise
	}
	b, ok := v.Scalar.(bool)
	if !ok {
		r.fault(v, path+"."+key, "must be true or false, but is "+v.Kind())
	}
	return b
}

func (r *reader) texts(n *configfile.Node, path, key string, required bool) []string {
	v := n.Fields[key]
	if v == nil || v.IsNull() {
		if required {
			r.fault(n, path+"."+key, "is required: a list with at least one name")
		}
		return nil
	}
	if v.Items == nil {
		r.fault(v, path+"."+key, "must be a list, but is "+v.Kind())
		return nil
	}
	if required && len(v.Items) == 0 {
		r.fault(v, path+"."+key, "must have at least one name")
	}
	var out []string
	for i, item := range v.Items {
		s, ok := item.Scalar.(string)
		if !ok || s == "" {
			r.fault(item, fmt.Sprintf("%s.%s[%d]", path, key, i), "must be a name, but is "+item.Kind())
			continue
		}
		out = append(out, s)
	}
	return out
}

func (r *reader) oneOf(n *configfile.Node, path, key string, values ...string) string {
	s := r.text(n, path, key, false)
	if s == "" {
		return values[0]
	}
	if !slices.Contains(values, s) {
		r.fault(n.Fields[key], path+"."+key, "must be one of "+strings.Join(values, ", "))
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
		r.fault(n.Fields["name"], path+".name", "another source has the same name")
	}
	if b := n.Fields["backend_options"]; b != nil && !b.IsNull() {
		if b.Fields == nil {
			r.fault(b, path+".backend_options", "must be a mapping, but is "+b.Kind())
		} else {
			bp := path + ".backend_options"
			r.only(b, bp, "table_name", "connection")
			s.backend = &backendOptions{
				table:      r.text(b, bp, "table_name", true),
				connection: r.text(b, bp, "connection", true),
			}
		}
	}
	if v := n.Fields["spec"]; v != nil && !v.IsNull() {
		if v.Fields == nil {
			r.fault(v, path+".spec", "must be a mapping, but is "+v.Kind())
		} else if len(v.Fields) > 0 {
			s.spec = v.Plain()
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
			r.fault(n.Fields["destinations"], fmt.Sprintf("%s.destinations[%d]", path, i),
				fmt.Sprintf("there is no destination %q in this config", name))
		}
	}
	if len(names) > 1 {
		r.fault(n.Fields["destinations"], path+".destinations", "this command writes one destination per source")
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
		if v := n.Fields[key]; v != nil && !v.IsNull() && v.Scalar != "" && (v.Items == nil || len(v.Items) > 0) {
			r.fault(v, path+"."+key, "is not supported by this command; use `cloudquery sync`")
		}
	}
	if r.boolean(n, path, "send_sync_summary", false) {
		r.fault(n.Fields["send_sync_summary"], path+".send_sync_summary", "is not supported by this command; use `cloudquery sync`")
	}
	r.databaseSpec(d)
	if r.config.destinations[d.name] != nil && d.name != "" {
		r.fault(n.Fields["name"], path+".name", "another destination has the same name")
	}
	r.config.destinations[d.name] = d
}

func (r *reader) databaseSpec(d *destinationConfig) {
	path := "$.spec.spec"
	n := r.spec.Fields["spec"]
	if n == nil || n.Fields == nil {
		r.fault(r.spec, path, "must be a mapping with connection_string, for example ./servicenow.db")
		return
	}
	r.only(n, path, "connection_string", "batch_size", "batch_size_bytes")
	d.spec.ConnectionString = r.text(n, path, "connection_string", true)
	d.spec.BatchSize = r.positive(n, path, "batch_size")
	d.spec.BatchSizeBytes = r.positive(n, path, "batch_size_bytes")
}

// positive returns 0 when the key is left out.
func (r *reader) positive(n *configfile.Node, path, key string) int64 {
	v := n.Fields[key]
	if v == nil || v.IsNull() {
		return 0
	}
	switch i := v.Scalar.(type) {
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

func findConnections(n *configfile.Node, path string) []connectionRef {
	var refs []connectionRef
	if s, ok := n.Scalar.(string); ok {
		for _, m := range connectionPattern().FindAllStringSubmatch(s, -1) {
			refs = append(refs, connectionRef{m[1], path, n.Line})
		}
	}
	for _, k := range n.Keys {
		refs = append(refs, findConnections(n.Fields[k], path+"."+k)...)
	}
	for i, item := range n.Items {
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
