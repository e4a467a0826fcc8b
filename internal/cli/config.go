package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/configfile"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// codeConfig is the code of a config file that cannot be read.
const codeConfig = "SN-CLI-001"

// configSource is a servicenow source of a CloudQuery config.
type configSource struct {
	name string
	// spec is the source's own block as the plugin gets it: JSON, with the variables filled in.
	spec []byte
}

// readSources returns the servicenow sources of a config; name narrows them to one. Only in their own blocks a variable
// must have a value: nobody needs the password of a destination here.
func readSources(path, name string) ([]configSource, error) {
	docs, err := readDocuments(path, unusableConfig)
	if err != nil {
		return nil, err
	}
	var sources []configSource
	var unset []string
	for _, doc := range docs {
		for _, n := range []*configfile.Node{doc.Root, doc.Root.At("spec")} {
			if !n.IsNull() && n.Fields == nil {
				return nil, unusableConfig(path, fmt.Sprintf("line %d is not valid YAML", n.Line))
			}
		}
		source := servicenowSource(doc)
		title := label(source.At("name"))
		if source == nil || name != "" && title != name {
			continue
		}
		block := source.At("spec")
		for _, fault := range block.Faults() {
			unset = append(unset, fault.What)
		}
		spec, err := json.Marshal(block.Plain())
		if err != nil {
			return nil, unusableConfig(path, "the spec of "+title+" has values that JSON has not")
		}
		sources = append(sources, configSource{name: title, spec: spec})
	}
	switch {
	case len(unset) > 0:
		slices.Sort(unset)
		return nil, unusableConfig(path, strings.Join(slices.Compact(unset), "; "))
	case len(sources) == 0 && name != "":
		return nil, unusableConfig(path, fmt.Sprintf("there is no servicenow source named %q in it", name))
	case len(sources) == 0:
		return nil, unusableConfig(path, "there is no document with kind: source in it whose name or path says servicenow")
	}
	return sources, nil
}

func unusableConfig(path, what string) error {
	return usererror.New(codeConfig, "the config "+path+" cannot be used: "+what, "correct the config, or set what it needs, and run the command again")
}

// readDocuments reads a config; unusable makes the command's own error of what is wrong with it.
func readDocuments(path string, unusable func(path, what string) error) ([]*configfile.Document, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, unusable(path, err.Error())
	}
	docs, err := configfile.Parse(data)
	var syntax *configfile.SyntaxError
	switch {
	case errors.As(err, &syntax) && syntax.Line > 0:
		return nil, unusable(path, fmt.Sprintf("line %d is not valid YAML", syntax.Line))
	case err != nil:
		return nil, unusable(path, "it is not valid YAML")
	}
	for _, doc := range docs {
		for _, fault := range doc.Faults {
			if fault.NoAnchor {
				return nil, unusable(path, fmt.Sprintf("line %d is not valid YAML", fault.Line))
			}
		}
	}
	return docs, nil
}

// servicenowSource returns the spec of a document that is a source of this plugin, or nil.
func servicenowSource(doc *configfile.Document) *configfile.Node {
	source := doc.Root.At("spec")
	names := strings.ToLower(label(source.At("name")) + " " + label(source.At("path")))
	if label(doc.Root.At("kind")) != "source" || !strings.Contains(names, "servicenow") {
		return nil
	}
	return source
}

// label is a name as written, also where it is a number.
func label(n *configfile.Node) string {
	if text, ok := n.Text(); ok || n.IsNull() {
		return text
	}
	return fmt.Sprint(n.Plain())
}
