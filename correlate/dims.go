package correlate

import (
	"strings"

	"github.com/winnowhq/winnow/alert"
)

// MaxDims bounds the combinations the accounts are broken down by. What comes
// after that is counted under dim 0, "(other)"; nothing is left out of a total.
const MaxDims = 1 << 16

// serviceLabels name the thing that alerts, best first.
var serviceLabels = [...]string{"service", "app", "app_kubernetes_io_name", "job", "namespace"}

// Service reads from the labels what the alert is about.
func Service(ls alert.Labels) string {
	for _, name := range serviceLabels {
		if v := ls.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// dims interns combinations in the order in which they are met.
type dims struct {
	list  []Dim
	index map[Dim]uint32
}

func newDims() dims {
	return dims{list: []Dim{{Source: "(other)", Rule: "(other)", Service: "(other)"}}, index: map[Dim]uint32{}}
}

func (d *dims) of(source string, ls alert.Labels) uint32 {
	return d.intern(Dim{Source: source, Rule: ls.Get("alertname"), Service: Service(ls), Severity: ls.Severity()})
}

func (d *dims) intern(k Dim) uint32 {
	if n, ok := d.index[k]; ok {
		return n
	}
	if len(d.list) >= MaxDims {
		return 0
	}
	k = Dim{strings.Clone(k.Source), strings.Clone(k.Rule), strings.Clone(k.Service), k.Severity}
	n := uint32(len(d.list))
	d.list = append(d.list, k)
	d.index[k] = n
	return n
}
