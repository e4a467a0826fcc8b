// Package servicenow is a client of ServiceNow's REST APIs, one file per vendor page: table.go (Table API), aggregate.go
// (Aggregate API). query.go builds and reads encoded queries; read.go reads a window of a table by keyset; call.go holds
// the one place where a response becomes a value or a typed error, and where a request is tried again.
//
// It knows nothing of CloudQuery, Arrow or YAML. Date-times are the instance's stored values, in UTC, to the second.
package servicenow
