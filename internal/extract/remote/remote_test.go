package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/extract"
)

func file(content, name, contentType string) extract.File {
	return extract.File{Content: strings.NewReader(content), Size: int64(len(content)), Name: name, ContentType: contentType}
}

// tikaServer answers as a Tika server does. old ones have no /rmeta/text.
func tikaServer(t *testing.T, old bool, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux() // which answers 404 to other paths and 405 to other methods
	check := func(accept string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			switch {
			case err != nil || r.ContentLength != int64(len(body)) || r.Header.Get("Content-Type") != "" || r.Header.Get("Content-Disposition") != "":
				w.WriteHeader(http.StatusBadRequest)
			case !strings.Contains(r.Header.Get("Accept"), accept):
				w.WriteHeader(http.StatusNotAcceptable)
			default:
				r.Body = io.NopCloser(strings.NewReader(string(body)))
				answer(w, r)
			}
		}
	}
	if !old {
		mux.HandleFunc("PUT /rmeta/text", check("application/json"))
	}
	mux.HandleFunc("PUT /tika", check("text/plain"))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestTika(t *testing.T) {
	const encrypted = "org.apache.tika.exception.EncryptedDocumentException: Unable to process: document is encrypted\n\tat org.apache.tika.parser.x\n"
	const corrupt = "org.apache.tika.exception.TikaException: Failed to close temporary resources\n\tat org.apache.tika.y\n"
	for name, c := range map[string]struct {
		status int
		body   string
		old    bool
		want   extract.Result
		err    string
	}{
		"parts": {status: 200, body: `[{"Content-Type":"application/msword; charset=x","X-TIKA:content":"\n\n first   text \n"},{"X-TIKA:content":"inner\u0000","X":["a","b"]},{"Content-Type":"image/png"}]`,
			want: extract.Result{Status: extract.Extracted, Type: "application/msword", Text: "first text\n\ninner"}},
		"partial": {status: 200, body: `[{"Content-Type":["application/pdf"],"X-TIKA:content":"some","X-TIKA:EXCEPTION:container_exception":"java.io.IOException: cut\n\tat x"}]`,
			want: extract.Result{Status: extract.Extracted, Type: "application/pdf", Text: "some", Reason: "the service could not read all of it: java.io.IOException: cut"}},
		"partial, of version 4": {status: 200, body: `[{"X-TIKA:content":"some"},{"X-TIKA:exception:embedded-exception":["java.io.IOException: inner"],"X-TIKA:content":"more"}]`,
			want: extract.Result{Status: extract.Extracted, Text: "some\n\nmore", Reason: "the service could not read all of it: java.io.IOException: inner"}},
		"limit": {status: 200, body: `[{"X-TIKA:content":"some","X-TIKA:EXCEPTION:write_limit_reached":"true"}]`,
			want: extract.Result{Status: extract.Extracted, Text: "some", Reason: "the text is cut: the service stopped before its end"}},
		"warning": {status: 200, body: `[{"X-TIKA:content":"some","X-TIKA:EXCEPTION:warn":["odd font"]}]`,
			want: extract.Result{Status: extract.Extracted, Text: "some"}},
		"encrypted, found late": {status: 200, body: `[{"X-TIKA:EXCEPTION:container_exception":"org.apache.tika.exception.EncryptedDocumentException: x"}]`,
			want: extract.Result{Status: extract.Encrypted, Reason: "it needs a password"}},
		"broken, found late": {status: 200, body: `[{"X-TIKA:EXCEPTION:container_exception":"java.lang.RuntimeException: oh"}]`,
			want: extract.Result{Status: extract.Failed, Reason: "the service cannot read it: java.lang.RuntimeException: oh"}},
		"no parser": {status: 200, body: `[{"X-TIKA:Parsed-By":["org.apache.tika.parser.CompositeParser","org.apache.tika.parser.EmptyParser"]}]`,
			want: extract.Result{Status: extract.Unsupported, Reason: "the service does not read its format"}},
		"no text":         {status: 200, body: `[{"X-TIKA:content":"\n \n"}]`, want: extract.Result{Status: extract.Extracted, Reason: "the service found no text in it"}},
		"nothing":         {status: 200, body: `[]`, want: extract.Result{Status: extract.Extracted, Reason: "the service found no text in it"}},
		"no content":      {status: 204, want: extract.Result{Status: extract.Extracted, Reason: "the service found no text in it"}},
		"unsupported":     {status: 415, want: extract.Result{Status: extract.Unsupported, Reason: "the service does not read its format"}},
		"encrypted":       {status: 422, body: encrypted, want: extract.Result{Status: extract.Encrypted, Reason: "it needs a password"}},
		"corrupt":         {status: 422, body: corrupt, want: extract.Result{Status: extract.Failed, Reason: "the service cannot read it: org.apache.tika.exception.TikaException: Failed to close temporary resources"}},
		"silent":          {status: 422, want: extract.Result{Status: extract.Failed, Reason: "the service cannot read it: it does not say why"}},
		"broken down":     {status: 500, body: "secret", err: "it answers 500"},
		"busy":            {status: 503, err: "it answers 503"},
		"no access":       {status: 401, err: "it answers 401"},
		"no json":         {status: 200, body: "<html>", err: "reading the answer"},
		"another json":    {status: 200, body: "{}", err: "no list of parts"},
		"cut":             {status: 200, body: `[{"X-TIKA:content":"some`, err: "reading the answer"},
		"odd part":        {status: 200, body: `[7]`, err: "reading the answer"},
		"old":             {status: 200, body: " plain   text\r\n", old: true, want: extract.Result{Status: extract.Extracted, Text: "plain text"}},
		"old, encrypted":  {status: 422, body: encrypted, old: true, want: extract.Result{Status: extract.Encrypted, Reason: "it needs a password"}},
		"old, no content": {status: 204, old: true, want: extract.Result{Status: extract.Extracted, Reason: "the service found no text in it"}},
		"old, broken":     {status: 500, old: true, err: "it answers 500"},
	} {
		t.Run(name, func(t *testing.T) {
			s := tikaServer(t, c.old, says(c.status, c.body))
			for _, address := range []string{s.URL, s.URL + "/"} {
				got, err := Tika{address, s.Client()}.Read(context.Background(), file("content", "a.doc", "application/msword"))
				if c.err != "" {
					require.ErrorContains(t, err, c.err)
					require.NotContains(t, err.Error(), "secret")
					continue
				}
				require.NoError(t, err)
				require.Equal(t, c.want, got)
			}
		})
	}
}

