package config

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
	yaml2 "gopkg.in/yaml.v2"
)

func where(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}

func subject(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i]
	}
	return ""
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	}
	return "a single value"
}

func nameOf(t reflect.Type) string {
	switch {
	case isDuration(t):
		return "a duration"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "a whole number"
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		return "a number"
	}
	return "a single value"
}

func isDuration(t reflect.Type) bool {
	return strings.EqualFold(t.Name(), "duration") && t.Kind() == reflect.Int64
}

// invalid says why a type refused a value.
func invalid(n *yaml.Node, sh *shape, err error) string {
	switch {
	case sh.secret && strings.Contains(sh.typ.Name(), "URL"):
		return "not a valid URL (not shown: it is a secret)"
	case sh.secret:
		return "not a valid value (not shown: it is a secret)"
	case n.Kind == yaml.ScalarNode && isDuration(sh.typ):
		units := "30s, 5m or 4h"
		if sh.typ != reflect.TypeFor[time.Duration]() && sh.typ.Name() == "Duration" {
			units = "30s, 5m, 4h or 1d"
		}
		return fmt.Sprintf("%q is not a duration: write for example %s", n.Value, units)
	case n.Kind == yaml.ScalarNode && sh.form == single:
		return fmt.Sprintf("%q is not %s", n.Value, nameOf(sh.typ))
	}
	return plainError(err)
}

var (
	linePrefix  = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?(?:line \d+: )?`)
	wrongType   = regexp.MustCompile("^cannot unmarshal !!(\\w+)(?: `[^`]*`)? into (\\S+)$")
	noSuchField = regexp.MustCompile(`^field (\S+) not found in type \S+$`)
	fieldTwice  = regexp.MustCompile(`^field (\S+) already set in type \S+$`)
)

var tagWords = map[string]string{
	"seq": "a list", "map": "a mapping", "str": "text", "int": "a number", "float": "a number",
	"bool": "true or false", "null": "nothing", "binary": "binary text", "timestamp": "a time",
}

var typeWords = map[string]string{
	"string": "a single value", "[]string": "a list", "bool": "true or false", "int": "a whole number",
}

// plainError is what an error of a YAML library says, without the library's own
// words: lines of a text nobody has seen, names of Go types, bits of the value.
func plainError(err error) string {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return "not a valid URL" + urlHint(ue)
	}
	s := err.Error()
	if te, ok := errors.AsType[*yaml2.TypeError](err); ok && len(te.Errors) > 0 {
		s = te.Errors[0]
	}
	if le, ok := errors.AsType[*yaml.LoadErrors](err); ok && len(le.Errors) > 0 {
		s = le.Errors[0].Message
	}
	s = linePrefix.ReplaceAllString(s, "")
	if m := noSuchField.FindStringSubmatch(s); m != nil {
		return fmt.Sprintf("unknown key %q", m[1])
	}
	if m := fieldTwice.FindStringSubmatch(s); m != nil {
		return fmt.Sprintf("duplicate key %q", m[1])
	}
	if m := wrongType.FindStringSubmatch(s); m != nil {
		got, want := tagWords[m[1]], typeWords[m[2]]
		if got == "" {
			got = "a value"
		}
		if want == "" {
			want = "something else"
		}
		return fmt.Sprintf("%s stands where %s is expected", got, want)
	}
	return s
}

// urlHint tells the harmless half of a URL error: the other one quotes the URL.
func urlHint(e *url.Error) string {
	if strings.Contains(e.Err.Error(), "missing protocol scheme") {
		return ": it has no http:// or https://"
	}
	return ""
}
