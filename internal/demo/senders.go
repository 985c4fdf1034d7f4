package demo

import (
	"cmp"
	"slices"
	"time"
)

// Sender is a program that sends alerts, as it would in a cluster.
type Sender struct {
	Name   string
	Source string // as the ledger names it
	Path   string
	encode func(start time.Time, s *Sender, ds []Delivery) ([]byte, error)
}

// The two Prometheus of a pair evaluate the same rules and send every alert
// twice; the Alertmanager watches from outside of the cluster.
var (
	prometheusA = &Sender{"prometheus-0", "prometheus", "/api/v2/alerts", encodePrometheus}
	prometheusB = &Sender{"prometheus-1", "prometheus", "/api/v2/alerts", encodePrometheus}
	edge        = &Sender{"alertmanager-edge", "alertmanager", "/ingest/alertmanager", encodeAlertmanager}
)

const (
	evaluation = 250 * time.Millisecond // how often rules are evaluated
	resend     = 2 * time.Second        // Prometheus: rules.alert.resend-delay
	vouched    = 4 * resend             // as Prometheus has it
	maxBatch   = 256                    // alerts of one request, as Prometheus has it
	saysEnd    = 3                      // times Prometheus tells the end of an alert
	repeats    = 3 * time.Second        // the Alertmanager's repeat_interval
	behind     = 100 * time.Millisecond // the second Prometheus evaluates a little later
)

// posts has each sender say what it knows of the episodes, which come in the
// order of their beginning.
func posts(episodes []episode, length time.Duration) []Post {
	var inside, outside []episode
	for _, e := range episodes {
		if e.edge {
			outside = append(outside, e)
		} else {
			inside = append(inside, e)
		}
	}
	out := byPrometheus(nil, prometheusA, inside, 0, length)
	out = byPrometheus(out, prometheusB, inside, behind, length)
	out = byAlertmanager(out, edge, outside, length)
	slices.SortStableFunc(out, func(a, b Post) int { return cmp.Compare(a.At, b.At) })
	return out
}

// byPrometheus sends an alert when it begins to fire, every resend while it
// fires, and a few times that it has ended.
func byPrometheus(out []Post, s *Sender, episodes []episode, offset, length time.Duration) []Post {
	due := make([]time.Duration, len(episodes))
	ended := make([]int, len(episodes))
	for i := range episodes {
		due[i] = episodes[i].from
	}
	for t := offset; t < length; t += evaluation {
		var ds []Delivery
		for i := range episodes {
			e := &episodes[i]
			if e.from > t {
				break
			}
			if over := t >= e.to; over && ended[i] == 0 {
				due[i] = t
			}
			if t < due[i] || ended[i] == saysEnd {
				continue
			}
			due[i] = t + resend
			d := Delivery{Alert: e.alert, StartsAt: e.from, EndsAt: t + vouched}
			if t >= e.to {
				d.EndsAt, d.Resolved = e.to, true
				ended[i]++
			}
			if ended[i] > 1 && refired(episodes, i, t) {
				ended[i] = saysEnd
				continue
			}
			ds = append(ds, d)
		}
		for part := range slices.Chunk(ds, maxBatch) {
			out = append(out, Post{t, s, part})
		}
	}
	return out
}

// refired reports whether the alert of an episode that is over fires again: a
// Prometheus then has only the new one to tell.
func refired(episodes []episode, i int, t time.Duration) bool {
	return slices.ContainsFunc(episodes[i+1:], func(e episode) bool { return e.alert == episodes[i].alert && e.from <= t })
}

// byAlertmanager sends a group, which is a rule here, whenever it changes and
// every repeats while something of it fires.
func byAlertmanager(out []Post, s *Sender, episodes []episode, length time.Duration) []Post {
	var order []*Rule
	groups := map[*Rule][]episode{}
	for _, e := range episodes {
		if _, ok := groups[e.alert.Rule]; !ok {
			order = append(order, e.alert.Rule)
		}
		groups[e.alert.Rule] = append(groups[e.alert.Rule], e)
	}
	last := map[*Rule]time.Duration{}
	for before, t := time.Duration(-1), time.Duration(0); t < length; before, t = t, t+evaluation {
		for _, r := range order {
			var ds []Delivery
			news, fires := false, false
			for _, e := range groups[r] {
				began, ends := e.from <= t, e.to <= t
				if !began || e.to <= before {
					continue
				}
				news = news || e.from > before || ends
				fires = fires || !ends
				d := Delivery{Alert: e.alert, StartsAt: e.from}
				if ends {
					d.EndsAt, d.Resolved = e.to, true
				}
				ds = append(ds, d)
			}
			if news || fires && t-last[r] >= repeats {
				last[r] = t
				out = append(out, Post{t, s, ds})
			}
		}
	}
	return out
}
