package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// The plots' files, in the directory of the flag.
const (
	loadPlot      = "bench-load.svg"
	incrementPlot = "bench-incremental.svg"
)

// plot writes the plots; nothing without a directory.
func (r *results) plot(dir string) error {
	if dir == "" {
		return nil
	}
	for name, image := range map[string]string{loadPlot: r.plotLoads(), incrementPlot: r.plotIncrements()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(image), 0o600); err != nil {
			return fmt.Errorf("writing a plot: %w", err)
		}
	}
	return nil
}

const plotWidth = 720

// drawing is an SVG in the making.
type drawing struct{ strings.Builder }

func newDrawing(height int, title string) *drawing {
	d := &drawing{}
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", plotWidth, height, plotWidth, height)
	fmt.Fprintf(d, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", plotWidth, height)
	d.text(16, 26, "start", "#111111", title)
	return d
}

func (d *drawing) text(x, y float64, anchor, colour, text string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, colour, html.EscapeString(text))
}

func (d *drawing) end() string {
	d.WriteString("</svg>\n")
	return d.String()
}

// colours tell lines and bars apart, for the colour-blind too.
func colours() []string { return []string{"#0072b2", "#56b4e9", "#d55e00", "#999999"} }

// plotLoads draws rows per second as bars, each group on a scale of its own.
func (r *results) plotLoads() string {
	type bar struct {
		name   string
		perSec float64
	}
	groups := []struct {
		title string
		bars  []bar
	}{}
	for i, l := range []*loads{r.quick, r.slow} {
		n := float64(l.incidents)
		bars := []bar{{"sync", n / walls(l.syncs).median()}, {"bare download", n / seconds(l.bare).median()}}
		if len(l.offsets) > 0 {
			bars = append(bars, bar{"offset paging", n / seconds(l.offsets).median()})
		}
		title := fmt.Sprintf("%s incidents without latency", grouped(int64(l.incidents)))
		if i == 1 {
			title = fmt.Sprintf("%s incidents, %s a request and %s a row", grouped(int64(l.incidents)), l.latency.request, l.latency.row)
			bars = append(bars, bar{"ideal", n / l.ideal(l.syncs[len(l.syncs)-1]).Seconds()})
		}
		groups = append(groups, struct {
			title string
			bars  []bar
		}{title, bars})
	}
	const left, right, step = 130, 110, 26
	d := newDrawing(60+len(groups)*34+7*step, "Full load: rows per second")
	y := 58.0
	for _, g := range groups {
		d.text(16, y, "start", "#444444", g.title)
		y += 12
		most := 0.0
		for _, b := range g.bars {
			most = max(most, b.perSec)
		}
		for i, b := range g.bars {
			width := b.perSec / most * (plotWidth - left - right)
			d.text(left-8, y+15, "end", "#111111", b.name)
			fmt.Fprintf(d, `<rect x="%d" y="%.1f" width="%.1f" height="18" fill="%s"/>`+"\n", left, y+1, width, colours()[i])
			d.text(left+width+6, y+15, "start", "#111111", grouped(int64(b.perSec)))
			y += step
		}
		y += 22
	}
	return d.end()
}

// plotIncrements draws the seconds of incremental syncs over the changed rows, a line for each size of the table.
func (r *results) plotIncrements() string {
	const height, left, right, top, bottom = 380, 70, 150, 60, 50
	var mostX, mostY, leastY float64 = 10, 0, math.Inf(1)
	for _, s := range r.sizes {
		for _, inc := range s.increments {
			seconds := walls(inc.syncs).median()
			mostX, mostY, leastY = max(mostX, float64(inc.changed)), max(mostY, seconds), min(leastY, seconds)
		}
	}
	low, high := math.Floor(math.Log10(leastY)), math.Ceil(math.Log10(mostY))
	if !(low < high) {
		low = high - 1
	}
	x := func(changed float64) float64 {
		return left + math.Log10(max(changed, 1))/math.Log10(mostX)*(plotWidth-left-right)
	}
	y := func(seconds float64) float64 {
		return height - bottom - (math.Log10(seconds)-low)/(high-low)*(height-top-bottom)
	}
	d := newDrawing(height, "Incremental sync of all tables: seconds by changed incidents (requests beside the points)")
	for e := low; e <= high; e++ {
		at := y(math.Pow(10, e))
		fmt.Fprintf(d, `<path d="M%d %.1fH%d" stroke="#dddddd"/>`+"\n", left, at, plotWidth-right)
		d.text(left-8, at+4, "end", "#444444", fmt.Sprintf("%g s", math.Pow(10, e)))
	}
	for v := 1.0; v <= mostX; v *= 10 {
		d.text(x(v), height-bottom+20, "middle", "#444444", grouped(int64(v)))
	}
	for i, s := range r.sizes {
		colour := colours()[i%len(colours())]
		var path strings.Builder
		for _, inc := range s.increments {
			if inc.changed == 0 {
				continue
			}
			px, py := x(float64(inc.changed)), y(walls(inc.syncs).median())
			if path.Len() == 0 {
				fmt.Fprintf(&path, "M%.1f %.1f", px, py)
			} else {
				fmt.Fprintf(&path, "L%.1f %.1f", px, py)
			}
			fmt.Fprintf(d, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", px, py, colour)
			if i == len(r.sizes)-1 {
				d.text(px, py-10, "middle", colour, fmt.Sprintf("%.0f", inc.requests().median()))
			}
		}
		fmt.Fprintf(d, `<path d="%s" stroke="%s" fill="none" stroke-width="2"/>`+"\n", path.String(), colour)
		d.text(plotWidth-right+16, top+14+float64(i)*20, "start", colour, grouped(int64(s.incidents))+" incidents")
	}
	return d.end()
}
