package correlate

import (
	"fmt"

	"github.com/winnowhq/winnow/alert"
)

const (
	// DefaultMaxAlerts is how many alerts are known at a time, those that have
	// ended within ForgetAfter included, where a policy does not say: about 2 GB.
	DefaultMaxAlerts = 1 << 22

	// LeastMaxAlerts is the least that a configuration may say.
	LeastMaxAlerts = 1000

	// MostMaxAlerts is the most: a snapshot of more could not be read.
	MostMaxAlerts = 1 << 24

	// MaxSilences bounds the silences that are listed. One more is not taken: it
	// silences nothing.
	MaxSilences = 1 << 16
)

// ValidateMaxAlerts says what is wrong with a configured Policy.MaxAlerts; 0
// stands for the default.
func ValidateMaxAlerts(n int) error {
	if n != 0 && (n < LeastMaxAlerts || n > MostMaxAlerts) {
		return fmt.Errorf("max_alerts: %d is not between %d and %d", n, LeastMaxAlerts, MostMaxAlerts)
	}
	return nil
}

// full reports whether there is no room for another alert.
func (c *Core) full() bool { return c.table.Len() >= c.policy.maxAlerts }

// beyond accounts for a delivery of an alert that fires and is not known, where
// there is no room for it: it joins no group, nothing keeps it back and nobody
// decides about it, so it is handed out to be paged as it came. It reports false
// for any other delivery.
func (c *Core) beyond(out *Output, now alert.Time, source string, a *alert.Alert) bool {
	if a.Status != alert.Firing || a.EndsAt != 0 && a.EndsAt <= now || c.table.Knows(a) {
		return false
	}
	out.Rows = append(out.Rows, Row{
		At: now, Seq: c.seq, Action: Delivered, Now: Quarantined, Cause: c.fullText(),
		Fingerprint: a.Fingerprint, Dim: c.dims.of(source, a.Labels), Severity: a.Labels.Severity(),
	})
	out.Beyond = append(out.Beyond, a.Clone())
	return true
}

// fullText is why a delivery was not taken for what it is.
func (c *Core) fullText() string {
	return fmt.Sprintf("%d alerts are known already, and more is not asked of the core", c.policy.maxAlerts)
}
