package emulator

// bufferPool reuses page buffers, which run to megabytes.
type bufferPool struct{ free chan []byte }

func newBufferPool() bufferPool { return bufferPool{free: make(chan []byte, 8)} }

func (p bufferPool) get() []byte {
	select {
	case buf := <-p.free:
		return buf[:0]
	default:
		return make([]byte, 0, 64<<10)
	}
}

func (p bufferPool) put(buf []byte) {
	select {
	case p.free <- buf:
	default:
	}
}
