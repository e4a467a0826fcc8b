// Command cq-source-servicenow is the CloudQuery source plugin for ServiceNow.
package main

import (
	"os"

	"github.com/cqservicenow/cq-source-servicenow/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
