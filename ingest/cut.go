package ingest

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/winnowhq/winnow/alert"
)

// truncatedLabel stands in for labels that were dropped. Its value is a hash of
// them, so that two alerts that differ only in what was dropped stay two.
const truncatedLabel = "winnow_truncated"

const (
	ellipsis = "…"
	hashLen  = 16

	// minCutBytes is how short a value may be cut to make an alert fit before
	// whole labels or annotations go.
	minCutBytes = 256
)

// cutText cuts s to limit bytes, at the start of a character.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return runePrefix(s, limit-len(ellipsis)) + ellipsis
}

// cutIdentity cuts s to limit bytes and ends it with a hash of the whole: labels
// are what tells alerts apart, and two that differ behind the cut must not
// become one.
func cutIdentity(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return fmt.Sprintf("%s%s%016x", runePrefix(s, limit-len(ellipsis)-hashLen), ellipsis, xxhash.Sum64String(s))
}

func runePrefix(s string, n int) string {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// fit brings a within the limits for a whole alert, and marks it if that took
// anything. The same alert is always cut in the same way.
func (l *Limits) fit(a *alert.Alert) {
	if len(a.GeneratorURL) > min(l.LabelValueBytes, l.AlertBytes/4) {
		a.GeneratorURL = "" // the beginning of a link leads nowhere
		a.Marks |= alert.MarkTruncated
	}
	tooMany := len(a.Labels) > l.Labels || len(a.Annotations) > l.Annotations
	if !tooMany && size(a) <= l.AlertBytes {
		return
	}
	a.Marks |= alert.MarkTruncated

	budget := l.AlertBytes / 2
	if rest := pairsSize(a.Annotations) + alertOverhead + len(a.GeneratorURL); rest < l.AlertBytes/2 {
		budget = l.AlertBytes - rest
	}
	shorten(a.Labels, l.LabelValueBytes, budget, cutIdentity)
	a.Labels = dropLabels(a.Labels, l.Labels, budget)

	budget = l.AlertBytes - alertOverhead - len(a.GeneratorURL) - pairsSize(a.Labels)
	shorten(a.Annotations, l.LabelValueBytes, budget, cutText)
	a.Annotations = dropAnnotations(a.Annotations, l.Annotations, budget)
}

// shorten halves the longest length that a value may have until ls takes no
// more than budget, and cuts the values to it.
func shorten(ls alert.Labels, limit, budget int, cut func(string, int) string) {
	fits := func() bool {
		n := 0
		for i := range ls {
			n += pairOverhead + len(ls[i].Name) + min(len(ls[i].Value), limit)
		}
		return n <= budget
	}
	if fits() {
		return
	}
	for limit /= 2; limit/2 >= minCutBytes && !fits(); limit /= 2 {
	}
	for i := range ls {
		ls[i].Value = cut(ls[i].Value, limit)
	}
}

// dropLabels keeps the labels that a page cannot do without, and of the others
// those that come first, up to most labels and budget bytes. It works in place:
// truncatedLabel takes the room of what was dropped.
func dropLabels(ls alert.Labels, most, budget int) alert.Labels {
	if len(ls) <= most && pairsSize(ls) <= budget {
		return ls
	}
	budget -= 2*hashLen + pairOverhead // truncatedLabel
	most--
	for i := range ls {
		if essential(ls[i].Name) {
			budget -= pairsSize(ls[i : i+1])
			most--
		}
	}
	out := ls[:0]
	var dropped uint64
	full := false
	for _, l := range ls {
		if l.Name == truncatedLabel { // of an earlier call
			before, err := strconv.ParseUint(l.Value, 16, 64)
			if err != nil {
				before = xxhash.Sum64String(l.Value)
			}
			dropped += before
			continue
		}
		if !essential(l.Name) {
			n := pairsSize(alert.Labels{l})
			if full = full || most == 0 || n > budget; full {
				// A sum does not depend on the order in which labels go.
				dropped += uint64(alert.Labels{l}.Fingerprint())
				continue
			}
			budget -= n
			most--
		}
		out = append(out, l)
	}
	out = append(out, alert.Label{Name: truncatedLabel, Value: fmt.Sprintf("%016x", dropped)})
	out.Sort()
	return out
}

// essential labels name the alert and say how bad it is.
func essential(name string) bool { return name == "alertname" || isSeverity(name) }

// isSeverity reports whether a label of that name is read as a severity.
func isSeverity(name string) bool {
	return alert.Labels{{Name: name, Value: "critical"}}.Severity() == alert.Critical
}

// dropAnnotations keeps the annotations that come first.
func dropAnnotations(ls alert.Labels, most, budget int) alert.Labels {
	for i := range ls {
		budget -= pairsSize(ls[i : i+1])
		if i >= most || budget < 0 {
			return ls[:i]
		}
	}
	return ls
}

// order brings labels in any order into the form of alert.Labels, and reports
// whether a name stood twice. As in encoding/json the last one counts, but of a
// severity the highest, lest a critical hide behind a copy of its key.
func order(ls *alert.Labels) (duplicate bool) {
	raiseSeverities(*ls)
	return ls.Sort()
}

// raiseSeverities gives each severity label the highest value that any label of
// its name has had before it.
func raiseSeverities(ls alert.Labels) {
	var highest [4]alert.Label // one for each name that is a severity
	n := 0
next:
	for i := range ls {
		if !isSeverity(ls[i].Name) {
			continue
		}
		for j := range highest[:n] {
			if h := &highest[j]; h.Name == ls[i].Name {
				if outranks(h.Value, ls[i].Value) {
					ls[i].Value = h.Value
				}
				h.Value = ls[i].Value
				continue next
			}
		}
		if n < len(highest) {
			highest[n] = ls[i]
			n++
		}
	}
}

func outranks(before, now string) bool {
	if now == "" {
		return before != ""
	}
	return before != "" && alert.ParseSeverity(before).Rank() > alert.ParseSeverity(now).Rank()
}
