package alert

import (
	"slices"
	"strings"
)

// Label is one name and its value.
type Label struct{ Name, Value string }

// Labels is a label set: sorted by name, each name once, no empty value (a
// label without a value is a label that is not there, as Prometheus has it).
// Sort brings any slice into that form.
type Labels []Label

// Get returns the value of name, "" where it is absent.
func (ls Labels) Get(name string) string {
	for i := range ls {
		if ls[i].Name == name {
			return ls[i].Value
		}
	}
	return ""
}

// GetNear is Get for one who asks many sets of one kind: place is where the label
// stood in the set before, is looked at first, and is kept up.
func (ls Labels) GetNear(name string, place *int32) string {
	if i := int(*place); i < len(ls) && ls[i].Name == name {
		return ls[i].Value
	}
	for i := range ls {
		if ls[i].Name == name {
			*place = int32(i)
			return ls[i].Value
		}
	}
	return ""
}

// Equal compares names and values in full.
func (ls Labels) Equal(o Labels) bool {
	if len(ls) != len(o) {
		return false
	}
	for i := range ls {
		if ls[i] != o[i] {
			return false
		}
	}
	return true
}

// Compare orders label sets by their first difference, shorter sets first.
func (ls Labels) Compare(o Labels) int {
	for i := 0; i < len(ls) && i < len(o); i++ {
		if c := strings.Compare(ls[i].Name, o[i].Name); c != 0 {
			return c
		}
		if c := strings.Compare(ls[i].Value, o[i].Value); c != 0 {
			return c
		}
	}
	return len(ls) - len(o)
}

// AppendOnly appends the labels of ls with these sorted names, or all of them.
func (ls Labels) AppendOnly(dst Labels, names []string, all bool) Labels {
	if all {
		return append(dst, ls...)
	}
	at := 0
	for _, name := range names {
		for i := at; i < len(ls); i++ {
			if ls[i].Name == name {
				dst, at = append(dst, ls[i]), i+1
				break
			}
		}
	}
	return dst
}

// Sort sorts ls in place, drops empty values and, of a name that stands twice,
// all but the last. It reports whether a name stood twice.
func (ls *Labels) Sort() (duplicate bool) {
	s := *ls
	sorted := true
	for i := range s {
		if s[i].Value == "" || (i > 0 && s[i-1].Name >= s[i].Name) {
			sorted = false
			break
		}
	}
	if sorted { // as Prometheus and Alertmanager send them
		return false
	}
	insertionSort(s)
	out := s[:0]
	for i := range s {
		if n := len(out); n > 0 && out[n-1].Name == s[i].Name {
			duplicate = true
			out[n-1] = s[i]
			continue
		}
		out = append(out, s[i])
	}
	*ls = slices.DeleteFunc(out, func(l Label) bool { return l.Value == "" })
	return duplicate
}

// insertionSort is stable and needs no closure; label sets are short and
// mostly sorted already.
func insertionSort(s Labels) {
	if len(s) > 64 {
		slices.SortStableFunc(s, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
		return
	}
	for i := 1; i < len(s); i++ {
		for j := i; j > 0 && s[j-1].Name > s[j].Name; j-- {
			s[j-1], s[j] = s[j], s[j-1]
		}
	}
}

// Clone copies the set and its strings into one allocation each.
func (ls Labels) Clone() Labels {
	if len(ls) == 0 {
		return nil
	}
	out := slices.Clone(ls)
	out.ownText("")
	return out
}

// ownText puts copies in the place of all strings of ls and returns one of
// another text. They share one allocation.
func (ls Labels) ownText(another string) string {
	n := len(another)
	for i := range ls {
		n += len(ls[i].Name) + len(ls[i].Value)
	}
	var b strings.Builder
	b.Grow(n)
	for i := range ls {
		b.WriteString(ls[i].Name)
		b.WriteString(ls[i].Value)
	}
	b.WriteString(another)
	s := b.String()
	for i := range ls {
		k, v := len(ls[i].Name), len(ls[i].Value)
		ls[i] = Label{s[:k], s[k : k+v]}
		s = s[k+v:]
	}
	return s
}

// String writes the set as Prometheus does: {a="b", c="d"}.
func (ls Labels) String() string { return string(ls.Append(nil)) }

// Append appends what String returns.
func (ls Labels) Append(b []byte) []byte {
	b = append(b, '{')
	for i := range ls {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, ls[i].Name...)
		b = append(b, '=')
		b = appendQuoted(b, ls[i].Value)
	}
	return append(b, '}')
}
