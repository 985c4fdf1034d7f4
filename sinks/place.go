package sinks

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/template"
	"go.uber.org/zap"
)

// ground is what an integration stands on: the settings that say where it goes.
type ground struct {
	id    string
	at    place
	texts []string
}

func (g *ground) set(k *Keep, kind string, index int, settings json.RawMessage, texts []string) {
	*g = ground{id: k.id(kind, settings), at: place{Kind: kind, Index: index, Settings: settings}, texts: texts}
}

func (g *ground) generation() string       { return g.id }
func (g *ground) place() (place, []string) { return g.at, g.texts }

// jsonlKind is the place of our own sink that has settings. One on standard
// output is the same whatever the configuration says.
const jsonlKind = "jsonl"

// settle writes down what w was built of. One that cannot be written down works
// all the same, but what it opens is closed by whatever is in force then.
func (w *wrapped) settle(b *builder, field, index int, conf reflect.Value) {
	if b.opts.Keep == nil {
		return
	}
	settings, err := settingsOf(conf.Elem())
	if err != nil {
		w.log.Error("the settings of an integration cannot be kept", zap.String("integration", w.name), zap.Error(err))
		return
	}
	w.ground.set(b.opts.Keep, listKey(field), index, settings, b.texts)
}

// listKey is the key of a list of integrations in a receiver.
func listKey(field int) string {
	key, _, _ := strings.Cut(reflect.TypeFor[amconfig.Receiver]().Field(field).Tag.Get("yaml"), ",")
	return key
}

// restore builds an integration of what an earlier configuration said.
func restore(p *place, templates []string, opts BuildOptions) (Integration, error) {
	if p.Kind == jsonlKind {
		var c JSONLConfig
		if err := setSettings(reflect.ValueOf(&c).Elem(), p.Settings); err != nil {
			return nil, fmt.Errorf("%s: settings: %w", jsonlKind, err)
		}
		l := &jsonl{name: fmt.Sprintf("%s[%d]", jsonlKind, p.Index), path: c.Path, sync: c.Sync}
		l.ground.set(opts.Keep, p.Kind, p.Index, p.Settings, nil)
		return l, nil
	}
	tmpl, err := template.FromGlobs(nil)
	if err != nil {
		return nil, err
	}
	for _, text := range templates {
		if err := tmpl.Parse(strings.NewReader(text)); err != nil {
			return nil, fmt.Errorf("%s: templates of an earlier configuration: %w", p.Kind, err)
		}
	}
	tmpl.ExternalURL = opts.ExternalURL
	t := reflect.TypeFor[amconfig.Receiver]()
	for field := range t.NumField() {
		if listKey(field) != p.Kind || t.Field(field).Type.Kind() != reflect.Slice {
			continue
		}
		conf := reflect.New(t.Field(field).Type.Elem().Elem())
		if err := setSettings(conf.Elem(), p.Settings); err != nil {
			return nil, fmt.Errorf("%s: settings of an earlier configuration: %w", p.Kind, err)
		}
		b := &builder{opts: opts, tmpl: tmpl, texts: templates}
		secret := newRedactor(conf.Interface())
		w, err := b.wrap("", field, p.Index, conf, secret)
		if err != nil {
			return nil, fmt.Errorf("%s: settings of an earlier configuration: %s", p.Kind, secret.error(err))
		}
		return w, nil
	}
	return nil, fmt.Errorf("%s: this program has no integration of that kind", p.Kind)
}

// filedIntegration names files of its own in its configuration. What they hold
// says where it goes, so that another key in the file is another place.
type filedIntegration struct {
	*wrapped // as the files were at the beginning; its name and kind stay
	conf     reflect.Value
	build    func(reflect.Value) (*wrapped, error)

	mu      sync.Mutex
	current *wrapped // as they were when they were read last; nil before
}

// now reads the files again.
func (f *filedIntegration) now() Integration {
	conf := withFiles(f.conf)
	settings, err := settingsOf(conf.Elem())
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil {
		f.current = f.wrapped
	}
	if err != nil || string(settings) == string(f.current.at.Settings) {
		return f.current
	}
	w, err := f.build(conf)
	if err != nil {
		f.log.Error("what the files of an integration hold now cannot be used", zap.String("integration", f.name), zap.String("error", f.secret.error(err)))
		return f.current
	}
	f.current = w
	return w
}

// Send goes by what the files hold now.
func (f *filedIntegration) Send(ctx context.Context, m *Message) error { return f.now().Send(ctx, m) }
