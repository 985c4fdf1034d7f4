package node

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/preview"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/internal/web"
)

// toNobody routes the alerts of a name to a receiver that has nobody behind it.
func toNobody(text, name string) string {
	return strings.Replace(text, "  routes:\n", "  routes:\n    - {receiver: nobody, matchers: ['alertname=\""+name+"\"']}\n", 1)
}

func (s *site) ask(method, path, body string) (code int, answer string) {
	s.t.Helper()
	rec := httptest.NewRecorder()
	s.node.Handler().ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	return rec.Code, rec.Body.String()
}

func (s *site) status() (st web.Status) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.get("/api/v1/status")), &st); err != nil {
		s.t.Fatal(err)
	}
	return st
}

func (s *site) has(metric string) {
	s.t.Helper()
	if m := s.get("/metrics"); !strings.Contains(m, metric+"\n") {
		s.t.Errorf("no %s in the metrics", metric)
	}
}

// TestReloadThatUnpagesCriticalsIsRefused: it changes nothing and says why, until
// somebody insists.
func TestReloadThatUnpagesCriticalsIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.post(sample{name: "Down", pod: "1", severity: "critical"}, sample{name: "Slow", pod: "1", severity: "warning"})
		time.Sleep(time.Minute)
		before := s.status().ConfigHash
		good := s.text

		s.text = toNobody(good, "Slow") // warnings may go
		if code, answer := s.ask(http.MethodPost, "/-/reload", ""); code != http.StatusOK {
			t.Fatalf("a harmless reload: %d %s", code, answer)
		}
		harmless := s.status().ConfigHash
		if harmless == before {
			t.Error("the harmless configuration is not in force")
		}

		s.text = toNobody(good, "Down")
		code, answer := s.ask(http.MethodPost, "/-/reload", "")
		if code != http.StatusConflict {
			t.Fatalf("a dangerous reload: %d %s", code, answer)
		}
		for _, want := range []string{"it unpages 1 alert of severity critical or error (1 onset) in the last", "critical Down v1:", `told to oncall: receiver "nobody" has nobody behind it`, "force=true"} {
			if !strings.Contains(answer, want) {
				t.Errorf("%q is not in the answer:\n%s", want, answer)
			}
		}
		st := s.status()
		if st.ConfigHash != harmless || st.Reload == nil || st.Reload.Outcome != web.Refused || st.Reload.Unpaged != 1 {
			t.Errorf("status after a refusal: hash %s, want %s, reload %+v", st.ConfigHash, harmless, st.Reload)
		}
		if !slices.Contains(s.node.alarm.Raised(), selfalert.ReloadFailed) {
			t.Error("no self-alert says that it was refused")
		}
		s.has(`winnow_config_reloads_total{outcome="refused"} 1`)
		s.has(`winnow_config_last_reload_successful 0`)
		s.post(sample{name: "Down", pod: "2", severity: "critical"})
		time.Sleep(6 * time.Minute)
		events := len(s.pager.Events())
		s.post(sample{name: "Down", pod: "3", severity: "critical"})
		time.Sleep(6 * time.Minute)
		if len(s.pager.Events()) == events {
			t.Error("a critical pages nobody under the configuration that was refused")
		}

		if code, answer := s.ask(http.MethodPost, "/-/reload?force=true", ""); code != http.StatusOK {
			t.Fatalf("a forced reload: %d %s", code, answer)
		}
		if st := s.status(); st.ConfigHash == harmless || st.Reload.Outcome != web.Forced || st.Reload.Unpaged != 3 {
			t.Errorf("status after a forced reload: %s, %+v", st.ConfigHash, st.Reload)
		}
		if slices.Contains(s.node.alarm.Raised(), selfalert.ReloadFailed) {
			t.Error("the self-alert stands after a reload that was taken")
		}
		s.has(`winnow_config_reloads_total{outcome="forced"} 1`)
		s.has(`winnow_config_reloads_total{outcome="taken"} 1`)
		s.stop()
	})
}

// TestWhatAReloadCovers: a store that holds nothing refuses nothing, and neither
// does what is older than a day.
func TestWhatAReloadCovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		good := s.text
		s.text = toNobody(good, "Down")
		if err := s.node.Reload(t.Context()); err != nil {
			t.Errorf("nothing has come yet: %v", err)
		}
		s.text = good
		if err := s.node.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.post(sample{name: "Down", pod: "1", severity: "critical"})
		time.Sleep(time.Minute)
		s.post(sample{name: "Down", pod: "1", severity: "critical", resolved: true})
		time.Sleep(22 * time.Hour)
		s.text = toNobody(good, "Down")
		err := s.node.Reload(t.Context())
		refused, ok := errors.AsType[*preview.Refused](err)
		if !ok || refused.Diff.Unpaged != 1 {
			t.Fatalf("it was a critical of this day: %v", err)
		}
		if c := refused.Diff.Covered; c.To.Sub(c.From) < 21*time.Hour {
			t.Errorf("covered is %v", c)
		}
		time.Sleep(3 * time.Hour)
		if err := s.node.Reload(t.Context()); err != nil {
			t.Errorf("it was a critical of the day before: %v", err)
		}
		s.stop()
	})
}

// TestSilencedCriticalIsNotUnpaged: what nobody is told of now cannot be lost,
// also when the silence was set before the day that is replayed.
func TestSilencedCriticalIsNotUnpaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		silence(t, s.node.Engine(), "alertname", "Down", 72*time.Hour)
		time.Sleep(30 * time.Hour)
		s.post(sample{name: "Down", pod: "1", severity: "critical"})
		time.Sleep(time.Minute)
		s.text = toNobody(s.text, "Down")
		if err := s.node.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		s.stop()
	})
}

