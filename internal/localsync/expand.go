package localsync

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cloudquery/plugin-sdk/v4/configtype"
)

// expander fills in ${ENV}, ${file:path} and ${time:5 days ago|layout}. Before the YAML is parsed every variable is
// hidden behind a word, so that one in a comment is never looked up and one in a list does not look like YAML.
type expander struct {
	variable *regexp.Regexp
	hidden   *regexp.Regexp
	names    []string
	now      time.Time
	faults   *faults
}

func newExpander(f *faults) *expander {
	return &expander{
		variable: regexp.MustCompile(`\$\{([^}\n]+)\}`),
		hidden:   regexp.MustCompile(`CQHIDDENVARIABLE(\d+)E`),
		now:      time.Now(),
		faults:   f,
	}
}

func (x *expander) fault(line int, path, text string) {
	x.faults.add(line, path, "", text)
}

func (x *expander) hide(data []byte) []byte {
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	return x.variable.ReplaceAllFunc(data, func(match []byte) []byte {
		x.names = append(x.names, string(match[2:len(match)-1]))
		return fmt.Appendf(nil, "CQHIDDENVARIABLE%dE", len(x.names)-1)
	})
}

// expand returns s with its variables filled in, and whether it had any.
func (x *expander) expand(s string, line int, path string) (string, bool) {
	changed := false
	out := x.hidden.ReplaceAllStringFunc(s, func(match string) string {
		i, err := strconv.Atoi(match[len("CQHIDDENVARIABLE") : len(match)-1])
		if err != nil || i >= len(x.names) {
			return match
		}
		changed = true
		value, err := x.lookup(x.names[i])
		if err != nil {
			x.fault(line, path, err.Error())
		}
		return value
	})
	return out, changed
}

func (x *expander) lookup(name string) (string, error) {
	if path, ok := strings.CutPrefix(name, "file:"); ok {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("the file of ${%s} cannot be read: %w", name, err)
		}
		text := string(content)
		// An editor ends a one-line file with a line feed that is no part of the secret in it.
		if trimmed := strings.TrimRight(text, "\r\n"); !strings.ContainsAny(trimmed, "\r\n") {
			text = trimmed
		}
		return text, nil
	}
	if expr, ok := strings.CutPrefix(name, "time:"); ok {
		expr, layout, found := strings.Cut(expr, "|")
		if !found {
			layout = time.RFC3339
		}
		t, err := configtype.ParseTime(expr)
		if err != nil {
			return "", fmt.Errorf("${%s} is not a time: %w", name, err)
		}
		return t.AsTime(x.now).Format(layout), nil
	}
	value, ok := os.LookupEnv(name)
	if !ok {
		return "", fmt.Errorf("the environment variable %s is not set", name)
	}
	return value, nil
}
