package spec

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// CodeInvalid is the code of every fault of a spec.
const CodeInvalid = "SN-SPEC-001"

// Problem is one fault of a spec.
type Problem struct {
	// Path is the YAML path below `spec`, for example `auth.grant_type` or `instances[2].name`.
	Path string
	// Message says what is wrong and what to write instead.
	Message string

	location []string // in the document
}

func (p Problem) String() string {
	if p.Path == "" {
		return "spec: " + p.Message
	}
	return "spec." + p.Path + ": " + p.Message
}

// InvalidError holds every fault of a spec at once.
type InvalidError struct{ Problems []Problem }

func (e *InvalidError) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0].String()
	}
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = "  - " + p.String()
	}
	return strings.Join(lines, "\n")
}

// Parse decodes a spec strictly: unknown keys, wrong types and contradictory choices are refused, all of them at once.
// data is the JSON that the CLI makes of the YAML block; an absent block arrives as `null`. The error is an
// *InvalidError inside a user error.
func Parse(data []byte) (*Spec, error) {
	if len(bytes.TrimSpace(data)) == 0 || bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		data = []byte("{}")
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, invalid([]Problem{{Message: "this is not valid JSON or YAML: " + err.Error()}})
	}
	problems := schemaProblems(doc)
	// What the schema refused is taken out, so that the rest can be decoded and checked in the same go.
	for _, p := range problems {
		remove(doc, p.location)
	}
	if data, err = json.Marshal(doc); err != nil {
		return nil, invalid(append(problems, Problem{Message: err.Error()}))
	}
	var s Spec
	if err := unmarshal(data, &s); err != nil {
		return nil, invalid(append(problems, Problem{Message: err.Error()}))
	}
	s.setDefaults()
	for i := range s.Instances {
		s.Instances[i].setDefaults()
	}
	for _, p := range s.contradictions() {
		if !reported(problems, p.Path) {
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		return nil, invalid(problems)
	}
	return &s, nil
}

// reported tells whether a path, or a block that it lies in, has a fault already.
func reported(problems []Problem, path string) bool {
	for _, p := range problems {
		if p.Path == path || p.Path != "" && strings.HasPrefix(path, p.Path+".") {
			return true
		}
	}
	return false
}

// remove takes the value at a location out of a decoded document.
func remove(doc any, location []string) {
	for i, token := range location {
		last := i == len(location)-1
		switch d := doc.(type) {
		case map[string]any:
			if last {
				delete(d, token)
			}
			doc = d[token]
		case []any:
			n, err := strconv.Atoi(token)
			if err != nil || n >= len(d) {
				return
			}
			if last {
				d[n] = nil
			}
			doc = d[n]
		}
	}
}

