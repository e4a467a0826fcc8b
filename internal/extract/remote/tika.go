package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/extract"
)

// Tika is an Apache Tika server of version 2, 3 or 4.
type Tika struct {
	URL  string // of the server, such as http://tika:9998
	HTTP *http.Client
}

// maxParts is how many files inside a file are joined.
const maxParts = 10000

// Read sends a file to PUT /rmeta/text, which reads what is inside it too. A server that has no such path is asked at PUT
// /tika.
func (t Tika) Read(ctx context.Context, f extract.File) (extract.Result, error) {
	resp, err := t.put(ctx, f, "application/json", "rmeta", "text")
	if err != nil {
		return extract.Result{}, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return parts(resp)
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return t.plain(ctx, f)
	}
	return refused(resp)
}

func (t Tika) put(ctx context.Context, f extract.File, accept string, path ...string) (*http.Response, error) {
	u, err := endpoint(t.URL)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(content(ctx, f)), nil }
	body, _ := open()
	if f.Size == 0 {
		body = http.NoBody
	}
	// The server finds the type by the content; a stated one would mislead it as it would us.
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.JoinPath(path...).String(), body)
	if err != nil {
		return nil, errors.New("the service's address is no URL")
	}
	req.ContentLength, req.GetBody = f.Size, open
	req.Header.Set("Accept", accept)
	return send(t.HTTP, req)
}

// plain asks for the text alone.
func (t Tika) plain(ctx context.Context, f extract.File) (extract.Result, error) {
	resp, err := t.put(ctx, f, "text/plain", "tika")
	if err != nil {
		return extract.Result{}, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		said, err := io.ReadAll(&bounded{resp.Body, maxAnswer})
		if err != nil && (!errors.Is(err, errAnswerTooLong) || len(said) == 0) {
			return extract.Result{}, reading(resp.Request, err)
		}
		return done(string(said), "", err), nil
	case http.StatusNoContent:
		return done("", "", nil), nil
	}
	return refused(resp)
}

// refused judges an answer that holds no text.
func refused(resp *http.Response) (extract.Result, error) {
	switch resp.StatusCode {
	case http.StatusNoContent:
		return done("", "", nil), nil
	case http.StatusUnsupportedMediaType:
		return extract.Result{Status: extract.Unsupported, Reason: "the service does not read its format"}, nil
	case http.StatusUnprocessableEntity:
		said := complaint(resp)
		if isEncrypted(said) {
			return extract.Result{Status: extract.Encrypted, Reason: "it needs a password"}, nil
		}
		return extract.Result{Status: extract.Failed, Reason: "the service cannot read it: " + exception(said)}, nil
	}
	return extract.Result{}, statusError(resp.Request, resp)
}

// isEncrypted reports whether an exception is about a password.
func isEncrypted(exception string) bool {
	if strings.Contains(exception, "EncryptedDocumentException") || strings.Contains(exception, "InvalidPasswordException") {
		return true
	}
	first := strings.ToLower(short(exception))
	return strings.Contains(first, "encrypted") || strings.Contains(first, "password")
}

// exception returns what a Java exception says, without the trace of its calls.
func exception(said string) string {
	if said = short(said); said == "" {
		return "it does not say why"
	}
	return said
}

// parts reads the list of a file's parts; the first one is the file itself.
func parts(resp *http.Response) (extract.Result, error) {
	decoder := json.NewDecoder(&bounded{resp.Body, maxAnswer})
	if open, err := decoder.Token(); err != nil || open != json.Delim('[') {
		if err == nil {
			err = errors.New("it is no list of parts")
		}
		return extract.Result{}, reading(resp.Request, err)
	}
	var texts strings.Builder
	var first, all part
	for n := 0; n < maxParts && decoder.More(); n++ {
		var p part
		if err := decoder.Decode(&p); err != nil {
			if errors.Is(err, errAnswerTooLong) && texts.Len() > 0 {
				return first.result(all, texts.String(), err), nil
			}
			return extract.Result{}, reading(resp.Request, err)
		}
		if n == 0 {
			first = p
		}
		if all.exception == "" {
			all.exception = p.exception
		}
		all.cut = all.cut || p.cut
		texts.WriteString(p.content)
		texts.WriteString("\n\n")
	}
	return first.result(all, texts.String(), nil), nil
}

// part is one file, or a file inside it.
type part struct {
	content, mediaType string
	parsers            string
	exception          string // why it could not be read to its end
	cut                bool
	encrypted          bool
}

// UnmarshalJSON reads the metadata whose names all versions share but for their case and their dashes. A value is a string,
// or a list of them.
func (p *part) UnmarshalJSON(data []byte) error {
	var metadata map[string]json.RawMessage
	if err := json.Unmarshal(data, &metadata); err != nil {
		return err
	}
	for name, raw := range metadata {
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
		switch {
		case name == "content-type":
			p.mediaType, _, _ = strings.Cut(value(raw), ";")
		case name == "x-tika:content":
			p.content = value(raw)
		case name == "x-tika:parsed-by":
			p.parsers = value(raw)
		case name == "x-tika:encrypted":
			p.encrypted = value(raw) == "true"
		case !strings.HasPrefix(name, "x-tika:exception:"), strings.HasSuffix(name, ":embedded-parser"):
		case strings.HasSuffix(name, "-limit-reached"), strings.HasSuffix(name, "-deadline-reached"):
			p.cut = p.cut || value(raw) == "true"
		case strings.HasSuffix(name, ":warn"), strings.HasSuffix(name, "-warning"):
		default:
			p.exception = value(raw)
		}
	}
	return nil
}

// value returns a metadata value as text, lists line by line.
func value(raw json.RawMessage) string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one
	}
	var many []string
	if json.Unmarshal(raw, &many) == nil {
		return strings.Join(many, "\n")
	}
	return strings.Trim(string(raw), `"`)
}

// result judges the parts. p is the file itself.
func (p part) result(all part, texts string, err error) extract.Result {
	r := done(texts, all.exception, err)
	r.Type = extract.Clean(p.mediaType)
	switch {
	case r.Text != "":
		if all.cut && r.Reason == "" {
			r.Reason = "the text is cut: the service stopped before its end"
		}
	case p.encrypted, isEncrypted(p.exception):
		r.Status, r.Reason = extract.Encrypted, "it needs a password"
	case p.exception != "":
		r.Status, r.Reason = extract.Failed, "the service cannot read it: "+exception(p.exception)
	case p.parsers != "" && strings.HasSuffix(strings.TrimSpace(p.parsers), "EmptyParser"):
		r.Status, r.Reason = extract.Unsupported, "the service does not read its format"
	}
	return r
}

// done makes a result of text, of why it may not be all (an exception, or an error that cut it).
func done(text, partial string, cut error) extract.Result {
	r := extract.Result{Status: extract.Extracted, Text: extract.Clean(text)}
	switch {
	case cut != nil:
		r.Reason = fmt.Sprintf("the text is cut: %v", cut)
	case extract.Full(r.Text):
		r.Reason = textFull
	case partial != "":
		r.Reason = "the service could not read all of it: " + exception(partial)
	case r.Text == "":
		r.Reason = "the service found no text in it"
	}
	return r
}
