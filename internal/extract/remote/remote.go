// Package remote reads files with services over HTTP that the user runs or chose: Apache Tika for what the extract package
// does not read, and a transcription service for audio and video. Files leave the process, so both are opt-in.
//
// A file's own failure is in its result; an error means that the service could not be asked, is busy or broken, and that the
// caller may try again. Errors name the service's host and nothing else of its address, and no key.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/extract"
)

const (
	// maxAnswer is how many bytes of an answer are read. The text in it is a quarter of that at most.
	maxAnswer = 64 << 20
	// maxComplaint is how much of an answer that says no is read.
	maxComplaint = 16 << 10
	// maxReason is how long a reason may be, in bytes.
	maxReason = 300
)

// textFull is the reason of a text of which a result holds only the beginning.
const textFull = "the text is cut: it is longer than a result may hold"

// errAnswerTooLong ends the reading of an answer without end.
var errAnswerTooLong = fmt.Errorf("the service's answer is longer than %d MiB", maxAnswer>>20)

// bounded reads at most so many bytes and then fails.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errAnswerTooLong
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// endpoint parses a service's address. Its text is in no error, since it may hold a password or a key.
func endpoint(address string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil {
		return nil, errors.New("the service's address is no URL")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("the service's address must begin with http:// or https:// and name a host")
	}
	return u, nil
}

// send sends a request. It follows no redirect: the file and the key are for one host alone.
func send(client *http.Client, req *http.Request) (*http.Response, error) {
	once := http.Client{}
	if client != nil {
		once = *client
	}
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	once.Jar = nil
	resp, err := once.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) { // it holds the whole address
			err = failed.Err
		}
		return nil, fmt.Errorf("asking %s: %w", req.URL.Host, err)
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		resp.Body.Close()
		return nil, fmt.Errorf("asking %s: it redirects (%d); state the address that it redirects to", req.URL.Host, resp.StatusCode)
	}
	return resp, nil
}

// complaint reads what a service says about its refusal.
func complaint(resp *http.Response) string {
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxComplaint))
	return string(said)
}

// statusError is the error of an answer whose status says nothing about the file. What the service says is left out: it may
// repeat the request.
func statusError(req *http.Request, resp *http.Response) error {
	return fmt.Errorf("asking %s: it answers %d %s", req.URL.Host, resp.StatusCode, http.StatusText(resp.StatusCode))
}

// reading is the error of an answer that breaks off.
func reading(req *http.Request, err error) error {
	return fmt.Errorf("reading the answer of %s: %w", req.URL.Host, err)
}

// short makes a reason of a service's words: their first line.
func short(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	s = extract.Clean(s)
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return s
}

// content is a file's content from its first byte.
func content(ctx context.Context, f extract.File) io.Reader {
	return &contentReader{ctx, io.NewSectionReader(f.Content, 0, f.Size)}
}

type contentReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contentReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}
