// Package arrowjson fills Arrow record builders from ServiceNow's JSON records, field by field, without a value in
// between: no map, no reflection, no allocation for a field that needs no unescaping.
//
// A field arrives as a text, or as an object with value and display_value. The empty text is NULL. A value that does not
// fit its column's type becomes NULL and is counted; the row stays, and the raw value is in the record's JSON.
package arrowjson
