package sinks

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	amalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/model"
)

// Providers take only so much text. Alertmanager's notifiers cut some fields
// where they happen to be full, send others as they are, which the provider
// refuses, and instead of a long HTML message for Telegram they send one that
// says nothing. So a text that lists alerts is made to fit before a notifier sees
// them: descriptions go before names, and names before nothing. What fits is not
// touched.

// A textLimit is of the field of a kind's configuration that lists alerts, and what the
// provider takes of it.
type textLimit struct {
	field string // a template, as "Message" or "Description.Template", or a map of them
	max   int
	size  func(string) int // as the provider counts it
	whole bool             // nobody else cuts it
	keep  string           // fields that say how many there are, or link, which go by all alerts
}

// textLimits are by kind. Where a provider's unit is not known, it is the one in
// which a text is longest.
//
// https://discord.com/developers/docs/resources/message#embed-object-embed-limits
// https://core.telegram.org/bots/api#sendmessage (it counts code points)
// https://developer.webex.com/docs/basics#message-attachments
// https://pushover.net/api#limits
// https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using (28 KB in all)
// https://docs.opsgenie.com/docs/alert-api#create-alert
// https://docs.aws.amazon.com/sns/latest/api/API_Publish.html (256 KB with its attributes; 1,600 characters of SMS)
// https://developer.work.weixin.qq.com/document/path/90236
// https://developer.pagerduty.com/docs/send-alert-event (512 KB in all)
// https://github.com/mattermost/mattermost/blob/master/server/public/model/post.go (attachments are props: 800,000 in all)
var textLimits = map[string]textLimit{
	"discord":    {field: "Message", max: 4096, size: utf16Len, keep: "Title Content"},
	"telegram":   {field: "Message", max: 4096, size: utf8.RuneCountInString, whole: true},
	"webex":      {field: "Message", max: 7439, size: byteLen},
	"pushover":   {field: "Message", max: 1024, size: utf8.RuneCountInString, keep: "Title URL"},
	"msteams":    {field: "Text", max: 20 << 10, size: jsonLen, whole: true, keep: "Title Summary"},
	"msteamsv2":  {field: "Text", max: 20 << 10, size: jsonLen, whole: true, keep: "Title"},
	"opsgenie":   {field: "Description", max: 15000, size: utf16Len, whole: true, keep: "Message"},
	"victorops":  {field: "StateMessage", max: 20480, size: utf8.RuneCountInString, keep: "EntityDisplayName"},
	"mattermost": {field: "Text", max: 700_000, size: jsonLen, whole: true, keep: "Title TitleLink Fallback"},
	"pagerduty":  {field: "Details", max: 470_000, size: byteLen, whole: true, keep: "Description Details.num_firing Details.num_resolved"},
	"jira":       {field: "Description.Template", max: 32767, size: utf16Len, whole: true, keep: "Summary.Template"},
	"sns":        {field: "Message", max: 250 << 10, size: byteLen, whole: true},
	"wechat":     {field: "Message", max: 2048, size: byteLen},
}

const (
	keptRunes    = 1024 // of fields that are kept
	subjectBytes = 99   // of SNS's subject, which is printable ASCII
	leastText    = 64   // bytes of a description that are worth showing
)

func byteLen(s string) int { return len(s) }

