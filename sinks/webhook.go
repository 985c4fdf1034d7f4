package sinks

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/common/model"

	"github.com/winnowhq/winnow/alert"
)

// Alertmanager's webhook makes maps of each alert, and JSON of those by
// reflection, which was most of what a notification cost. What it writes is
// fixed unless the configuration has a template in it, so it is written here,
// byte for byte, from sets that are sorted already. All else about a webhook
// stays the notifier's.

// plainHook returns the configuration of a webhook whose payload can be written
// here, nil for any other. The notifier renders a payload or a URL of the
// configuration from the alerts, and what is in a file it reads at each attempt.
func plainHook(conf reflect.Value) *webhook.WebhookConfig {
	c, ok := conf.Interface().(*webhook.WebhookConfig)
	if !ok || c.Payload != nil || c.URL == "" || strings.Contains(string(c.URL), "{{") {
		return nil
	}
	return c
}

// payloadOf writes the payload of m into the lane's buffer. It returns nil where
// that is left to the notifier, which has to be given the alerts then.
func (w *wrapped) payloadOf(l *lane, m *Message, list []told) *payload {
	if w.hook == nil || l.client == nil || len(m.Notification.RouteLabels) > 0 {
		return nil
	}
	b, ok := w.appendHook(l.buffer, m, list, &l.telling.common)
	if !ok {
		return nil
	}
	return &payload{b: b}
}

// appendHook appends what the notifier writes of m. It reports false for labels
// that are not sorted, of which a map would make something else. common is
// memory.
func (w *wrapped) appendHook(b []byte, m *Message, list []told, common *[2]alert.Labels) (_ []byte, ok bool) {
	n := m.Notification
	truncated := 0
	if limit := w.hook.MaxAlerts; limit > 0 && uint64(len(list)) > limit {
		truncated = len(list) - int(limit)
		list = list[:limit]
	}
	status := model.AlertResolved
	labels, annotations := common[0][:0], common[1][:0]
	for i := range list {
		if list[i].ends.IsZero() {
			status = model.AlertFiring
		}
		if i == 0 {
			labels, annotations = append(labels, list[i].labels...), append(annotations, list[i].annotations...)
		} else {
			labels, annotations = shared(labels, list[i].labels), shared(annotations, list[i].annotations)
		}
	}
	*common = [2]alert.Labels{labels, annotations}

	sorted := true
	set := func(before string, ls alert.Labels) {
		b = append(b, before...)
		b = appendSet(b, ls)
		sorted = sorted && isSorted(ls)
	}
	b = appendString(append(b, `{"receiver":`...), regexp.QuoteMeta(n.Receiver))
	b = appendString(append(b, `,"status":`...), string(status))
	b = append(b, `,"alerts":[`...)
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if b, ok = list[i].append(b); !ok {
			return b, false
		}
	}
	b = appendString(append(b, `],"notification_reason":`...), reasonOf(m).String())
	set(`,"groupLabels":`, w.groupLabels(n))
	set(`,"commonLabels":`, labels)
	set(`,"commonAnnotations":`, annotations)
	set(`,"routeLabels":`, ownRouteLabels(n))
	b = appendString(append(b, `,"externalURL":`...), w.tmpl.ExternalURL.String())
	b = appendString(append(b, `,"version":"4","groupKey":`...), m.Key)
	b = strconv.AppendInt(append(b, `,"truncatedAlerts":`...), int64(truncated), 10)
	return append(b, '}', '\n'), sorted
}

func (t *told) append(b []byte) (_ []byte, ok bool) {
	status := model.AlertResolved
	if t.ends.IsZero() {
		status = model.AlertFiring
	}
	b = appendString(append(b, `{"status":`...), string(status))
	b = appendSet(append(b, `,"labels":`...), t.labels)
	b = appendSet(append(b, `,"annotations":`...), t.annotations)
	b, startErr := appendTime(append(b, `,"startsAt":`...), t.starts)
	b, endErr := appendTime(append(b, `,"endsAt":`...), t.ends)
	b = appendString(append(b, `,"generatorURL":`...), t.link)
	b = hex.AppendEncode(append(b, `,"fingerprint":"`...), binary.BigEndian.AppendUint64(nil, fingerprintOf(t.labels)))
	return append(b, '"', '}'), startErr == nil && endErr == nil && isSorted(t.labels) && isSorted(t.annotations)
}

func isSorted(ls alert.Labels) bool {
	for i := 1; i < len(ls); i++ {
		if ls[i-1].Name >= ls[i].Name {
			return false
		}
	}
	return true
}

// shared leaves in kept what the other set says too. Both are sorted. A label
// that is not there says as much as an empty one.
func shared(kept, other alert.Labels) alert.Labels {
	out, at := kept[:0], 0
	for _, l := range kept {
		for at < len(other) && other[at].Name < l.Name {
			at++
		}
		value := ""
		if at < len(other) && other[at].Name == l.Name {
			value = other[at].Value
		}
		if value == l.Value {
			out = append(out, l)
		}
	}
	return out
}

// fingerprintOf is Alertmanager's: FNV-1a of 64 bits over name, 0xff, value, 0xff
// of each label.
func fingerprintOf(ls alert.Labels) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	for i := range ls {
		for _, s := range [2]string{ls[i].Name, ls[i].Value} {
			for k := range len(s) {
				h = (h ^ uint64(s[k])) * prime
			}
			h = (h ^ 0xff) * prime
		}
	}
	return h
}

func appendTime(b []byte, t time.Time) ([]byte, error) {
	b, err := t.AppendText(append(b, '"'))
	return append(b, '"'), err
}

func appendSet(b []byte, ls alert.Labels) []byte {
	b = append(b, '{')
	for i := range ls {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, ls[i].Name)
		b = append(b, ':')
		b = appendString(b, ls[i].Value)
	}
	return append(b, '}')
}

// ascii is what encoding/json writes for each character of ASCII.
var ascii = func() (out [utf8.RuneSelf]string) {
	for c := range out {
		out[c] = jsonOf(string(rune(c)))
		out[c] = out[c][1 : len(out[c])-1]
	}
	return out
}()

func jsonOf(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic("sinks: a string has no JSON: " + err.Error())
	}
	return string(b)
}

// appendString appends s as encoding/json writes it, and leaves to that what it
// does not write as it stands beyond ASCII.
func appendString(b []byte, s string) []byte {
	from := len(b)
	b = append(b, '"')
	clean := 0 // s is appended up to here
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if i++; len(ascii[c]) > 1 {
				b = append(b, s[clean:i-1]...)
				b = append(b, ascii[c]...)
				clean = i
			}
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError || r == '\u2028' || r == '\u2029' {
			return append(b[:from], jsonOf(s)...)
		}
		i += size
	}
	b = append(b, s[clean:]...)
	return append(b, '"')
}
