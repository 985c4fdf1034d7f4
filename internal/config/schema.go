package config

import (
	"encoding"
	"reflect"
	"strings"

	"github.com/prometheus/alertmanager/timeinterval"
)

// form is what a value must look like in the file.
type form uint8

const (
	anything form = iota
	single        // one value of a built-in type
	list
	dict   // a mapping with keys of one's own choice
	record // a mapping with known keys
	opaque // only the type itself knows
)

// shape is what the file may hold where a Go type reads it.
type shape struct {
	typ    reflect.Type // pointers removed
	form   form
	elem   reflect.Type            // of a list or a dict
	fields map[string]reflect.Type // of a record
	extra  reflect.Type            // of a record's further keys; nil: there are none
	custom bool                    // the type reads itself, and may refuse
	secret bool
}

// shapes derives shapes and remembers them.
type shapes map[reflect.Type]*shape

// standIns are types whose own reader hides the keys they know.
var standIns = map[reflect.Type]reflect.Type{
	reflect.TypeFor[timeinterval.TimeRange](): reflect.TypeFor[struct {
		StartTime string `yaml:"start_time"`
		EndTime   string `yaml:"end_time"`
	}](),
}

func (s shapes) of(t reflect.Type) *shape {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if sh := s[t]; sh != nil {
		return sh
	}
	sh := &shape{typ: t, custom: readsItself(t), secret: strings.Contains(t.Name(), "Secret")}
	s[t] = sh
	fields := t
	if in, ok := standIns[t]; ok {
		fields = in
	}
	switch {
	case t.Kind() == reflect.Interface:
		sh.form = anything
	case fields.Kind() == reflect.Struct && (!sh.custom || tagged(fields)):
		sh.form = record
		sh.fields = map[string]reflect.Type{}
		sh.addFields(fields)
	case sh.custom:
		sh.form = opaque
	case t.Kind() == reflect.Slice:
		sh.form, sh.elem = list, t.Elem()
	case t.Kind() == reflect.Map && readsItself(t.Key()):
		sh.form = opaque
	case t.Kind() == reflect.Map:
		sh.form, sh.elem = dict, t.Elem()
	default:
		sh.form = single
	}
	return sh
}

func (sh *shape) addFields(t reflect.Type) {
	for f := range t.Fields() {
		key, inline := fieldKey(f)
		switch {
		case key == "":
		case inline && f.Type.Kind() == reflect.Map:
			sh.extra = f.Type.Elem()
		case inline:
			sh.addFields(f.Type)
		default:
			sh.fields[key] = f.Type
		}
	}
}

// fieldKey returns the key of a field in the file, "" if it has none.
func fieldKey(f reflect.StructField) (key string, inline bool) {
	tag := f.Tag.Get("yaml")
	name, options, _ := strings.Cut(tag, ",")
	if !f.IsExported() && !f.Anonymous || name == "-" {
		return "", false
	}
	for o := range strings.SplitSeq(options, ",") {
		if o == "inline" {
			return "inline", true
		}
	}
	if name == "" {
		name = strings.ToLower(f.Name)
	}
	return name, false
}

func tagged(t reflect.Type) bool {
	for field := range t.Fields() {
		if _, ok := field.Tag.Lookup("yaml"); ok {
			return true
		}
	}
	return false
}

// readsItself reports whether t has a reader of its own, of whatever signature:
// those of the YAML libraries differ.
func readsItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	if _, ok := p.MethodByName("UnmarshalYAML"); ok {
		return true
	}
	return p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// keys returns the known keys of a record.
func (sh *shape) keys() []string {
	out := make([]string, 0, len(sh.fields))
	for k := range sh.fields {
		out = append(out, k)
	}
	return out
}
