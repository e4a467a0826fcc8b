package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cqservicenow/cq-source-servicenow/internal/auth"
	"github.com/cqservicenow/cq-source-servicenow/internal/servicenow"
)

const rateLimitRules = "System Web Services > REST > Rate Limit Rules"

// rateLimit tells the rules that the answers so far announced, and those that can be read.
func (e *examination) rateLimit(ctx context.Context) outcome {
	rules := e.rules(ctx)
	seen := e.observer.notes()
	facts := map[string]any{}
	if limit, err := strconv.Atoi(seen.perHour); err == nil {
		facts["requests_per_hour"] = limit
	}
	var parts []string
	if seen.perHour != "" {
		parts = append(parts, "a rule lets this user send "+shown(seen.perHour)+" requests an hour")
	} else {
		parts = append(parts, "no rule applied to the requests so far")
	}
	switch {
	case rules == nil:
		parts = append(parts, "sys_rate_limit_rules cannot be read (role rate_limit_admin), which is usual")
	case len(rules) > 0:
		facts["active_rules"] = rules
		parts = append(parts, fmt.Sprintf("active rules of the instance: %s", names(rules)))
	}
	text := strings.Join(parts, "; ")
	if seen.limited > 0 {
		return warning(fmt.Sprintf("%s; %d requests were refused by it (429)", text, seen.limited),
			"ask for a higher limit for this user in "+rateLimitRules+", or set max_requests_per_hour below it; the sync waits, so it only takes longer").with(facts)
	}
	if seen.perHour != "" && e.cfg.MaxRequestsPerHour == 0 {
		text += "; the sync spreads its requests below it"
	}
	return ok(text).with(facts)
}

// rules returns the names of the active rules; nil when they cannot be read.
func (e *examination) rules(ctx context.Context) []string {
	list, err := e.once.ListRecords(ctx, "sys_rate_limit_rules", servicenow.ListOptions{
		Query:  servicenow.Where(servicenow.Clause{Field: "active", Operator: "=", Value: "true"}),
		Fields: []string{"name"}, Display: servicenow.Values, Limit: 25,
	})
	if err != nil {
		return nil
	}
	rules := []string{}
	for _, record := range list.Records {
		if name, ok := record.Text("name"); ok {
			rules = append(rules, shown(name))
		}
	}
	return rules
}

// mostAtOnce is how many requests a node of an instance serves at once for the REST APIs.
const mostAtOnce = 4

// concurrency sends as many requests at once as a sync would, each one time only.
func (e *examination) concurrency(ctx context.Context) outcome {
	n := mostAtOnce // a sync that adapts goes beyond it only while the instance stays quick
	if e.cfg.Concurrency > 0 {
		n = min(e.cfg.Concurrency, mostAtOnce)
	}
	before := e.observer.notes()
	errs := make([]error, n)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, errs[i] = e.once.ListRecords(ctx, "incident", servicenow.ListOptions{Fields: []string{"sys_id"}, Display: servicenow.Values, Limit: 1})
		}()
	}
	wg.Wait()
	took := time.Since(began)
	after := e.observer.notes()
	facts := map[string]any{"at_once": n, "together_ms": took.Milliseconds(), "alone_ms": e.single.Milliseconds()}
	const lower = "set concurrency lower in the spec, or let other integrations run at other times; System Diagnostics > Semaphores shows the queues"
	switch {
	case after.queueFull > before.queueFull:
		return warning(fmt.Sprintf("of %d requests at once, %d found the queue full (429)", n, after.queueFull-before.queueFull), lower).with(facts)
	case after.limited > before.limited:
		return warning(fmt.Sprintf("of %d requests at once, %d met a rate limit (429)", n, after.limited-before.limited),
			"see "+CodeRateLimit+"; ask for a higher limit in "+rateLimitRules).with(facts)
	case after.queued > before.queued:
		return warning(fmt.Sprintf("of %d requests at once, %d were not carried out (202), as if they shared a session", n, after.queued-before.queued),
			"look for a proxy that adds cookies to requests").with(facts)
	}
	for _, err := range errs {
		if err != nil {
			return outcome{state: Warning, seen: fmt.Sprintf("of %d requests at once, one failed: %s", n, told(err)), next: lower, err: err}.with(facts)
		}
	}
	return ok(fmt.Sprintf("%d at once take %s, one alone %s", n, brief(took), brief(e.single))).with(facts)
}

