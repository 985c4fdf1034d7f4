// Package stage holds the stages of the line as operations that can be repeated:
// decode, fingerprint, frame, core and accounts, and the whole of them in one
// process.
//
// It decides what one operation of a stage is, so that the benchmarks and the
// gate measure the same thing. It never measures.
package stage

import (
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/benchmarks/load"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/config"
	"github.com/winnowhq/winnow/ledger"
)

const (
	seed     = 1
	perGroup = 25
)

// Universe is where the alerts of all stages come from.
var Universe = load.New(seed, perGroup)

// PolicyText groups as the default configuration does. No group's moment comes
// while a figure is taken, and no number of groups is a storm.
const PolicyText = `
route: {receiver: oncall, group_by: [alertname, cluster, namespace], group_wait: 4h, group_interval: 4h, repeat_interval: 24h}
receivers: [{name: oncall}]
` + noStorm

const noStorm = "winnow: {storm: {new_groups_per_minute: 0}}\n"

// Line is the core with its accounts, as a shard has them.
type Line struct {
	Core   *correlate.Core
	Ledger *ledger.Ledger
	Out    correlate.Output
	Now    alert.Time
}

// NewLine returns a line under a policy, which is an Alertmanager file.
func NewLine(policy string) (*Line, error) {
	c, err := config.Parse("benchmark", []byte(policy))
	if err != nil {
		return nil, err
	}
	core, err := correlate.NewCore(&c.Policy)
	if err != nil {
		return nil, err
	}
	return &Line{Core: core, Ledger: ledger.New(core.Dim, ledger.Options{}), Now: alert.TimeOf(load.Started)}, nil
}

// Observe is what a shard does with one alert.
func (l *Line) Observe(a *alert.Alert) {
	l.Out.Reset()
	l.Core.Observe(&l.Out, l.Now, "prometheus", 24*time.Hour, a)
	l.fold()
}

// Advance lets the groups whose moment has come by now tell what they have, and
// returns how many notifications that makes.
func (l *Line) Advance(now alert.Time) int {
	l.Now = now
	l.Out.Reset()
	l.Core.Advance(&l.Out, now)
	l.fold()
	return len(l.Out.Notifications)
}

func (l *Line) fold() {
	l.Ledger.FoldOutput(l.Now, &l.Out)
}

// Body is a request of a source with the alerts from to to-1, vouched for until
// ends.
func Body(source string, from, to int, ends time.Time) []byte {
	if source == "alertmanager" {
		return Universe.AppendWebhook(nil, from, to, time.Time{})
	}
	return Universe.AppendAPI(nil, from, to, ends)
}
