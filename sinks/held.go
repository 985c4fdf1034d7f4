package sinks

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Held says where an incident stands: an integration that was told of it, and
// by which settings. Doubtful ones may have been told.
type Held struct {
	Incident    uint64
	Receiver    string
	Integration string
	Generations []string // in the order in which they were told; "" stands for whatever is in force
}

// Answer says that an integration has taken a notification, and by which
// settings.
type Answer struct{ Receiver, Integration, Generation string }

// held knows where incidents stand.
type held struct {
	turnedAway atomic.Uint64

	mu sync.Mutex
	at map[uint64]map[targetID]*standing
}

type standing struct {
	told     []string
	doubtful []string
	unseen   bool // nobody knew of the incident at the last sweep
}

// maxHeld bounds the incidents that are remembered. One more is closed by the
// settings that are in force then.
const maxHeld = 1 << 18

func newHeld() *held { return &held{at: map[uint64]map[targetID]*standing{}} }

// of returns a copy of what is known.
func (h *held) of(incident uint64, id targetID) standing {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.at[incident][id]; s != nil {
		return standing{told: slices.Clone(s.told), doubtful: slices.Clone(s.doubtful)}
	}
	return standing{}
}

func (h *held) entry(incident uint64, id targetID) *standing {
	if h.at[incident] == nil {
		if len(h.at) >= maxHeld {
			h.turnedAway.Add(1)
			return &standing{}
		}
		h.at[incident] = map[targetID]*standing{}
	}
	s := h.at[incident][id]
	if s == nil {
		s = &standing{}
		h.at[incident][id] = s
	}
	s.unseen = false
	return s
}

// told notes that a generation has an incident; doubt that it may have it.
func (h *held) told(incident uint64, id targetID, generation string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.entry(incident, id)
	s.doubtful = slices.DeleteFunc(s.doubtful, func(g string) bool { return g == generation })
	s.told = append(slices.DeleteFunc(s.told, func(g string) bool { return g == generation }), generation)
}

func (h *held) doubt(incident uint64, id targetID, generation string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.entry(incident, id); !slices.Contains(s.told, generation) && !slices.Contains(s.doubtful, generation) {
		s.doubtful = append(s.doubtful, generation)
	}
}

// lost says that a generation takes nothing any more.
func (h *held) lost(incident uint64, id targetID, generation string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.at[incident][id]; s != nil {
		s.told = slices.DeleteFunc(s.told, func(g string) bool { return g == generation })
	}
}

// over says that nothing of an incident stands there any more.
func (h *held) over(incident uint64, id targetID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.at[incident], id)
	if len(h.at[incident]) == 0 {
		delete(h.at, incident)
	}
}

// targets lists where an incident stands.
func (h *held) targets(incident uint64) []targetID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.SortedFunc(maps.Keys(h.at[incident]), targetID.compare)
}

func (a targetID) compare(b targetID) int {
	return cmp.Or(cmp.Compare(a.receiver, b.receiver), cmp.Compare(a.integration, b.integration))
}

// generations adds those that something stands by.
func (h *held) generations(to map[string]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range h.at { // order: a set
		for _, s := range at { // order: a set
			for _, g := range slices.Concat(s.told, s.doubtful) {
				to[g] = true
			}
		}
	}
}

// incidents lists those that are remembered.
func (h *held) incidents() []uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.at))
}

// sweep drops incidents that nobody knew of twice in a row.
func (h *held) sweep(known func(incident uint64) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for incident, at := range h.at { // order: each by itself
		for id, s := range at { // order: each by itself
			if !known(incident) && s.unseen {
				delete(at, id)
			}
			s.unseen = !known(incident)
		}
		if len(at) == 0 {
			delete(h.at, incident)
		}
	}
}
