// Package emulator is a ServiceNow stand-in: an http.Handler that signs clients in, evaluates encoded
// queries over a made-up company's records, and serves the Table, Attachment and Aggregate APIs with
// the shapes, limits and failures of a real instance.
//
// It shares no type with any client and knows none: every query is evaluated for real, and a path or
// parameter ServiceNow does not know is refused and kept in [Emulator.Violations], so that a client
// cannot be right by agreement. Incidents are computed from (seed, row number) with changes laid over
// them, which lets a million of them fit in memory; see store.go and seed_incident.go.
//
// Start reading at emulator.go (configuration), then server.go (one request), table_api.go and query.go.
package emulator
