package worker

import "runtime/debug"

// softMemory is what Go's collector works hard to stay below. A PDF's memory is copied when it grows, and what is copied
// is garbage: with more room than this, enough of it gathers for the limit to be reached.
const softMemory = 400 << 20

// setLimits bounds what this process may take of the machine, so that it ends before anything else suffers.
func setLimits() error {
	debug.SetMemoryLimit(softMemory)
	return limitProcess()
}
