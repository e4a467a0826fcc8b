// Package resources declares the destination tables, one file each: its name, what a row is, its columns, and what is
// read to fill it.
package resources
