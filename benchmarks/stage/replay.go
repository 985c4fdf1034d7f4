package stage

import (
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/benchmarks/load"
	"github.com/winnowhq/winnow/internal/config"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/stream"
)

// inhibition is what the mixins recommend.
const inhibition = `
inhibit_rules:
  - {source_matchers: ['severity="critical"'], target_matchers: ['severity=~"warning|info"'], equal: [namespace, alertname, pod]}
  - {source_matchers: ['severity="warning"'], target_matchers: ['severity="info"'], equal: [namespace, alertname, pod]}
  - {source_matchers: ['alertname="InfoInhibitor"'], target_matchers: ['severity="info"'], equal: [namespace]}
  - {source_matchers: ['alertname="KubeNodeUnreachable"'], target_matchers: ['alertname="KubePodNotReady"'], equal: [cluster, instance]}
  - {source_matchers: ['alertname="KubeletDown"'], target_matchers: ['alertname="KubeNodeNotReady"'], equal: [cluster, instance]}
`

// senders is how many requests share a message of the log where several come at
// a time.
const senders = 4

// A Log writes messages as a stream has them, four requests in each, of alerts
// that are explained by numbers once and named by them afterwards.
type Log struct {
	packer   frame.Packer
	segments [senders]frame.Segment
	seq      uint64
	previous uint64 // checksum of the message before
}

// dictionary is the one that numbers are of.
const dictionary = 1

// New returns messages with the first n alerts of the Universe, each seen once.
func (l *Log) New(n int) []stream.Message {
	return l.write(n, func(from, to int) *frame.Event {
		return &frame.Event{Alerts: Universe.Alerts(nil, from, to), First: uint32(from), Runs: []uint32{0, uint32(to - from)}}
	})
}

// Again returns messages with the same alerts, each sent once more.
func (l *Log) Again(n int) []stream.Message {
	ends := alert.TimeOf(load.Started.Add(48 * time.Hour))
	return l.write(n, func(from, to int) *frame.Event {
		e := &frame.Event{Runs: []uint32{uint32(to - from)}}
		for i := from; i < to; i++ {
			e.Repeats = append(e.Repeats, alert.Repeat{Number: uint32(i), EndsAt: ends})
		}
		return e
	})
}

// write makes messages of requests, which event says what stands in.
func (l *Log) write(n int, event func(from, to int) *frame.Event) []stream.Message {
	var log []stream.Message
	for next := 0; next < n; {
		var parts [][]byte
		for i := range l.segments {
			to := min(next+together, n)
			e := event(next, to)
			e.Kind, e.Source, e.Validity, e.Dictionary = frame.Deliveries, "prometheus", 24*time.Hour, dictionary
			l.segments[i].Reset()
			l.segments[i].AddDeliveries(e)
			parts = append(parts, l.segments[i].Append(nil))
			next = to
		}
		l.seq++
		at := alert.TimeOf(load.Started.Add(time.Duration(l.seq) * time.Millisecond))
		data := l.packer.Append(nil, frame.Header{Counter: l.seq, At: at, Previous: l.previous}, parts...)
		l.previous = frame.Checksum(data)
		log = append(log, stream.Message{Seq: l.seq, At: at, Data: data})
	}
	return log
}

// NewShard returns a shard that has read nothing yet, under five inhibition rules.
func NewShard() (*engine.Shard, error) {
	c, err := config.Parse("benchmark", []byte(PolicyText+inhibition))
	if err != nil {
		return nil, err
	}
	return engine.NewShard(&c.Policy)
}
