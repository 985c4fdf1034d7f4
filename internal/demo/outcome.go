package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/ledger"
)

// Outcome is what Winnow says of the night, and what the demo knows of it
// without Winnow.
type Outcome struct {
	Cut    bool // stopped before the story's end
	Report ledger.Report

	Sent   map[string]Tally // by source
	Alert  struct{ Sent, Known int }
	Faults uint64 // that the engine met in its log

	Pages  []*Page  // as printed
	Called []Called // as the pager has them

	QuietSent time.Time // zero: not reached

	Unpaged *Alert // one that did not page
	Quiet   *Page  // that of the quiet one

	// Explained is what Winnow says of the one and the other.
	Explained struct{ Unpaged, Quiet string }
}

// outcome asks Winnow over HTTP, as its commands do.
func (d *demo) outcome(ctx context.Context, cut bool) (*Outcome, error) {
	r := &Outcome{Cut: cut, Sent: maps.Clone(d.feed.tallies), QuietSent: d.feed.quietAt}
	r.Faults = d.node.Engine().Stats().Faults.Load()
	body, err := d.feed.get(ctx, "/api/v1/report?top=3")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &r.Report); err != nil {
		return nil, fmt.Errorf("demo: read the report: %w", err)
	}
	r.Pages, r.Called = d.console.all(), called(d.pager, d.story.Quiet)
	dispositions := map[alert.Fingerprint]correlate.Disposition{}
	err = d.node.Engine().Query(ctx, func(s *engine.Shard) {
		for _, a := range d.story.Alerts {
			if v := s.Core.Alerts(a.Fingerprint, s.Now()); len(v) > 0 && v[0].Labels.Equal(a.Labels) {
				dispositions[a.Fingerprint] = v[0].Disposition
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("demo: look the alerts up: %w", err)
	}
	for fp := range d.feed.sent {
		r.Alert.Sent++
		if _, ok := dispositions[fp]; ok {
			r.Alert.Known++
		}
	}
	if r.Unpaged = unpaged(d.story.Alerts, dispositions); r.Unpaged != nil {
		if r.Explained.Unpaged, err = d.explain(ctx, r.Unpaged); err != nil {
			return nil, err
		}
	}
	if i := slices.IndexFunc(r.Pages, func(p *Page) bool { return p.about(d.story.Quiet) }); i >= 0 {
		r.Quiet = r.Pages[i]
		if r.Explained.Quiet, err = d.explain(ctx, d.story.Quiet); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (d *demo) explain(ctx context.Context, a *Alert) (string, error) {
	text, err := d.feed.get(ctx, "/api/v1/explain/"+a.Fingerprint.String())
	return string(text), err
}

// unpaged picks one of the alerts that did not page: where there are several
// with the same reason, the one that is named in the fewest words.
func unpaged(alerts []*Alert, ds map[alert.Fingerprint]correlate.Disposition) (found *Alert) {
	for _, want := range []correlate.Disposition{correlate.Inhibited, correlate.Silenced, correlate.Grouped} {
		for _, a := range alerts {
			if ds[a.Fingerprint] == want && (found == nil || len(a.Labels.String()) < len(found.Labels.String())) {
				found = a
			}
		}
		if found != nil {
			return found
		}
	}
	return nil
}
