package servicenow

import (
	"errors"
	"net/http"
	"sync"

	"github.com/cqservicenow/cq-source-servicenow/internal/httpclient"
)

const (
	defaultPageSize = 1000
	// servedToGrow is how many pages in a row must be served before a halved page grows back.
	servedToGrow = 4
)

// PageSize is the number of rows to ask for at once. It halves when the instance cannot serve a page and finds its way
// back. One value serves one table and is safe for concurrent use.
type PageSize struct {
	mu    sync.Mutex
	size  int
	most  int
	inRow int
}

// NewPageSize returns a page size that starts at most and never exceeds it; 0 is the default.
func NewPageSize(most int) *PageSize {
	if most <= 0 {
		most = defaultPageSize
	}
	return &PageSize{size: most, most: most}
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

func (p *PageSize) served(size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if size < p.size || p.size == p.most {
		return
	}
	if p.inRow++; p.inRow >= servedToGrow {
		p.inRow, p.size = 0, min(p.size*2, p.most)
	}
}

// shrinkable reports whether the instance gave up on a page for its size or time.
func shrinkable(err error) bool {
	var partial *PartialError
	var status *StatusError
	switch {
	case errors.As(err, &partial):
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
