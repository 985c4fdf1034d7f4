package correlate

import "github.com/winnowhq/winnow/alert"

// timer is due at a time; of equal times the one set first comes first.
type timer struct {
	at    alert.Time
	order uint64
	group *group
	gen   uint32 // stale when the group has moved on
}

func (t *timer) before(u *timer) bool {
	return t.at < u.at || t.at == u.at && t.order < u.order
}

// timers is a binary heap. A group that sets a new time leaves its old one
// behind, to be passed over when it comes up.
type timers []timer

func (h *timers) push(t timer) {
	s := append(*h, t)
	i := len(s) - 1
	for i > 0 {
		p := (i - 1) / 2
		if !s[i].before(&s[p]) {
			break
		}
		s[i], s[p] = s[p], s[i]
		i = p
	}
	*h = s
}

func (h *timers) pop() timer {
	s := *h
	top := s[0]
	n := len(s) - 1
	s[0] = s[n]
	s[n] = timer{}
	s = s[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && s[c+1].before(&s[c]) {
			c++
		}
		if !s[c].before(&s[i]) {
			break
		}
		s[i], s[c] = s[c], s[i]
		i = c
	}
	*h = s
	return top
}

// drop passes over stale timers at the top.
func (h *timers) drop() {
	for len(*h) > 0 && (*h)[0].gen != (*h)[0].group.gen {
		h.pop()
	}
}
