package ingest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/winnowhq/winnow/alert"
)

// alertsOf reads a body and returns copies of its alerts.
func alertsOf(t *testing.T, source, body string) (alerts []alert.Alert) {
	t.Helper()
	src, _ := Lookup(source)
	limits := testLimits()
	r, err := Read(&src, []byte(body), testNow, &limits, func(b *Batch) error {
		for i := range b.Alerts {
			alerts = append(alerts, b.Alerts[i].Clone())
		}
		return nil
	})
	if err != nil || r.Accepted != len(alerts) {
		t.Fatalf("%+v, %v, of %s", r, err, body)
	}
	return alerts
}

// TestTwinsChangeNothing compares alerts that are read one behind the other, over
// several batches, with each read from a body of its own. Their pairs come again
// at the same place, at another, in other words of the same meaning, and with what
// has to be marked in them.
func TestTwinsChangeNothing(t *testing.T) {
	values := []string{
		`"b"`, `"b" `, `"bb"`, `"\u0062"`, `"c\"d"`, `"c\\"`, `"c\\\"d"`, `"\ud800"`, "\"\xff\"", "\"a\tb\"", `""`, `7`, `null`, `true`, `{"a":"b"}`,
		`"` + strings.Repeat("long ", 2000) + `"`,
	}
	limits := testLimits()
	names := []string{`"a"`, `"a" `, `"\u0061"`, `"aa"`, `"b"`, `"severity"`, `"z"`, `"` + strings.Repeat("n", limits.LabelNameBytes+1) + `"`}
	times := []string{`"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:00.5Z"`, `"yesterday"`, `"2030-01-01T00:00:00Z"`, `null`, `""`}
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 11))
		pick := func(of []string) string { return of[rng.IntN(len(of))] }
		pairs := func(out ...string) string {
			for range rng.IntN(6) {
				out = append(out, pick(names)+":"+pick(values))
			}
			return "{" + strings.Join(out, pick([]string{",", " , "})) + "}"
		}
		var alerts []string
		for range 4 * MaxBatchAlerts { // what was unescaped for the first one stands where that of the third batch will
			if n := len(alerts); n > 0 && rng.IntN(3) == 0 {
				alerts = append(alerts, alerts[n-1])
				continue
			}
			alerts = append(alerts, fmt.Sprintf(`{"annotations":%s,"endsAt":%s,"startsAt":%s,"generatorURL":%s,"labels":%s}`,
				pairs(`"first":"\u0066irst"`), pick(times), pick(times), pick(values), pairs(`"alertname":"A"`)))
		}
		all := alertsOf(t, "prometheus", "["+strings.Join(alerts, ",")+"]")
		if len(all) != len(alerts) {
			t.Fatalf("seed %d: %d of %d alerts were read", seed, len(all), len(alerts))
		}
		for i := range alerts {
			if alone := alertsOf(t, "prometheus", "["+alerts[i]+"]"); !reflect.DeepEqual(all[i], alone[0]) {
				t.Fatalf("seed %d: alert %d is\n%+v, alone\n%+v:\n%s", seed, i, all[i], alone[0], alerts[i])
			}
		}
	}
}

// TestTwinsOfTheWebhook does so with what Alertmanager sends.
func TestTwinsOfTheWebhook(t *testing.T) {
	one := func(status, url string) string {
		return `{"status":"` + status + `","labels":{"alertname":"A","severity":"critical"},"annotations":{"s":"\u0074ext"},` +
			`"startsAt":"2026-01-01T00:00:00Z","endsAt":"2026-01-01T00:00:01Z","generatorURL":"` + url + `"}`
	}
	body := `{"version":"4","alerts":[` + strings.Join([]string{one("firing", "x"), one("firing", "x"), one("resolved", "x"), one("firing", "\\u0079")}, ",") + `]}`
	var b strings.Builder
	for _, a := range alertsOf(t, "alertmanager", body) {
		fmt.Fprintln(&b, a.Status, a.GeneratorURL, a.Labels, a.Annotations)
	}
	want := "firing x {alertname=\"A\", severity=\"critical\"} {s=\"text\"}\nfiring x {alertname=\"A\", severity=\"critical\"} {s=\"text\"}\n" +
		"resolved x {alertname=\"A\", severity=\"critical\"} {s=\"text\"}\nfiring y {alertname=\"A\", severity=\"critical\"} {s=\"text\"}\n"
	if got := b.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