func TestTikaGetsTheFile(t *testing.T) {
	content := strings.Repeat("content ", 100_000)
	for _, old := range []bool{false, true} {
		s := tikaServer(t, old, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if old {
				fmt.Fprintf(w, "%v", string(body) == content)
			} else {
				fmt.Fprintf(w, `[{"X-TIKA:content":"%v"}]`, string(body) == content)
			}
		})
		got, err := Tika{s.URL, nil}.Read(context.Background(), file(content, "", ""))
		require.NoError(t, err)
		require.Equal(t, "true", got.Text)
	}
}

// forever answers without end.
func forever(head, piece string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		piece := strings.Repeat(piece, 1+(1<<20)/len(piece))
		if _, err := io.WriteString(w, head); err != nil {
			return
		}
		for range 200 {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
		}
	}
}

func TestTikaAnswersWithoutEnd(t *testing.T) {
	s := tikaServer(t, false, forever("[", `{"X-TIKA:content":"some words"},`))
	got, err := Tika{s.URL, s.Client()}.Read(context.Background(), file("x", "", ""))
	require.NoError(t, err)
	require.Equal(t, extract.Extracted, got.Status)
	require.True(t, strings.HasPrefix(got.Text, "some words\n\nsome words"))

	s = tikaServer(t, false, forever(`[{"X-TIKA:content":"`, "words "))
	_, err = Tika{s.URL, s.Client()}.Read(context.Background(), file("x", "", ""))
	require.ErrorContains(t, err, "longer than 64 MiB")

	s = tikaServer(t, true, forever("", "words "))
	got, err = Tika{s.URL, s.Client()}.Read(context.Background(), file("x", "", ""))
	require.NoError(t, err)
	require.Contains(t, got.Reason, "the text is cut")
	require.LessOrEqual(t, len(got.Text), 16<<20)
}

func TestSlowServicesEndWithTheContext(t *testing.T) {
	stop := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-stop
	}))
	defer s.Close()
	defer close(stop)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := Tika{s.URL, s.Client()}.Read(ctx, file("x", "", ""))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = Transcriber{URL: s.URL, HTTP: s.Client()}.Read(ctx, file("x", "", ""))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// No service's address, and no key, gets into an error, and neither goes where a redirect leads.
func TestSecretsStay(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/secret", http.StatusTemporaryRedirect)
	}))
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	defer s.Close()
	for _, address := range []string{
		s.URL + "?token=secret", closed.URL + "/v1?token=secret", strings.Replace(closed.URL, "//", "//user:secret@", 1),
		"ftp://secret", "secret", "http://", "http://a b/secret", "http://[secret", "",
	} {
		_, err := Tika{address, nil}.Read(context.Background(), file("x", "", ""))
		require.Error(t, err, address)
		require.NotContains(t, err.Error(), "secret")
		_, err = Transcriber{URL: address, Key: "secret"}.Read(context.Background(), file("x", "", ""))
		require.Error(t, err, address)
		require.NotContains(t, err.Error(), "secret")
	}
	require.False(t, reached)
}

