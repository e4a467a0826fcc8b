package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cqservicenow/cq-source-servicenow/internal/extract"
)

// maxRequest is the longest line that a worker is asked with.
const maxRequest = 1 << 20

// Main is a worker: it answers the requests on stdin until that ends, and returns the exit code. It gives the whole
// process limits that cannot be taken back, and ends the process at once when stdin ends while a file is read.
func Main(stdin io.Reader, stdout io.Writer) int {
	return serve(stdin, stdout, func(ctx context.Context, r *extract.Reader, f extract.File) extract.Result {
		return r.Read(ctx, f)
	})
}

type readFunc func(context.Context, *extract.Reader, extract.File) extract.Result

func serve(stdin io.Reader, stdout io.Writer, read readFunc) int {
	if err := setLimits(); err != nil {
		fmt.Fprintln(os.Stderr, "limiting the reader:", err)
		return 1
	}
	requests := make(chan []byte)
	busy := make(chan struct{}, 1) // holds one while a file is read
	go func() {
		defer close(requests)
		in := bufio.NewReader(stdin)
		for {
			line, err := readLine(in, maxRequest)
			if err != nil {
				break
			}
			requests <- line
		}
		select {
		case busy <- struct{}{}: // nothing is being read, so that the loop below sees the end
		default:
			// Whoever asked is gone. The file may be one that is never read to its end.
			exitWithGroup()
		}
	}()
	reader := extract.NewReader()
	defer func() { _ = reader.Close() }()
	out := json.NewEncoder(stdout)
	out.SetEscapeHTML(false) // which would make a text six times as long
	for line := range requests {
		select {
		case busy <- struct{}{}:
		default:
			return 0 // stdin has ended
		}
		var req request
		if err := json.Unmarshal(line, &req); err != nil {
			fmt.Fprintln(os.Stderr, "reading a request:", err)
			return 1
		}
		result := readPath(reader, req, read)
		if err := out.Encode(answer{result, peakMemory()}); err != nil {
			return 1
		}
		<-busy
	}
	return 0
}

// readPath reads the file that a request names.
func readPath(reader *extract.Reader, req request, read readFunc) extract.Result {
	file, err := os.Open(req.Path)
	if err != nil {
		return failed("opening the file: %v", errors.Unwrap(err)) // without the path, which means nothing to the reader
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	switch {
	case err != nil:
		return failed("opening the file: %v", errors.Unwrap(err))
	case !info.Mode().IsRegular():
		return failed("opening the file: it is no regular file")
	}
	reader.OCR = nil
	if req.OCR != nil {
		ocr := *req.OCR
		ocr.SameGroup = true // the pool kills the group
		reader.OCR = &ocr
	}
	f := extract.File{Content: file, Size: min(req.Size, info.Size()), Name: req.Name, ContentType: req.Type}
	reader.Warm(f)
	ctx, cancel := extract.WithTimeout(context.Background(), req.Timeout)
	defer cancel()
	return read(ctx, reader, f)
}
