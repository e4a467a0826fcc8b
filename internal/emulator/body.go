package emulator

import (
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// countingWriter notes status and bytes for the request log.
type countingWriter struct {
	http.ResponseWriter
	log *Request
}

func (w *countingWriter) WriteHeader(status int) {
	if w.log.Status == 0 {
		w.log.Status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.log.Bytes += n
	return n, err
}

// Unwrap lets http.ResponseController flush and hijack.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// body sends an answer's bytes: as they come, or, when a fault is to spoil them, all at the end.
type body struct {
	x      *exchange
	out    io.Writer
	gz     *gzip.Writer
	kept   []byte
	spoils bool
}

// begin sends status and headers.
func (x *exchange) begin(status int, contentType string) *body {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	if h.Get("X-Is-Logged-In") == "" {
		h.Set("X-Is-Logged-In", "true")
	}
	for _, header := range fixedHeaders {
		h.Set(header[0], header[1])
	}
	h.Set("Date", x.e.now().UTC().Format(http.TimeFormat))
	h.Set("X-Transaction-ID", fmt.Sprintf("%012x", x.e.serial.transactions.Add(1)*0x9e3779b97f4b%0x1000000000000))
	b := &body{x: x, out: x.w}
	zip := strings.Contains(x.r.Header.Get("Accept-Encoding"), "gzip")
	switch x.fault.Kind {
	case FaultCutBody, FaultCutReset, FaultSlowBody, FaultCorruptFile:
		b.spoils = true
	case FaultCutGzip:
		b.spoils = true
		if zip {
			b.out = &shortWriter{}
		}
	}
	if zip {
		h.Set("Content-Encoding", "gzip")
		b.gz = x.e.zippers.get(b.out)
	}
	x.w.WriteHeader(status)
	return b
}

// fixedHeaders are on every answer.
var fixedHeaders = [...][2]string{
	{"Server-Timing", "sem_wait;dur=0, sesh_wait;dur=0"},
	{"X-Content-Type-Options", "nosniff"},
	{"Pragma", "no-store,no-cache"},
	{"Cache-Control", "no-cache,no-store,must-revalidate,max-age=-1"},
	{"Expires", "0"},
	{"Server", "ServiceNow"},
	{"Strict-Transport-Security", "max-age=63072000; includeSubDomains"},
}

func (b *body) write(p []byte) {
	if b.spoils {
		b.kept = append(b.kept, p...)
		return
	}
	b.send(p)
	b.x.flush()
}

func (b *body) send(p []byte) {
	if b.gz != nil {
		_, _ = b.gz.Write(p)
		return
	}
	_, _ = b.out.Write(p)
}

// flush makes the body chunked: no Content-Length, as on the platform.
func (x *exchange) flush() {
	if !x.flushed {
		x.flushed = true
		_ = http.NewResponseController(x.w).Flush()
	}
}

// finish sends the last bytes.
func (b *body) finish(p []byte) {
	b.write(p)
	if b.spoils {
		b.spoil()
	}
	b.closeZipper()
}

func (b *body) closeZipper() {
	if b.gz != nil {
		_ = b.gz.Close()
		b.x.e.zippers.put(b.gz)
		b.gz = nil
	}
}

// spoil sends the kept bytes as the fault wants them.
func (b *body) spoil() {
	cut := b.kept[:int(float64(len(b.kept))*b.x.share())]
	switch b.x.fault.Kind {
	case FaultCutBody:
		b.send(cut)
		b.x.flush()
	case FaultCutReset:
		b.send(cut)
		if b.gz != nil {
			_ = b.gz.Flush()
		}
		b.x.flushed = false
		b.x.flush()
		b.gz = nil // what it still holds is never sent
		b.x.reset()
	case FaultSlowBody:
		b.trickle()
	case FaultCorruptFile:
		for i := range b.kept {
			if i%97 == 0 {
				b.kept[i] ^= 0x20
			}
		}
		b.send(b.kept)
	case FaultCutGzip:
		if b.gz == nil {
			b.send(cut)
			return
		}
		// The writer behind the zipper keeps all of its output and passes only a share of it on.
		b.send(b.kept)
		b.closeZipper()
		stream := b.out.(*shortWriter).kept
		_, _ = b.x.w.Write(stream[:int(float64(len(stream))*b.x.share())])
	}
}

// trickle sends the bytes in twenty steps over the fault's delay.
func (b *body) trickle() {
	delay := b.x.fault.Delay
	if delay == 0 {
		delay = time.Second
	}
	const steps = 20
	for i := range steps {
		sleep(b.x.r.Context(), delay/steps)
		b.send(b.kept[len(b.kept)*i/steps : len(b.kept)*(i+1)/steps])
		if b.gz != nil {
			_ = b.gz.Flush()
		}
		b.x.flushed = false
		b.x.flush()
	}
}

// shortWriter keeps a compressed stream so that its end can be withheld.
type shortWriter struct{ kept []byte }

func (w *shortWriter) Write(p []byte) (int, error) {
	w.kept = append(w.kept, p...)
	return len(p), nil
}

func (x *exchange) share() float64 {
	if x.fault.Share <= 0 || x.fault.Share > 1 {
		return 0.5
	}
	return x.fault.Share
}

// reset ends the connection with a TCP reset where there is one to reset, otherwise as abruptly as the
// server can.
func (x *exchange) reset() {
	connection, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := connection
	if secured, ok := raw.(interface{ NetConn() net.Conn }); ok {
		raw = secured.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	}
	_ = connection.Close()
}

// zipperPool reuses gzip writers, which are large.
type zipperPool struct{ free chan *gzip.Writer }

func newZipperPool() zipperPool { return zipperPool{free: make(chan *gzip.Writer, 16)} }

func (p zipperPool) get(out io.Writer) *gzip.Writer {
	select {
	case gz := <-p.free:
		gz.Reset(out)
		return gz
	default:
		gz, _ := gzip.NewWriterLevel(out, gzip.BestSpeed)
		return gz
	}
}

func (p zipperPool) put(gz *gzip.Writer) {
	select {
	case p.free <- gz:
	default:
	}
}
