package login

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

// Page is what the browser shows at the end of a sign-in.
type Page struct {
	Succeeded bool
	Title     string
	// Message is a sentence, and so is each step.
	Message   string
	NextSteps []string
	// Code is that of the user error, or "".
	Code string
	// Instance is the instance's host.
	Instance string
}

func successPage(base *url.URL) Page {
	return Page{Succeeded: true, Title: "You are signed in", Instance: base.Host,
		Message:   "CloudQuery can now read " + base.Host + " with your access rights.",
		NextSteps: []string{"You can close this tab and go back to the terminal."}}
}

func failurePage(base *url.URL, err error) Page {
	out := Page{Title: "The sign-in did not work", Instance: base.Host, Message: "The reason stands in the terminal.",
		NextSteps: []string{"Go back to the terminal, and run login again."}}
	var fault *usererror.Error
	if errors.As(err, &fault) {
		out.Code, out.Message, out.NextSteps = fault.Code, sentence(fault.Message), nil
		for step := range strings.SplitSeq(fault.NextStep, "; ") {
			out.NextSteps = append(out.NextSteps, sentence(step))
		}
		if fault.Code == CodeDenied {
			out.Title = "Access was denied"
		}
	}
	return out
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}

var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Parse(pageSource))
})

func renderPage(page Page) []byte {
	var b bytes.Buffer
	err := pageTemplate().Execute(&b, struct {
		Page
		Style template.CSS
	}{page, template.CSS(pageStyle)}) //nolint:gosec // our own file
	if err != nil {
		return []byte(template.HTMLEscapeString(page.Title))
	}
	return b.Bytes()
}

// builtInStyle lets a browser take the built-in style sheet and no other.
var builtInStyle = sync.OnceValue(func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
})

// setHeaders has the page bring nothing from elsewhere, run nothing and be kept nowhere.
func setHeaders(h http.Header, style string) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src "+style+"; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the address holds the code
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}
