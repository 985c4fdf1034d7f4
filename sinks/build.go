package sinks

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	amconfig "github.com/prometheus/alertmanager/config"
	amreceiver "github.com/prometheus/alertmanager/config/receiver"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/notify/pagerduty"
	"github.com/prometheus/alertmanager/template"
	commoncfg "github.com/prometheus/common/config"
	"go.uber.org/zap"
)

// BuildOptions are what receivers need beside the configuration.
type BuildOptions struct {
	// ExternalURL is where people find Winnow; templates print it. Required.
	ExternalURL *url.URL
	// Stdout is where stdout sinks print. Required where there is one.
	Stdout io.Writer
	// Logger may be nil.
	Logger *zap.Logger
	// HTTP is applied to every integration that speaks HTTP.
	HTTP []commoncfg.HTTPClientOption
	// Keep remembers where incidents were opened. It may be nil: then each is
	// closed by the settings that are in force at its end.
	Keep *Keep
}

// Build builds the integrations of every receiver: those of the Alertmanager
// configuration, which must come from its Load, with the paths in it resolved,
// then Winnow's own. It reads templates and secret files but calls nobody.
func Build(cfg *amconfig.Config, own Config, opts BuildOptions) (Receivers, error) {
	if opts.ExternalURL == nil {
		return nil, errors.New("build receivers: no external URL given: templates print it")
	}
	if opts.Logger == nil {
		opts.Logger = zap.NewNop()
	}
	if err := own.Validate(); err != nil {
		return nil, err
	}
	tmpl, err := template.FromGlobs(cfg.Templates)
	if err != nil {
		return nil, fmt.Errorf("build receivers: read templates: %w", err)
	}
	tmpl.ExternalURL = opts.ExternalURL

	texts, err := templateTexts(cfg.Templates)
	if err != nil {
		return nil, fmt.Errorf("build receivers: read templates: %w", err)
	}
	b := builder{opts: opts, tmpl: tmpl, texts: texts, global: cfg.Global, receivers: cfg.Receivers, secret: newRedactor(cfg.Global, cfg.Receivers), out: make(Receivers, len(cfg.Receivers))}
	for i := range cfg.Receivers {
		if err := b.receiver(&cfg.Receivers[i]); err != nil {
			return nil, err
		}
	}
	if err := b.own(own); err != nil {
		return nil, err
	}
	if opts.Keep != nil {
		opts.Keep.restoreBy(func(p *place, templates []string) (Integration, error) { return restore(p, templates, opts) })
	}
	return b.out, nil
}

// templateTexts reads what the globs match, in the order in which they are parsed.
func templateTexts(globs []string) ([]string, error) {
	var out []string
	for _, glob := range globs {
		names, err := filepath.Glob(glob)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			out = append(out, string(b))
		}
	}
	return out, nil
}

type builder struct {
	opts      BuildOptions
	tmpl      *template.Template
	texts     []string // of the templates
	global    *amconfig.GlobalConfig
	receivers []amconfig.Receiver
	secret    *redactor
	out       Receivers
}

// receiver walks the lists of a receiver's configuration, one for each type of
// integration, so that each entry can be built by itself.
func (b *builder) receiver(rc *amconfig.Receiver) error {
	b.out[rc.Name] = nil
	v := reflect.ValueOf(rc).Elem()
	for f := range v.NumField() {
		list := v.Field(f)
		if list.Kind() != reflect.Slice || list.Type().Elem().Kind() != reflect.Pointer {
			continue
		}
		key, _, _ := strings.Cut(v.Type().Field(f).Tag.Get("yaml"), ",")
		for i := range list.Len() {
			where := fmt.Sprintf("receiver %q: %s[%d]", rc.Name, key, i)
			if list.Index(i).IsNil() {
				return fmt.Errorf("%s is empty: remove it or fill it in", where)
			}
			if err := b.integration(rc.Name, f, i, list.Index(i), where); err != nil {
				return err
			}
		}
	}
	return nil
}

// integration adds what one entry of a receiver makes. One that names files of
// its own goes by what they hold at each attempt.
func (b *builder) integration(receiver string, field, index int, conf reflect.Value, where string) error {
	fail := func(err error) error { return fmt.Errorf("%s: %s", where, b.secret.error(err)) }
	if err := checkTemplates(conf, ""); err != nil {
		return fail(err)
	}
	if b.opts.Keep == nil || !filed(conf) {
		w, err := b.wrap(receiver, field, index, conf, b.secret)
		if err != nil {
			return fail(err)
		}
		b.out[receiver] = append(b.out[receiver], w)
		return nil
	}
	f := &filedIntegration{conf: conf, build: func(c reflect.Value) (*wrapped, error) {
		return b.wrap(receiver, field, index, c, newRedactor(b.global, b.receivers, c.Interface()))
	}}
	var err error
	if f.wrapped, err = f.build(withFiles(conf)); err != nil {
		return fail(err)
	}
	b.out[receiver] = append(b.out[receiver], f)
	return nil
}

