// Command gen writes ../schema.json from the Spec struct and its comments.
package main

import (
	"path"
	"runtime"

	"github.com/cloudquery/codegen/jsonschema"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
)

func main() {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		panic("no caller information")
	}
	dir := path.Dir(path.Dir(file))
	jsonschema.GenerateIntoFile(new(spec.Spec), path.Join(dir, "schema.json"),
		jsonschema.WithAddGoComments("github.com/cqservicenow/cq-source-servicenow/client/spec", dir))
}
