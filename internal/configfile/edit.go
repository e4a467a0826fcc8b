package configfile

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// ErrShape is the error of a place in a config that cannot be edited without changing what stands around it.
var ErrShape = errors.New("this part of the config is written in a way that cannot be edited line by line")

// Entry is an item of a list, with a comment behind it.
type Entry struct{ Value, Comment string }

// SetList returns the config with the list below keys in the first document that match accepts set to entries. Keys are
// names, and indexes of lists. Missing mappings are made. Every other byte stays: comments, order, blank lines, variables.
// Entries that the list has already keep their lines, and new ones follow. What comes out is read again and compared, and
// ErrShape is returned when more than the list would change.
func SetList(data []byte, match func(*Document) bool, keys []any, entries []Entry) ([]byte, error) {
	crlf := strings.Contains(string(data), "\r\n")
	vars := newVariables()
	hidden := string(vars.hide(data))
	file, err := parser.ParseBytes([]byte(hidden), parser.ParseComments)
	if err != nil {
		return nil, syntaxError(err)
	}
	before, err := parse(data, vars.now)
	if err != nil {
		return nil, err
	}
	var bodies []ast.Node
	for _, body := range file.Docs {
		if body.Body != nil && body.Body.Type() != ast.CommentType {
			bodies = append(bodies, body.Body)
		}
	}
	at := slices.IndexFunc(before, match)
	if at < 0 || len(bodies) != len(before) {
		return nil, ErrShape
	}
	e := &editor{lines: strings.SplitAfter(hidden, "\n"), entries: entries}
	if err := e.set(bodies[at], keys); err != nil {
		return nil, err
	}
	edited := strings.Join(e.lines, "")
	edited = hiddenWord.ReplaceAllStringFunc(edited, func(word string) string {
		var i int
		if _, err := fmt.Sscanf(word, "CQHIDDENVARIABLE%dE", &i); err != nil || i >= len(vars.names) {
			return word
		}
		return "${" + vars.names[i] + "}"
	})
	if crlf {
		edited = strings.ReplaceAll(edited, "\n", "\r\n")
	}
	if err := onlyListChanged([]byte(edited), vars.now, before, at, keys, entries); err != nil {
		return nil, err
	}
	return []byte(edited), nil
}

// onlyListChanged reads what was edited and compares it with what it should be.
func onlyListChanged(edited []byte, now time.Time, before []*Document, at int, keys []any, entries []Entry) error {
	after, err := parse(edited, now)
	if err != nil || len(after) != len(before) {
		return ErrShape
	}
	var list []any
	for _, entry := range entries {
		list = append(list, entry.Value)
	}
	for i := range before {
		want := before[i].Root.Plain()
		have := after[i].Root.Plain()
		if i == at {
			// The order is the file's.
			want = put(want, keys, sorted(list))
			have = put(have, keys, sorted(get(have, keys)))
		}
		if !reflect.DeepEqual(want, have) {
			return ErrShape
		}
	}
	return nil
}

func sorted(list []any) []any {
	return slices.SortedFunc(slices.Values(list), func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}

// get returns the list below keys of a plain value.
func get(v any, keys []any) []any {
	for _, key := range keys {
		switch key := key.(type) {
		case int:
			s, _ := v.([]any)
			if key >= len(s) {
				return nil
			}
			v = s[key]
		case string:
			m, _ := v.(map[string]any)
			v = m[key]
		}
	}
	list, _ := v.([]any)
	return list
}

// put returns a plain value with the list below keys.
func put(v any, keys []any, list []any) any {
	if len(keys) == 0 {
		return list
	}
	switch key := keys[0].(type) {
	case int:
		if s, ok := v.([]any); ok && key < len(s) {
			s[key] = put(s[key], keys[1:], list)
		}
		return v
	case string:
		m, ok := v.(map[string]any)
		if !ok {
			m = map[string]any{}
		}
		m[key] = put(m[key], keys[1:], list)
		return m
	}
	return v
}

// editor changes the lines of a file.
type editor struct {
	lines   []string
	entries []Entry
}

// set walks down to the last key that is there, and writes what is missing.
func (e *editor) set(n ast.Node, keys []any) error {
	if index, ok := keys[0].(int); ok {
		list, ok := n.(*ast.SequenceNode)
		if !ok || index >= len(list.Values) || len(keys) == 1 {
			return ErrShape
		}
		return e.set(list.Values[index], keys[1:])
	}
	name, _ := keys[0].(string)
	mapping := mappingOf(n)
	if mapping == nil {
		return ErrShape
	}
	for _, member := range mapping.Values {
		if member.Key.IsMergeKey() || keyOf(member) != name {
			continue
		}
		if _, null := member.Value.(*ast.NullNode); null {
			return e.insert(mapping, member, keys)
		}
		if len(keys) > 1 {
			return e.set(member.Value, keys[1:])
		}
		return e.replace(member)
	}
	return e.insert(mapping, nil, keys)
}

func mappingOf(n ast.Node) *ast.MappingNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n
	case *ast.MappingValueNode:
		return &ast.MappingNode{Start: n.Start, Values: []*ast.MappingValueNode{n}, IsFlowStyle: n.IsFlowStyle}
	case *ast.AnchorNode:
		return mappingOf(n.Value)
	}
	return nil
}

