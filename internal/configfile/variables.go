package configfile

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

// variables fills in ${…}. Before the YAML is parsed every variable is hidden behind a word, so that one in a comment is
// never looked up and one in a list does not look like YAML.
type variables struct {
	names []string
	now   time.Time
}

var (
	variable   = regexp.MustCompile(`\$\{([^}\n]+)\}`)
	hiddenWord = regexp.MustCompile(`CQHIDDENVARIABLE(\d+)E`)
)

func newVariables() *variables { return &variables{now: time.Now()} }

func (v *variables) hide(data []byte) []byte {
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	return variable.ReplaceAllFunc(data, func(match []byte) []byte {
		v.names = append(v.names, string(match[2:len(match)-1]))
		return fmt.Appendf(nil, "CQHIDDENVARIABLE%dE", len(v.names)-1)
	})
}

// fill returns s with its variables filled in, and whether it had any. A variable without a value is empty.
func (v *variables) fill(s string, fault func(what string, cause error)) (string, bool) {
	filled := false
	out := hiddenWord.ReplaceAllStringFunc(s, func(word string) string {
		i, err := strconv.Atoi(hiddenWord.FindStringSubmatch(word)[1])
		if err != nil || i >= len(v.names) {
			return word
		}
		filled = true
		return v.value(v.names[i], fault)
	})
	return out, filled
}

func (v *variables) value(name string, fault func(what string, cause error)) string {
	if path, ok := strings.CutPrefix(name, "file:"); ok {
		content, err := os.ReadFile(path)
		if err != nil {
			fault(fmt.Sprintf("the file of ${%s} cannot be read", name), err)
			return ""
		}
		text := string(content)
		// An editor ends a one-line file with a line feed that is no part of the secret in it.
		if trimmed := strings.TrimRight(text, "\r\n"); !strings.ContainsAny(trimmed, "\r\n") {
			text = trimmed
		}
		return text
	}
	if expr, ok := strings.CutPrefix(name, "time:"); ok {
		expr, layout, found := strings.Cut(expr, "|")
		if !found {
			layout = time.RFC3339
		}
		t, err := configtype.ParseTime(expr)
		if err != nil {
			fault(fmt.Sprintf("${%s} is not a time", name), err)
			return ""
		}
		return t.AsTime(v.now).Format(layout)
	}
	value, ok := os.LookupEnv(name)
	if !ok {
		fault(fmt.Sprintf("the environment variable %s is not set", name), nil)
	}
	return value
}
