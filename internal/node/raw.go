package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/zap"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/frame"
	"github.com/winnowhq/winnow/internal/guard/pager"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/sinks"
)

// guardRoute is the routing tree as the guard has it.
func guardRoute(r *correlate.Route) pager.Route {
	g := pager.Route{ID: r.ID, Key: r.Key, Matchers: r.Matchers, Continue: r.Continue, Receiver: r.Receiver, GroupBy: r.GroupBy, GroupByAll: r.GroupByAll}
	for i := range r.Routes {
		g.Routes = append(g.Routes, guardRoute(&r.Routes[i]))
	}
	return g
}

// sendRaw brings one alert to all that stands behind a receiver, past log, core
// and queues. It succeeds when one of the integrations took it: somebody has
// been told then. A receiver with nobody behind it has nobody to tell.
func (n *Node) sendRaw(ctx context.Context, p pager.Page, others int) error {
	if err := n.mayPageRaw(ctx, p.Logged); err != nil {
		return err
	}
	a, receiver, key := p.Alert, p.Receiver, p.Key
	m := &correlate.Notification{
		Kind: correlate.Page, Reason: correlate.FirstNotification, Class: correlate.WantsResolved | correlate.FiringOnly,
		Receiver: receiver, GroupKey: key, Keys: []string{key}, GroupLabels: a.Labels, At: alert.TimeOf(time.Now()),
		Opened: a.StartsAt, Severity: a.Labels.Severity(), Firing: 1 + others, Omitted: others,
		Alerts: []correlate.Member{{
			Fingerprint: a.Fingerprint, Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt,
			GeneratorURL: a.GeneratorURL, Deliveries: 1, New: true,
		}},
	}
	message := &sinks.Message{
		Notification: m, Key: key, Page: true,
		Context: degraded("sent as it came: nobody had decided about it in time"),
	}
	return n.sendAny(ctx, receiver, message, 0)
}

// sendAny brings a message to all that stands behind a receiver and succeeds
// when one of them took it. Without a timeout the context's deadline holds.
func (n *Node) sendAny(ctx context.Context, receiver string, message *sinks.Message, timeout time.Duration) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	integrations := (*n.receivers.Load())[receiver]
	answers := make(chan error, len(integrations))
	for _, in := range integrations {
		go func() { answers <- in.Send(ctx, message) }()
	}
	var errs []error
	for range integrations {
		select {
		case err := <-answers:
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		case <-ctx.Done():
			return errors.Join(append(errs, ctx.Err())...)
		}
	}
	return errors.Join(errs...)
}

// sentRaw tells people that the guard had to page, and the core that it did.
func (n *Node) sentRaw(ctx context.Context, p pager.Page) {
	kept := n.raw.add(n.log, p)
	if !p.Logged {
		return
	}
	n.alarm.Raise(selfalert.CriticalUnheard, p.Alert.Fingerprint.String())
	e := bypassed(p.Alert.Fingerprint, p.Receiver)
	_, err := n.stream.AppendEvents(ctx, e)
	switch {
	case err == nil:
		n.rawNoted(p.Alert.Fingerprint, p.Receiver, p.Key)
	case kept: // closeRaw tries again
		n.log.Error("a raw page is not in the log yet", zap.Stringer("fingerprint", p.Alert.Fingerprint), zap.Error(err))
	case !n.forward.later.add(e):
		n.log.Error("a raw page is not in the log; its end is told past the core", zap.Stringer("fingerprint", p.Alert.Fingerprint), zap.Error(err))
	}
}

// bypassed tells the core that a receiver got an alert's raw page.
func bypassed(f alert.Fingerprint, receiver string) frame.Event {
	return frame.Event{Kind: frame.Bypass, Bypass: &frame.Bypassed{Fingerprint: f, Receiver: receiver}}
}

const (
	// maxRawPages bounds the raw pages that are remembered. The end of one more is
	// told only if the core knows its alert.
	maxRawPages = 4096
	// rawStands is how long a raw page stands when nothing is heard of its alert
	// any more: as long as Alertmanager's alerts are believed.
	rawStands = 48 * time.Hour
	// rawSettles is what the core gets to apply an end before it is asked.
	rawSettles = 10 * time.Second
	rawLook    = 5 * time.Second
)

// rawPage is a page that went out past the core, until its end is told, or one
// that is owed: it has to go out, and has no receiver and no key yet.
type rawPage struct {
	Fingerprint  alert.Fingerprint `json:"fingerprint"`
	Labels       alert.Labels      `json:"labels"`
	Annotations  alert.Labels      `json:"annotations,omitempty"`
	GeneratorURL string            `json:"generator_url,omitempty"`
	StartsAt     alert.Time        `json:"starts_at"`
	Receiver     string            `json:"receiver"`
	Key          string            `json:"key"`
	At           time.Time         `json:"at"`
	Ended        time.Time         `json:"ended,omitzero"`
	Owed         uint64            `json:"owed,omitempty"`    // the log message that has it
	Unnoted      bool              `json:"unnoted,omitempty"` // the alert is in the log, and not yet that this was sent
}

