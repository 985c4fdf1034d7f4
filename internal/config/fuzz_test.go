package config

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"go.yaml.in/yaml/v4"
	"golang.org/x/tools/txtar"
	yaml2 "gopkg.in/yaml.v2"
)

// texts returns every configuration of testdata, valid or not.
func texts(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, text := range validFiles(t) {
		out = append(out, text)
	}
	for _, glob := range []string{"testdata/errors/*.txtar", "testdata/policy/*.txtar"} {
		files, _ := filepath.Glob(glob)
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(txtar.Parse(b).Files[0].Data))
		}
	}
	return append(out, DefaultText)
}

// FuzzParse: no text makes the parser panic, none gets two different answers,
// and each error has its place in the file.
func FuzzParse(f *testing.F) {
	for _, text := range texts(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("x", []byte(text))
		again, err2 := Parse("x", []byte(text))
		if (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("two answers:\n%v\n%v", err, err2)
		}
		if err != nil {
			checkErrors(t, err, len(splitLines(text)))
			return
		}
		one, err := json.Marshal(c.Policy)
		if err != nil {
			t.Fatalf("the policy cannot be logged: %v", err)
		}
		if two, _ := json.Marshal(again.Policy); string(one) != string(two) {
			t.Fatalf("two policies:\n%s\n%s", one, two)
		}
		if c.Redacted() != again.Redacted() {
			t.Fatal("two effective configurations")
		}
	})
}

func checkErrors(t *testing.T, err error, lines int) {
	t.Helper()
	es, ok := errors.AsType[*Errors](err)
	if !ok || len(*es) == 0 {
		t.Fatalf("got %v, want *Errors", err)
	}
	for _, e := range *es {
		if e.Line < 1 || e.Line > lines || e.Column < 1 || e.Message == "" {
			t.Fatalf("an error without a place or a message, in a text of %d lines: %+v", lines, e)
		}
	}
}

// FuzzEmit: a tree that is written for Alertmanager's library reads as it was.
func FuzzEmit(f *testing.F) {
	for _, text := range texts(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		doc, bad := compose("x", []byte(text))
		if bad != nil || doc.root == nil {
			return
		}
		out := emit(doc.root)
		again, bad := compose("x", []byte(out))
		if bad != nil {
			t.Fatalf("what is emitted is no YAML: %v\n%s", bad, out)
		}
		if !sameTree(doc.root, again.root) {
			t.Fatalf("what is emitted says something else:\n%s", out)
		}
	})
}

func sameTree(a, b *yaml.Node) bool {
	if isNull(a) || isNull(b) {
		return isNull(a) && isNull(b)
	}
	if a.Kind != b.Kind || a.Value != b.Value || a.ShortTag() != b.ShortTag() || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !sameTree(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// checkEmit compares what Alertmanager's library reads of a text and of what is
// emitted of it.
func checkEmit(t *testing.T, text string) (compared bool) {
	t.Helper()
	doc, bad := compose("x", []byte(text))
	if bad != nil || doc.root == nil {
		return false
	}
	out := emit(doc.root)
	var want, got yaml2.MapSlice
	if yaml2.Unmarshal([]byte(doc.text), &want) != nil {
		return false
	}
	if err := yaml2.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("what is emitted cannot be read: %v\n%s", err, out)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got\n%#v\nwant\n%#v\n%s", got, want, out)
	}
	return true
}

func TestEmit(t *testing.T) {
	compared := 0
	for _, text := range texts(t) {
		if checkEmit(t, text) {
			compared++
		}
	}
	if compared < 35 {
		t.Errorf("only %d texts compared", compared)
	}
	f := func(text string) {
		t.Helper()
		if !checkEmit(t, text) {
			t.Errorf("%q was not compared", text)
		}
	}
	f("a: {b: , c: ~, d: '', e: \"\", f: null, g: 'null'}")
	f("a: [yes, no, on, off, 'yes', true, y, n]")
	f("a: [012, 0x1F, 0b11, 1_000, 1e3, .5, -1, +1, .inf, -.inf, 1:30, '12']")
	f("a: [2024-01-01, 2024-01-01 10:00:00, 1.2.3, a-b, ., '-', -a]")
	f("a: |\n  x\n   y\n\n  z\nb: >-\n  x\n   y\n\n  z\nc: |+\n  x\n\n")
	f("a: \"\\x01\\t\\u2028\\U0001F600 \\\\ \\\" \\0\"\nb: 'it''s'")
	f("a: &x {b: 1}\nc: {<<: *x, d: 2}\ne: [*x, *x]")
	f("a: !!str\nb: !!str ~\nc: !own\ne: ! 12\nf: !\nd: !!null ''")
	f("a: !!str 12\nb: !!int '12'\nc: !!binary aGk=")
	f("{a b: c d, 'e,f': [g:h, 'i: j'], \"k\": '#l', m: '{n}'}")
	f("12: a\ntrue: b\n1.5: c\n~: d")
}
