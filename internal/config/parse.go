package config

import (
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"sync"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/matcher/compat"
	"go.yaml.in/yaml/v4"
	yaml2 "gopkg.in/yaml.v2"

	"github.com/winnowhq/winnow/correlate"
)

// winnowKey is the one key that an Alertmanager file does not have.
const winnowKey = "winnow"

var (
	configType = reflect.TypeFor[amconfig.Config]()
	routeType  = reflect.TypeFor[amconfig.Route]()
)

// initCompat selects how Alertmanager reads matchers, once: it keeps that in
// package variables, and until this is called it reads its oldest syntax.
var initCompat = sync.OnceFunc(func() {
	compat.InitFromFlags(slog.New(slog.NewTextHandler(io.Discard, nil)), featurecontrol.NoopFlags{})
})

// parser turns a document into a configuration, or into faults.
type parser struct {
	doc *document
	dir string // against which relative paths are resolved; "" leaves them

	am     *amconfig.Config
	winnow Winnow
	policy correlate.Policy

	faults []fault
	hidden []secret
}

// parse reports whether the document is valid. The usual case is one look at
// its form and one call of Alertmanager's loader. Only when that fails is each
// part examined on its own, to find all mistakes and their places.
func (p *parser) parse() bool {
	root := p.doc.root
	if root == nil {
		p.fault(nil, "no route: a file needs at least a route with a receiver, and that receiver")
		return false
	}
	if root.Kind != yaml.MappingNode {
		p.fault(root, "the file must be a mapping (key: value), not %s", kindOf(root))
		return false
	}
	err := p.load(root)
	if err == nil && len(p.faults) == 0 {
		return true
	}
	p.faults, p.hidden = nil, nil
	p.examine(root)
	if len(p.faults) == 0 { // nothing else explains why the file was refused
		m := plainError(err)
		p.fault(locate(root, m), "%s", m)
	}
	return false
}

// load reads the document. It leaves off at the first kind of mistake: as an
// error, or as faults.
func (p *parser) load(root *yaml.Node) error {
	c := newChecker(false)
	c.check(root, configType, "")
	if p.take(c); len(p.faults) > 0 {
		return nil
	}
	text, own := p.doc.text, get(root, winnowKey)
	if own != nil {
		text = emit(without(root, winnowKey))
	}
	var err error
	if p.am, err = loadAlertmanager(text); err != nil {
		return err
	}
	p.readWinnow(own)
	p.checkReferences(root)
	if len(p.faults) > 0 {
		return nil
	}
	p.policy, err = translate(p.am, &p.winnow)
	return err
}

// examine looks for every mistake.
func (p *parser) examine(root *yaml.Node) {
	c := newChecker(true)
	c.check(root, configType, "")
	p.take(c)
	if own := get(root, winnowKey); !c.isBroken(own) {
		p.readWinnow(own)
	}
	p.checkReferences(root)
	p.probe(root, c)
}

func (p *parser) take(c *checker) {
	p.faults, p.hidden = append(p.faults, c.faults...), append(p.hidden, c.hidden...)
}

func (p *parser) fault(n *yaml.Node, format string, args ...any) {
	f := fault{1, 1, fmt.Sprintf(format, args...)}
	if n != nil {
		f.line, f.column = max(n.Line, 1), max(n.Column, 1)
	}
	p.faults = append(p.faults, f)
}

// decodeV2 reads a value with the library that Alertmanager uses.
func decodeV2(n *yaml.Node, out any) (err error) {
	defer recoverAs(&err)
	return yaml2.UnmarshalStrict([]byte(emit(n)), out)
}

// decodeV4 reads a value with the library that Winnow uses.
func decodeV4(n *yaml.Node, out any) (err error) {
	defer recoverAs(&err)
	return n.Load(out, yaml.WithKnownFields())
}

// loadAlertmanager never panics: its loader does on some files, and a reload
// must not take down a process that pages people.
func loadAlertmanager(text string) (c *amconfig.Config, err error) {
	defer recoverAs(&err)
	return amconfig.Load(text)
}

func recoverAs(err *error) {
	if p := recover(); p != nil {
		//lint:ignore ST1005 it begins with a name
		*err = fmt.Errorf("Alertmanager's loader failed on this: %v", p)
	}
}
