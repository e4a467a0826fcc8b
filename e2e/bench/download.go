package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// downloader fetches pages and throws them away: what no client can beat. It unpacks them with the library that the plugin
// unpacks them with, and decodes nothing.
type downloader struct {
	base   string
	client *http.Client
}

func newDownloader(base string, parallel int) *downloader {
	return &downloader{base: base, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: parallel, DisableCompression: true}}}
}

func (d *downloader) close() { d.client.CloseIdleConnections() }

// pages fetches the addresses with so many requests in flight.
func (d *downloader) pages(ctx context.Context, addresses []string, parallel int) (time.Duration, error) {
	began := time.Now()
	next := make(chan string)
	var wg sync.WaitGroup
	errs := make([]error, parallel)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i := range parallel {
		wg.Go(func() {
			for address := range next {
				if _, err := d.fetch(ctx, address); err != nil {
					errs[i] = err
					cancel()
					return
				}
			}
		})
	}
feed:
	for _, address := range addresses {
		select {
		case next <- address:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	return time.Since(began), errors.Join(errs...)
}

// offsets fetches the whole table one page after the other, as most connectors do.
func (d *downloader) offsets(ctx context.Context, rows int) (time.Duration, error) {
	const size = 1000
	began := time.Now()
	for offset := 0; offset < rows; offset += size {
		params := url.Values{
			"sysparm_query": {"ORDERBYsys_id"}, "sysparm_limit": {strconv.Itoa(size)}, "sysparm_offset": {strconv.Itoa(offset)},
			"sysparm_display_value": {"all"}, "sysparm_exclude_reference_link": {"true"}, "sysparm_no_count": {"true"},
			"sysparm_suppress_pagination_header": {"true"},
		}
		if _, err := d.fetch(ctx, "/api/now/table/incident?"+params.Encode()); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// fetch returns the unpacked size of an answer.
func (d *downloader) fetch(ctx context.Context, address string) (int64, error) {
	req, err := request(ctx, d.base+address)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("downloading a page: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("downloading a page: %s", resp.Status)
	}
	unpacked, err := gzip.NewReader(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("downloading a page: %w", err)
	}
	n, err := io.Copy(io.Discard, unpacked)
	if err != nil {
		return 0, fmt.Errorf("downloading a page: %w", err)
	}
	return n, nil
}

func request(ctx context.Context, address string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("building a request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("x-sn-apikey", apiKey)
	return req, nil
}

// apiKey is the emulator's own.
const apiKey = "emulator-key" //nolint:gosec // no secret
