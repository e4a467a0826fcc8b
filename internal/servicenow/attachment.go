package servicenow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/cenkalti/backoff/v5"

	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

// Codes of files that cannot be had. They concern one file, and not the sync.
const (
	CodeFileUnavailable = "SN-FILE-001" // pending or blocked by the security scan, or not for this user
	CodeFileGone        = "SN-FILE-002" // deleted since it was listed
	CodeFileMismatch    = "SN-FILE-003" // not what the instance states, time and again
	CodeFileTooLarge    = "SN-FILE-004" // over the size limit
)

// FileFacts are what the instance states about an attachment's content.
type FileFacts struct {
	SysID  string
	Size   int64  // -1 when it is not known
	SHA256 string // lower-case hexadecimal; "" on rows from before hashes were kept
}

// Spool takes a file's bytes. Reset empties it for another attempt.
type Spool interface {
	io.Writer
	Reset() error
}

// fileAttempts is how often a file may arrive as something else than the instance states.
const fileAttempts = 4

// DownloadFile fetches an attachment's content into a spool and returns its length and SHA-256. The content is checked
// against what the instance states: a transaction that takes too long is cut in mid-file under status 200.
//
// Source: "Attachment API", GET /now/attachment/{sys_id}/file.
func (c *Client) DownloadFile(ctx context.Context, facts FileFacts, limit int64, to Spool) (size int64, sum string, err error) {
	if facts.Size > limit {
		return 0, "", fmt.Errorf("fetching the file %s: %w", facts.SysID, fileTooLarge(nil, limit))
	}
	doubts := 0
	var local error // the spool's, and no matter of the instance
	sum, err = retrying(ctx, c, "fetching a file", func() (string, error) {
		if err := to.Reset(); err != nil {
			local = fmt.Errorf("emptying the spool: %w", err)
			return "", backoff.Permanent(local)
		}
		counted := &counting{to: to, hash: sha256.New()}
		err := c.downloadOnce(ctx, facts, limit, counted)
		size = counted.n
		switch {
		case err == nil:
			return hex.EncodeToString(counted.hash.Sum(nil)), nil
		case counted.err != nil:
			local = fmt.Errorf("spooling a file: %w", counted.err)
			return "", backoff.Permanent(local)
		case isDoubtful(err):
			if doubts++; doubts < fileAttempts {
				return "", err
			}
			return "", backoff.Permanent(usererror.Wrap(err, CodeFileMismatch, "the file does not arrive as the instance states it",
				"open it in ServiceNow; if it opens, look for a proxy that changes or cuts downloads"))
		}
		return "", err
	})
	if local != nil {
		err = local
	}
	if err != nil {
		return 0, "", fmt.Errorf("fetching the file %s: %w", facts.SysID, err)
	}
	return size, sum, nil
}

func (c *Client) downloadOnce(ctx context.Context, facts FileFacts, limit int64, to *counting) error {
	path := "/api/now/attachment/" + facts.SysID + "/file"
	if facts.Size >= 0 {
		limit = min(limit, max(facts.Size, headKept)) // what is longer is not this file
	}
	_, _, err := c.send(httpclient.WithMaxBody(ctx, limit), call{path: path, class: "file", accept: "*/*", table: "sys_attachment"}, func(resp *http.Response) error {
		_, err := io.Copy(to, resp.Body)
		var longer *httpclient.BodyTooLargeError
		switch {
		case to.err != nil:
			return to.err
		case errors.As(err, &longer) && facts.Size < 0 && !isPage(resp):
			return backoff.Permanent(fileTooLarge(err, limit))
		case err != nil && !errors.As(err, &longer):
			return &doubtError{"the download broke off: " + err.Error()} // by the end of a transaction, or a reset
		case err != nil:
			err = &doubtError{fmt.Sprintf("more bytes arrived than the %d of the file", facts.Size)}
		default:
			err = verify(facts, to, resp.Header)
		}
		if err != nil && isPage(resp) {
			return &NotJSONError{Path: path, Title: title(to.head)}
		}
		return err
	})
	var status *StatusError
	switch {
	case errors.As(err, &status) && status.Status == http.StatusForbidden:
		return backoff.Permanent(usererror.Wrap(status, CodeFileUnavailable, "the instance does not give the file away",
			"look at its state in ServiceNow: the security scan may not have passed it yet, or the user may not read it"))
	case errors.As(err, &status) && status.Status == http.StatusNotFound:
		return backoff.Permanent(usererror.Wrap(status, CodeFileGone, "the file is no longer there, or hidden from the signed-in user", "none is needed if it was deleted"))
	}
	return err
}

func fileTooLarge(cause error, limit int64) error {
	const next = "raise attachments.max_size"
	what := fmt.Sprintf("the file is larger than %d bytes", limit)
	if cause == nil {
		return usererror.New(CodeFileTooLarge, what, next)
	}
	return usererror.Wrap(cause, CodeFileTooLarge, what, next)
}

// isPage reports whether an answer is a page for people: a sleeping or locked instance shows one under status 200. A file
// of that type comes with its metadata.
func isPage(resp *http.Response) bool {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return mediaType == "text/html" && resp.Header.Get(metadataHeader) == ""
}

// metadataHeader is on every answer that is a file.
const metadataHeader = "X-Attachment-Metadata"

// doubtError says that a body is not the file that was asked for.
type doubtError struct{ reason string }

func (e *doubtError) Error() string { return e.reason }

func isDoubtful(err error) bool {
	var doubt *doubtError
	return errors.As(err, &doubt)
}

// verify compares a body with what is stated about the file.
func verify(facts FileFacts, got *counting, header http.Header) error {
	sum := hex.EncodeToString(got.hash.Sum(nil))
	switch {
	case facts.Size >= 0 && got.n != facts.Size:
		return &doubtError{fmt.Sprintf("%d bytes arrived of a file of %d", got.n, facts.Size)}
	case facts.SHA256 != "" && !strings.EqualFold(sum, facts.SHA256):
		return &doubtError{"the bytes that arrived have another SHA-256 than the file"}
	case facts.SHA256 == "" && facts.Size < 0 && header.Get(metadataHeader) == "":
		return &doubtError{"the answer does not say that it is a file"} // an error page has status 200 at times
	}
	return nil
}

// headKept is how much of a body is kept to tell a page by.
const headKept = 4 << 10

// counting counts and hashes what passes to a spool.
type counting struct {
	to   io.Writer
	hash hash.Hash
	n    int64
	head []byte // the first bytes, where a page has its title
	err  error
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	c.hash.Write(p[:n])
	if left := headKept - len(c.head); left > 0 {
		c.head = append(c.head, p[:min(n, left)]...)
	}
	c.err = err
	return n, err
}
