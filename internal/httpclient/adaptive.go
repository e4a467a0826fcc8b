package httpclient

import "time"

// The adaptive limit grows by one with each round of good answers, as long as it is used up and the latency stays near
// the best one seen; goes back by one while it is clearly higher; and halves on 429, 503 and latency that has run away.
// A server that serves K requests at once and queues the others answers n of them in n/K times its best latency. The
// limit therefore stays between K and 1.6 K, where the server is busy and its queue short.

const (
	// keepsGrowing, goesBack and halves are ratios of latency to best latency. The best is the lowest of averages that
	// scatter by some 10 %, so that differences of less than a third cannot be told from chance.
	keepsGrowing, goesBack, halves = 1.3, 1.6, 2.5
	// noise is a difference that says nothing, on top of halves; half of it on top of the others.
	noise = 50 * time.Millisecond
	// samples is how many answers make an average, if the limit is not above it. An answer counts as at most outlier times the
	// best, so that it takes more than one slow request to halve.
	samples, outlier = 6, 3
	// servedByNode is how many requests a node serves at once (KB0564204). Below it a round of answers is average enough.
	servedByNode = 4
	// bestAges is when the best latency is measured anew, with a third less in flight, if it keeps the limit from growing:
	// the instance may have become slower for reasons of its own.
	bestAges = 5 * time.Minute
	// mostClasses bounds what is remembered; requests of further classes are not compared.
	mostClasses = 64
)

// halve cuts the limit in half.
func (g *gate) halve(reason string) {
	before := g.limit
	g.lower(g.limit / 2)
	g.logger.Debug().Int("from", before).Int("to", g.limit).Str("reason", reason).Msg("fewer requests at once")
}

// lower cuts the limit, at most once for each round trip: answers to requests that were sent before a cut are not fresh.
func (g *gate) lower(n int) {
	g.setLimit(max(n, 1))
	g.threshold = g.limit
	g.cut = g.sent
	g.latency.restart()
}

// grow learns from a good answer.
func (g *gate) grow(s *slot) {
	now := time.Now()
	enough := max(g.limit, samples)
	if g.limit < servedByNode {
		enough = g.limit
	}
	verdict := g.latency.add(s.class, now.Sub(s.sentAt), enough, now)
	g.good++
	switch {
	case g.limit < g.threshold && verdict < higher:
		g.setLimit(g.limit + 1) // on the way back from a pause
	case verdict == unknown:
	case g.limit == 1 && verdict >= higher:
		g.latency.forget() // one request at a time cannot be what makes the instance slow
	case verdict == risen:
		g.halve("rising latency")
	case verdict == stale:
		g.lower(g.limit * 2 / 3)
		g.latency.forget()
	case verdict == higher:
		g.lower(g.limit - 1)
	case verdict == steady && g.good >= g.limit && g.full && g.limit < g.ceiling:
		g.setLimit(g.limit + 1)
		g.latency.restart()
	case g.good >= g.limit:
		g.setLimit(g.limit) // a new round
	}
}

// latencies compares the time to the first byte of requests of the same class.
type latencies struct {
	classes map[string]*classLatency
	// inflation is the last average in terms of its best: what the number in flight costs at present. The first average of
	// a class, which comes with another size of page, has it too.
	inflation float64
}

type classLatency struct {
	sum      time.Duration
	seen     int           // samples in sum
	best     time.Duration // of averages
	measured time.Time     // when an average was last as good
}

// verdict is what an average says about the limit, from good to bad.
type verdict int

const (
	unknown verdict = iota // too few samples
	steady
	high   // too high to grow
	higher // high enough to go back
	stale  // high or higher, against a best latency that is old
	risen  // high enough to halve
)

// add takes a sample, and tells what the average of so many means.
func (l *latencies) add(class string, took time.Duration, enough int, now time.Time) verdict {
	if class == "" {
		return steady
	}
	c, ok := l.classes[class]
	if !ok {
		if len(l.classes) >= mostClasses {
			return steady
		}
		if l.classes == nil {
			l.classes = map[string]*classLatency{}
		}
		c = &classLatency{}
		l.classes[class] = c
	}
	if c.best > 0 {
		took = min(took, outlier*c.best+2*noise)
	}
	c.sum += took
	if c.seen++; c.seen < enough {
		return unknown
	}
	average := c.sum / time.Duration(c.seen)
	c.sum, c.seen = 0, 0
	switch {
	case c.best == 0:
		c.best, c.measured = scale(average, 1/max(l.inflation, 1)), now
	case average <= c.best:
		c.best, c.measured = (c.best+average)/2, now // half-way: the luckiest average is not the typical best
	}
	l.inflation = float64(average) / float64(max(c.best, 1))
	switch {
	case average > scale(c.best, halves)+noise:
		return risen
	case average <= scale(c.best, keepsGrowing)+noise/2:
		return steady
	case now.Sub(c.measured) > bestAges:
		return stale
	case average <= scale(c.best, goesBack)+noise/2:
		return high
	default:
		return higher
	}
}

func scale(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }

// restart begins new averages: the old ones are of another limit.
func (l *latencies) restart() {
	for _, c := range l.classes {
		c.sum, c.seen = 0, 0
	}
}

// forget begins anew altogether.
func (l *latencies) forget() {
	clear(l.classes)
	l.inflation = 0
}
