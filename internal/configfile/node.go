package configfile

import "slices"

// Node is a YAML value that knows its line. Its methods take a nil node, a value that is not there, for an empty one.
type Node struct {
	Line   int
	Scalar any              // nil, bool, int64, uint64, float64 or string
	Keys   []string         // of a mapping, in the file's order
	Fields map[string]*Node // not nil for a mapping
	Items  []*Node          // not nil for a list

	filled bool   // it has variables,
	text   string // and this is what they made of it
	faults []Fault
}

// IsNull reports whether there is no value.
func (n *Node) IsNull() bool {
	return n == nil || n.Fields == nil && n.Items == nil && n.Scalar == nil
}

// At returns the value below these keys, or nil.
func (n *Node) At(keys ...string) *Node {
	for _, key := range keys {
		if n == nil {
			return nil
		}
		n = n.Fields[key]
	}
	return n
}

// Text returns a text, or what variables were filled to before it was read as YAML, where an unquoted ${SECRET} may have
// become a number.
func (n *Node) Text() (string, bool) {
	switch {
	case n == nil:
		return "", false
	case n.filled:
		return n.text, true
	}
	s, ok := n.Scalar.(string)
	return s, ok
}

// Faults returns those of the value and of all that it holds.
func (n *Node) Faults() []Fault {
	if n == nil {
		return nil
	}
	out := slices.Clone(n.faults)
	for _, key := range n.Keys {
		out = append(out, n.Fields[key].Faults()...)
	}
	for _, item := range n.Items {
		out = append(out, item.Faults()...)
	}
	return out
}

// Plain returns the value as encoding/json takes it.
func (n *Node) Plain() any {
	switch {
	case n == nil:
		return nil
	case n.Fields != nil:
		m := make(map[string]any, len(n.Fields))
		for k, v := range n.Fields {
			m[k] = v.Plain()
		}
		return m
	case n.Items != nil:
		s := make([]any, len(n.Items))
		for i, v := range n.Items {
			s[i] = v.Plain()
		}
		return s
	default:
		return n.Scalar
	}
}

// Kind names the value's type in a message.
func (n *Node) Kind() string {
	switch {
	case n == nil:
		return "empty"
	case n.Fields != nil:
		return "a mapping"
	case n.Items != nil:
		return "a list"
	}
	switch n.Scalar.(type) {
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

func (n *Node) set(key string, v *Node) {
	if !slices.Contains(n.Keys, key) {
		n.Keys = append(n.Keys, key)
	}
	n.Fields[key] = v
}
