// Package sinktest stands in for providers in tests and in the demo.
//
// It answers as the provider's documentation and behaviour have it and records
// what that provider would show to people. It never judges by itself whether a
// test passed; PagerDuty.Phantoms is the question to ask.
package sinktest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// PagerDuty is an http.Handler with the semantics of PagerDuty's Events API v2:
// a trigger opens an incident for its dedup_key or joins the one that is open,
// a resolve closes it, and one for a key that nothing is open for changes
// nothing. It takes any path, as /v2/enqueue.
//
// https://developer.pagerduty.com/docs/events-api-v2-overview
type PagerDuty struct {
	mu        sync.Mutex
	script    []Response
	always    Response // where nothing is scripted
	events    []Event
	refused   []Event // for good: a 4xx other than 429
	incidents []Incident
	standing  map[string]int      // index of the incident that is open for a key
	resolves  map[string][]string // the incidents that a key's resolves named
}

// Event is one event that was accepted, in the order of acceptance.
type Event struct {
	At       time.Time
	Action   string // trigger, acknowledge or resolve
	Key      string // dedup_key
	Routing  string // routing_key
	Summary  string
	Severity string
	Details  map[string]any
}

// Incident is what a person on call sees.
type Incident struct {
	Key      string
	Summary  string // of the trigger that opened it
	Severity string
	Status   string // triggered, acknowledged or resolved
	Opened   time.Time
	Resolved time.Time // zero until it is
	Triggers int

	// Phantom: it was opened by a trigger for a thing that had been resolved
	// under the same key already. Nobody will resolve it a second time.
	Phantom bool
}

// Response is how to answer one request instead of the usual way.
type Response struct {
	Status     int    // 0: as usual
	RetryAfter string // the header, if not empty
	Body       string
	Apply      bool // take the event in all the same
	Drop       bool // close the connection without an answer
	Hang       bool // say nothing until the client goes away
}

// NewPagerDuty returns one without incidents.
func NewPagerDuty() *PagerDuty {
	return &PagerDuty{standing: map[string]int{}, resolves: map[string][]string{}}
}

// Clone returns one that has seen the same; what it is sent from then on the
// other does not see.
func (p *PagerDuty) Clone() *PagerDuty {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &PagerDuty{script: slices.Clone(p.script), events: slices.Clone(p.events), refused: slices.Clone(p.refused), incidents: slices.Clone(p.incidents), standing: maps.Clone(p.standing), resolves: map[string][]string{}}
	for key, named := range p.resolves {
		c.resolves[key] = slices.Clone(named)
	}
	return c
}

// Script has the next requests answered with rs, one each.
func (p *PagerDuty) Script(rs ...Response) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = append(p.script, rs...)
}

// Always has each request for which nothing is scripted answered with r, until it
// is called again.
func (p *PagerDuty) Always(r Response) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.always = r
}

// Events lists the events accepted so far.
func (p *PagerDuty) Events() []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

// Incidents lists all incidents, oldest first.
func (p *PagerDuty) Incidents() []Incident {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.incidents)
}

// Open lists the incidents that are not resolved.
func (p *PagerDuty) Open() []Incident {
	return slices.DeleteFunc(p.Incidents(), func(i Incident) bool { return i.Status == "resolved" })
}

// IsOpen reports whether an incident is open for a key.
func (p *PagerDuty) IsOpen(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open(key) >= 0
}

// Phantoms lists the incidents that a late trigger opened after its resolve. A
// later incident of the same group is none: the custom detail "incident", which
// Winnow sends, tells them apart, and without it every reopening counts.
func (p *PagerDuty) Phantoms() []Incident {
	return slices.DeleteFunc(p.Incidents(), func(i Incident) bool { return !i.Phantom })
}

// Acknowledge does what a person does who has seen the incidents that are open
// for a key.
func (p *PagerDuty) Acknowledge(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.open(key); i >= 0 {
		p.incidents[i].Status = "acknowledged"
	}
}

// maxEventBytes is the limit that PagerDuty states for an event.
const maxEventBytes = 512 << 10

// ServeHTTP takes one event.
func (p *PagerDuty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxEventBytes+1))
	if err != nil {
		return // the client went away
	}
	p.mu.Lock()
	answer := p.always
	if len(p.script) > 0 {
		answer, p.script = p.script[0], p.script[1:]
	}
	p.mu.Unlock()
	switch {
	case answer.Hang:
		<-r.Context().Done()
		return
	case answer.Status == 0 || answer.Apply:
		key, problem := p.take(raw)
		if answer.Status == 0 && !answer.Drop {
			reply(w, key, problem)
			return
		}
	}
	if answer.Status >= 400 && answer.Status < 500 && answer.Status != http.StatusTooManyRequests {
		p.refuse(raw)
	}
	if answer.Drop {
		panic(http.ErrAbortHandler)
	}
	if answer.RetryAfter != "" {
		w.Header().Set("Retry-After", answer.RetryAfter)
	}
	w.WriteHeader(answer.Status)
	_, _ = io.WriteString(w, answer.Body)
}

