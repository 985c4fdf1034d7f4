package sinks

import (
	"cmp"
	"container/heap"
	"sync"

	"github.com/winnowhq/winnow/alert"
)

// slots bounds the attempts under way at one integration. Who waits is served
// by rank: pages first, then the more severe, then the older.
type slots struct {
	mu      sync.Mutex
	free    int
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
	index   int // in the heap, -1 once granted
}

// enter joins the line. The slot is had once granted is closed; leave must be
// called either way.
func (s *slots) enter(r rank) *ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &ticket{rank: r, granted: make(chan struct{}), index: -1}
	if s.free > 0 {
		s.free--
		close(t.granted)
		return t
	}
	heap.Push(&s.waiting, t)
	return t
}

// leave gives the slot, or the place in the line, back.
func (s *slots) leave(t *ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.index >= 0 {
		heap.Remove(&s.waiting, t.index)
		return
	}
	if len(s.waiting) == 0 {
		s.free++
		return
	}
	next := heap.Pop(&s.waiting).(*ticket)
	close(next.granted)
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
