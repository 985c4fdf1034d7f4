package house

import (
	"regexp"
	"strconv"
	"strings"
)

// workplace are traces of the machine that somebody worked on. They are built
// from parts, or this file would find itself.
var workplace = regexp.MustCompile(`(^|[^\w./-])/(wo` + `rk|tmp/pro` + `mpts)/` +
	`|(?i)\bsub` + `agent|farm-` + `bench|farm-` + `studio`)

// Words reports traces of a workplace in any text file, or in a file's name.
func Words(t *Tree) []Finding {
	const (
		why = "it means nothing on anybody else's machine"
		do  = "name it relative to the repository, or leave it out"
	)
	var out []Finding
	for _, x := range t.Texts {
		if w := workplace.FindString(x.Path); w != "" {
			out = append(out, Finding{x.Path, "a name with " + strings.TrimSpace(w), why, do})
		}
		if !workplace.MatchString(x.Body) {
			continue
		}
		for i, line := range strings.Split(x.Body, "\n") {
			if w := workplace.FindString(line); w != "" {
				out = append(out, Finding{x.Path + ":" + strconv.Itoa(i+1), "the words " + strings.TrimSpace(w), why, do})
			}
		}
	}
	return out
}
