// Package localsync runs a sync without the CloudQuery CLI: it reads an ordinary CloudQuery config, starts this binary's
// source plugin as a child process, speaks CloudQuery's gRPC protocol v3 with it, and writes into the embedded SQLite
// destination.
//
// The way in is Run. The parts: config.go checks the config, which internal/configfile reads; child.go holds the child
// process; source.go drives one source, with columns.go adding the columns that the CLI adds; server.go lets the source
// keep its cursors in the destination; progress.go tells the user.
package localsync
