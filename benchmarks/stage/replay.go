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

// NewLog returns the messages of a log with the first n alerts of the Universe,
// each seen once and explained by a number.
func NewLog(n int) []stream.Message {
	var log []stream.Message
	var packer frame.Packer
	var segments [senders]frame.Segment
	var previous uint64
	for next := 0; next < n; {
		var parts [][]byte
		for i := range segments {
			alerts := Universe.Alerts(nil, next, min(next+together, n))
			segments[i].Reset()
			segments[i].AddDeliveries(&frame.Event{
				Kind: frame.Deliveries, Source: "prometheus", Validity: 24 * time.Hour, Alerts: alerts,
				Dictionary: 1, First: uint32(next), Runs: []uint32{0, uint32(len(alerts))},
			})
			parts = append(parts, segments[i].Append(nil))
			next += len(alerts)
		}
		seq := uint64(len(log) + 1)
		at := alert.TimeOf(load.Started.Add(time.Duration(seq) * time.Millisecond))
		data := packer.Append(nil, frame.Header{Counter: seq, At: at, Previous: previous}, parts...)
		previous = frame.Checksum(data)
		log = append(log, stream.Message{Seq: seq, At: at, Data: data})
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
