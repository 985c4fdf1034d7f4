package ingest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// minBodyRate is how many bytes a second a body must come with on average,
	// once bodyGrace is over: whoever is slower holds on to a connection. A small
	// body over a bad line has come by then.
	minBodyRate = 1 << 10
	bodyGrace   = 5 * time.Second

	// paceStep is by how much more time a sender must have earned before the
	// connection is told.
	paceStep = time.Second
)

// errSlowBody says that a body came too slowly.
var errSlowBody = fmt.Errorf("the body came with less than %d bytes a second: %w", minBodyRate, os.ErrDeadlineExceeded)

// pacedBody gives a body time as it comes: bodyGrace, and a second for each
// minBodyRate bytes, until the deadline of the request.
type pacedBody struct {
	io.ReadCloser
	set      func(time.Time) error // the connection's read deadline
	start    time.Time
	deadline time.Time
	until    time.Time // what the connection was told
	n        int64
}

// begin tells the connection how long the first bytes may take.
func (p *pacedBody) begin() {
	p.until = p.start.Add(bodyGrace)
	if p.until.After(p.deadline) {
		p.until = p.deadline
	}
	_ = p.set(p.until)
}

func (p *pacedBody) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	p.n += int64(n)
	if err != nil {
		if p.until.Before(p.deadline) && errors.Is(err, os.ErrDeadlineExceeded) {
			err = errSlowBody
		}
		return n, err
	}
	if p.until.Before(p.deadline) {
		earned := time.Duration(min(p.n/minBodyRate, int64(p.deadline.Sub(p.start)/time.Second)+1)) * time.Second
		if until := p.start.Add(bodyGrace + earned); until.Sub(p.until) >= paceStep {
			p.until = until
			if p.until.After(p.deadline) {
				p.until = p.deadline
			}
			_ = p.set(p.until)
		}
	}
	return n, nil
}
