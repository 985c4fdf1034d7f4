package alert

import "strings"

// Severity orders alerts by how much they matter. The zero value is Unset.
type Severity uint8

const (
	Unset    Severity = iota // no severity label, or a word we do not know: ranks as Warning
	Info                     // nobody needs to act
	Warning                  // somebody should act in working hours
	Error                    // somebody should act soon
	Critical                 // somebody must act now
)

var severityNames = [...]string{"unset", "info", "warning", "error", "critical"}

func (s Severity) String() string { return severityNames[min(int(s), len(severityNames)-1)] }

// Rank is s with Unset counted as Warning: in doubt an alert is worth a look.
func (s Severity) Rank() Severity {
	if s == Unset {
		return Warning
	}
	return s
}

// SeverityLabels are the labels that may carry a severity, best first.
var SeverityLabels = [...]string{"severity", "priority", "level"}

// Severity reads the severity from the labels. The words are those in use by
// the rule collections and vendors whose alerts we read.
func (ls Labels) Severity() Severity {
	for _, name := range SeverityLabels {
		if v := ls.Get(name); v != "" {
			return ParseSeverity(v)
		}
	}
	return Unset
}

// ParseSeverity reads one word, in any case. An unknown word is Unset.
func ParseSeverity(word string) Severity {
	if len(word) > 16 {
		return Unset
	}
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "critical", "crit", "fatal", "emergency", "emerg", "disaster", "page", "alert", "p1", "p0", "sev0", "sev1", "1", "0":
		return Critical
	case "error", "err", "high", "major", "urgent", "p2", "sev2", "2":
		return Error
	case "warning", "warn", "average", "medium", "moderate", "minor", "p3", "sev3", "3", "ticket":
		return Warning
	case "info", "information", "informational", "notice", "low", "debug", "none", "ok", "p4", "p5", "sev4", "sev5", "4", "5":
		return Info
	}
	return Unset
}
