package ledger

import (
	"time"

	"github.com/winnowhq/winnow/alert"
)

// setClock goes over to a clock that was set by a span: how long something stands is
// counted on as if it had not been. What is over keeps the times at which it was.
func (l *Ledger) setClock(by time.Duration) {
	moved := func(t *alert.Time) {
		if *t != 0 {
			*t = t.Add(by)
		}
	}
	for _, o := range [...]*openEpisodes{&l.episodes.open, &l.episodes.critical} {
		for i := range o.len() {
			moved(&o.at(i).e.since)
			moved(&o.at(i).e.until)
		}
	}
	l.unconfirmed.eachOver(func(_ alert.Fingerprint, e *episode) {
		moved(&e.since)
		moved(&e.until)
	})
	moved(&l.until)
	l.since = min(l.since, l.until)
	l.hours.shift(l.until)
}
