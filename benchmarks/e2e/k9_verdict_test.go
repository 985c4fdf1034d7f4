//go:build e2e && k9

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/winnowhq/winnow/benchmarks/programs"
)

// sightings are in which life of Winnow each message was seen last, and what
// came again after the end of which.
type sightings struct {
	last  map[string]int64
	again map[crash]int
	same  int      // came twice in one life: no crash excuses that
	plain []string // came again and were not marked as redelivered
	all   int
}

// crash is the end of a life, as one receiver's integration saw it.
type crash struct {
	life     int64
	receiver string
}

func (s *sightings) see(receiver, id string, life int64, marked bool) {
	if s.last == nil {
		s.last, s.again = map[string]int64{}, map[crash]int{}
	}
	s.all++
	before, known := s.last[id]
	switch {
	case known && before == life:
		s.same++
	case known:
		s.again[crash{before, receiver}]++
		if !marked {
			s.plain = append(s.plain, id)
		}
	}
	s.last[id] = life
}

// sum is how many came again, and after the worst crash.
func (s *sightings) sum() (total, worst int) {
	for _, n := range s.again { // order: a sum and a maximum
		total, worst = total+n, max(worst, n)
	}
	return total, worst
}

// hook is a webhook that folds nothing.
type hook struct {
	url      string
	life     *atomic.Int64
	answered atomic.Pointer[func()]

	mu   sync.Mutex
	seen sightings
	odd  []string        // what it could not read
	pods map[string]bool // named while something fired
}

func newHook(t testing.TB, life *atomic.Int64) *hook {
	h := &hook{life: life, pods: map[string]bool{}}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	life := h.life.Load()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // its sender was killed in the middle of it
	}
	h.take(body, life)
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush() // a client that is gone has not got it
	if f := h.answered.Load(); f != nil {
		(*f)()
	}
}

// take notes a message by its group and its alerts.
func (h *hook) take(body []byte, life int64) {
	var m struct {
		Receiver string `json:"receiver"`
		GroupKey string `json:"groupKey"`
		Alerts   []struct {
			Status      string `json:"status"`
			Fingerprint string `json:"fingerprint"`
			StartsAt    string `json:"startsAt"`
		} `json:"alerts"`
	}
	var mark struct {
		Status string            `json:"status"`
		Common map[string]string `json:"commonAnnotations"`
		Alerts []struct {
			Labels map[string]string `json:"labels"`
		} `json:"alerts"`
	}
	err := errors.Join(json.Unmarshal(body, &m), json.Unmarshal(body, &mark))
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil || m.GroupKey == "" {
		h.odd = append(h.odd, string(body))
		return
	}
	h.seen.see(m.Receiver, fmt.Sprint(m), life, mark.Common["redelivered"] == "true")
	if mark.Status == "firing" {
		for _, a := range mark.Alerts {
			h.pods[a.Labels["pod"]] = true
		}
	}
}

// lines is a file of the jsonl sink, read from life to life.
type lines struct {
	path string
	read int64
	torn int
	seen sightings

	incidents map[string]bool // of the chapter
	pods      map[string]bool // named while something fired
}

// follow reads what a life has written.
func (l *lines) follow(life int64) error {
	f, err := os.Open(l.path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, l.read, 1<<40))
	if err != nil {
		return err
	}
	l.read += int64(len(text))
	for line := range bytes.Lines(text) {
		var m struct {
			ID          string `json:"id"`
			Incident    string `json:"incident"`
			Receiver    string `json:"receiver"`
			Redelivered bool   `json:"redelivered"`

			Kind         string `json:"kind"`
			Notification struct {
				Alerts []struct {
					Labels []struct{ Name, Value string } `json:"labels"`
				} `json:"alerts"`
			} `json:"notification"`
		}
		if err := json.Unmarshal(line, &m); err != nil || m.ID == "" {
			l.torn++ // a kill in the middle of a write: the next life has begun a line of its own
			continue
		}
		l.seen.see(m.Receiver, m.ID, life, m.Redelivered)
		l.incidents[m.Incident] = true
		if m.Kind == "resolve" {
			continue
		}
		for _, a := range m.Notification.Alerts {
			for _, label := range a.Labels {
				if label.Name == "pod" {
					l.pods[label.Value] = true
				}
			}
		}
	}
	return nil
}

var podIn = regexp.MustCompile(`\bpod:(pod[\d-]+)`)

