package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/internal/config"
	"github.com/winnowhq/winnow/internal/engine"
	"github.com/winnowhq/winnow/internal/preview"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/internal/web"
)

const (
	// previewBudget is how long the log is replayed before a reload. What it does
	// not suffice for is not previewed, and the answer says so.
	previewBudget = 4 * time.Second

	// previewTimeout bounds a preview as a whole, with a log that does not answer.
	previewTimeout = previewBudget + 10*time.Second

	// silencesTimeout is how long a preview waits for the shard to name its
	// silences. It goes on without them.
	silencesTimeout = time.Second

	// enforceTimeout bounds the writing of a policy to the log, and the waiting
	// until the core has come to it.
	enforceTimeout = 10 * time.Second
)

// Reload reads the configuration again. A broken one changes nothing, nor does
// one that would unpage critical alerts of the last day: that gives a
// *preview.Refused.
func (n *Node) Reload(ctx context.Context) error { return n.reloadAs(ctx, false) }

// ForceReload is Reload, but also takes a configuration that unpages criticals.
func (n *Node) ForceReload(ctx context.Context) error { return n.reloadAs(ctx, true) }

func (n *Node) reloadAs(ctx context.Context, force bool) error {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	diff, err := n.reload(ctx, force)
	note := web.Reload{At: time.Now().UTC(), Outcome: web.Taken}
	if diff != nil {
		note.Unpaged = diff.Unpaged
	}
	if err != nil {
		note.Outcome, note.Error = web.Failed, err.Error()
		detail := "see the log for where the mistake is"
		if refused, ok := errors.AsType[*preview.Refused](err); ok {
			note.Outcome = web.Refused
			detail = refused.Diff.Finding() + "; " + preview.Force
		}
		n.web.Reloaded(note)
		n.log.Error("reload failed; the configuration in force stays", zap.Error(err))
		n.alarm.Raise(selfalert.ReloadFailed, detail)
		return err
	}
	if diff != nil && diff.Dangerous() {
		note.Outcome, note.Error = web.Forced, diff.Finding()
		n.log.Warn("a dangerous configuration is in force because it was forced", zap.String("finding", diff.Finding()))
	}
	n.web.Reloaded(note)
	n.alarm.Clear(selfalert.ReloadFailed)
	n.alarm.Clear(selfalert.PolicyUnpages)
	n.log.Info("configuration reloaded", zap.String("hash", n.current.Load().Hash))
	return nil
}

func (n *Node) reload(ctx context.Context, force bool) (*preview.Diff, error) {
	c, err := n.opts.Load()
	if err != nil {
		return nil, err
	}
	rules, err := n.opts.Access.Prepare(c.Winnow.Access, c.Winnow.Ingest)
	if err != nil {
		return nil, err
	}
	doors, err := n.doors(c)
	if err != nil {
		return nil, err
	}
	p, err := n.build(c)
	if err != nil {
		return nil, err
	}
	diff, err := n.review(ctx, c, force)
	if err != nil {
		p.enrich.Close()
		return diff, err
	}
	// The sinks first: a notification of the new policy must find its receiver.
	n.setReceivers(p.receivers)
	if err := n.enforce(ctx, c); err != nil {
		if old, buildErr := n.build(n.current.Load()); buildErr == nil {
			n.setReceivers(old.receivers)
			old.enrich.Close()
		}
		p.enrich.Close()
		return diff, err
	}
	n.delivery.pipeline.Swap(p.enrich).Close()
	n.current.Store(c)
	n.forgetRefusals()
	route := guardRoute(&c.Policy.Route)
	n.pager.SetRoute(&route)
	n.alarm.Configure(c.Winnow.SelfAlert)
	n.opts.Access.Enforce(rules)
	n.web.Configure(c, doors.Routes())
	return diff, nil
}

