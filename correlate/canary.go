package correlate

import "github.com/winnowhq/winnow/alert"

const (
	// CanarySource is the source of Winnow's own alerts. No sender has it.
	CanarySource = "winnow"
	// CanaryReceiver is where they come out. No configuration may name it.
	CanaryReceiver = "winnow/canary"
)

// Canary decides about an alert of Winnow's own: it goes out at once. Neither
// routes nor silences know of it, it belongs to no incident, and the books are
// of what others send.
func (c *Core) Canary(out *Output, now alert.Time, a *alert.Alert) {
	out.Notifications = append(out.Notifications, Notification{
		Revision: uint32(c.seq), Kind: Page, Reason: FirstNotification, Class: FiringOnly,
		Receiver: CanaryReceiver, GroupKey: CanaryReceiver, Keys: []string{CanaryReceiver},
		At: now, Opened: now, Firing: 1,
		Alerts: []Member{{Fingerprint: a.Fingerprint, Labels: a.Labels.Clone(), StartsAt: a.StartsAt, Deliveries: 1, New: true}},
	})
}
