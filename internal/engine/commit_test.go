package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/frame"
)

// noise is text that no compression makes smaller.
func noise(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(' ' + 2 + rng.IntN('~'-' '-2))
	}
	return string(b)
}

// criticals is a notification of n new criticals, as one of a storm with long
// labels and annotations that do not compress.
func criticals(rng *rand.Rand, n int) correlate.Notification {
	out := correlate.Notification{Incident: 1, Revision: 1, Kind: correlate.Page, Firing: n, Receiver: "oncall", GroupKey: "{}:{}"}
	for i := range n {
		out.Alerts = append(out.Alerts, correlate.Member{
			New:         true,
			Labels:      alert.Labels{{Name: "alertname", Value: "A"}, {Name: "pod", Value: fmt.Sprint(i, noise(rng, 60))}, {Name: "severity", Value: "critical"}},
			Annotations: alert.Labels{{Name: "description", Value: noise(rng, 4000)}},
		})
	}
	return out
}

// TestALargeRecordKeepsItsNames: a server that takes a megabyte, as NATS does by
// default, gets more records, and annotations are what a list loses.
func TestALargeRecordKeepsItsNames(t *testing.T) {
	const limit = 1<<20 - 4096
	rng := rand.New(rand.NewPCG(1, 2))
	size := func(outputs []correlate.Notification) int {
		record, err := frame.AppendCommit(nil, 1, &frame.Commit{Epoch: 1, Input: 1, Outputs: outputs})
		if err != nil {
			t.Fatal(err)
		}
		return len(record)
	}
	outputs := []correlate.Notification{criticals(rng, 150), criticals(rng, 150), criticals(rng, 4096)}
	var records int
	for done := 0; done < len(outputs); records++ {
		part := outputs[done : done+take(outputs[done:], limit)]
		if size(part) > limit && (!strip(part) || size(part) > limit) {
			t.Errorf("%d notifications make a record of %d bytes, without annotations too", len(part), size(part))
		}
		done += len(part)
	}
	if records != 3 {
		t.Errorf("%d records, want 3", records)
	}
	for i := range outputs {
		if n := &outputs[i]; n.Omitted != 0 || len(n.Alerts) != n.Firing {
			t.Errorf("notification %d lists %d of %d", i, len(n.Alerts), n.Firing)
		}
	}
	if outputs[1].Alerts[149].Annotations == nil || outputs[2].Alerts[annotated-1].Annotations == nil || outputs[2].Alerts[annotated].Annotations != nil {
		t.Error("other annotations are missing than those of the one that was too large")
	}
	if more := strip(outputs); more && strip(outputs) {
		t.Error("there is always more to drop")
	}
}
