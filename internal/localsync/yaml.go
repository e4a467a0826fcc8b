package localsync

import (
	"errors"
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// node is a YAML value that knows its line.
type node struct {
	line   int
	scalar any              // nil, bool, int64, uint64, float64 or string
	keys   []string         // of a mapping, in the file's order
	fields map[string]*node // not nil for a mapping
	items  []*node          // not nil for a sequence
}

func (n *node) isNull() bool { return n.fields == nil && n.items == nil && n.scalar == nil }

// plain returns the value as encoding/json takes it.
func (n *node) plain() any {
	switch {
	case n.fields != nil:
		m := make(map[string]any, len(n.fields))
		for k, v := range n.fields {
			m[k] = v.plain()
		}
		return m
	case n.items != nil:
		s := make([]any, len(n.items))
		for i, v := range n.items {
			s[i] = v.plain()
		}
		return s
	default:
		return n.scalar
	}
}

// kind names the value's type in a message.
func (n *node) kind() string {
	switch {
	case n.fields != nil:
		return "a mapping"
	case n.items != nil:
		return "a list"
	}
	switch n.scalar.(type) {
	case nil:
		return "empty"
	case bool:
		return "true or false"
	case string:
		return "text"
	default:
		return "a number"
	}
}

// parseYAML returns the documents of data that are not empty.
func parseYAML(data []byte, x *expander) ([]*node, error) {
	file, err := parser.ParseBytes(x.hide(data), 0)
	if err != nil {
		var syntax interface {
			GetMessage() string
			GetToken() *token.Token
		}
		// Not err.Error(): it quotes the file, and with it perhaps a secret.
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			return nil, fmt.Errorf("line %d: %s", syntax.GetToken().Position.Line, syntax.GetMessage())
		}
		return nil, errors.New("not valid YAML")
	}
	var docs []*node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		c := converter{expander: x, anchors: map[string]*node{}}
		n := c.convert(doc.Body, "$")
		if !n.isNull() {
			docs = append(docs, n)
		}
	}
	return docs, nil
}

type converter struct {
	expander *expander
	anchors  map[string]*node
}

func (c *converter) convert(n ast.Node, path string) *node {
	out := &node{}
	if t := n.GetToken(); t != nil && t.Position != nil {
		out.line = t.Position.Line
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		out.fields = map[string]*node{}
		for _, v := range n.Values {
			c.field(out, v, path)
		}
		if len(out.keys) > 0 {
			out.line = n.Values[0].Key.GetToken().Position.Line
		}
	case *ast.MappingValueNode:
		out.fields = map[string]*node{}
		c.field(out, n, path)
		out.line = n.Key.GetToken().Position.Line
	case *ast.SequenceNode:
		out.items = []*node{}
		for i, v := range n.Values {
			out.items = append(out.items, c.convert(v, fmt.Sprintf("%s[%d]", path, i)))
		}
	case *ast.StringNode:
		quoted := n.Token.Type == token.SingleQuoteType || n.Token.Type == token.DoubleQuoteType
		c.text(out, n.Value, quoted, path)
	case *ast.LiteralNode:
		c.text(out, n.Value.Value, true, path)
	case *ast.IntegerNode:
		out.scalar = n.Value
	case *ast.FloatNode:
		out.scalar = n.Value
	case *ast.BoolNode:
		out.scalar = n.Value
	case *ast.NullNode:
	case *ast.TagNode:
		tagged := c.convert(n.Value, path)
		if n.Start.Value == "!!str" && tagged.fields == nil && tagged.items == nil && tagged.scalar != nil {
			tagged.scalar = n.Value.GetToken().Value
		}
		return tagged
	case *ast.AnchorNode:
		v := c.convert(n.Value, path)
		c.anchors[n.Name.GetToken().Value] = v
		return v
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		if v, ok := c.anchors[name]; ok {
			return v
		}
		c.expander.fault(out.line, path, fmt.Sprintf("the anchor %q does not exist", name))
	default:
		c.expander.fault(out.line, path, "this kind of YAML value is not supported")
	}
	return out
}

func (c *converter) field(out *node, v *ast.MappingValueNode, path string) {
	if v.Key.IsMergeKey() {
		merged := c.convert(v.Value, path)
		for _, m := range append([]*node{merged}, merged.items...) {
			for _, k := range m.keys {
				if _, ok := out.fields[k]; !ok {
					out.set(k, m.fields[k])
				}
			}
		}
		return
	}
	key := v.Key.GetToken().Value
	if s, ok := v.Key.(*ast.StringNode); ok {
		key = s.Value
	}
	out.set(key, c.convert(v.Value, path+"."+key))
}

func (n *node) set(key string, v *node) {
	if !slices.Contains(n.keys, key) {
		n.keys = append(n.keys, key)
	}
	n.fields[key] = v
}

// text sets out to a text with its variables filled in. As in the CLI, an unquoted text is then read as YAML again, so
// that `rows: ${ROWS}` is a number.
func (c *converter) text(out *node, s string, quoted bool, path string) {
	expanded, changed := c.expander.expand(s, out.line, path)
	out.scalar = expanded
	if !changed || quoted {
		return
	}
	file, err := parser.ParseBytes([]byte(expanded), 0)
	if err != nil || len(file.Docs) != 1 {
		return
	}
	if file.Docs[0].Body == nil {
		out.scalar = nil
		return
	}
	again := (&converter{expander: c.expander, anchors: c.anchors}).plainValue(file.Docs[0].Body)
	if again != nil {
		again.line = out.line
		*out = *again
	}
}

// plainValue reads the text of a variable as YAML where that is surely what was meant: a scalar, or a flow mapping or
// list. A secret such as `a: b` or `a #b` stays the text it is.
func (c *converter) plainValue(n ast.Node) *node {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle {
			return nil
		}
	case *ast.SequenceNode:
		if !n.IsFlowStyle {
			return nil
		}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
	default:
		return nil
	}
	return c.convert(n, "")
}
