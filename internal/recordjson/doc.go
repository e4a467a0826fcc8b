// Package recordjson reads the JSON of ServiceNow's records, field by field, and checks it on the way.
//
// The records of one list are alike: the same fields in the same order, each a text, or an object with a stored and a
// display value. A Scanner therefore remembers, for each place in a record, the bytes between the texts there, and compares
// them as a whole with those of the next record; only the texts themselves are looked at byte by byte. What does not fit is
// read as any JSON, and remembered from then on.
package recordjson
