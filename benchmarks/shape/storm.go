package shape

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/winnowhq/winnow/benchmarks/load"
)

// Storm offers alerts as fast as they are taken, each of the distinct ones over
// and over. All but those that an inhibition rule hides must be paged, and all
// must still be there after a kill -9.
type Storm struct {
	Alerts, Distinct int
	Batch            int
	Connections      int
	GroupWait        time.Duration
}

// Units of a storm.
const (
	FirstPageLate = "first-page-late-ms" // after the group_wait of the first group
	LastPage      = "last-page-s"        // after the storm began
	Pages         = "pages"
	Inhibited     = "inhibited"
	Lost          = "lost"
	Refused       = "refused"
	PeakMemory    = "peak-MB"
)

const pageTimeout = 3 * time.Minute

// Measure runs the storm once.
func (st *Storm) Measure(ctx context.Context, s *Subject, dir string) (_ Figures, err error) {
	p, err := newPager()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	r, err := open(ctx, s, dir, &Policy{Webhook: p.url, GroupWait: st.GroupWait.String(), GroupInterval: st.GroupWait.String()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	l := &load.Run{Address: r.server.Address, Connections: st.Connections, Requests: universe.Render(load.API, 0, st.Distinct, st.Batch, time.Now())}
	l.Sequence = load.Rounds(len(l.Requests), st.Alerts/st.Distinct)
	if err := warm(); err != nil {
		return nil, err
	}
	began := time.Now()
	f, err := r.measure(ctx, l)
	if err != nil {
		return nil, err
	}
	paged, inhibited, err := r.told(ctx, p, st.Distinct)
	if err != nil {
		return nil, err
	}
	pages := p.all()
	f[FirstPageLate] = millis(pages[0].at.Sub(began) - st.GroupWait)
	f[LastPage] = pages[len(pages)-1].at.Sub(began).Seconds()
	f[Pages] = float64(len(pages))
	f[Inhibited] = float64(inhibited)
	f[Lost] = float64(st.Distinct - paged - inhibited)
	_, peak, err := r.server.Memory()
	if err != nil {
		return nil, err
	}
	f[PeakMemory] = float64(peak) / 1e6
	if s.Peer {
		return f, nil
	}
	if err := r.restart(ctx, false, nil); err != nil {
		return nil, err
	}
	kept, err := r.server.Taken(ctx)
	if err == nil && kept != r.sent {
		err = fmt.Errorf("shape: %d of %d alerts that were accepted are there after a kill -9", kept, r.sent)
	}
	return f, err
}
