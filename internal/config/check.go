package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// checker compares a tree with the Go types that are to read it.
type checker struct {
	shapes shapes
	decode func(n *yaml.Node, out any) error // with the library of the types at hand

	// deep has each type judge its own part of the tree, so that one mistake
	// hides no other. It costs more, and is done only for a file that is known
	// to be wrong.
	deep bool

	faults []fault
	hidden []secret
	broken map[place]bool // values with a fault in them

	// seen has what was found of each value: an alias brings the same one again.
	seen map[sighting]bool
}

// sighting is a place in the file, read by a type.
type sighting struct {
	place
	typ reflect.Type
}

func newChecker(deep bool) *checker {
	c := &checker{shapes: shapes{}, decode: decodeV2, deep: deep, broken: map[place]bool{}, seen: map[sighting]bool{}}
	c.shapes.of(configType).fields[winnowKey] = reflect.TypeFor[Winnow]()
	return c
}

func (c *checker) fault(n *yaml.Node, format string, args ...any) {
	c.faults = append(c.faults, fault{max(n.Line, 1), max(n.Column, 1), fmt.Sprintf(format, args...)})
}

func (c *checker) isBroken(n *yaml.Node) bool { return n != nil && c.broken[placeOf(n)] }

// check compares a value with the type that is to read it and reports whether
// it found nothing. The path names the value in messages.
func (c *checker) check(n *yaml.Node, t reflect.Type, path string) bool {
	key := sighting{place{n.Line, n.Column}, t}
	ok, again := c.seen[key]
	if !again {
		ok = c.checkForm(n, c.shapes.of(t), path)
		c.seen[key] = ok
	}
	if !ok {
		c.broken[placeOf(n)] = true
	}
	return ok
}

func (c *checker) checkForm(n *yaml.Node, sh *shape, path string) bool {
	if sh.secret {
		c.hidden = hide(c.hidden, n, true)
	}
	if sh.typ == winnowType {
		c.decode = decodeV4
		defer func() { c.decode = decodeV2 }()
	}
	if isNull(n) {
		return true // as if the key were not there
	}
	switch sh.form {
	case anything:
		return c.checkAny(n, path)
	case record:
		return c.checkRecord(n, sh, path)
	case list:
		return c.checkList(n, sh, path)
	case dict:
		return c.checkDict(n, sh, path)
	default:
		return c.checkValue(n, sh, path)
	}
}

func (c *checker) checkRecord(n *yaml.Node, sh *shape, path string) bool {
	if n.Kind != yaml.MappingNode {
		if sh.custom && c.decode(n, reflect.New(sh.typ).Interface()) == nil {
			return true // it has a short form
		}
		return c.wrongKind(n, path, "a mapping (key: value)")
	}
	below := true
	ok := c.each(n, path, func(p pair, path string) bool {
		t, known := sh.fields[p.key.Value]
		switch {
		case known && sh.typ == routeType && p.key.Value == "routes": // each is judged on its own
			below = c.check(p.value, t, path)
			return true
		case known:
			c.noteSecret(p)
			return c.check(p.value, t, path)
		case sh.extra != nil:
			c.noteSecret(p)
			return c.check(p.value, sh.extra, path)
		}
		if key, rest, ok := strings.Cut(p.key.Value, ":"); ok { // key:value is one word, the value in it perhaps a secret
			c.hidden = append(hide(c.hidden, p.key, true), secret{p.key.Line, p.key.Column, rest, true})
			c.fault(p.key, "a space is missing after %q%s", key+":", where(parent(path)))
			return false
		}
		c.hidden = hide(c.hidden, p.value, looksSecret(p.key.Value) || looksSecret(nearest(p.key.Value, sh.keys())))
		c.fault(p.key, unknownKey+"%q%s%s", p.key.Value, where(parent(path)), suggestion(p.key.Value, sh.keys()))
		return false
	})
	ok = ok && c.judge(n, sh)
	return ok && below
}

// wrongKind also hides what is inside: no type says which of it is secret.
func (c *checker) wrongKind(n *yaml.Node, path, want string) bool {
	if n.Kind != yaml.ScalarNode {
		c.hidden = hide(c.hidden, n, false)
	}
	c.fault(n, "%s must be %s, not %s", subject(path), want, kindOf(n))
	return false
}

// judge has the type read its whole value and say what it thinks of it.
func (c *checker) judge(n *yaml.Node, sh *shape) bool {
	if !c.deep || !sh.custom || sh.typ == configType {
		return true
	}
	whole := n
	if sh.typ == routeType {
		whole = without(n, "routes")
	}
	if err := c.decode(whole, reflect.New(sh.typ).Interface()); err != nil {
		m := plainError(err)
		c.fault(locate(n, m), "%s", m)
		return false
	}
	return true
}

func (c *checker) checkList(n *yaml.Node, sh *shape, path string) bool {
	if n.Kind != yaml.SequenceNode {
		return c.wrongKind(n, path, "a list")
	}
	ok := true
	elem := c.shapes.of(sh.elem)
	for i, item := range n.Content {
		if isNull(item) && !(elem.form == single && elem.typ.Kind() == reflect.String) {
			c.fault(item, "an empty entry in %s: fill it in or remove it", path)
			ok = false
			continue
		}
		ok = c.check(item, sh.elem, fmt.Sprintf("%s[%d]", path, i)) && ok
	}
	return ok
}

