package alert

import (
	"reflect"
	"strings"
	"testing"
)

func TestCloneIsTheSame(t *testing.T) {
	f := func(labels, annotations Labels, url string) {
		t.Helper()
		a := Alert{Labels: labels, Annotations: annotations, GeneratorURL: url, Fingerprint: labels.Fingerprint(), StartsAt: 7, Marks: MarkClock}
		c := a.Clone()
		if a.Labels.String() != c.Labels.String() || a.Annotations.String() != c.Annotations.String() || c.GeneratorURL != url {
			t.Errorf("the clone is %+v, want %+v", c, a)
		}
		if (c.Labels == nil) != (len(labels) == 0) || (c.Annotations == nil) != (len(annotations) == 0) {
			t.Errorf("the clone is %#v, want nil where there is nothing", c)
		}
		if n := cap(c.Labels); n != len(labels) {
			t.Errorf("a label more would overwrite an annotation: room for %d, has %d", n, len(labels))
		}
		c.Labels, c.Annotations, c.GeneratorURL = a.Labels, a.Annotations, a.GeneratorURL
		if !reflect.DeepEqual(a, c) {
			t.Errorf("the rest of the clone is %+v, want %+v", c, a)
		}
	}
	name, summary := Label{"alertname", "Up"}, Label{"summary", strings.Repeat("down ", 50)}
	f(Labels{name}, Labels{summary}, "http://x")
	f(Labels{name, {"pod", "p"}}, nil, "")
	f(nil, Labels{summary}, "")
	f(nil, nil, "u")
}

// TestGetNearIsGet asks sets of several kinds, in which a label stands here, there
// and nowhere.
func TestGetNearIsGet(t *testing.T) {
	sets := []Labels{
		nil,
		{{"a", "1"}, {"b", "2"}, {"c", "3"}},
		{{"a", "4"}, {"b", "5"}},
		{{"b", "6"}, {"c", "7"}, {"d", "8"}},
		{{"aa", "9"}},
	}
	for _, name := range []string{"a", "b", "c", "d", "x"} {
		place := int32(0)
		for i := range 60 {
			ls := sets[i*i%7%len(sets)]
			if got, want := ls.GetNear(name, &place), ls.Get(name); got != want {
				t.Fatalf("%s of %s is %q, want %q", name, ls, got, want)
			}
			if int(place) < len(ls) && ls[place].Name != name && ls.Get(name) != "" {
				t.Fatalf("%s of %s is thought to be at %d", name, ls, place)
			}
		}
	}
}
