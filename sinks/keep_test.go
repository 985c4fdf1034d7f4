package sinks

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	amconfig "github.com/prometheus/alertmanager/config"
	commoncfg "github.com/prometheus/common/config"

	"github.com/winnowhq/winnow/correlate"
)

// TestSettingsComeBack holds for every integration that what is kept of it
// builds the same one again.
func TestSettingsComeBack(t *testing.T) {
	p := newProvider(t)
	files := t.TempDir()
	for _, c := range integrations {
		for _, conf := range []string{c.conf, inFiles(t, files, c.conf)} {
			cfg := load(t, "route: {receiver: oncall}\nreceivers:\n- name: oncall\n  "+strings.NewReplacer("URL", "http://"+p.plain.Listener.Addr().String(), "HOST", p.plain.Listener.Addr().String()).Replace(conf))
			v := reflect.ValueOf(&cfg.Receivers[0]).Elem()
			entries := 0
			for _, list := range v.Fields() {
				if list.Kind() != reflect.Slice {
					continue
				}
				for i := range list.Len() {
					entries++
					want := withFiles(list.Index(i))
					b, err := settingsOf(want.Elem())
					if err != nil {
						t.Fatalf("%s: %v", c.kind, err)
					}
					got := reflect.New(want.Type().Elem())
					if err := setSettings(got.Elem(), b); err != nil {
						t.Fatalf("%s: %v", c.kind, err)
					}
					again, err := settingsOf(got.Elem())
					if err != nil || string(again) != string(b) {
						t.Errorf("%s: %s came back as %s (%v)", c.kind, b, again, err)
					}
					if filed(want) {
						t.Errorf("%s: it still names a file: %s", c.kind, b)
					}
				}
			}
			if entries != 1 {
				t.Fatalf("%s: %d entries", c.kind, entries)
			}
		}
	}
}

// TestKeptIntegrationSendsTheSame opens an incident, builds the integration
// anew from what was kept, and closes it: both calls bear the same secrets.
func TestKeptIntegrationSendsTheSame(t *testing.T) {
	p := newProvider(t)
	for _, c := range integrations {
		t.Run(c.kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kept.json")
			k, err := OpenKeep(path)
			if err != nil {
				t.Fatal(err)
			}
			first := buildKept(t, p, k, c.conf)
			if generationOf(first) == "" {
				t.Fatal("no generation")
			}
			if err := k.use(targetID{"oncall", first.Name()}, first); err != nil {
				t.Fatal(err)
			}
			later, err := OpenKeep(path)
			if err != nil {
				t.Fatal(err)
			}
			current := buildKept(t, p, later, strings.ReplaceAll(c.conf, "hush", "changed"))
			if generationOf(current) == generationOf(first) {
				t.Error("other secrets are the same generation")
			}
			restored, err := later.integration(generationOf(first))
			if err != nil || restored == nil {
				t.Fatalf("%v, %v", restored, err)
			}
			if same := buildKept(t, p, later, c.conf); generationOf(same) != generationOf(first) || generationOf(restored) != generationOf(first) {
				t.Error("the same secrets are another generation in the next life")
			}
			if restored.Name() != first.Name() || restored.Keyed() != first.Keyed() || restored.SendResolved() != first.SendResolved() {
				t.Errorf("%s came back as %s", first.Name(), restored.Name())
			}
			if c.kind == "email" {
				return // the provider speaks no SMTP
			}
			p.status(200, c.accept)
			if err := send(t, restored, func(n *correlate.Notification) { n.Kind = correlate.Resolve }); err != nil {
				t.Error(err)
			}
		})
	}
}

func buildKept(t *testing.T, p *provider, k *Keep, conf string) Integration {
	t.Helper()
	host := p.plain.Listener.Addr().String()
	cfg, err := amconfig.Load("route: {receiver: oncall}\nreceivers:\n- name: oncall\n  " + strings.NewReplacer("URL", "http://"+host, "HOST", host).Replace(conf))
	if err != nil {
		t.Fatal(err)
	}
	o := buildOptions()
	o.Keep, o.HTTP = k, []commoncfg.HTTPClientOption{commoncfg.WithDialContextFunc(p.dial)}
	r, err := Build(cfg, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return r["oncall"][0]
}

// TestAnotherKeyInTheFile changes what a file holds, without a reload.
func TestAnotherKeyInTheFile(t *testing.T) {
	p := newProvider(t)
	file := filepath.Join(t.TempDir(), "key")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	in := buildKept(t, p, NewKeep(), `pagerduty_configs: [{url: "URL/v2/enqueue", routing_key_file: "`+file+`"}]`)
	before := fixed(in)
	write("second")
	after := fixed(in)
	if generationOf(before) == generationOf(after) || generationOf(fixed(in)) != generationOf(after) {
		t.Errorf("generations %s and %s", generationOf(before), generationOf(after))
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if g := generationOf(fixed(in)); g == generationOf(before) || g == "" {
		t.Errorf("a file that is gone: generation %q", g)
	}
}

// TestDamagedKeepIsNotUsed holds that a bent file is noticed, shows no secret
// and stops nothing.
func TestDamagedKeepIsNotUsed(t *testing.T) {
	p := newProvider(t)
	path := filepath.Join(t.TempDir(), "kept.json")
	k, err := OpenKeep(path)
	if err != nil {
		t.Fatal(err)
	}
	in := buildKept(t, p, k, `pagerduty_configs: [{url: "URL/v2/enqueue", routing_key: hush-routing}]`)
	if err := k.use(targetID{"oncall", in.Name()}, in); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(good), "hush-routing") {
		t.Fatalf("%s, %v", good, err)
	}
	for i := range good {
		bent := append([]byte(nil), good...)
		bent[i] ^= 0x04
		if err := os.WriteFile(path, bent, 0o600); err != nil {
			t.Fatal(err)
		}
		if k, err = OpenKeep(path); err == nil {
			t.Fatalf("byte %d changed, and it was read", i)
		}
		if strings.Contains(err.Error(), "hush") {
			t.Fatalf("a secret in %v", err)
		}
	}
	if generationOf(buildKept(t, p, k, `pagerduty_configs: [{url: "URL/v2/enqueue", routing_key: x}]`)) == "" {
		t.Error("nothing works any more")
	}
}
