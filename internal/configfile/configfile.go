// Package configfile reads a CloudQuery config: YAML documents with ${ENV}, ${file:path} and ${time:5 days ago|layout}.
//
// Parse never refuses a config for a variable without a value. It notes the fault, in the document and at the node that
// has it, and the caller decides which of them matter: a sync needs every variable, a sign-in needs no password of a
// destination.
package configfile

import (
	"errors"
	"fmt"
	"time"

	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Document is one document of a config.
type Document struct {
	Root *Node
	// Faults are all of this document's, in the file's order, also those of values that a merge key then replaced.
	Faults []Fault
}

// Fault is a variable that has no value, or a YAML value that cannot be used.
type Fault struct {
	Line int
	Path string // in YAML, for example $.spec.tables[0]
	What string
	// Cause may be nil.
	Cause error
	// NoAnchor is set where an alias refers to nothing: then the YAML itself is wrong.
	NoAnchor bool
}

func (f Fault) String() string {
	if f.Cause == nil {
		return f.What
	}
	return f.What + ": " + f.Cause.Error()
}

// SyntaxError says where a file is no YAML. It never quotes the file, and with it perhaps a secret.
type SyntaxError struct {
	Line    int // 0 when it is not known
	Message string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Message)
}

// Parse returns the documents of a config. Its error is a *SyntaxError.
func Parse(data []byte) ([]*Document, error) { return parse(data, time.Now()) }

func parse(data []byte, now time.Time) ([]*Document, error) {
	vars := &variables{now: now}
	file, err := parser.ParseBytes(vars.hide(data), 0)
	if err != nil {
		return nil, syntaxError(err)
	}
	var docs []*Document
	for _, body := range file.Docs {
		if body.Body == nil {
			continue
		}
		doc := &Document{}
		c := &converter{doc: doc, vars: vars, anchors: map[string]*Node{}}
		doc.Root = c.convert(body.Body, "$")
		docs = append(docs, doc)
	}
	return docs, nil
}

func syntaxError(err error) error {
	var syntax interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if errors.As(err, &syntax) && syntax.GetToken() != nil {
		return &SyntaxError{syntax.GetToken().Position.Line, syntax.GetMessage()}
	}
	return &SyntaxError{Message: "not valid YAML"}
}