// rawPages remembers them, oldest first, in a file that is replaced as a whole.
type rawPages struct {
	path string

	turnedAway atomic.Uint64 // for want of room

	mu    sync.Mutex
	pages []rawPage
}

func (n *Node) openRaw() {
	n.raw = &rawPages{path: n.opts.RawFile}
	if n.opts.RawFile == "" {
		return
	}
	if err := n.raw.read(); err != nil {
		n.log.Error("what was paged past the core before this start may have to be closed by hand", zap.Error(err))
		n.alarm.Raise(selfalert.SinkFailed, err.Error())
	}
}

// rawFile is the file. The checksum is xxhash64 of the bytes of Pages.
type rawFile struct {
	Version  int             `json:"version"`
	Checksum string          `json:"checksum"`
	Pages    json.RawMessage `json:"pages"`
}

const rawVersion = 1

func (r *rawPages) read() error {
	b, err := os.ReadFile(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var f rawFile
	if err == nil && json.Unmarshal(b, &f) != nil {
		err = errors.New("it is damaged")
	}
	var pages []rawPage
	switch {
	case err != nil:
	case f.Version != rawVersion:
		err = fmt.Errorf("it is of version %d, and this program reads version %d", f.Version, rawVersion)
	case f.Checksum != rawSum(f.Pages) || json.Unmarshal(f.Pages, &pages) != nil:
		err = errors.New("it is damaged")
	}
	if err != nil {
		return fmt.Errorf("read the raw pages from %s: %w: those of before may have to be closed by hand", filepath.Base(r.path), err)
	}
	r.pages = pages
	return nil
}

func rawSum(b []byte) string { return fmt.Sprintf("%016x", xxhash.Sum64(b)) }

// add reports whether there was room.
func (r *rawPages) add(log *zap.Logger, p pager.Page) (kept bool) {
	a := p.Alert.Clone()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pages = slices.DeleteFunc(r.pages, func(old rawPage) bool {
		return old.same(a.Fingerprint, p.Receiver, p.Key) || old.Owed > 0 && old.Fingerprint == a.Fingerprint
	})
	if len(r.pages) >= maxRawPages {
		r.turnedAway.Add(1)
		log.Error("too many raw pages: the end of this one is told only if the core knows its alert", zap.Stringer("fingerprint", a.Fingerprint))
		return false
	}
	r.pages = append(r.pages, rawPage{
		Fingerprint: a.Fingerprint, Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt,
		Receiver: p.Receiver, Key: p.Key, At: time.Now(), Unnoted: p.Logged,
	})
	if err := r.write(); err != nil {
		log.Error("a raw page is remembered until the process ends only", zap.Error(err))
	}
	return true
}

// owe remembers alerts of a log message that nobody but the guard will page, so
// that the next life pages them if this one ends before.
func (r *rawPages) owe(alerts []alert.Alert, seq uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var full error
	if room := maxRawPages - len(r.pages); len(alerts) > room {
		r.turnedAway.Add(uint64(len(alerts) - room))
		full, alerts = fmt.Errorf("%d raw pages are remembered already", maxRawPages), alerts[:room]
	}
	if len(alerts) == 0 {
		return full
	}
	for i := range alerts {
		a := alerts[i].Clone()
		r.pages = append(r.pages, rawPage{
			Fingerprint: a.Fingerprint, Labels: a.Labels, Annotations: a.Annotations, GeneratorURL: a.GeneratorURL, StartsAt: a.StartsAt,
			At: time.Now(), Owed: seq,
		})
	}
	return errors.Join(full, r.write())
}

// stands reports whether an alert has been paged past the core, or will be, and
// its end was not heard since.
func (r *rawPages) stands(f alert.Fingerprint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.pages, func(p rawPage) bool { return p.Fingerprint == f && p.Ended.IsZero() })
}

// payOwed has the guard page what a life before this one owed.
func (n *Node) payOwed() {
	for _, p := range n.raw.list() {
		if p.Owed > 0 {
			n.guard.Force(&alert.Alert{Fingerprint: p.Fingerprint, Status: alert.Firing, Labels: p.Labels, Annotations: p.Annotations, GeneratorURL: p.GeneratorURL, StartsAt: p.StartsAt}, p.Owed)
		}
	}
}

func (p *rawPage) same(f alert.Fingerprint, receiver, key string) bool {
	return p.Fingerprint == f && p.Receiver == receiver && p.Key == key
}

// rawEnded notes that an alert's end is in the log.
func (n *Node) rawEnded(f alert.Fingerprint) {
	if err := n.raw.ended(f); err != nil {
		n.log.Error("the end of a raw page is remembered until the process ends only", zap.Stringer("fingerprint", f), zap.Error(err))
	}
}

