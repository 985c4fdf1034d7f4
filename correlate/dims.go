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
	return service(ls, new(int32))
}

// service is Service, with the place of the best of the labels in the set before.
func service(ls alert.Labels, best *int32) string {
	if v := ls.GetNear(serviceLabels[0], best); v != "" {
		return v
	}
	for _, name := range serviceLabels[1:] {
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
	last  uint32 // met last, 0 for none: most alerts are of the same as the one before

	rule, service int32 // where these labels stood last
}

func newDims() dims {
	return dims{list: []Dim{{Source: "(other)", Rule: "(other)", Service: "(other)"}}, index: map[Dim]uint32{}}
}

func (d *dims) of(source string, ls alert.Labels) uint32 {
	return d.intern(Dim{Source: source, Rule: ls.GetNear("alertname", &d.rule), Service: service(ls, &d.service), Severity: ls.Severity()})
}

func (d *dims) intern(k Dim) uint32 {
	if d.last != 0 && d.list[d.last] == k {
		return d.last
	}
	if n, ok := d.index[k]; ok {
		d.last = n
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