// transcriptionServer answers as the service of the API does.
func transcriptionServer(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/audio/transcriptions", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 20); err != nil || r.FormValue("response_format") != "json" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if r.Header.Get("Authorization") != "Bearer key-1234" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer(w, r)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestTranscriber(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		body, path string
		key        string
		want       extract.Result
		err        string
	}{
		"text":                   {status: 200, body: `{"text":" Hello\n  world "}`, want: extract.Result{Status: extract.Extracted, Text: "Hello\nworld"}},
		"full path":              {status: 200, body: `{"text":"Hello"}`, path: "/v1/audio/transcriptions", want: extract.Result{Status: extract.Extracted, Text: "Hello"}},
		"slash":                  {status: 200, body: `{"text":"Hello"}`, path: "/", want: extract.Result{Status: extract.Extracted, Text: "Hello"}},
		"silence":                {status: 200, body: `{"text":""}`, want: extract.Result{Status: extract.Extracted, Reason: "nothing is said in it"}},
		"refused":                {status: 400, body: `{"error":{"message":"Invalid file format.","type":"invalid_request_error"}}`, want: extract.Result{Status: extract.Failed, Reason: "the service refuses it: Invalid file format."}},
		"refused by whisper.cpp": {status: 400, body: `{"error":"failed to read audio data"}`, want: extract.Result{Status: extract.Failed, Reason: "the service refuses it: failed to read audio data"}},
		"repeats the key":        {status: 400, body: `{"error":"no access for key-1234"}`, want: extract.Result{Status: extract.Failed, Reason: "the service refuses it: no access for …"}},
		"too large":              {status: 413, want: extract.Result{Status: extract.Failed, Reason: "the service refuses it: it is too large for it"}},
		"unsupported":            {status: 415, want: extract.Result{Status: extract.Unsupported, Reason: "the service does not read its format"}},
		"wrong path":             {status: 200, path: "/v2", err: "it answers 404"},
		"wrong key":              {status: 200, key: "other", err: "it answers 401"},
		"busy":                   {status: 429, body: "key-1234", err: "it answers 429"},
		"broken down":            {status: 500, err: "it answers 500"},
		"no json":                {status: 200, body: "Hello", err: "reading the answer"},
		"no text":                {status: 200, body: `{"error":"x"}`, err: "no text"},
		"cut":                    {status: 200, body: `{"text":"Hel`, err: "reading the answer"},
	} {
		t.Run(name, func(t *testing.T) {
			s := transcriptionServer(t, says(c.status, c.body))
			key := "key-1234"
			if c.key != "" {
				key = c.key
			}
			got, err := Transcriber{s.URL + c.path, key, "whisper-1", s.Client()}.Read(context.Background(), file("sound", "a.mp3", ""))
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				require.NotContains(t, err.Error(), key)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestTranscriberSendsTheFile(t *testing.T) {
	content := strings.Repeat("sound", 1<<20)
	for _, c := range [][3]string{{"Call with Mr. Smith.MP3", "", "recording.MP3"}, {"call", "audio/x-wav; a=b", "recording.wav"}, {"a.\"x", "", "recording"}} {
		s := transcriptionServer(t, func(w http.ResponseWriter, r *http.Request) {
			sent, header, err := r.FormFile("file")
			if err != nil || header.Filename != c[2] || r.FormValue("model") != "whisper-1" {
				w.WriteHeader(http.StatusTeapot)
				return
			}
			body, _ := io.ReadAll(sent)
			fmt.Fprintf(w, `{"text":"%v"}`, string(body) == content)
		})
		got, err := Transcriber{s.URL, "key-1234", "whisper-1", nil}.Read(context.Background(), file(content, c[0], c[1]))
		require.NoError(t, err)
		require.Equal(t, "true", got.Text)
	}
}

func TestTranscriberAnswersWithoutEnd(t *testing.T) {
	s := transcriptionServer(t, forever(`{"text":"`, "words "))
	_, err := Transcriber{s.URL, "key-1234", "", s.Client()}.Read(context.Background(), file("sound", "", ""))
	require.ErrorContains(t, err, "longer than 64 MiB")

	s = transcriptionServer(t, says(200, `{"text":"`+strings.Repeat("words ", 4<<20)+`"}`))
	got, err := Transcriber{s.URL, "key-1234", "", s.Client()}.Read(context.Background(), file("sound", "", ""))
	require.NoError(t, err)
	require.Contains(t, got.Reason, "the text is cut")
}

// A service may refuse a file before it has all of it.
func TestTranscriberIsRefusedEarly(t *testing.T) {
	s := httptest.NewServer(says(http.StatusUnsupportedMediaType, ""))
	defer s.Close()
	big := extract.File{Content: endless{}, Size: 1 << 30}
	got, err := Transcriber{URL: s.URL, HTTP: s.Client()}.Read(context.Background(), big)
	if err == nil { // else the connection broke while it was sent, which is an answer too
		require.Equal(t, extract.Unsupported, got.Status)
	}
}

type endless struct{}

func (endless) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("the disk is gone") }

func TestFilesThatCannotBeRead(t *testing.T) {
	s := transcriptionServer(t, says(200, `{"text":"Hello"}`))
	_, err := Transcriber{s.URL, "key-1234", "", s.Client()}.Read(context.Background(), extract.File{Content: broken{}, Size: 10})
	require.ErrorContains(t, err, "the disk is gone")
	s = tikaServer(t, false, says(200, "[]"))
	_, err = Tika{s.URL, s.Client()}.Read(context.Background(), extract.File{Content: broken{}, Size: 10})
	require.ErrorContains(t, err, "the disk is gone")
}