// unmarshal decodes the top-level keys first, so that each item of `instances` starts from them.
func unmarshal(data []byte, s *Spec) error {
	var raw struct {
		VerifyWrites string            `json:"verify_writes"`
		Instances    []json.RawMessage `json:"instances"`
	}
	if err := json.Unmarshal(data, &s.Instance); err != nil {
		return err
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	s.VerifyWrites = cmp.Or(raw.VerifyWrites, VerifyAuto)
	for _, item := range raw.Instances {
		named := NamedInstance{Instance: s.Instance}
		// Decoding reuses a slice's memory, which the items must not share.
		named.Incidents.SysIDs = slices.Clone(s.Incidents.SysIDs)
		named.Incidents.Numbers = slices.Clone(s.Incidents.Numbers)
		named.Incidents.Fields = slices.Clone(s.Incidents.Fields)
		named.Attachments.ExtractText = clone(s.Attachments.ExtractText)
		named.Attachments.SignedURLs = clone(s.Attachments.SignedURLs)
		named.DeleteGuard = clone(s.DeleteGuard)
		if err := json.Unmarshal(item, &named); err != nil {
			return err
		}
		s.Instances = append(s.Instances, named)
	}
	return nil
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	copied := *p
	return &copied
}

func invalid(problems []Problem) error {
	sort.SliceStable(problems, func(i, j int) bool { return problems[i].Path < problems[j].Path })
	return usererror.Wrap(&InvalidError{problems}, CodeInvalid, "the spec of this source cannot be used", "correct what is listed in the config; every key is described in docs/_configuration.md")
}

// compiledSchema is compiled once: the schema is embedded and never changes.
var compiledSchema = sync.OnceValue(func() *jsonschema.Schema {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(JSONSchema))
	if err != nil {
		panic("embedded schema: " + err.Error())
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("spec.json", doc); err != nil {
		panic("embedded schema: " + err.Error())
	}
	return c.MustCompile("spec.json")
})

// schemaProblems returns what the JSON schema finds, and texts that stand for durations and sizes and do not parse or are out of bounds.
func schemaProblems(doc any) []Problem {
	problems := textProblems(doc, nil)
	var validation *jsonschema.ValidationError
	if err := compiledSchema().Validate(doc); err == nil {
		return problems
	} else if !errors.As(err, &validation) {
		return append(problems, Problem{Message: err.Error()})
	}
	collect(validation, func(p Problem) {
		if !reported(problems, p.Path) {
			problems = append(problems, p)
		}
	})
	return problems
}

func textProblems(doc any, location []string) []Problem {
	var problems []Problem
	check := func(valid func(string) error, path ...string) {
		value := doc
		for _, key := range path {
			block, _ := value.(map[string]any)
			value = block[key]
		}
		text, ok := value.(string)
		if !ok {
			return // absent, or of a type that the schema refuses
		}
		if err := valid(text); err != nil {
			at := append(slices.Clone(location), path...)
			problems = append(problems, Problem{Path: yamlPath(at), Message: err.Error(), location: at})
		}
	}
	check(func(text string) error {
		if d, err := time.ParseDuration(text); err != nil || d < minOverlap || d > maxOverlap {
			return errors.New("write a duration from 1s to 168h, such as 5m or 1h30m")
		}
		return nil
	}, "overlap")
	check(func(text string) error {
		if d, err := time.ParseDuration(text); err != nil || d < 0 || d > maxSigned {
			return errors.New("write a duration from 0s to 168h, such as 1h")
		}
		return nil
	}, "attachments", "signed_urls")
	check(func(text string) error {
		_, err := ParseSize(text)
		return err
	}, "attachments", "max_size")
	check(func(text string) error {
		_, err := ParseEvery(text)
		return err
	}, "sweep_every")
	check(func(text string) error {
		_, err := ParseShare(text)
		return err
	}, "delete_guard")
	block, _ := doc.(map[string]any)
	items, _ := block["instances"].([]any)
	for i, item := range items {
		problems = append(problems, textProblems(item, append(slices.Clone(location), "instances", strconv.Itoa(i)))...)
	}
	return problems
}

// collect walks the validator's tree to its leaves. Values never enter a message: they can be secrets.
func collect(v *jsonschema.ValidationError, report func(Problem)) {
	if len(v.Causes) > 0 {
		for _, cause := range v.Causes {
			collect(cause, report)
		}
		return
	}
	path := yamlPath(v.InstanceLocation)
	here := func(message string) { report(Problem{Path: path, Message: message, location: v.InstanceLocation}) }
	switch k := v.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			report(Problem{
				Path: join(path, name), Message: "this key is unknown here; " + knownKeys(path),
				location: append(slices.Clone(v.InstanceLocation), name),
			})
		}
	case *kind.Enum:
		here("write one of " + quoteAll(k.Want))
	case *kind.Type:
		here(fmt.Sprintf("this is %s; write %s", article(k.Got), article(k.Want...)))
	case *kind.Required:
		for _, name := range k.Missing {
			report(Problem{Path: join(path, name), Message: "this key is missing"})
		}
	case *kind.Minimum:
		want, _ := k.Want.Float64()
		here(fmt.Sprintf("write %v or more", want))
	case *kind.Maximum:
		want, _ := k.Want.Float64()
		here(fmt.Sprintf("write %v or less", want))
	default:
		here(v.ErrorKind.LocalizedString(message.NewPrinter(language.English)))
	}
}

func yamlPath(location []string) string {
	path := ""
	for _, token := range location {
		if token != "" && strings.Trim(token, "0123456789") == "" {
			path += "[" + token + "]"
			continue
		}
		path = join(path, token)
	}
	return path
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// knownKeys lists the keys of the block at path, from the schema itself.
func knownKeys(path string) string {
	def := "Spec"
	switch last := path[strings.LastIndexByte(path, '.')+1:]; {
	case last == "auth":
		def = "Auth"
	case last == "incidents":
		def = "Incidents"
	case last == "attachments":
		def = "Attachments"
	case strings.HasPrefix(last, "instances["):
		def = "NamedInstance"
	}
	var doc struct {
		Defs map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(JSONSchema), &doc); err != nil {
		panic("embedded schema: " + err.Error())
	}
	keys := make([]string, 0, len(doc.Defs[def].Properties))
	for key := range doc.Defs[def].Properties {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return "known are " + strings.Join(keys, ", ")
}

func quoteAll(values []any) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprint(v)
	}
	return strings.Join(texts, ", ")
}

func article(types ...string) string {
	texts := make([]string, len(types))
	for i, t := range types {
		switch t {
		case "array":
			texts[i] = "a list"
		case "object":
			texts[i] = "a block of keys"
		case "integer":
			texts[i] = "a whole number"
		case "null":
			texts[i] = "empty"
		case "boolean":
			texts[i] = "true or false"
		case "string":
			texts[i] = "a text"
		default:
			texts[i] = "a " + t
		}
	}
	return strings.Join(texts, " or ")
}