func utf16Len(s string) (n int) {
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// jsonLen is what s takes as the notifiers write it.
func jsonLen(s string) int {
	b, err := json.Marshal(s)
	if err != nil {
		return len(s)
	}
	return len(b)
}

// A squeeze says how much of alerts is left out: of the values of labels and
// annotations all but so many bytes, all but so many labels and alerts. Zero
// leaves nothing out.
type squeeze struct {
	annotationBytes int
	noAnnotations   bool
	labelBytes      int
	labels          int
	alerts          int
}

// squeezes are tried in turn: less and less of descriptions, none, and then
// less of what labels say.
func squeezes(alerts []*amalert.Alert, over int) []squeeze {
	longest := 0
	for _, a := range alerts {
		for _, value := range a.Annotations { // order: the most of all
			longest = max(longest, len(value))
		}
	}
	// Most often one text is too long, and what is over is what it has to lose.
	out := []squeeze{{annotationBytes: max(longest-over-len("…"), leastText)}}
	for n := longest / 2; n > leastText; n /= 2 {
		out = append(out, squeeze{annotationBytes: n})
	}
	return append(out, squeeze{annotationBytes: leastText}, squeeze{noAnnotations: true}, squeeze{noAnnotations: true, labelBytes: 128}, squeeze{noAnnotations: true, labelBytes: 48})
}

// fit returns what of alerts has room in the kind's text, the first of them at
// least, and sets what of the lane's configuration goes by all of them.
func (w *wrapped) fit(ctx context.Context, l *lane, alerts []*amalert.Alert) []*amalert.Alert {
	limit, ok := textLimits[w.kind]
	if !ok || !l.conf.IsValid() {
		return alerts
	}
	l.reset()
	if w.kind == "sns" { // which refuses more in any case
		l.fix(ctx, w.tmpl, "Subject", alerts, asSubject)
	}
	if roughSize(alerts) <= limit.max/8 {
		return alerts
	}
	over := l.over(ctx, w.tmpl, &limit, alerts)
	if over <= 0 {
		return alerts
	}
	for field := range strings.FieldsSeq(limit.keep) {
		l.fix(ctx, w.tmpl, field, alerts, func(s string) string { s, _ = notify.TruncateInRunes(s, keptRunes); return s })
	}
	var s squeeze
	var out []*amalert.Alert
	for _, s = range squeezes(alerts, over) {
		if out = s.of(alerts); l.over(ctx, w.tmpl, &limit, out) <= 0 {
			return out
		}
	}
	if !limit.whole {
		return out // the notifier cuts the rest, or the provider does
	}
	for s.alerts = len(alerts) / 2; s.alerts > 0; s.alerts /= 2 {
		if out = s.of(alerts); l.over(ctx, w.tmpl, &limit, out) <= 0 {
			return out
		}
	}
	for s.alerts, s.labels = 1, 16; s.labels > 0; s.labels /= 2 {
		if out = s.of(alerts); l.over(ctx, w.tmpl, &limit, out) <= 0 {
			break
		}
	}
	return out
}

// roughSize is a lower bound for an eighth of what text is made of alerts by
// the default templates: an escape of HTML or JSON has six characters.
func roughSize(alerts []*amalert.Alert) (n int) {
	for _, a := range alerts {
		n += 64 + len(a.GeneratorURL)
		for name, value := range a.Labels { // order: a sum
			n += len(name) + len(value) + 8
		}
		for name, value := range a.Annotations { // order: a sum
			n += len(name) + len(value) + 8
		}
	}
	return n
}

func (s squeeze) of(alerts []*amalert.Alert) []*amalert.Alert {
	shown := len(alerts)
	if s.alerts > 0 {
		shown = min(shown, s.alerts)
	}
	out := make([]*amalert.Alert, 0, shown)
	for _, a := range alerts[:shown] {
		c := *a
		c.GeneratorURL = ""
		c.Labels = fewLabels(cutValues(a.Labels, s.labelBytes), s.labels)
		c.Annotations = model.LabelSet{}
		if !s.noAnnotations {
			c.Annotations = cutValues(a.Annotations, s.annotationBytes)
		}
		out = append(out, &c)
	}
	if left := len(alerts) - shown; left > 0 {
		out[0].Annotations["winnow_note"] = model.LabelValue(plural(left, "alert") + " more than there is room for")
	}
	return out
}

func cutValues(ls model.LabelSet, limitBytes int) model.LabelSet {
	if limitBytes == 0 {
		return ls
	}
	out := make(model.LabelSet, len(ls))
	for name, value := range ls { // order: each by itself
		out[name] = model.LabelValue(cut(string(value), limitBytes))
	}
	return out
}

// fewLabels keeps n labels: those that say what it is, and the first by name.
func fewLabels(ls model.LabelSet, n int) model.LabelSet {
	if n == 0 || len(ls) <= n {
		return ls
	}
	names := slices.SortedFunc(maps.Keys(ls), func(a, b model.LabelName) int {
		return cmp.Or(cmp.Compare(labelRank(a), labelRank(b)), cmp.Compare(a, b))
	})
	out := make(model.LabelSet, n)
	for _, name := range names[:n] {
		out[name] = ls[name]
	}
	return out
}

func labelRank(name model.LabelName) int {
	i := slices.Index([]model.LabelName{"alertname", "severity", "cluster", "namespace", "service", "instance", "pod"}, name)
	if i < 0 {
		return math.MaxInt
	}
	return i
}

// asSubject makes of s what SNS takes for the subject of a mail.
func asSubject(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.TrimSpace(s))
	return s[:min(len(s), subjectBytes)]
}

