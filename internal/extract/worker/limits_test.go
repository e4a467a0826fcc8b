//go:build !linux

package worker

func limits() string { return "" }
