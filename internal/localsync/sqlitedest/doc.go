// Package sqlitedest is the embedded destination: a CloudQuery destination that writes into one SQLite file, in pure Go.
//
// It differs from a batch writer in one promise: a row that could not be written is an error of Write, never a log line.
//
// How values are stored: booleans and integers as integers (unsigned integers above the signed range as a blob that holds
// their decimal digits), floats as reals, binary as blobs, timestamps as UTC text "2006-01-02 15:04:05.000000" (nine
// digits for nanosecond columns), dates as "2006-01-02", everything else as text. Timestamps and dates sort as text and
// are read by SQLite's date functions. NaN, which SQLite cannot hold, is stored as NULL.
package sqlitedest
