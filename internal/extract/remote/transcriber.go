package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"strings"

	"github.com/cqservicenow/cq-source-servicenow/internal/extract"
)

// Transcriber is a service with the transcription endpoint of OpenAI's API, which whisper.cpp and others offer too.
type Transcriber struct {
	// URL is the endpoint, such as http://host/v1/audio/transcriptions. This path is added to one without a path.
	URL   string
	Key   string // "" for a service that needs none
	Model string // "" for a service that has only one
	HTTP  *http.Client
}

// Read sends a file, as it reads it, and returns what is said in it.
func (t Transcriber) Read(ctx context.Context, f extract.File) (extract.Result, error) {
	u, err := endpoint(t.URL)
	if err != nil {
		return extract.Result{}, err
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/audio/transcriptions"
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// An answer that comes before the upload's end closes the pipe, and so ends the writer.
	body, upload := io.Pipe()
	defer func() { _ = body.Close() }()
	form := multipart.NewWriter(upload)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), body)
	if err != nil {
		return extract.Result{}, errors.New("the service's address is no URL")
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("Accept", "application/json")
	if t.Key != "" {
		req.Header.Set("Authorization", "Bearer "+t.Key)
	}
	go func() { _ = upload.CloseWithError(t.write(ctx, form, f)) }()
	resp, err := send(t.HTTP, req)
	if err != nil {
		return extract.Result{}, err
	}
	defer resp.Body.Close()
	return t.answer(resp)
}

// write writes the form. The file comes last, so that a service may read it as it arrives.
func (t Transcriber) write(ctx context.Context, form *multipart.Writer, f extract.File) error {
	if t.Model != "" {
		if err := form.WriteField("model", t.Model); err != nil {
			return err
		}
	}
	if err := form.WriteField("response_format", "json"); err != nil {
		return err
	}
	part, err := form.CreateFormFile("file", uploadName(f))
	if err != nil {
		return err
	}
	if _, err := io.Copy(part, content(ctx, f)); err != nil {
		return fmt.Errorf("reading the file: %w", err)
	}
	return form.Close()
}

// uploadName is a file's name as the service sees it. Services find the format by the extension, and nothing else of the name
// is their business.
func uploadName(f extract.File) string {
	extension := path.Ext(f.Name)
	for _, c := range extension {
		if !(c == '.' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			extension = ""
		}
	}
	if len(extension) > 10 || len(extension) < 2 {
		extension = typeExtension(f.ContentType)
	}
	return "recording" + extension
}

func typeExtension(contentType string) string {
	base, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	switch strings.TrimSpace(base) {
	case "audio/mpeg", "audio/mp3":
		return ".mp3"
	case "audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave":
		return ".wav"
	case "audio/mp4", "audio/x-m4a", "audio/m4a":
		return ".m4a"
	case "audio/ogg", "application/ogg":
		return ".ogg"
	case "audio/flac":
		return ".flac"
	case "audio/webm", "video/webm":
		return ".webm"
	case "video/mp4":
		return ".mp4"
	}
	return ""
}

// answer judges the service's answer.
func (t Transcriber) answer(resp *http.Response) (extract.Result, error) {
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnsupportedMediaType:
		return extract.Result{Status: extract.Unsupported, Reason: "the service does not read its format"}, nil
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		said := t.secretless(complaint(resp))
		if resp.StatusCode == http.StatusRequestEntityTooLarge {
			said = "it is too large for it"
		}
		return extract.Result{Status: extract.Failed, Reason: "the service refuses it: " + message(said)}, nil
	default:
		return extract.Result{}, statusError(resp.Request, resp)
	}
	var said struct {
		Text *string `json:"text"`
	}
	if err := json.NewDecoder(&bounded{resp.Body, maxAnswer}).Decode(&said); err != nil {
		return extract.Result{}, reading(resp.Request, err)
	}
	if said.Text == nil {
		return extract.Result{}, reading(resp.Request, errors.New("it holds no text"))
	}
	r := extract.Result{Status: extract.Extracted, Text: extract.Clean(*said.Text)}
	switch {
	case r.Text == "":
		r.Reason = "nothing is said in it"
	case extract.Full(r.Text):
		r.Reason = textFull
	}
	return r, nil
}

// message returns the words of an error in JSON, or the answer as it is.
func message(said string) string {
	var answer struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal([]byte(said), &answer) == nil && len(answer.Error) > 0 {
		var inner struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(answer.Error, &inner) == nil && inner.Message != "" {
			said = inner.Message
		} else {
			said = value(answer.Error)
		}
	}
	return exception(said)
}

// secretless keeps a service that repeats the key from writing it into the database.
func (t Transcriber) secretless(s string) string {
	if t.Key == "" {
		return s
	}
	return strings.ReplaceAll(s, t.Key, "…")
}