// judge holds what the pager got in the chapter to what the senders were
// promised. Everything has ended and the senders are at rest.
func (k *k9) judge() {
	named, pages := map[string]bool{}, map[string]map[string]bool{}
	groups := k.m.paging()
	for _, g := range groups {
		k.keys[g.key] = g.receiver
		pages[g.key] = map[string]bool{}
	}
	events := k.pd.Events()
	for _, e := range events[k.heard:] {
		k.hear(e.Key, e.Routing)
		incident, _ := e.Details["incident"].(string)
		if incident != "" { // a resolve has no details
			k.file.incidents[incident] = true
		}
		for _, match := range podIn.FindAllStringSubmatch(fmt.Sprint(e.Details["firing"], e.Details["resolved"]), -1) {
			named[match[1]] = true
		}
		if e.Action == "resolve" {
			k.sum.resolves++
			continue
		}
		// An update may have taken the place of a page that never arrived.
		id := e.Key + " " + incident
		switch first := e.Details["reason"] == firstNotification; {
		case !k.paged[id]:
			k.paged[id] = true
			k.sum.pages++
		case first:
			k.sum.repeatedPages++
		}
		if pages[e.Key] != nil {
			pages[e.Key][incident] = true
		}
	}
	k.heard = len(events)
	for _, g := range groups {
		n := len(pages[g.key])
		k.sum.lost += max(0, g.opened-g.brief-n)
		k.sum.doubled += max(0, n-g.opened)
		if n < g.opened-g.brief || n > g.opened {
			k.t.Errorf("group %s: %d incidents opened, %d of them brief, %d paged: %+v", g.key, g.opened, g.brief, n, k.pd.events(g.key))
		}
		k.sum.opened += g.opened
		k.sum.brief += g.brief
	}
	k.sum.stuck += len(k.pd.Open())
	k.sum.phantoms = k.strays + len(k.pd.Phantoms())
	if k.sum.phantoms+k.sum.stuck > 0 {
		k.t.Errorf("%d incidents open at the end, phantoms: %+v", len(k.pd.Open()), k.pd.Phantoms())
	}
	k.heardOf(named)
	k.once()
	k.balance()
	k.m = newModel()
}

var receiptIn = regexp.MustCompile(`((INC-\d+/\d+) \w+) accepted by (\S+)(?: in the place of (INC-\d+/\d+))?`)

// once holds that the log has one receipt of what each integration took. A
// message is in doubt, and may come again, for as long as it has none: one with
// two was sent again although the log knew. That is the bound on what may come
// again, and it is as narrow as it can be: how much a kill leaves in doubt
// depends on how many groups were due at once.
func (k *k9) once() {
	for incident := range k.file.incidents { // order: each by itself
		text, err := k.w.read("/api/v1/explain/" + incident)
		if err != nil {
			k.t.Errorf("explain %s: %v", incident, err)
			continue
		}
		seen, page := map[string]bool{}, false
		for _, match := range receiptIn.FindAllStringSubmatch(string(text), -1) {
			if seen[match[0]] {
				k.sum.needless++
				k.t.Errorf("it was sent again after the log had its receipt: %s\n%s", match[0], text)
			}
			seen[match[0]] = true
			if strings.HasSuffix(match[1], " page") {
				k.noted[cmp.Or(match[4], match[2])], page = true, true
			}
			k.sum.receipts++
		}
		if len(seen) > 0 && !page {
			k.unpaged[incident] = true
			if strings.Contains(fmt.Sprint(seen), " update accepted") {
				k.t.Errorf("an update was taken of what nobody was paged for: %s", text)
			}
		}
	}
	clear(k.file.incidents)
}

// hear holds an event to the groups that there are.
func (k *k9) hear(key, routing string) {
	receiver, known := k.keys[key]
	switch {
	case !known:
		k.strays++
		k.t.Errorf("an event has a key that no group has: %+v", k.pd.events(key))
	case routing != receiver+"-key":
		k.t.Errorf("group %s of %s was told to %s", key, receiver, routing)
	}
}

// heardOf holds that each alert whose request was answered 2xx was named to
// somebody, or that winnow explain says why not.
func (k *k9) heardOf(named map[string]bool) {
	asked := 0
	for _, h := range k.crew {
		k.sum.alerts += len(h.acked)
		for pod, p := range h.acked { // order: each is judged by itself
			if named[pod] {
				continue
			}
			k.unnamed(pod, p, asked)
			asked++
		}
		h.acked = map[string]postable{}
	}
}

