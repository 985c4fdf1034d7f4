package ledger

import (
	"time"

	"github.com/winnowhq/winnow/alert"
)

// setClock goes over to a clock that was set by a span: how long something stands is
// counted on as if it had not been. What is over keeps the times at which it was.
func (l *Ledger) setClock(by time.Duration) {
	for _, o := range [...]*openEpisodes{&l.episodes.open, &l.episodes.critical} {
		for i := range o.len() {
			o.at(i).e.since.Shift(by)
			o.at(i).e.until.Shift(by)
		}
	}
	l.unconfirmed.eachOver(func(_ alert.Fingerprint, e *episode) {
		e.since.Shift(by)
		e.until.Shift(by)
	})
	l.until.Shift(by)
	l.since = min(l.since, l.until)
	l.hours.shift(l.until)
}