// TestStartTellsWhatItUnpages: at a start nothing is refused, and people hear of
// it until a configuration is put in force.
func TestStartTellsWhatItUnpages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		good := s.text
		s.post(sample{name: "Down", pod: "1", severity: "critical"})
		time.Sleep(time.Minute)
		s.stop()
		s.start()
		time.Sleep(time.Second)
		if got := s.node.alarm.Raised(); len(got) > 0 {
			t.Errorf("an unchanged configuration raises %v", got)
		}
		s.stop()
		s.text = toNobody(good, "Down")
		s.start()
		time.Sleep(time.Second)
		if !slices.Contains(s.node.alarm.Raised(), selfalert.PolicyUnpages) {
			t.Error("no self-alert says what the changed configuration unpages")
		}
		if r := s.status().Reload; r == nil || r.Outcome != web.Started || r.Unpaged != 1 {
			t.Errorf("status: %+v", r)
		}
		s.text = good
		if err := s.node.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.node.alarm.Raised(); len(got) > 0 {
			t.Errorf("after the file was mended %v stands", got)
		}
		s.stop()
	})
}

// TestPreviewOfAPostedConfiguration: it says what would change, changes nothing,
// and opens nothing that the text names.
func TestPreviewOfAPostedConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.post(sample{name: "Down", pod: "1", severity: "critical"})
		time.Sleep(time.Minute)
		hash := s.status().ConfigHash
		files := strings.Replace(toNobody(s.text, "Down"), "routing_key: 0123456789abcdef0123456789abcdef", "routing_key_file: not/there", 1) +
			"templates: [not/there.tmpl]\nwinnow: {enrich: {catalog: [not/there.yaml]}, ingest: {sources: {prometheus: {tokens: [{token_file: not/there}]}}}}\n"
		code, answer := s.ask(http.MethodPost, "/api/v1/preview", files)
		var d preview.Diff
		if err := json.Unmarshal([]byte(answer), &d); code != http.StatusOK || err != nil || d.Unpaged != 1 || len(d.Receivers) != 1 || d.Receivers[0].Lost != 1 {
			t.Errorf("%d %v %s", code, err, answer)
		}
		if code, answer := s.ask(http.MethodPost, "/api/v1/preview", "# the same\n"+s.text); code != http.StatusOK || !strings.Contains(answer, `"same": true`) {
			t.Errorf("the configuration in force: %d %s", code, answer)
		}
		if code, answer := s.ask(http.MethodPost, "/api/v1/preview", "route: {receiver: a}\n"); code != http.StatusBadRequest || !strings.Contains(answer, "1:") {
			t.Errorf("a text that is not valid: %d %s", code, answer)
		}
		if got := s.status(); got.ConfigHash != hash || got.Reload != nil {
			t.Errorf("a preview has changed something: %+v", got)
		}
		s.stop()
	})
}

// TestOnePreviewAtATime: each takes the memory of two shards.
func TestOnePreviewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.post(sample{name: "Down", pod: "1", severity: "critical"})
		release := s.hang() // the preview waits for the silences
		var wg sync.WaitGroup
		wg.Go(func() {
			if code, answer := s.ask(http.MethodPost, "/api/v1/preview", toNobody(s.text, "Down")); code != http.StatusOK {
				t.Errorf("the first: %d %s", code, answer)
			}
		})
		synctest.Wait()
		if code, answer := s.ask(http.MethodPost, "/api/v1/preview", toNobody(s.text, "Down")); code != http.StatusServiceUnavailable {
			t.Errorf("the second: %d %s", code, answer)
		}
		wg.Wait()
		release()
		s.stop()
	})
}

// TestReloadWhoseCallerLeaves: once the policy is in the log it will be in force,
// so the receivers must be those that it names, whoever still waits.
func TestReloadWhoseCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.text = strings.ReplaceAll(s.text, "oncall", "others")
		release := s.hang()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := s.node.Reload(ctx); err != nil {
			t.Errorf("reload: %v", err)
		}
		release()
		time.Sleep(time.Second)
		s.post(sample{name: "A", pod: "1", severity: "critical"})
		time.Sleep(time.Minute)
		if open := s.pager.Open(); len(open) != 1 {
			t.Errorf("open at the pager: %v", open)
		}
		s.has(`winnow_sink_attempts_total{integration="pagerduty[0]",outcome="accepted",receiver="others"} 1`)
		s.stop()
	})
}

// TestReloadOfACallerWhoHasLeft changes nothing.
func TestReloadOfACallerWhoHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		hash := s.status().ConfigHash
		s.text = strings.ReplaceAll(s.text, "oncall", "others")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.node.Reload(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("reload: %v", err)
		}
		if got := s.status().ConfigHash; got != hash {
			t.Error("the configuration has changed")
		}
		s.stop()
	})
}

// silence sets one on all alerts with a label.
func silence(t *testing.T, e *engine.Engine, name, value string, length time.Duration) {
	t.Helper()
	m, err := alert.NewMatcher(name, alert.Equal, value)
	if err != nil {
		t.Fatal(err)
	}
	now := alert.TimeOf(time.Now())
	err = e.SetSilence(t.Context(), &correlate.Silence{ID: "s1", Matchers: []alert.Matchers{{m}}, StartsAt: now, EndsAt: now.Add(length)})
	if err != nil {
		t.Fatal(err)
	}
}
