package httpclient

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestBodyLimit(t *testing.T) {
	const limit = 1000
	for name, test := range map[string]struct {
		size    int
		gzip    bool
		tooLong bool
	}{
		"below":       {size: limit - 1},
		"exact":       {size: limit},
		"one above":   {size: limit + 1, tooLong: true},
		"gzip exact":  {size: limit, gzip: true},
		"gzip bomb":   {size: 500 * limit, gzip: true, tooLong: true},
		"empty":       {size: 0},
		"plain large": {size: 500 * limit, tooLong: true},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat("a", test.size)
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.gzip {
					sendZipped(w, zipped(t, text))
					return
				}
				_, _ = io.WriteString(w, text)
			})
			cfg := config()
			cfg.MaxBody = limit
			for kind, wrap := range map[string]func(io.Reader) io.Reader{
				"whole": func(r io.Reader) io.Reader { return r }, "bytewise": iotest.OneByteReader,
			} {
				resp, err := newClient(t, cfg).Get(server.URL)
				require.NoError(t, err)
				body, err := io.ReadAll(wrap(resp.Body))
				if test.tooLong {
					var tooLarge *BodyTooLargeError
					require.ErrorAs(t, err, &tooLarge, kind)
					require.EqualValues(t, limit, tooLarge.Limit)
					_, err = resp.Body.Read(make([]byte, 10))
					require.ErrorAs(t, err, &tooLarge, "the error must stay")
				} else {
					require.NoError(t, err, kind)
					require.Len(t, body, test.size)
				}
				require.NoError(t, resp.Body.Close())
			}
		})
	}
}