func keyOf(member *ast.MappingValueNode) string {
	if s, ok := member.Key.(*ast.StringNode); ok {
		return s.Value
	}
	return member.Key.GetToken().Value
}

// insert writes what is missing behind the first keys of a mapping; empty is the member without a value that it fills.
func (e *editor) insert(mapping *ast.MappingNode, empty *ast.MappingValueNode, keys []any) error {
	var names []string
	for _, key := range keys {
		name, ok := key.(string)
		if !ok {
			return ErrShape
		}
		names = append(names, name)
	}
	if mapping.IsFlowStyle {
		if empty != nil || mapping.Start == nil {
			return ErrShape
		}
		text := e.flow()
		for _, name := range slices.Backward(names[1:]) {
			text = "{" + name + ": " + text + "}"
		}
		text = names[0] + ": " + text
		if len(mapping.Values) > 0 {
			text += ", "
		}
		return e.splice(mapping.Start.Position.Line, mapping.Start.Position.Column+1, 0, text)
	}
	if len(mapping.Values) == 0 {
		return ErrShape
	}
	first := mapping.Values[0].Key.GetToken().Position
	line, column := first.Line, first.Column
	var block []string
	if empty != nil {
		line = empty.Key.GetToken().Position.Line + 1
		names = names[1:]
		column += 2
	}
	for _, name := range names {
		block = append(block, strings.Repeat(" ", column-1)+name+":\n")
		column += 2
	}
	block = append(block, e.block(column)...)
	if empty == nil {
		// Behind the mapping's first line, which may begin with the dash of a list: so behind its first member.
		line = e.end(mapping, 0)
	}
	return e.insertLines(line, block)
}

// end returns the line behind a member of a block mapping: that of the member after it, or of what is indented less.
func (e *editor) end(mapping *ast.MappingNode, member int) int {
	position := mapping.Values[member].Key.GetToken().Position
	line := position.Line + 1
	last := line
	for ; line <= len(e.lines); line++ {
		text := strings.TrimRight(e.lines[line-1], "\r\n")
		trimmed := strings.TrimLeft(text, " ")
		indent := len(text) - len(trimmed)
		switch {
		case trimmed == "" || trimmed[0] == '#':
			continue
		case indent >= position.Column, indent == position.Column-1 && strings.HasPrefix(trimmed, "-"):
			last = line + 1
			continue
		}
		return last
	}
	return last
}

// replace writes the list in place of another one.
func (e *editor) replace(member *ast.MappingValueNode) error {
	list, ok := member.Value.(*ast.SequenceNode)
	if !ok {
		return ErrShape
	}
	if list.IsFlowStyle {
		if list.Start == nil || list.End == nil || list.Start.Position.Line != list.End.Position.Line {
			return ErrShape
		}
		start := list.Start.Position
		return e.splice(start.Line, start.Column, list.End.Position.Column+1-start.Column, e.flow())
	}
	var fresh []Entry // entries that are not in the list yet
	listed := map[string]bool{}
	gone := map[int]bool{}
	first, last, column := 0, 0, 0
	for _, value := range list.Values {
		line := value.GetToken().Position.Line
		if first == 0 {
			first = line
			column = strings.Index(e.lines[line-1], "-") + 1
		}
		last = line
		text := value.GetToken().Value
		if s, ok := value.(*ast.StringNode); ok {
			text = s.Value
		}
		gone[line] = !slices.ContainsFunc(e.entries, func(entry Entry) bool { return entry.Value == text })
		listed[text] = true
	}
	if first == 0 || column == 0 {
		return ErrShape
	}
	for _, entry := range e.entries {
		if !listed[entry.Value] {
			fresh = append(fresh, entry)
		}
	}
	e.entries = fresh
	if err := e.insertLines(last+1, e.block(column)); err != nil {
		return err
	}
	for line := last; line >= first; line-- {
		if gone[line] {
			e.lines = slices.Delete(e.lines, line-1, line)
		}
	}
	return nil
}

// block writes the list's lines at a column from 1.
func (e *editor) block(column int) []string {
	lines := make([]string, 0, len(e.entries))
	for _, entry := range e.entries {
		line := strings.Repeat(" ", column-1) + "- " + quoted(entry.Value)
		if entry.Comment != "" {
			line += " # " + entry.Comment
		}
		lines = append(lines, line+"\n")
	}
	return lines
}

func (e *editor) flow() string {
	values := make([]string, len(e.entries))
	for i, entry := range e.entries {
		values[i] = quoted(entry.Value)
	}
	return "[" + strings.Join(values, ", ") + "]"
}

// quoted writes a value in quotes, since some sys_ids look like numbers.
func quoted(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// insertLines puts a block before a line, counted from 1.
func (e *editor) insertLines(line int, block []string) error {
	if line > len(e.lines)+1 {
		return ErrShape
	}
	if line > 1 && !strings.HasSuffix(e.lines[line-2], "\n") {
		e.lines[line-2] += "\n"
	}
	e.lines = slices.Concat(e.lines[:line-1], block, e.lines[line-1:])
	return nil
}

// splice replaces so many characters of a line, from a column counted from 1.
func (e *editor) splice(line, column, length int, text string) error {
	runes := []rune(e.lines[line-1])
	if column < 1 || column-1+length > len(runes) {
		return ErrShape
	}
	e.lines[line-1] = string(runes[:column-1]) + text + string(runes[column-1+length:])
	return nil
}