// unnamed judges an alert that the pager has not named. The last receipts may be
// on their way to the log still.
func (k *k9) unnamed(pod string, p postable, asked int) {
	var why string
	var err error
	for deadline := time.Now().Add(patience); ; asked++ {
		if why, err = k.explain(fingerprint(p.Labels), asked); err == nil && k.accounts(pod, why) {
			return
		}
		if time.Now().After(deadline) {
			break
		}
		<-time.After(100 * time.Millisecond)
	}
	k.sum.lost++
	incident, _ := k.w.read("/api/v1/explain/" + incidentIn.FindString(why))
	k.t.Errorf("nobody was told of %s, and winnow explain says %v:\n%s\nand of its incident:\n%s", text(p.Labels), err, why, incident)
}

// accounts reports whether an explanation says why the pager did not name an
// alert. It was paged only if the webhook or the file, of which each receiver has
// one, was told.
func (k *k9) accounts(pod, why string) bool {
	switch {
	case strings.Contains(why, "\nNot paged because it ended before anybody confirmed INC-"):
		if k.overtaken(why) {
			k.sum.overtaken++
			return true
		}
	case strings.Contains(why, "\nNot paged because "):
		k.sum.mute++
		return true
	case k.toldElsewhere(pod) && k.overtaken(why):
		k.sum.overtaken++
		return true
	}
	return false
}

func (k *k9) toldElsewhere(pod string) bool {
	if err := k.file.follow(k.life.Load()); err != nil {
		k.t.Error(err)
	}
	k.hook.mu.Lock()
	defer k.hook.mu.Unlock()
	return k.hook.pods[pod] || k.file.pods[pod]
}

var incidentIn = regexp.MustCompile(`\bINC-\d+`)

// overtaken reports whether a notification of the incident that an alert was put
// down to was never sent, because the alert's end came before it could be. While
// it fires, settle sees to it that it is named.
func (k *k9) overtaken(why string) bool {
	body, err := k.w.read("/api/v1/explain/" + incidentIn.FindString(why))
	return err == nil && (strings.Contains(string(body), " page superseded") || strings.Contains(string(body), " update superseded"))
}

// explain asks as people do a few times, and then by the route that they use.
func (k *k9) explain(fingerprint string, asked int) (string, error) {
	const people = 3
	if asked < people {
		return programs.Capture(context.Background(), "", k.w.binary, "explain", fingerprint, "--server", "http://"+k.w.address)
	}
	body, err := k.w.read("/api/v1/explain/" + fingerprint)
	return string(body), err
}

// balance holds the report to the count of all chapters so far.
func (k *k9) balance() {
	b := k.m.books()
	k.sum.deliveries += b.deliveries
	k.sum.onsets += b.onsets
	k.sum.incidents += b.incidents // groups of a storm are fewer
	k.sum.spare = 0
	for _, h := range k.crew {
		k.sum.spare += h.s.spare
	}
	var last error
	deadline := time.Now().Add(patience)
	for {
		r, err := k.w.report()
		if last = err; err == nil {
			last = k.compare(r)
		}
		if last == nil || time.Now().After(deadline) {
			break
		}
		<-time.After(100 * time.Millisecond)
	}
	if last != nil {
		k.t.Errorf("the report does not agree with the count: %v", last)
	}
	if n := k.w.metric("winnow_engine_log_faults_total"); n != 0 {
		k.t.Errorf("winnow found %v faults in its log", n)
	}
}

func (k *k9) compare(r report) error {
	s := k.sum
	accounted := 0
	for _, n := range r.Dispositions { // order: a sum
		accounted += n
	}
	switch {
	case !r.Balanced || accounted != r.Deliveries:
		return fmt.Errorf("the books do not balance: %d deliveries, %d accounted for", r.Deliveries, accounted)
	case r.Deliveries < s.deliveries || r.Deliveries > s.deliveries+s.spare:
		return fmt.Errorf("%d deliveries, want %d and at most %d more", r.Deliveries, s.deliveries, s.spare)
	case r.Swallowed != 0 || r.Pending != 0:
		return fmt.Errorf("%d criticals swallowed, %d alerts pending", r.Swallowed, r.Pending)
	case k.limit > 0:
		if r.Onsets != s.onsets || r.Incidents > s.incidents {
			return fmt.Errorf("%d onsets in %d incidents, want %d in at most %d", r.Onsets, r.Incidents, s.onsets, s.incidents)
		}
	case r.Onsets != s.onsets || r.Incidents != s.incidents:
		return fmt.Errorf("%d onsets in %d incidents, want %d in %d", r.Onsets, r.Incidents, s.onsets, s.incidents)
	case k.limit == 0 && (r.Pages != len(k.noted) || r.Pages < s.opened-s.brief-len(k.unpaged) || r.Pages > s.opened):
		return fmt.Errorf("%d pages, want %d: %d incidents opened, %d of them brief, of %d the log has no receipt of a page", r.Pages, len(k.noted), s.opened, s.brief, len(k.unpaged))
	}
	return nil
}

