package sinks

import (
	"io"
	"net/http"
	"sync"
)

// A payload takes the place of the body of each request of an attempt. A
// transport may go on reading one after it has returned, so the bytes are
// written over only once every reader has been closed.
type payload struct {
	mu   sync.Mutex
	b    []byte
	open int  // readers that have not been closed
	over bool // the attempt has ended
}

// maxKeptBytes bounds what a lane keeps of its buffer between two attempts.
const maxKeptBytes = 1 << 20

// replace changes the body of req, which must be the transport's own.
func (p *payload) replace(req *http.Request) {
	if req.Body == nil {
		return
	}
	_ = req.Body.Close()
	req.Body, req.ContentLength = p.reader(), int64(len(p.b))
	req.GetBody = func() (io.ReadCloser, error) { return p.reader(), nil }
}

// reader reads all of it. Behind the end of the attempt there is nothing to read.
func (p *payload) reader() *payloadReader {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return &payloadReader{p: p, closed: true}
	}
	p.open++
	return &payloadReader{p: p}
}

// end returns the buffer for the next payload, nil where it is read still or too
// large to be kept.
func (p *payload) end() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.open > 0 || cap(p.b) > maxKeptBytes {
		return nil
	}
	return p.b[:0]
}

type payloadReader struct {
	p      *payload
	at     int
	closed bool
}

func (r *payloadReader) Read(b []byte) (int, error) {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	switch {
	case r.closed:
		return 0, http.ErrBodyReadAfterClose
	case r.at == len(r.p.b):
		return 0, io.EOF
	}
	n := copy(b, r.p.b[r.at:])
	r.at += n
	return n, nil
}

func (r *payloadReader) Close() error {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.p.open--
	}
	return nil
}
