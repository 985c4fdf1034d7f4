package correlate

import (
	"fmt"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// TestBeyondMaxAlerts holds that an alert that there is no room for is handed out
// to be paged as it came, and is in the books by name.
func TestBeyondMaxAlerts(t *testing.T) {
	p := basic(func(p *Policy) { p.MaxAlerts = 2 })
	const full = "0s fire alertname=A\n0s fire alertname=B\n1s fire alertname=C\n"
	f := func(script, notifications, dispositions string) {
		t.Helper()
		fact(t, p, script, notifications, dispositions)
	}
	f(full+`1m wait`,
		`beyond C
		 30s page oncall A
		 30s page oncall B`, `paged=2 quarantined=1`)
	// Each time, for whoever pages it knows whether it is paged already. What is
	// known goes on as ever, and an end asks for no room.
	f(full+`2m fire alertname=C
	   3m fire alertname=A
	   4m resolve alertname=C
	   5m resolve alertname=B
	   10m wait`,
		`beyond C
		 30s page oncall A
		 30s page oncall B
		 beyond C
		 5m30s resolve oncall -B`, `paged=2 repeat=1 resolved=1 stray=1 quarantined=2`)
	// No silence keeps it back, for nobody asks.
	f("0s silence s1 1h alertname=C\n"+full+`1m wait`,
		`beyond C
		 30s page oncall A
		 30s page oncall B`, `paged=2 quarantined=1`)
	// When another is forgotten it is one like any.
	f(full+`2m resolve alertname=B
	   70m fire alertname=C
	   71m wait`,
		`beyond C
		 30s page oncall A
		 30s page oncall B
		 5m30s resolve oncall -B
		 1h10m30s page oncall C`, `paged=3 resolved=1 quarantined=1`)
	w := newWorld(t, map[string]*Policy{"": p})
	w.run("0s fire alertname=A\n0s fire alertname=B\n1s fire alertname=C severity=critical")
	if r := w.rows[len(w.rows)-1]; r.Fingerprint != labelled("alertname=C", "severity=critical").Fingerprint || r.Cause == "" || r.Severity != alert.Critical {
		t.Errorf("the row does not name it: %+v", r)
	}
}

// TestNumberBeyondMaxAlerts: the number of an alert that there was no room for
// must not be taken for a loss in the log.
func TestNumberBeyondMaxAlerts(t *testing.T) {
	c, err := NewCore(basic(func(p *Policy) { p.MaxAlerts = 1 }))
	if err != nil {
		t.Fatal(err)
	}
	var out Output
	for i, name := range []string{"A", "B"} {
		a := labelled("alertname=" + name)
		c.Explain(&out, epoch, "test", time.Hour, &a, 7, uint32(i))
	}
	out.Reset()
	for number, want := range []string{"[] 1 repeats", "[quarantined] 0 repeats"} {
		if !c.ObserveNumber(&out, epoch.Add(time.Minute), "test", time.Hour, 7, &alert.Repeat{Number: uint32(number)}) {
			t.Errorf("number %d is said to be lost", number)
		}
		var got []string
		for _, r := range out.Rows {
			got = append(got, r.Now.String())
		}
		if s := fmt.Sprintf("%v %d repeats", got, len(out.Repeats)); s != want {
			t.Errorf("number %d: %s, want %s", number, s, want)
		}
		out.Reset()
	}
	if n := c.table.Cap(); n > 2 {
		t.Errorf("%d places are taken for one alert", n-1)
	}
}

func TestSilencesBeyondTheLimitSilenceNothing(t *testing.T) {
	w := newWorld(t, map[string]*Policy{"": basic()})
	set := func(id string, length time.Duration, match string) bool {
		return w.core.SetSilence(Silence{ID: id, StartsAt: epoch, EndsAt: epoch.Add(length), Matchers: []alert.Matchers{matchers(match)}})
	}
	for i := range MaxSilences {
		if !set(fmt.Sprint(i), time.Hour, "alertname=none") {
			t.Fatalf("silence %d was not taken", i+1)
		}
	}
	if set("more", time.Hour, "alertname=A") || w.core.TakesSilence("more") {
		t.Error("one too many was taken")
	}
	if !set("7", 2*time.Hour, "alertname=none") {
		t.Error("one that is known was not replaced")
	}
	w.run("0s fire alertname=A\n1m wait")
	if len(w.log) != 1 || w.log[0] != "30s page oncall A" {
		t.Errorf("an alert that a silence too many matches: %v", w.log)
	}
	w.core.Advance(&w.out, epoch.Add(SilenceKept+3*time.Hour))
	if !set("more", 500*time.Hour, "alertname=A") || len(w.core.Silences()) != 1 {
		t.Errorf("when the others are over and forgotten, %d are listed", len(w.core.Silences()))
	}
}

// TestDimsBeyondTheLimit are counted together, and nothing is left out.
func TestDimsBeyondTheLimit(t *testing.T) {
	d := newDims()
	for i := range 2 * MaxDims {
		n := d.intern(Dim{Rule: fmt.Sprint(i)})
		if want := uint32(i + 1); i < MaxDims-1 && n != want || i >= MaxDims-1 && n != 0 {
			t.Fatalf("combination %d has number %d", i+1, n)
		}
	}
	if d.intern(Dim{Rule: "7"}) != 8 || len(d.list) != MaxDims {
		t.Errorf("%d combinations", len(d.list))
	}
}

func TestConfiguredLimits(t *testing.T) {
	f := func(err error, want bool) {
		t.Helper()
		if (err == nil) != want {
			t.Errorf("got %v", err)
		}
	}
	f(ValidateMaxAlerts(0), true)
	f(ValidateMaxAlerts(LeastMaxAlerts-1), false)
	f(ValidateMaxAlerts(MostMaxAlerts), true)
	f(ValidateMaxAlerts(MostMaxAlerts+1), false)
	f((&StormLimit{NewGroups: MaxNewGroups}).Validate(), true)
	f((&StormLimit{NewGroups: MaxNewGroups + 1}).Validate(), false)
}