// get returns a field of the lane's own configuration, as "Message" or
// "Details.num_firing"; empty where there is none.
func (l *lane) get(field string) string {
	v, key := l.field(field)
	if v.IsValid() && v.Kind() == reflect.Map {
		v = v.MapIndex(reflect.ValueOf(key))
		if v.IsValid() && v.Kind() == reflect.Interface {
			v = v.Elem()
		}
	}
	if !v.IsValid() || v.Kind() != reflect.String {
		return ""
	}
	return v.String()
}

func (l *lane) set(field, text string) {
	if v, key := l.field(field); v.Kind() == reflect.Map {
		v.SetMapIndex(reflect.ValueOf(key), reflect.ValueOf(text))
	} else {
		v.SetString(text)
	}
}

// field finds it, or the map that has it under a key.
func (l *lane) field(field string) (v reflect.Value, key string) {
	v = l.conf.Elem()
	for name := range strings.SplitSeq(field, ".") {
		if v.Kind() == reflect.Map {
			return v, name
		}
		v = v.FieldByName(name)
	}
	return v, ""
}

// isHTML reports whether the notifier escapes its message as HTML.
func (l *lane) isHTML() bool {
	mode, html := l.conf.Elem().FieldByName("ParseMode"), l.conf.Elem().FieldByName("HTML")
	return mode.IsValid() && mode.String() == "HTML" || html.IsValid() && html.Kind() == reflect.Bool && html.Bool()
}

// over is by how much the text of these alerts is over the limit. Of one that
// cannot be rendered the notifier says why.
func (l *lane) over(ctx context.Context, tmpl *template.Template, limit *textLimit, alerts []*amalert.Alert) int {
	data := dataOf(ctx, tmpl, alerts)
	v, _ := l.field(limit.field)
	if v.Kind() == reflect.Map {
		size := 0
		for _, key := range v.MapKeys() { // order: a sum
			text, err := render(tmpl, l.get(limit.field+"."+key.String()), data, false)
			if err != nil {
				return 0
			}
			if !json.Valid([]byte(text)) { // else it goes as it is
				size += jsonLen(text)
			} else {
				size += len(text)
			}
		}
		return size - limit.max
	}
	text, err := render(tmpl, v.String(), data, l.isHTML())
	if err != nil {
		return 0
	}
	return limit.size(text) - limit.max
}

// fix has a field say of all alerts what change leaves of it, whatever the
// notifier is given.
func (l *lane) fix(ctx context.Context, tmpl *template.Template, field string, alerts []*amalert.Alert, change func(string) string) {
	was := l.get(field)
	text, err := render(tmpl, was, dataOf(ctx, tmpl, alerts), false)
	if err != nil || was == "" {
		return // the notifier says why
	}
	if l.fixed == nil {
		l.fixed = map[string]string{}
	}
	l.fixed[field] = was
	l.set(field, "{{ "+strconv.Quote(change(text))+" }}")
}

// reset undoes fix.
func (l *lane) reset() {
	for field, text := range l.fixed { // order: each by itself
		l.set(field, text)
	}
	clear(l.fixed)
}

func dataOf(ctx context.Context, tmpl *template.Template, alerts []*amalert.Alert) *template.Data {
	return notify.GetTemplateData(ctx, tmpl, alerts, slog.New(slog.DiscardHandler))
}

func render(tmpl *template.Template, text string, data *template.Data, html bool) (string, error) {
	if html {
		return tmpl.ExecuteHTMLString(text, data)
	}
	return tmpl.ExecuteTextString(text, data)
}
