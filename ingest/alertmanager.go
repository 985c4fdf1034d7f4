package ingest

import (
	"strconv"
	"strings"
	"time"

	"github.com/winnowhq/winnow/alert"
)

// alertmanagerValidity bounds how long a firing alert stands without being
// repeated. The webhook has no end for it: Alertmanager says when it is
// resolved, and repeats it at repeat_interval, a few hours as a rule.
const alertmanagerValidity = 48 * time.Hour

var _ = add(Source{
	Name: "alertmanager",
	Doc: "Alertmanager's webhook, version 4: a receiver with webhook_configs, send_resolved on " +
		"(its default) and max_alerts and payload left out. " +
		"A label value that is a number or a boolean is taken as its text.",
	Validity: alertmanagerValidity,
	Decode:   decodeAlertmanager,
})

// decodeAlertmanager reads notify/webhook.Message of Alertmanager. It uses what
// stands in the alerts and nothing else: the status of the group and what it
// calls common are computed after max_alerts has cut the list, the receiver's
// name is quoted as a regular expression, groupKey is not unique, and two alerts
// of one label set may carry two fingerprints.
func decodeAlertmanager(_ []byte, e *Emitter) error {
	s := &e.scan
	if s.peek() != '{' {
		return &unreadable{offset: s.pos, reason: "the body is " + s.kind() + "; Alertmanager's webhook sends an object"}
	}
	found := false
	var key string
	for s.open(); s.more('}'); {
		key = s.name()
		switch c := s.peek(); {
		case sameButCase(key, "alerts") && c == '[':
			found = true
			e.prometheusAlerts(&alertmanagerDialect)
		case key == "truncatedAlerts" && '0' < c && c <= '9':
			n, _ := strconv.ParseInt(s.literal(), 10, 32)
			e.result.Withheld = int(n)
		default:
			s.skip()
		}
	}
	if s.failed() && key != "" {
		e.locate(pointerStep(key))
	}
	if !found && !s.failed() {
		return &unreadable{pointer: "/alerts", reason: "the object has no array of alerts; is it a custom payload?"}
	}
	return e.end()
}

var alertmanagerDialect = alertDialect{list: "/alerts", hasStatus: true, settle: alertmanagerSettle, number: 2, shape: alertmanagerShape}

// alertmanagerSettle goes by the alert's own status. The end of a firing alert
// means nothing there, and one that is resolved without an end has ended by now.
func alertmanagerSettle(c *current, now alert.Time) {
	if !strings.EqualFold(c.status, "resolved") {
		c.EndsAt = 0
		return
	}
	c.Status = alert.Resolved
	if c.EndsAt == 0 {
		c.EndsAt = now
	}
}