// clockTolerance is how far apart two clocks may be without a word.
const clockTolerance = time.Minute

func (e *examination) clock(context.Context) outcome {
	seen := e.observer.notes()
	if seen.travelled == 0 {
		return warning("the instance's answers have no Date header", "look for a proxy that removes it: every window of a sync ends at the instance's clock")
	}
	offset := seen.clockOffset
	facts := map[string]any{"instance_ahead_seconds": int(offset.Round(time.Second) / time.Second)}
	if offset.Abs() <= clockTolerance {
		return ok("the clocks of this machine and of the instance agree").with(facts)
	}
	direction := "ahead of"
	if offset < 0 {
		direction = "behind"
	}
	text := fmt.Sprintf("the instance's clock is %s %s this machine's", brief(offset.Abs()), direction)
	next := "set this machine's clock by NTP; the sync itself goes by the instance's clock"
	if e.cfg.Grant == auth.GrantJWTBearer {
		next = "set this machine's clock by NTP: the instance refuses assertions of jwt_bearer from the future or the past"
	}
	return warning(text, next).with(facts)
}

// firstLoad estimates the first sync from counts and from the time that the sample took.
func (e *examination) firstLoad(ctx context.Context) outcome {
	incidents, err := e.covered(ctx)
	if err != nil {
		return skipped("because the instance tells this user no row counts: " + told(err))
	}
	pageSize := e.cfg.PageSize
	if pageSize <= 0 {
		pageSize = 1000
	}
	attachments := max(e.attachmentRows, 0)
	perPage := e.pageTime(pageSize)
	const looksAhead = 10 // sign-in, dictionary, counts, and the last page of each table
	incidentPages, attachmentPages := pages(incidents, pageSize), pages(attachments, pageSize)
	if e.cfg.Picked >= 0 || !e.cfg.Query.IsEmpty() {
		attachmentPages += pages(incidents, 100) // whose attachments they are is asked in portions
	}
	requests := incidentPages + attachmentPages + looksAhead
	// A table is read page behind page; the two tables side by side. A row of an attachment is small.
	incidentTime := time.Duration(incidentPages) * perPage
	attachmentTime := time.Duration(attachmentPages) * perPage / 4
	free := max(incidentTime, attachmentTime)
	if e.cfg.Concurrency == 1 {
		free = incidentTime + attachmentTime
	}
	free += looksAhead * e.single
	facts := map[string]any{
		"incidents": incidents, "attachments": attachments, "requests": requests, "page_size": pageSize,
		"page_ms": perPage.Milliseconds(), "seconds": int(free.Round(time.Second) / time.Second),
	}
	text := fmt.Sprintf("%d incidents and %d attachments (without their content) in about %d requests and %s", incidents, attachments, requests, atLeast(free))
	limit, _ := strconv.Atoi(e.observer.notes().perHour)
	if budget := lowest(e.cfg.MaxRequestsPerHour, limit); budget > 0 {
		limited := max(free, time.Duration(float64(requests)/float64(budget)*float64(time.Hour)))
		if requests <= budget/10 {
			limited = free // the budget lets a tenth go at once
		}
		facts["requests_per_hour"], facts["seconds_within_limit"] = budget, int(limited.Round(time.Second)/time.Second)
		text += fmt.Sprintf("; within %d requests an hour, %s", budget, atLeast(limited))
	}
	return ok(text).with(facts)
}

// covered is how many incidents the spec covers.
func (e *examination) covered(ctx context.Context) (int, error) {
	switch {
	case e.cfg.Picked >= 0:
		return e.cfg.Picked, nil
	case e.cfg.Query.IsEmpty() && e.sample.Total >= 0:
		return e.sample.Total, nil
	}
	return e.client.Count(ctx, "incident", e.cfg.Query)
}

// pageTime scales the sample's time to a page of the given size: what a request takes anyway, and what its rows take.
func (e *examination) pageTime(size int) time.Duration {
	rows := len(e.sample.Records)
	if rows == 0 {
		return e.single
	}
	perRow := max(e.sampleTook-e.single, 0) / time.Duration(rows)
	return e.single + perRow*time.Duration(size)
}

func pages(rows, size int) int { return (rows + size - 1) / size }

func lowest(a, b int) int {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

func atLeast(d time.Duration) string {
	if d < 10*time.Second {
		return "some seconds"
	}
	return "about " + brief(d)
}