// wrap builds one integration for good. A broken entry fails the load, not the
// first page.
func (b *builder) wrap(receiver string, field, index int, conf reflect.Value, secret *redactor) (*wrapped, error) {
	w := &wrapped{tmpl: b.tmpl, secret: secret, log: b.opts.Logger, threads: map[string]*nflog.Store{}}
	w.build = func() (in notify.Integration, own reflect.Value, err error) {
		var one amconfig.Receiver
		one.Name, own = receiver, clone(conf)
		list := reflect.ValueOf(&one).Elem().Field(field)
		list.Set(reflect.Append(list, own))
		ins, err := amreceiver.BuildReceiverIntegrations(one, b.tmpl, slog.New(slog.DiscardHandler), b.opts.HTTP...)
		if err != nil {
			return in, own, err
		}
		if len(ins) != 1 {
			return in, own, fmt.Errorf("%d integrations were built of one entry", len(ins))
		}
		return ins[0], own, nil
	}
	l, err := w.take()
	if err != nil {
		return nil, err
	}
	w.give(l)
	w.kind = l.integration.Name()
	w.name = fmt.Sprintf("%s[%d]", w.kind, index)
	w.sendResolved = l.integration.SendResolved()
	w.inert = inertFor(w.kind)
	if pd, ok := conf.Interface().(*pagerduty.PagerdutyConfig); ok {
		// Version 1 of PagerDuty's API answers 403 where version 2 answers 429.
		w.retry403 = pd.ServiceKey != "" || pd.ServiceKeyFile != ""
	}
	w.hook = plainHook(conf)
	w.settle(b, field, index, conf)
	return w, nil
}

// clone copies an integration's configuration as deep as notifiers write to it:
// PagerDuty's fills in its severity, email's its headers.
func clone(conf reflect.Value) reflect.Value {
	c := reflect.New(conf.Type().Elem())
	c.Elem().Set(conf.Elem())
	for _, f := range c.Elem().Fields() {
		switch {
		case f.Kind() == reflect.Map && !f.IsNil():
			m := reflect.MakeMapWithSize(f.Type(), f.Len())
			for it := f.MapRange(); it.Next(); {
				m.SetMapIndex(it.Key(), it.Value())
			}
			f.Set(m)
		case f.Type() == reflect.TypeFor[*commoncfg.HTTPClientConfig]() && f.IsNil():
			def := commoncfg.DefaultHTTPClientConfig
			f.Set(reflect.ValueOf(&def))
		}
	}
	if pd, ok := c.Interface().(*pagerduty.PagerdutyConfig); ok {
		pd.Details = incidentDetails(pd.Details)
	}
	return c
}

// incidentDetails adds to PagerDuty's custom details what leads back from its
// incident to ours, unless the user has given those names another meaning.
func incidentDetails(d map[string]any) map[string]any {
	out := map[string]any{
		"incident":   `{{ .RouteLabels.incident }}`,
		"deliveries": `{{ .RouteLabels.deliveries }}`,
	}
	maps.Copy(out, d)
	return out
}

func (b *builder) own(own Config) error {
	out := &lockedWriter{w: b.opts.Stdout}
	for i := range own {
		s := &own[i]
		ins, ok := b.out[s.Receiver]
		if !ok {
			known := slices.Sorted(maps.Keys(b.out))
			return fmt.Errorf("sinks[%d].receiver %q: no such receiver; there are %s", i, s.Receiver, strings.Join(known, ", "))
		}
		switch {
		case s.Stdout != nil && b.opts.Stdout == nil:
			return fmt.Errorf("sinks[%d].stdout: there is no standard output to print to here", i)
		case s.Stdout != nil:
			ins = append(ins, &stdout{name: nextName(ins, "stdout"), out: out})
		default:
			l := &jsonl{name: nextName(ins, "jsonl"), path: s.JSONL.Path, sync: s.JSONL.Sync}
			settings, err := settingsOf(reflect.ValueOf(*s.JSONL))
			if err != nil {
				return fmt.Errorf("sinks[%d]: %w", i, err)
			}
			l.ground.set(b.opts.Keep, jsonlKind, len(ins), settings, nil)
			ins = append(ins, l)
		}
		b.out[s.Receiver] = ins
	}
	return nil
}

// nextName numbers a kind's sinks within a receiver.
func nextName(ins []Integration, kind string) string {
	k := 0
	for _, in := range ins {
		if strings.HasPrefix(in.Name(), kind+"[") {
			k++
		}
	}
	return fmt.Sprintf("%s[%d]", kind, k)
}