func (c *checker) checkDict(n *yaml.Node, sh *shape, path string) bool {
	if n.Kind != yaml.MappingNode {
		return c.wrongKind(n, path, "a mapping (key: value)")
	}
	return c.each(n, path, func(p pair, path string) bool {
		c.noteSecret(p)
		return c.check(p.value, sh.elem, path)
	})
}

// checkAny looks only for what no mapping may have.
func (c *checker) checkAny(n *yaml.Node, path string) bool {
	switch n.Kind {
	case yaml.MappingNode:
		return c.each(n, path, func(p pair, path string) bool {
			c.noteSecret(p)
			return c.checkAny(p.value, path)
		})
	case yaml.SequenceNode:
		ok := true
		for i, item := range n.Content {
			ok = c.checkAny(item, fmt.Sprintf("%s[%d]", path, i)) && ok
		}
		return ok
	}
	return true
}

// each calls f for every pair of a mapping whose key is in order.
func (c *checker) each(n *yaml.Node, path string, f func(p pair, path string) bool) bool {
	ok := true
	first := map[string]int{}
	for _, p := range pairs(n, func(v *yaml.Node) {
		c.fault(v, "<< can only merge a mapping or a list of mappings, not %s", kindOf(v))
		ok = false
	}) {
		if p.key.Kind != yaml.ScalarNode {
			c.fault(p.key, "a key must be a single value, not %s", kindOf(p.key))
			ok = false
			continue
		}
		if line, twice := first[p.key.Value]; twice {
			c.fault(p.key, "duplicate key %q%s: it already stands in line %d", p.key.Value, where(path), line)
			ok = false
		} else {
			first[p.key.Value] = p.key.Line
		}
		ok = f(p, strings.TrimPrefix(path+"."+p.key.Value, ".")) && ok
	}
	return ok
}

func (c *checker) noteSecret(p pair) {
	if looksSecret(p.key.Value) {
		c.hidden = hide(c.hidden, p.value, false)
	} else if p.value.Kind == yaml.ScalarNode && userinfo.MatchString(p.value.Value) {
		c.hidden = hide(c.hidden, p.value, true)
	}
}

// checkValue has a type read a value that has no parts of its own.
func (c *checker) checkValue(n *yaml.Node, sh *shape, path string) bool {
	if sh.form == single && n.Kind != yaml.ScalarNode {
		return c.wrongKind(n, path, nameOf(sh.typ))
	}
	if sh.form == single && sh.typ.Kind() == reflect.String && n.Style&yaml.TaggedStyle == 0 {
		return true // any scalar is text
	}
	err := c.decode(n, reflect.New(sh.typ).Interface())
	if err == nil {
		return true
	}
	ok := true
	for _, part := range parts(n, sh.typ) {
		if err := c.decode(part, reflect.New(sh.typ).Interface()); err != nil {
			c.fault(part.Content[len(part.Content)-1], "%s", invalid(part, sh, err))
			ok = false
		}
	}
	if ok {
		c.fault(n, "%s", invalid(n, sh, err))
	}
	return false
}

// parts splits a list or a mapping into ones with a single entry, to find out
// which entry it is that its type refuses.
func parts(n *yaml.Node, t reflect.Type) []*yaml.Node {
	var out []*yaml.Node
	switch {
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, item := range n.Content {
			out = append(out, newSequence(item))
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		for _, p := range pairs(n, func(*yaml.Node) {}) {
			out = append(out, newMapping(p.key, p.value))
		}
	}
	return out
}

// locate finds the place in n that a message is about: a value or key that it
// quotes, else a key that it names, else n.
func locate(n *yaml.Node, message string) *yaml.Node {
	last := strings.Contains(message, "uplicate") || strings.Contains(message, "not unique")
	for _, q := range quotes(message) {
		if found := find(n, last, func(m *yaml.Node) bool { return m.Value == q }); found != nil {
			return found
		}
	}
	words := strings.FieldsFunc(message, func(r rune) bool {
		return !(r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9')
	})
	if n.Kind == yaml.MappingNode {
		for _, p := range pairs(n, func(*yaml.Node) {}) {
			if strings.Contains(p.key.Value, "_") && slices.Contains(words, p.key.Value) {
				return p.key
			}
		}
	}
	return n
}

func quotes(s string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(s, `"`)
		if !ok {
			return out
		}
		word, rest, ok := strings.Cut(rest, `"`)
		if !ok {
			return out
		}
		out, s = append(out, word), rest
	}
}

// find returns the first or the last scalar below n for which f holds.
func find(n *yaml.Node, last bool, f func(*yaml.Node) bool) *yaml.Node {
	if n.Kind == yaml.ScalarNode {
		if f(n) {
			return n
		}
		return nil
	}
	var found *yaml.Node
	for _, c := range n.Content {
		if m := find(c, last, f); m != nil {
			if found = m; !last {
				break
			}
		}
	}
	return found
}
