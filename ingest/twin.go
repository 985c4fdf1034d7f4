package ingest

import "github.com/winnowhq/winnow/alert"

// A twin is a piece of the body that was read without a complaint, and what came
// out: where the same bytes stand again, they mean the same.
type twin struct {
	raw string // "" for none; it ends with a quotation mark
	alert.Label
	at alert.Time // of a member that is a time
}

// twins are the pieces of the alert before, or of an earlier one: alerts of a rule
// stand one behind the other, and most of what they say is the same, at the same
// place. They are valid as long as what was read from the body is.
type twins struct {
	labels, annotations []twin // by place
	members             [len(members)]twin
}

// twinPlaces is how many labels and how many annotations of an alert have a place.
const twinPlaces = 32

func (ts *twins) pairs(isLabel bool) *[]twin {
	if isLabel {
		return &ts.labels
	}
	return &ts.annotations
}

// pair returns the twin of a place, nil where there is none.
func (ts *twins) pair(isLabel bool, n int) *twin {
	if p := *ts.pairs(isLabel); n < len(p) {
		return &p[n]
	}
	return nil
}

// keepPair has what comes next at a place be compared with t.
func (ts *twins) keepPair(isLabel bool, n int, t twin) {
	p := ts.pairs(isLabel)
	switch {
	case n < len(*p):
		(*p)[n] = t
	case n == len(*p) && n < twinPlaces:
		*p = append(*p, t)
	}
}

// forget empties ts and keeps its memory.
func (ts *twins) forget() {
	clear(ts.labels)
	clear(ts.annotations)
	*ts = twins{labels: ts.labels[:0], annotations: ts.annotations[:0]}
}

// take takes the bytes of a twin if they are what comes next.
func (s *scanner) take(raw string) bool {
	end := s.pos + len(raw)
	if raw == "" || end > len(s.text) || view(s.text[s.pos:end]) != raw {
		return false
	}
	s.pos = end
	return true
}

// since is the text that was read since a position.
func (s *scanner) since(from int) string { return view(s.text[from:s.pos]) }

// clean reports whether nothing of the current alert had to be mended so far.
func (s *scanner) clean() bool { return !s.sanitised && !s.failed() }
