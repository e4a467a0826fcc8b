package emulator

import (
	"net/http"
	"slices"
	"sort"
	"strconv"
)

// paramReader reads URL parameters strictly: what the API does not know is refused and recorded.
type paramReader struct {
	x   *exchange
	bad bool
}

func (x *exchange) readParams(known ...string) *paramReader {
	p := &paramReader{x: x}
	var names []string
	for name := range x.params {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if !slices.Contains(known, name) {
			p.refuse("unknown parameter %s on %s", name, x.r.URL.Path)
		} else if n := len(x.params[name]); n > 1 {
			p.refuse("parameter %s given %d times on %s", name, n, x.r.URL.Path)
		}
	}
	return p
}

func (p *paramReader) refuse(format string, args ...any) {
	p.x.violate(format, args...)
	p.bad = true
}

// ok answers 400 when any parameter was refused.
func (p *paramReader) ok() bool {
	if p.bad {
		p.x.fail(http.StatusBadRequest, "Invalid request parameters", "")
	}
	return !p.bad
}

func (p *paramReader) text(name string) string { return p.x.params.Get(name) }

func (p *paramReader) number(name string, fallback int) int {
	text, given := p.text(name), p.x.params.Has(name)
	if !given {
		return fallback
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		p.refuse("%s=%q is not a number of rows", name, text)
	}
	return int(n)
}

func (p *paramReader) flag(name string) bool {
	switch text := p.text(name); text {
	case "", "false":
	case "true":
		return true
	default:
		p.refuse("%s=%q is neither true nor false", name, text)
	}
	return false
}

func (p *paramReader) display(name string) displayMode {
	switch text := p.text(name); text {
	case "", "false":
	case "true":
		return showDisplay
	case "all":
		return showAll
	default:
		p.refuse("%s=%q is none of true, false, all", name, text)
	}
	return showValues
}
