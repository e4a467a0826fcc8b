package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

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

// readSources returns the servicenow sources of a config; name narrows them to one. Only their own blocks are filled in
// from the environment: nobody needs the password of a destination here.
func readSources(path, name string) ([]configSource, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, unusableConfig(path, err.Error())
	}
	vars := &placeholders{}
	decoder := yaml.NewDecoder(bytes.NewReader(vars.hide(data)))
	var sources []configSource
	for {
		var doc struct {
			Kind string `yaml:"kind"`
			Spec struct {
				Name any `yaml:"name"`
				Path any `yaml:"path"`
				Spec any `yaml:"spec"`
			} `yaml:"spec"`
		}
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, unusableConfig(path, yamlFault(err))
		}
		title := fmt.Sprint(doc.Spec.Name)
		if doc.Kind != "source" || !strings.Contains(strings.ToLower(title+" "+fmt.Sprint(doc.Spec.Path)), "servicenow") || name != "" && title != name {
			continue
		}
		block, err := json.Marshal(vars.fill(doc.Spec.Spec))
		if err != nil {
			return nil, unusableConfig(path, "the spec of "+title+" has keys that are no texts")
		}
		sources = append(sources, configSource{name: title, spec: block})
	}
	switch {
	case len(vars.unset) > 0:
		slices.Sort(vars.unset)
		return nil, unusableConfig(path, strings.Join(slices.Compact(vars.unset), "; "))
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

// placeholders stand for the ${…} of a config while its YAML is read, so that no value can become YAML.
type placeholders struct {
	names  []string
	quoted []bool
	unset  []string
}

var (
	placeholder     = regexp.MustCompile(`\$\{([^}\n]+)\}`)
	placeholderWord = regexp.MustCompile(`CQHIDDENVARIABLE(\d+)E`)
)

func (p *placeholders) hide(data []byte) []byte {
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	var out []byte
	end := 0
	for _, m := range placeholder.FindAllSubmatchIndex(data, -1) {
		out = append(out, data[end:m[0]]...)
		out = fmt.Appendf(out, "CQHIDDENVARIABLE%dE", len(p.names))
		end = m[1]
		p.names = append(p.names, string(data[m[2]:m[3]]))
		p.quoted = append(p.quoted, m[0] > 0 && (data[m[0]-1] == '"' || data[m[0]-1] == '\''))
	}
	return append(out, data[end:]...)
}

// fill puts the variables' values into every text of a value.
func (p *placeholders) fill(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			v[key] = p.fill(item)
		}
	case []any:
		for i, item := range v {
			v[i] = p.fill(item)
		}
	case string:
		return p.text(v)
	}
	return value
}

// text fills a text. As in the CLI, a variable that stands alone and without quotes is read as YAML again, where it is a
// number, a truth value, or a list or block in brackets.
func (p *placeholders) text(text string) any {
	bare := false
	filled := placeholderWord.ReplaceAllStringFunc(text, func(word string) string {
		i, err := strconv.Atoi(placeholderWord.FindStringSubmatch(word)[1])
		if err != nil || i >= len(p.names) {
			return word
		}
		bare = word == text && !p.quoted[i]
		return p.value(p.names[i])
	})
	if !bare {
		return filled
	}
	var again any
	if err := yaml.Unmarshal([]byte(filled), &again); err != nil {
		return filled
	}
	switch again.(type) {
	case string:
		return filled
	case map[string]any, []any:
		if !strings.HasPrefix(strings.TrimSpace(filled), "{") && !strings.HasPrefix(strings.TrimSpace(filled), "[") {
			return filled
		}
	}
	return again
}

func (p *placeholders) value(name string) string {
	if file, ok := strings.CutPrefix(name, "file:"); ok {
		content, err := os.ReadFile(file)
		if err != nil {
			p.unset = append(p.unset, "the file of ${"+name+"} cannot be read")
			return ""
		}
		text := string(content)
		// An editor ends a one-line file with a line feed that is no part of the secret in it.
		if trimmed := strings.TrimRight(text, "\r\n"); !strings.ContainsAny(trimmed, "\r\n") {
			text = trimmed
		}
		return text
	}
	value, ok := os.LookupEnv(name)
	if !ok {
		p.unset = append(p.unset, "the environment variable "+name+" is not set")
	}
	return value
}