// rawNoted notes that the log has it that a page was sent.
func (n *Node) rawNoted(f alert.Fingerprint, receiver, key string) {
	n.raw.mu.Lock()
	defer n.raw.mu.Unlock()
	for i := range n.raw.pages {
		if p := &n.raw.pages[i]; p.same(f, receiver, key) {
			p.Unnoted = false
		}
	}
	if err := n.raw.write(); err != nil {
		n.log.Error("a later life will note a raw page in the log once more", zap.Stringer("fingerprint", f), zap.Error(err))
	}
}

func (r *rawPages) ended(f alert.Fingerprint) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	noted := false
	r.pages = slices.DeleteFunc(r.pages, func(p rawPage) bool {
		over := p.Owed > 0 && p.Fingerprint == f
		noted = noted || over
		return over
	})
	for i := range r.pages {
		if p := &r.pages[i]; p.Fingerprint == f && p.Ended.IsZero() {
			p.Ended, noted = time.Now(), true
		}
	}
	if !noted {
		return nil
	}
	return r.write()
}

// write replaces the file. The caller holds r.mu.
func (r *rawPages) write() error {
	if r.path == "" {
		return nil
	}
	pages, err := json.Marshal(r.pages)
	if err != nil {
		return err
	}
	b, err := json.Marshal(rawFile{rawVersion, rawSum(pages), pages})
	if err != nil {
		return err
	}
	return sinks.ReplaceFile(r.path, b)
}

func (r *rawPages) list() []rawPage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.pages)
}

func (r *rawPages) drop(p *rawPage) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pages = slices.DeleteFunc(r.pages, func(old rawPage) bool { return old.same(p.Fingerprint, p.Receiver, p.Key) })
	return r.write()
}

// closeRaw looks after the ends of raw pages: the core does where it knows the
// alert, and what it never gets to know is closed from here.
func (n *Node) closeRaw(ctx context.Context) {
	every(ctx, rawLook, func() {
		for _, p := range n.raw.list() {
			if n.stream.May() { // else another process looks after what the log knows
				n.tend(ctx, &p)
			}
		}
	})
}

// tend has the log know of a page, and forgets it once its end is looked after.
func (n *Node) tend(ctx context.Context, p *rawPage) {
	if p.Unnoted {
		if _, err := n.stream.AppendEvents(ctx, bypassed(p.Fingerprint, p.Receiver)); err != nil {
			return // the core would not know of it
		}
		n.rawNoted(p.Fingerprint, p.Receiver, p.Key)
	}
	done, err := time.Since(p.At) >= rawStands, error(nil)
	if p.Owed == 0 {
		done, err = n.closePage(ctx, p)
	}
	if err != nil {
		n.log.Error("the end of a raw page could not be told", zap.String("receiver", p.Receiver), zap.Stringer("fingerprint", p.Fingerprint), zap.Error(err))
	}
	if !done {
		return
	}
	if err := n.raw.drop(p); err != nil {
		n.log.Error("the list of raw pages cannot be written", zap.Error(err))
	}
}

// closePage reports whether somebody else looks after the end of a page, or it
// has been told.
func (n *Node) closePage(ctx context.Context, p *rawPage) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, rawLook)
	defer cancel()
	var stands, member bool
	if n.engine.Query(ctx, func(s *engine.Shard) { stands, member = s.Core.Stands(p.Receiver, p.Key, p.Fingerprint) }) != nil {
		return false, nil // a core that hangs may have paged under the key
	}
	over := !p.Ended.IsZero() && time.Since(p.Ended) >= rawSettles || time.Since(p.At) >= rawStands
	if member || over && stands || !over {
		return member || over, nil
	}
	for _, other := range n.raw.list() {
		if other.Receiver == p.Receiver && other.Key == p.Key && other.Fingerprint != p.Fingerprint && other.Ended.IsZero() {
			return true, nil // it stands under the same key, and closes it
		}
	}
	now := alert.TimeOf(time.Now())
	message := &sinks.Message{Key: p.Key, Context: enrich.Context{}, Notification: &correlate.Notification{
		Kind: correlate.Resolve, Reason: correlate.AllResolved, Class: correlate.WantsResolved, Receiver: p.Receiver,
		GroupKey: p.Key, Keys: []string{p.Key}, GroupLabels: p.Labels, At: now, Opened: p.StartsAt, Severity: p.Labels.Severity(), Resolved: 1,
		Alerts: []correlate.Member{{Fingerprint: p.Fingerprint, Labels: p.Labels, Annotations: p.Annotations, StartsAt: p.StartsAt, EndsAt: now, Deliveries: 1}},
	}}
	var errs []error
	for _, in := range (*n.receivers.Load())[p.Receiver] {
		if !in.SendResolved() {
			continue
		}
		err := in.Send(ctx, message)
		if e, ok := errors.AsType[*sinks.Error](err); ok && !e.Retry {
			n.alarm.Raise(selfalert.SinkFailed, byHand(0, p.Receiver, in.Name())+": "+err.Error())
			continue
		}
		errs = append(errs, err)
	}
	err = errors.Join(errs...)
	return err == nil, err
}
