package ingest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/winnowhq/winnow/alert"
)

var _ = add(Source{
	Name: "prometheus",
	Doc: "Prometheus, vmalert, Loki's ruler and whatever else sends to an Alertmanager: " +
		"name Winnow under alerting.alertmanagers, it answers at /api/v2/alerts. " +
		"A label value that is a number or a boolean is taken as its text.",
	Path:   "/api/v2/alerts",
	Answer: prometheusAnswer,
	Decode: decodePrometheus,
})

// decodePrometheus reads the array of Alertmanager's POST /api/v2/alerts.
func decodePrometheus(_ []byte, e *Emitter) error {
	s := &e.scan
	if s.peek() != '[' {
		return &unreadable{offset: s.pos, reason: "the body is " + s.kind() + "; an array of alerts is wanted here"}
	}
	e.prometheusAlerts(&prometheusDialect)
	return e.end()
}

// alertDialect is how a sender uses the form of alerts that Prometheus gave them
// and Alertmanager's webhook, Grafana and others took over.
type alertDialect struct {
	list      string // JSON pointer of the array
	hasStatus bool   // alerts say themselves whether they are resolved
	number    uint64 // tells dialects apart that read the same bytes otherwise
	shape     shape  // nil where repeats are not known by their bytes
	settle    func(c *current, now alert.Time)
}

var prometheusDialect = alertDialect{settle: prometheusSettle, number: 1, shape: prometheusShape}

// prometheusSettle decides the state as Alertmanager does: an alert whose end
// is not after now has ended.
func prometheusSettle(c *current, now alert.Time) {
	if c.EndsAt != 0 && c.EndsAt <= now {
		c.Status = alert.Resolved
	}
	if c.StartsAt == 0 && c.Marks&alert.MarkClock == 0 {
		c.StartsAt = c.EndsAt
	}
}

// prometheusAlerts reads the array whose bracket peek has shown.
func (e *Emitter) prometheusAlerts(d *alertDialect) {
	s, c := &e.scan, &e.cur
	s.open()
	for i := 0; s.more(']'); i++ {
		s.peek()
		if e.repeat(d) {
			continue
		}
		e.begin(d.list, i)
		e.prometheusAlert(d.hasStatus)
		d.settle(c, e.now)
		if c.EndsAt != 0 && c.StartsAt > c.EndsAt { // no alert ends before it starts
			c.StartsAt = 0
			c.Marks |= alert.MarkClock
		}
		e.emit()
	}
}

func (e *Emitter) prometheusAlert(hasStatus bool) {
	s, c := &e.scan, &e.cur
	if s.peek() != '{' {
		e.reject(s.pos, "the alert is "+s.kind()+", not an object")
		s.skip()
		if s.failed() {
			e.locate(e.pointerTo())
		}
		return
	}
	var key string
	var seen uint8
	for s.open(); s.more('}'); {
		key = s.name()
		i := memberIndex(key)
		switch i {
		case memberLabels:
			e.prometheusPairs(&c.labels, key, e.limits.Labels)
		case memberAnnotations:
			e.prometheusPairs(&c.annotations, key, e.limits.Annotations)
		case memberStartsAt:
			c.StartsAt = e.prometheusTime(i, key)
		case memberEndsAt:
			s.peek()
			c.endFrom = s.pos + 1
			c.EndsAt = e.prometheusTime(i, key)
		case memberGeneratorURL:
			c.GeneratorURL = e.prometheusText(i, key)
		case memberStatus:
			if hasStatus {
				c.status = e.prometheusText(i, key)
				break
			}
			fallthrough
		default:
			s.skip()
			continue
		}
		if seen&(1<<i) != 0 {
			c.Marks |= alert.MarkDuplicateKey
		}
		seen |= 1 << i
	}
	if s.failed() {
		e.locate(e.pointerTo(key))
	}
}

// members are what is read of an alert.
var members = [...]string{"labels", "annotations", "startsAt", "endsAt", "generatorURL", "status"}

const (
	memberLabels = iota
	memberAnnotations
	memberStartsAt
	memberEndsAt
	memberGeneratorURL
	memberStatus
)

// memberIndex finds a member by its name, in any case where none has just that
// name: Alertmanager takes Labels for labels, so its senders may write that. It
// returns -1 for a member that is not read.
func memberIndex(key string) int {
	for i, m := range members {
		if key == m {
			return i
		}
	}
	for i, m := range members {
		if sameButCase(key, m) {
			return i
		}
	}
	return -1
}

