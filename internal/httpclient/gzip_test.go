package httpclient

import (
	"bytes"
	stdgzip "compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := stdgzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func sendZipped(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Encoding", "gzip")
	w.(http.Flusher).Flush() // chunked, as ServiceNow sends
	_, _ = w.Write(body)
}

func TestGzipIsAskedForAndUnpacked(t *testing.T) {
	text := strings.Repeat("incident ", 20000)
	body := zipped(t, text)
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Error("no gzip asked for")
		}
		sendZipped(w, body)
	})
	counters := &Counters{}
	cfg := config()
	cfg.Counters = counters
	client := newClient(t, cfg)
	var wg sync.WaitGroup
	for range 20 { // readers come back from the pool and must not mix
		wg.Go(func() {
			resp, err := client.Get(server.URL)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || string(got) != text || resp.Header.Get("Content-Encoding") != "" || !resp.Uncompressed {
				t.Error("wrong body", err)
			}
			_ = resp.Body.Close()
			if _, err := resp.Body.Read(make([]byte, 1)); err == nil {
				t.Error("a closed body must not be readable")
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 20*len(body), counters.Bytes(), "bytes are counted as they come over the wire")
}

func TestGzipTruncated(t *testing.T) {
	whole := zipped(t, strings.Repeat("0123456789abcdef", 5000))
	for _, cut := range []int{0, 5, 12, len(whole) / 2, len(whole) - 9, len(whole) - 1} {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) { sendZipped(w, whole[:cut]) })
		resp, err := newClient(t, config()).Get(server.URL)
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut at %d", cut)
		require.NoError(t, resp.Body.Close())
	}
}

func TestGzipLeavesOwnEncodingAlone(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Asked", r.Header.Get("Accept-Encoding"))
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "raw")
	})
	for _, header := range []string{"Accept-Encoding", "Range"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		req.Header.Set(header, "identity")
		resp, err := newClient(t, config()).Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, "raw", string(body))
		require.NotEqual(t, "gzip", resp.Header.Get("X-Asked"))
	}
}

func TestGzipEmptyAndPlainBodies(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/plain" {
			_, _ = io.WriteString(w, "plain")
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusNoContent)
	})
	client := newClient(t, config())
	for path, want := range map[string]string{"/plain": "plain", "/empty": ""} {
		resp, err := client.Get(server.URL + path)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, string(body))
	}
}
