package ingest

import "sync"

// replayLimit is how many signed requests are remembered. At the limit the
// oldest are forgotten: a request that was recorded could be sent once more
// within signatureWindow, where more than replayLimit signed requests came
// after it, which takes 218 a second. What it says is then a repeat.
const replayLimit = 1 << 16

// Replays remembers the signed requests that were admitted, so that none is
// admitted twice. It is in memory: a restart forgets. It is safe for concurrent
// use.
type Replays struct {
	mu   sync.Mutex
	at   map[mark]int // its place in ring
	ring []mark       // oldest at next, once it is full
	next int
}

// NewReplays returns a memory of nothing. Keep it over a reload.
func NewReplays() *Replays { return &Replays{at: map[mark]int{}} }

// take reports whether m is new, and remembers it.
func (p *Replays) take(m mark) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, seen := p.at[m]; seen {
		return false
	}
	if len(p.ring) < replayLimit {
		p.ring = append(p.ring, m)
		p.at[m] = len(p.ring) - 1
		return true
	}
	// A mark that was forgotten and taken again stands in the ring twice.
	if old := p.ring[p.next]; p.at[old] == p.next {
		delete(p.at, old)
	}
	p.ring[p.next] = m
	p.at[m] = p.next
	p.next = (p.next + 1) % replayLimit
	return true
}

// forget lets m be taken again.
func (p *Replays) forget(m mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.at, m)
}