// sameButCase compares in ASCII alone: the lengths must be the same.
func sameButCase(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// prometheusPairs reads an object of strings into a range at the end of pairs.
func (e *Emitter) prometheusPairs(at *span, key string, most int) {
	s, c := &e.scan, &e.cur
	isLabels := at == &c.labels
	if s.peek() != '{' {
		if isLabels && s.peek() != 'n' {
			e.reject(s.pos, key+" is "+s.kind()+", not an object", key)
		}
		e.prometheusNull(key, alert.MarkSanitised, "an object")
		return
	}
	from := e.reopen(at)
	sorted := len(e.pairs) == from
	var name, before string
	n := 0
	for s.open(); s.more('}'); n++ {
		before = name
		var value string
		name, value = e.prometheusPair(isLabels, key, n)
		sorted = sorted && value != "" && (before < name || len(e.pairs) == from) // one without a value is dropped
		e.pairs = append(e.pairs, alert.Label{Name: name, Value: value})
		if len(e.pairs)-from > 4*most {
			e.compact(from, most, isLabels)
			sorted = false
		}
	}
	e.peakPairs = max(e.peakPairs, len(e.pairs))
	if s.failed() {
		e.locate(e.pointerTo(key, name))
		return
	}
	if set := e.pairs[from:]; !sorted {
		if order(&set) {
			c.Marks |= alert.MarkDuplicateKey
		}
		e.pairs = e.pairs[:from+len(set)]
	}
	*at = span{from, len(e.pairs)}
}

// prometheusPair reads pair n of an object.
func (e *Emitter) prometheusPair(isLabel bool, key string, n int) (name, value string) {
	s := &e.scan
	s.peek()
	if t := e.twins.pair(isLabel, n); t != nil && s.take(t.raw) {
		return t.Name, t.Value
	}
	from := s.pos
	name = s.name()
	isText := s.peek() == '"'
	if isText {
		value = s.str()
	} else {
		value = e.prometheusLiteral(isLabel, key, name)
	}
	if len(name) > e.limits.LabelNameBytes || len(value) > e.limits.LabelValueBytes {
		return e.cutPair(name, value, isLabel)
	}
	if isText && s.clean() {
		e.twins.keepPair(isLabel, n, twin{raw: s.since(from), Label: alert.Label{Name: name, Value: value}})
	}
	return name, value
}

// reopen brings the pairs of an object that came before under the same key to
// the end, where more can follow, and returns where they begin. They are never
// there twice: a body of nothing but that key takes no more room than one.
func (e *Emitter) reopen(at *span) (from int) {
	n := at.to - at.from
	if n > 0 && at.to < len(e.pairs) { // behind them stand those of the other key
		e.pairs = append(e.pairs, at.of(e.pairs)...)
		e.peakPairs = max(e.peakPairs, len(e.pairs))
		e.pairs = e.pairs[:at.from+copy(e.pairs[at.from:], e.pairs[at.to:])]
		for _, other := range []*span{&e.cur.labels, &e.cur.annotations} {
			if other != at && other.from >= at.to {
				*other = other.down(n)
			}
		}
	}
	return len(e.pairs) - n
}

// prometheusLiteral reads a value that is not a string. A sender that writes a
// number or a boolean means its text. An object or an array is kept as JSON: in
// a label that is worth a complaint, since the next delivery may write it in
// another way and so be another alert.
func (e *Emitter) prometheusLiteral(isLabel bool, key, name string) string {
	s := &e.scan
	switch c := s.peek(); {
	case c == 'n':
		s.literal()
		return ""
	case isLabel && (c == '{' || c == '['):
		e.complain(s.pos, alert.MarkSanitised, "the label's value is "+s.kind()+", not a string", key, name)
	}
	return s.raw()
}

// prometheusTime reads a member that is a time.
func (e *Emitter) prometheusTime(member int, key string) alert.Time {
	s := &e.scan
	if s.peek() != '"' {
		e.prometheusNull(key, alert.MarkClock, "a string")
		return 0
	}
	twin := &e.twins.members[member]
	if s.take(twin.raw) {
		return twin.at
	}
	from := s.pos
	t, ok := parseTime(s.str())
	if !ok {
		e.cur.Marks |= alert.MarkClock
	} else if s.clean() {
		twin.raw, twin.at = s.since(from), t
	}
	return t
}

// prometheusText reads a member that is a string.
func (e *Emitter) prometheusText(member int, key string) string {
	s := &e.scan
	if s.peek() != '"' {
		e.prometheusNull(key, alert.MarkSanitised, "a string")
		return ""
	}
	twin := &e.twins.members[member]
	if s.take(twin.raw) {
		return twin.Value
	}
	from := s.pos
	v := s.str()
	if s.clean() {
		twin.raw, twin.Value = s.since(from), v
	}
	return v
}

// prometheusNull takes null for a member that is not there, and leaves any other
// value out.
func (e *Emitter) prometheusNull(key string, m alert.Mark, want string) {
	s := &e.scan
	if s.peek() != 'n' {
		e.complain(s.pos, m, key+" is "+s.kind()+", not "+want, key)
	}
	s.skip()
}

// prometheusAnswer answers as Alertmanager does, whose clients do not send
// again: 200 without a body, or 400 with the reasons when the good alerts of
// the request are stored and not all of it was good.
func prometheusAnswer(w http.ResponseWriter, r *Result) int {
	if r.problems == 0 {
		w.WriteHeader(http.StatusOK)
		return http.StatusOK
	}
	var reasons []string
	for _, p := range r.Errors {
		reasons = append(reasons, p.String())
	}
	if more := r.problems - len(r.Errors); more > 0 {
		reasons = append(reasons, "and "+strconv.Itoa(more)+" more")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(strings.Join(reasons, "\n"))
	return http.StatusBadRequest
}