// review refuses a configuration that would unpage criticals, unless it is
// forced. One that could not be looked at is taken: who mends a configuration
// must not be kept from it by a log that does not answer.
func (n *Node) review(ctx context.Context, c *config.Config, force bool) (*preview.Diff, error) {
	n.previewing.Lock()
	defer n.previewing.Unlock()
	diff, err := n.compare(ctx, &n.current.Load().Policy, &c.Policy)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("reload: %w", ctx.Err())
	case err != nil:
		n.log.Error("the configuration is taken without a preview", zap.Error(err))
		return nil, nil
	case diff.Dangerous() && !force:
		return diff, &preview.Refused{Diff: diff}
	}
	return diff, nil
}

// compare replays the last day under two policies, beside the shard that runs.
func (n *Node) compare(ctx context.Context, before, after *correlate.Policy) (*preview.Diff, error) {
	began := time.Now()
	if preview.Same(before, after) {
		return &preview.Diff{Window: preview.Day(began), Same: true}, nil
	}
	if n.standsBy() {
		return nil, errStandsBy
	}
	ctx, cancel := context.WithTimeout(ctx, previewTimeout)
	defer cancel()
	var silences []correlate.Silence
	asking, done := context.WithTimeout(ctx, silencesTimeout)
	err := n.engine.Query(asking, func(s *engine.Shard) { silences = append(silences, s.Core.Silences()...) })
	done()
	if err != nil {
		n.log.Warn("the preview of a configuration does not know the silences that were set before", zap.Error(err))
	}
	return preview.Run(ctx, preview.Options{
		Log: n.stream, Window: preview.Day(began),
		Begin: func() (*preview.Comparison, error) { return preview.Between(n.engine, before, after, silences) },
		Spent: func() float64 { return float64(time.Since(began)) / float64(previewBudget) },
	})
}

// enforce puts a policy into the log. Once it is there it will be in force, so
// nobody's patience ends the waiting for that half way.
func (n *Node) enforce(ctx context.Context, c *config.Config) error {
	if n.standsBy() {
		return nil // its own start does
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), enforceTimeout)
	defer cancel()
	err := n.engine.SetPolicy(ctx, &c.Policy, c.Hash)
	if errors.Is(err, engine.ErrNotYet) {
		n.log.Warn("the policy is in the log, and in force once the core has come to it", zap.Error(err))
		return nil
	}
	return err
}

// errStandsBy says that nothing can be compared yet.
var errStandsBy = errors.New("this process stands by: ask the one that owns the shard")

// errPreviewing says that no second preview runs beside one.
var errPreviewing = errors.New("another preview is under way; ask again when it is over")

// previewText says what a configuration would tell people that somebody only
// asks about. Nothing that it names is opened.
func (n *Node) previewText(ctx context.Context, text []byte) (*preview.Diff, error) {
	c, err := config.Read("the posted configuration", text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", web.ErrNotValid, err)
	}
	if !n.previewing.TryLock() {
		return nil, errPreviewing
	}
	defer n.previewing.Unlock()
	return n.compare(ctx, &n.current.Load().Policy, &c.Policy)
}

// reviewStart looks at what this life's configuration has changed, once the log
// has been replayed. Nobody stands by at a start, so nothing is refused: people
// are told.
func (n *Node) reviewStart(ctx context.Context) {
	select {
	case <-n.engine.Ready():
	case <-ctx.Done():
		return
	}
	before := n.engine.Replaced()
	if before == nil {
		return
	}
	n.previewing.Lock()
	defer n.previewing.Unlock()
	c := n.current.Load()
	diff, err := n.compare(ctx, before, &c.Policy)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		n.log.Error("what the changed configuration unpages is not known", zap.Error(err))
	case !diff.Dangerous():
		n.log.Info("the configuration has changed since the last start", zap.String("finding", diff.Finding()))
	default:
		n.log.Error("the configuration that this start has put in force is dangerous", zap.String("finding", diff.Text()))
		n.alarm.Raise(selfalert.PolicyUnpages, diff.Finding())
		n.web.Reloaded(web.Reload{At: time.Now().UTC(), Outcome: web.Started, Error: diff.Finding(), Unpaged: diff.Unpaged})
	}
}
