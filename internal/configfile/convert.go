package configfile

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// converter makes nodes of one document's syntax tree.
type converter struct {
	doc     *Document
	vars    *variables
	anchors map[string]*Node
	line    int // of all nodes, when it is not 0
}

// fault notes f at the node and in the document.
func (c *converter) fault(n *Node, f Fault) {
	f.Line = n.Line
	n.faults = append(n.faults, f)
	c.doc.Faults = append(c.doc.Faults, f)
}

func (c *converter) lineOf(n ast.Node) int {
	if t := n.GetToken(); c.line == 0 && t != nil && t.Position != nil {
		return t.Position.Line
	}
	return c.line
}

func (c *converter) convert(n ast.Node, path string) *Node {
	out := &Node{Line: c.lineOf(n)}
	switch n := n.(type) {
	case *ast.MappingNode:
		out.Fields = map[string]*Node{}
		for _, v := range n.Values {
			c.field(out, v, path)
		}
		if len(out.Keys) > 0 {
			out.Line = c.lineOf(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		out.Fields = map[string]*Node{}
		c.field(out, n, path)
		out.Line = c.lineOf(n.Key)
	case *ast.SequenceNode:
		out.Items = []*Node{}
		for i, v := range n.Values {
			out.Items = append(out.Items, c.convert(v, fmt.Sprintf("%s[%d]", path, i)))
		}
	case *ast.StringNode:
		quoted := n.Token.Type == token.SingleQuoteType || n.Token.Type == token.DoubleQuoteType
		c.text(out, n.Value, quoted, path)
	case *ast.LiteralNode:
		c.text(out, n.Value.Value, true, path)
	case *ast.IntegerNode:
		out.Scalar = n.Value
	case *ast.FloatNode:
		out.Scalar = n.Value
	case *ast.BoolNode:
		out.Scalar = n.Value
	case *ast.NullNode:
	case *ast.TagNode:
		return c.tagged(out, n, path)
	case *ast.AnchorNode:
		v := c.convert(n.Value, path)
		c.anchors[n.Name.GetToken().Value] = v
		return v
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		if v, ok := c.anchors[name]; ok {
			return v
		}
		c.fault(out, Fault{Path: path, What: fmt.Sprintf("the anchor %q does not exist", name), NoAnchor: true})
	default:
		c.fault(out, Fault{Path: path, What: "this kind of YAML value is not supported"})
	}
	return out
}

// tagged knows !!str, which keeps a number or a variable a text.
func (c *converter) tagged(out *Node, n *ast.TagNode, path string) *Node {
	text, ok := n.Value.(*ast.StringNode)
	if ok && n.Start.Value == "!!str" {
		c.text(out, text.Value, true, path)
		return out
	}
	v := c.convert(n.Value, path)
	if n.Start.Value == "!!str" && v.Fields == nil && v.Items == nil && v.Scalar != nil && !v.filled {
		v.Scalar = n.Value.GetToken().Value
	}
	return v
}

func (c *converter) field(out *Node, v *ast.MappingValueNode, path string) {
	if v.Key.IsMergeKey() {
		merged := c.convert(v.Value, path)
		for _, m := range append([]*Node{merged}, merged.Items...) {
			out.faults = append(out.faults, m.faults...)
			for _, k := range m.Keys {
				if _, ok := out.Fields[k]; !ok {
					out.set(k, m.Fields[k])
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

// text sets out to a text with its variables filled in. As in the CLI, an unquoted text is then read as YAML again, so
// that `rows: ${ROWS}` is a number.
func (c *converter) text(out *Node, s string, quoted bool, path string) {
	out.text, out.filled = c.vars.fill(s, func(what string, cause error) {
		c.fault(out, Fault{Path: path, What: what, Cause: cause})
	})
	out.Scalar = out.text
	if !out.filled || quoted {
		return
	}
	file, err := parser.ParseBytes([]byte(out.text), 0)
	if err != nil || len(file.Docs) != 1 {
		return
	}
	if file.Docs[0].Body == nil {
		out.Scalar = nil
		return
	}
	if !surelyYAML(file.Docs[0].Body) {
		return
	}
	// Without variables: a value that holds one of their words, or ${…}, is not filled in once more.
	again := &converter{doc: c.doc, vars: &variables{}, anchors: c.anchors, line: out.Line}
	v := again.convert(file.Docs[0].Body, path)
	out.Scalar, out.Keys, out.Fields, out.Items = v.Scalar, v.Keys, v.Fields, v.Items
	out.faults = append(out.faults, v.faults...)
}

// surelyYAML tells whether the text of a variable was meant as YAML: a scalar, or a flow mapping or list. A secret such
// as `a: b` or `a #b` stays the text it is.
func surelyYAML(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.IsFlowStyle
	case *ast.SequenceNode:
		return n.IsFlowStyle
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return true
	default:
		return false
	}
}
