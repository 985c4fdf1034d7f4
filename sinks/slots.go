package sinks

import (
	"cmp"
	"container/heap"
	"sync"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// doubtPatience is how long a message waits at most for what went before it to
// be out of doubt.
const doubtPatience = 500 * time.Millisecond

// slots bounds the attempts under way at one integration. Who waits is served
// by rank: pages first, then the more severe, then the older.
//
// What is sent, and whose receipt could be lost still, is in doubt: if the
// process died, it would be sent again. One at a time is enough for a provider
// that shows a repeat, until somebody has waited for doubtPatience.
type slots struct {
	mu      sync.Mutex
	free    int
	alone   bool // the provider cannot tell a repeat
	doubt   int  // attempts that have a slot or have been made, and are not settled
	pressed int  // of waiting, those that have waited long enough
	waiting ticketHeap
}

// rank orders attempts that wait for a slot.
type rank struct {
	page     bool
	severity alert.Severity
	at       alert.Time
}

func (r rank) before(o rank) bool {
	if r.page != o.page {
		return r.page
	}
	return cmp.Or(cmp.Compare(o.severity, r.severity), cmp.Compare(r.at, o.at)) < 0
}

// ticket is a place in the line, and then a slot.
type ticket struct {
	rank    rank
	granted chan struct{}
	index   int  // in the heap, -1 once granted
	pressed bool // it has waited long enough
}

// set says whether the provider cannot tell a repeat.
func (s *slots) set(alone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alone = alone
	s.grant()
}

// enter joins the line. The slot is had once granted is closed; leave must be
// called either way.
func (s *slots) enter(r rank) *ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &ticket{rank: r, granted: make(chan struct{})}
	heap.Push(&s.waiting, t)
	s.grant()
	return t
}

// press says that a ticket has waited long enough: the line moves, doubt or not,
// until it has its slot.
func (s *slots) press(t *ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.index >= 0 && !t.pressed {
		t.pressed = true
		s.pressed++
		s.grant()
	}
}

// leave gives the slot, or the place in the line, back. An attempt that was made
// is in doubt until settle is called.
func (s *slots) leave(t *ticket, made bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.index >= 0 {
		heap.Remove(&s.waiting, t.index)
		s.left(t)
	} else {
		s.free++
		if !made {
			s.doubt--
		}
	}
	s.grant()
}

// settle says that an attempt is in doubt no longer.
func (s *slots) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubt--
	s.grant()
}

// grant gives slots to who may have one. The caller holds s.mu.
func (s *slots) grant() {
	for s.free > 0 && len(s.waiting) > 0 && (!s.alone || s.doubt == 0 || s.pressed > 0) {
		next := heap.Pop(&s.waiting).(*ticket)
		s.left(next)
		s.free--
		s.doubt++
		close(next.granted)
	}
}

// left counts a ticket that does not wait any more. The caller holds s.mu.
func (s *slots) left(t *ticket) {
	if t.pressed {
		s.pressed--
	}
}

type ticketHeap []*ticket

func (h ticketHeap) Len() int           { return len(h) }
func (h ticketHeap) Less(i, j int) bool { return h[i].rank.before(h[j].rank) }

func (h ticketHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *ticketHeap) Push(x any) {
	t := x.(*ticket)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *ticketHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}
