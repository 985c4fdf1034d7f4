package load

import (
	"bytes"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/ingest"
)

// TestBodiesSayWhatAlertSays reads the bodies back with Winnow's own sources.
func TestBodiesSayWhatAlertSays(t *testing.T) {
	u := New(7, 10)
	now := Started.Add(time.Hour)
	f := func(source string, body []byte, status alert.Status, endsAt time.Time) {
		t.Helper()
		src, ok := ingest.Lookup(source)
		if !ok {
			t.Fatalf("there is no source %s", source)
		}
		var limits ingest.Limits
		limits.Defaults()
		i := 100
		r, err := ingest.Read(&src, body, alert.TimeOf(now), &limits, func(b *ingest.Batch) error {
			for k := range b.Alerts {
				got, want := &b.Alerts[k], u.Alert(i)
				if !got.Labels.Equal(want.Labels) || !got.Annotations.Equal(want.Annotations) || got.Fingerprint != want.Fingerprint ||
					got.GeneratorURL != want.GeneratorURL || got.StartsAt != want.StartsAt || got.Marks != 0 {
					t.Errorf("alert %d came back as %+v, want %+v", i, *got, want)
				}
				if got.Status != status || got.EndsAt != alert.TimeOf(endsAt) {
					t.Errorf("alert %d is %v until %v, want %v until %v", i, got.Status, got.EndsAt, status, endsAt)
				}
				i++
			}
			return nil
		})
		if err != nil || r.Accepted != 64 || r.Quarantined != 0 {
			t.Errorf("%s: %+v, %v", source, r, err)
		}
	}
	later, before := now.Add(time.Minute), now.Add(-time.Minute)
	f("prometheus", u.AppendAPI(nil, 100, 164, later), alert.Firing, later)
	f("prometheus", u.AppendAPI(nil, 100, 164, before), alert.Resolved, before)
	f("alertmanager", u.AppendWebhook(nil, 100, 164, time.Time{}), alert.Firing, time.Time{})
	f("alertmanager", u.AppendWebhook(nil, 100, 164, before), alert.Resolved, before)
}

func TestShape(t *testing.T) {
	const n, perGroup = 20_000, 25
	u := New(1, perGroup)
	seen, groups := map[alert.Fingerprint]bool{}, map[string]int{}
	for i := range n {
		a := u.Alert(i)
		if len(a.Labels) != 12 || len(a.Annotations) != 4 {
			t.Fatalf("alert %d has %d labels and %d annotations", i, len(a.Labels), len(a.Annotations))
		}
		if labels := a.Labels.Clone(); labels.Sort() || !labels.Equal(a.Labels) {
			t.Fatalf("alert %d has labels out of order: %v", i, a.Labels)
		}
		seen[a.Fingerprint] = true
		groups[a.Labels.Get("alertname")+a.Labels.Get("cluster")+a.Labels.Get("namespace")]++
	}
	if len(seen) != n {
		t.Errorf("%d alerts are distinct, want %d", len(seen), n)
	}
	if size := len(u.AppendAPI(nil, 0, n, Started)) / n; size < 950 || size > 1150 {
		t.Errorf("an alert has %d bytes, want about 1,060", size)
	}
	if got, want := len(groups), n/perGroup; got < want*9/10 || got > want {
		t.Errorf("%d groups, want about %d", got, want)
	}
}

func TestSeedDecides(t *testing.T) {
	f := func(a, b uint64) bool {
		return bytes.Equal(New(a, 10).AppendAPI(nil, 0, 100, Started), New(b, 10).AppendAPI(nil, 0, 100, Started))
	}
	if !f(1, 1) {
		t.Error("one seed gives two loads")
	}
	if f(1, 2) {
		t.Error("two seeds give one load")
	}
}

// TestOneAlertByItself: a request of one alert is the request of a batch of one.
func TestOneAlertByItself(t *testing.T) {
	u := New(7, 10)
	a := u.Alert(100)
	one, batch := RenderOne(&a, Started), u.Render(API, 100, 101, 64, Started)
	if got, want := one.append(nil, Started), batch[0].append(nil, Started); len(batch) != 1 || one.Alerts != 1 || !bytes.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
