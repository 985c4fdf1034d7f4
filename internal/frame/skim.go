package frame

import (
	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/internal/wire"
)

// severityLabels are the numbers that the labels which carry a severity have in
// a segment, best first; -1 for one that is not in it.
type severityLabels [len(alert.SeverityLabels)]int

// find looks for them among the strings of a segment.
func (s *severityLabels) find(strings []string) {
	for k, name := range alert.SeverityLabels {
		s[k] = -1
		for n := range strings {
			if strings[n] == name {
				s[k] = n
				break
			}
		}
	}
}

// peek is Labels.Severity of the label set that r stands before. R is not moved.
func (s *severityLabels) peek(r wire.Reader, strings []string) alert.Severity {
	best, word := len(s), uint64(0)
	for range r.Count(2) {
		name, value := r.Uint(), r.Uint()
		for k := range best {
			if uint64(s[k]) == name && value < uint64(len(strings)) && strings[value] != "" {
				best, word = k, value
				break
			}
		}
	}
	if best == len(s) {
		return alert.Unset
	}
	return alert.ParseSeverity(strings[word])
}

// skipAlert passes over an alert behind its flags and marks.
func skipAlert(r *wire.Reader, flags byte) {
	for range 2 { // labels, annotations
		r.Skip(2 * r.Count(2))
	}
	for _, f := range [...]byte{flagStarts, flagEnds, flagURL} {
		if flags&f != 0 {
			r.Uint()
		}
	}
}
