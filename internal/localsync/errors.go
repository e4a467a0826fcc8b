package localsync

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cqservicenow/cq-source-servicenow/internal/localsync/sqlitedest"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// The codes of this package's user errors.
const (
	codeConfigUnread     = "SN-LOCAL-001"
	codeConfigFaults     = "SN-LOCAL-002"
	codeOtherDestination = "SN-LOCAL-003"
	codeSourceStart      = "SN-LOCAL-004"
	codeSourceStopped    = "SN-LOCAL-005"
	codeSourceInit       = "SN-LOCAL-006"
	codeTableErrors      = "SN-LOCAL-007"
	codeSyncFailed       = "SN-LOCAL-008"
	codeDatabaseOpen     = "SN-LOCAL-009"
	codeDatabaseWrite    = "SN-LOCAL-010"
	codeMigrate          = "SN-LOCAL-011"
	codeLogFile          = "SN-LOCAL-012"
)

// faults collects what is wrong with a config.
type faults struct {
	list []fault
}

type fault struct {
	line int
	path string
	of   string // the document, for example `source "servicenow"`
	text string
}

func (f *faults) add(line int, path, of, text string) {
	f.list = append(f.list, fault{line, path, of, text})
}

// err returns all faults as one user error, in the file's order, or nil.
func (f *faults) err(config string) error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b fault) int { return a.line - b.line })
	var b strings.Builder
	noun := "faults"
	if len(f.list) == 1 {
		noun = "fault"
	}
	fmt.Fprintf(&b, "%s has %d %s:", config, len(f.list), noun)
	for _, x := range f.list {
		b.WriteString("\n  - ")
		if x.line > 0 {
			fmt.Fprintf(&b, "line %d, ", x.line)
		}
		b.WriteString(x.path)
		if x.of != "" {
			b.WriteString(" (" + x.of + ")")
		}
		b.WriteString(": " + x.text)
	}
	return usererror.New(codeConfigFaults, b.String(), "correct the config and run the sync again")
}

// errConnectionLost: perhaps the child is gone.
var errConnectionLost = errors.New("the connection to the source plugin broke")

// rpcError makes a user error of what the source plugin answered. When the answer holds a user error of the plugin, that
// one comes back as it was.
func rpcError(err error, code, message, next string) error {
	text := status.Convert(err).Message()
	re := regexp.MustCompile(`(?s)(SN-[A-Z]+-\d{3}): (.*)(?:\. |\n)Next step: (.*)\.`)
	if m := re.FindStringSubmatch(text); m != nil {
		return usererror.New(m[1], m[2], m[3])
	}
	cause := errors.New(text)
	if c := status.Code(err); c == codes.Unavailable || c == codes.Canceled {
		cause = fmt.Errorf("%w: %s", errConnectionLost, text)
	}
	return usererror.Wrap(cause, code, message, next)
}

// writeError makes a user error of what the destination answered.
func writeError(err error, path string) error {
	var m *sqlitedest.MigrateError
	if errors.As(err, &m) {
		return usererror.Wrap(err, codeMigrate, "the database's table "+m.Table+" no longer fits the source",
			"set `migrate_mode: forced` in the destination to drop and refill the table, or name another database file")
	}
	return usererror.Wrap(err, codeDatabaseWrite, "the database "+path+" could not be written",
		"check that the disk has room and that no other program holds the file, then run the sync again: it resumes from its cursors")
}