// vacuity fails a run in which too little happened to prove anything.
func (k *k9) vacuity(kills int) {
	least := func(what string, got, want int) {
		if got < want {
			k.t.Errorf("%s: %d, and fewer than %d prove nothing", what, got, want)
		}
	}
	made := 0
	for _, f := range faults {
		if f.orderly {
			least(f.name, k.sum.stops, kills/50)
			continue
		}
		made += k.kills[f.name]
		least("kills of kind "+f.name, k.kills[f.name], min(1, kills/100))
	}
	least("kills", made, kills)
	least("kills with requests under way", k.sum.inflight, kills/10)
	least("kills after an answer of 2xx", k.sum.after2xx, kills/10)
	least("snapshots cut off", k.kills["snapshot cut off"], min(1, kills/100))
	least("alerts", k.sum.alerts, 5*kills)
	if k.limit > 0 {
		least("storms", k.sum.storms, 1)
		least("alerts that a storm has named", k.sum.stormed, kills)
	} else {
		least("pages", k.sum.pages, kills)
		least("resolves", k.sum.resolves, kills)
	}
	k.hook.mu.Lock()
	defer k.hook.mu.Unlock()
	least("webhooks", k.hook.seen.all, kills)
	least("lines of the file", k.file.seen.all, kills)
	least("receipts looked at", k.sum.receipts, kills)
	for _, s := range []struct {
		what string
		seen *sightings
	}{{"webhook", &k.hook.seen}, {"file", &k.file.seen}} {
		if s.seen.same > 0 {
			k.t.Errorf("%s: %d messages came twice without a crash between", s.what, s.seen.same)
		}
		if len(s.seen.plain) > 0 {
			k.t.Errorf("%s: %d messages came again and do not say that they may: %q", s.what, len(s.seen.plain), s.seen.plain)
		}
		for end, n := range s.seen.again { // order: each by itself
			if k.stopped[end.life] {
				k.t.Errorf("%s of %s: %d messages came again after an orderly stop, which leaves nothing in doubt", s.what, end.receiver, n)
			}
			if most := fromEnv(k.t, "K9_IN_DOUBT", 1); n > most {
				k.t.Errorf("%s of %s: %d messages came again after one kill, %d may be in doubt (or more on a busy machine: K9_IN_DOUBT)", s.what, end.receiver, n, most)
			}
		}
	}
	if k.file.torn > kills {
		k.t.Errorf("%d lines of the file are torn by %d kills", k.file.torn, kills)
	}
	if len(k.hook.odd) > 0 {
		k.t.Errorf("webhooks that are none: %q", k.hook.odd)
	}
}

// line is the last line of the run.
func (k *k9) line() string {
	s := k.sum
	ready := slices.Clone(k.ready)
	slices.Sort(ready)
	kills := 0
	var kinds strings.Builder
	for _, f := range faults {
		if !f.orderly {
			kills += k.kills[f.name]
			fmt.Fprintf(&kinds, "%s:%d,", f.name, k.kills[f.name])
		}
	}
	k.hook.mu.Lock()
	hooks, worstHook := k.hook.seen.sum()
	k.hook.mu.Unlock()
	lines, worstLine := k.file.seen.sum()
	return fmt.Sprintf("kills=%d inflight=%d after2xx=%d (%ssnapshot-cut:%d) sigterm=%d unclean=%d acked=%d alerts=%d pages=%d resolves=%d explained=%d overtaken=%d unpaged=%d lost=%d doubled=%d stuck=%d phantoms=%d storms=%d of %d alerts "+
		"again: pages=%d webhooks=%d lines=%d per-crash-max=%d needless=%d of %d torn=%d settled<=%s ready p50=%s max=%s",
		kills, s.inflight, s.after2xx, kinds.String(), k.kills["snapshot cut off"], s.stops, s.unclean, s.deliveries, s.alerts, s.pages, s.resolves, s.mute, s.overtaken, len(k.unpaged), s.lost, s.doubled, s.stuck, s.phantoms, s.storms, s.stormed,
		s.repeatedPages, hooks, lines, max(worstHook, worstLine), s.needless, s.receipts, k.file.torn, k.settled.Round(10*time.Millisecond),
		ready[len(ready)/2].Round(time.Millisecond), ready[len(ready)-1].Round(time.Millisecond))
}
