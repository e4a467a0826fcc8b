package servicenow

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
)

const (
	// startPageSize is where a page size without a ceiling of the user's begins.
	startPageSize = 1000
	// mostPageSize is how far it grows by itself. With 200 ms a request and 0.1 ms a row, pages of 1,000 rows bring 3,300
	// rows a second, of 4,000 6,700, and of 10,000, where the platform's own limit lies, 8,300: most of the gain, for less
	// than half the memory and far from the transaction quota. Under a rate-limit rule of 500 requests an hour it is the
	// difference between half a million rows an hour and nearly two.
	mostPageSize = 4000
	// mostPageBytes is the body that a page grows to at most, unpacked. An incident is 5 to 8 kB of JSON with both values
	// of every field. Two or three pages of a table are in memory at once, and a body may have 40 MiB.
	mostPageBytes = 16 << 20
	// mostBytesAtOnce is for the pages of ranges that are read side by side, together. They may have twice as much before
	// they are halved.
	mostBytesAtOnce = 48 << 20
	// mostExpected bounds the memory that is taken before anything has arrived.
	mostExpected = 2 * mostPageBytes
	// servedToGrow is how many pages in a row must be served quickly before the page grows.
	servedToGrow = 4
	// A page that took less than quickPage may double and stays at the 10 s that are aimed at; one that took longer than
	// slowPage is halved before the instance cancels it: its quota for a transaction is 60 s by default.
	quickPage, slowPage = 5 * time.Second, 30 * time.Second
)

// PageSize is the number of rows to ask for at once. It halves when the instance cannot serve a page or takes long for
// it, and grows while pages come quickly. One value serves one table and is safe for concurrent use.
type PageSize struct {
	mu    sync.Mutex
	size  int
	most  int
	start int
	inRow int
	row   int // bytes of a row, in the last page that had some; 0: not known
}

// NewPageSize returns a page size that starts at most and never exceeds it; 0 starts at 1,000 and finds its size.
func NewPageSize(most int) *PageSize {
	if most <= 0 {
		return &PageSize{size: startPageSize, start: startPageSize, most: mostPageSize}
	}
	return &PageSize{size: most, start: most, most: most}
}

// Rows is how many rows the next page asks for.
func (p *PageSize) Rows() int { return p.current() }

// expected is about how many bytes a page of the given size has, of which so many rows are left; -1 is not known.
func (p *PageSize) expected(size, left int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if left >= 0 {
		size = min(size, left)
	}
	return min(p.row*size*33/32, mostExpected)
}

func (p *PageSize) current() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

// halve reacts to a page of the given size that could not be served; false means that it was a single row already.
func (p *PageSize) halve(size int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inRow = 0
	if size <= 1 {
		return false
	}
	p.size = min(p.size, max(size/2, 1))
	return true
}

// served learns from a whole page of the given size, one of so many that are read side by side.
func (p *PageSize) served(size, rows, bytes int, took time.Duration, atOnce int) {
	if rows > 0 {
		p.mu.Lock()
		p.row = bytes / rows
		p.mu.Unlock()
	}
	most := min(mostPageBytes, mostBytesAtOnce/max(atOnce, 1))
	if took > slowPage || bytes > 2*most {
		p.halve(size)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	larger := min(p.size*2, p.most)
	switch {
	case size < p.size || larger == p.size:
		return
	case took >= quickPage, rows > 0 && bytes/rows*larger > most:
		p.inRow = 0
		return
	case larger > p.start && rows < size/2:
		return // few rows do not tell what many would take
	}
	if p.inRow++; p.inRow >= servedToGrow {
		p.inRow, p.size = 0, larger
	}
}

// shrinkable reports whether the instance gave up on a page for its size or time.
func shrinkable(err error) bool {
	var partial *PartialError
	var status *StatusError
	switch {
	case errors.As(err, &partial), errors.Is(err, errSlow):
		return true
	case errors.As(err, &status):
		return status.Status == http.StatusInternalServerError || status.Status == http.StatusGatewayTimeout
	}
	return false
}

// tooLarge reports whether a body went over the limit of the HTTP chain.
func tooLarge(err error) bool {
	var limit *httpclient.BodyTooLargeError
	return errors.As(err, &limit)
}