func reply(w http.ResponseWriter, key, problem string) {
	w.Header().Set("Content-Type", "application/json")
	body := map[string]any{"status": "success", "message": "Event processed", "dedup_key": key}
	status := http.StatusAccepted
	if problem != "" {
		status = http.StatusBadRequest
		body = map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": []string{problem}}
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// event is the request as documented.
type event struct {
	RoutingKey  string `json:"routing_key"`
	EventAction string `json:"event_action"`
	DedupKey    string `json:"dedup_key"`
	Payload     *struct {
		Summary       string         `json:"summary"`
		Source        string         `json:"source"`
		Severity      string         `json:"severity"`
		CustomDetails map[string]any `json:"custom_details"`
	} `json:"payload"`
}

func (e *event) problem() string {
	switch {
	case e.RoutingKey == "":
		return "'routing_key' is missing or blank"
	case !slices.Contains([]string{"trigger", "acknowledge", "resolve"}, e.EventAction):
		return fmt.Sprintf("'event_action' %q is invalid", e.EventAction)
	case e.EventAction != "trigger" && e.DedupKey == "":
		return "'dedup_key' is missing or blank"
	case len(e.DedupKey) > 255:
		return "Length of 'dedup_key' is incorrect"
	case e.EventAction != "trigger":
		return ""
	case e.Payload == nil:
		return "'payload' is missing or blank"
	case e.Payload.Summary == "" || utf8.RuneCountInString(e.Payload.Summary) > 1024:
		return "'payload.summary' is missing, blank or too long"
	case e.Payload.Source == "":
		return "'payload.source' is missing or blank"
	case !slices.Contains([]string{"critical", "error", "warning", "info"}, e.Payload.Severity):
		return fmt.Sprintf("'payload.severity' %q is invalid", e.Payload.Severity)
	}
	return ""
}

func (p *PagerDuty) take(raw []byte) (key, problem string) {
	var e event
	if len(raw) > maxEventBytes {
		return "", "event is too large"
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return "", "invalid JSON: " + err.Error()
	}
	if problem := e.problem(); problem != "" {
		return "", problem
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.DedupKey == "" {
		e.DedupKey = "generated-" + strconv.Itoa(len(p.events)+1)
	}
	seen := Event{At: time.Now(), Action: e.EventAction, Key: e.DedupKey, Routing: e.RoutingKey}
	if e.Payload != nil {
		seen.Summary, seen.Severity, seen.Details = e.Payload.Summary, e.Payload.Severity, e.Payload.CustomDetails
	}
	p.events = append(p.events, seen)
	p.apply(seen)
	return e.DedupKey, ""
}

// refuse remembers what is refused for good.
func (p *PagerDuty) refuse(raw []byte) {
	var e event
	if json.Unmarshal(raw, &e) != nil {
		return
	}
	p.mu.Lock()
	p.refused = append(p.refused, Event{At: time.Now(), Action: e.EventAction, Key: e.DedupKey, Routing: e.RoutingKey})
	p.mu.Unlock()
}

// Refused reports whether an event of that kind was refused for good.
func (p *PagerDuty) Refused(key, action string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.refused, func(e Event) bool { return e.Key == key && e.Action == action })
}

func (p *PagerDuty) apply(e Event) {
	i := p.open(e.Key)
	switch {
	case e.Action == "trigger" && i >= 0:
		p.incidents[i].Triggers++
	case e.Action == "trigger":
		p.standing[e.Key] = len(p.incidents)
		p.incidents = append(p.incidents, Incident{
			Key: e.Key, Summary: e.Summary, Severity: e.Severity, Status: "triggered", Opened: e.At, Triggers: 1,
			Phantom: p.resolvedBefore(e.Key, incidentOf(e)),
		})
	case e.Action == "acknowledge" && i >= 0:
		p.incidents[i].Status = "acknowledged"
	case e.Action == "resolve":
		if name := incidentOf(e); !slices.Contains(p.resolves[e.Key], name) {
			p.resolves[e.Key] = append(p.resolves[e.Key], name)
		}
		if i >= 0 {
			p.incidents[i].Status, p.incidents[i].Resolved = "resolved", e.At
			delete(p.standing, e.Key)
		}
	}
}

// open returns the index of the incident that is open for a key, -1 for none.
func (p *PagerDuty) open(key string) int {
	if i, ok := p.standing[key]; ok {
		return i
	}
	return -1
}

// resolvedBefore reports whether a resolve of the sender's incident name was
// taken for the key.
func (p *PagerDuty) resolvedBefore(key, name string) bool {
	named := p.resolves[key]
	return len(named) > 0 && (name == "" || slices.Contains(named, "") || slices.Contains(named, name))
}

func incidentOf(e Event) string {
	s, _ := e.Details["incident"].(string)
	return strings.TrimSpace(s)
}
