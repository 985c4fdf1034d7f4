package ledger

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/winnowhq/winnow/alert"
	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/dedupe"
)

// notifies folds that a notification of incident 7 names alerts.
func notifies(l *Ledger, revision uint32, kind correlate.Kind, names []correlate.Member) {
	n := correlate.Notification{Incident: 7, Revision: revision, Kind: kind, Alerts: names}
	l.Fold(&correlate.Row{At: at(time.Minute), Action: correlate.Notified, Incident: 7, Revision: revision, Kind: kind})
	l.FoldNotification(&n)
}

// play folds a story, a word a step:
//
//	+1        alert 1 fires            page1:1,2  INC-7/1 is a page that names 1 and 2 (update, resolve)
//	1=paged   it is paged (grouped)    accepted1:a  integration a takes INC-7/1 (failed, superseded, skipped);
//	-1        it ends                               with ! it is the last receipt
//	raw1      it is paged raw               1~ is one that its receiver believes to fire
//
// Odd alerts are critical, even ones warnings. Each word is a minute.
func play(l *Ledger, story string) *Ledger {
	number := func(s string) uint64 { n, _ := strconv.ParseUint(s, 10, 64); return n }
	dim := func(fp alert.Fingerprint) uint32 { return uint32(1 - fp%2) }
	outcomes := map[string]correlate.Outcome{"accepted": correlate.Accepted, "failed": correlate.Failed, "superseded": correlate.Superseded, "skipped": correlate.Skipped}
	kinds := map[string]correlate.Kind{"page": correlate.Page, "update": correlate.Update, "resolve": correlate.Resolve}
	now, fired := map[alert.Fingerprint]correlate.Disposition{}, map[alert.Fingerprint]bool{}
	for i, step := range strings.Fields(story) {
		t := time.Duration(i) * time.Minute
		head, tail, _ := strings.Cut(step, ":")
		word := strings.TrimRight(head, "0123456789")
		n := number(strings.TrimPrefix(head, word))
		fp := alert.Fingerprint(n)
		switch {
		case word == "+":
			r := onset(t, fp, dim(fp), correlate.Pending)
			if fired[fp] {
				r.Verdict = dedupe.Reopened
			}
			now[fp], fired[fp] = correlate.Pending, true
			fold(l, r)
		case word == "-":
			fold(l, end(t, fp, dim(fp), now[fp]))
		case word == "raw":
			fold(l, correlate.Row{At: at(t), Action: correlate.PagedRaw, Fingerprint: fp, Cause: "oncall"})
		case kinds[word] != 0:
			var names []correlate.Member
			for s := range strings.SplitSeq(tail, ",") {
				names = append(names, correlate.Member{Fingerprint: alert.Fingerprint(number(strings.TrimSuffix(s, "~"))), New: !strings.HasSuffix(s, "~")})
			}
			notifies(l, uint32(n), kinds[word], names)
		case outcomes[word] != 0:
			r := receipt(7, uint32(n), correlate.Page, strings.TrimSuffix(tail, "!"), outcomes[word])
			r.Last, r.At = strings.HasSuffix(tail, "!"), at(t)
			l.FoldReceipt(r)
		default:
			of, to, _ := strings.Cut(step, "=")
			fp = alert.Fingerprint(number(of))
			d := map[string]correlate.Disposition{"paged": correlate.Paged, "grouped": correlate.Grouped, "silenced": correlate.Silenced, "storm": correlate.Storm}[to]
			r := move(t, fp, dim(fp), now[fp], d, alert.Warning)
			r.Incident = 7
			fold(l, r)
			now[fp] = d
		}
	}
	return l
}

func TestWhatEndedUnconfirmedWasNotPaged(t *testing.T) {
	f := func(what, story, want string) {
		t.Helper()
		l := play(open(), story)
		var got []string
		d := l.Totals().Dispositions
		for i, n := range d {
			if n > 0 {
				got = append(got, fmt.Sprintf("%s=%d", correlate.Disposition(i), n))
			}
		}
		if got := strings.Join(got, " "); got != want || !l.Totals().Balanced {
			t.Errorf("%s: %q, want %q, balanced %t", what, got, want, l.Totals().Balanced)
		}
		restored(t, l)
		if u := &l.unconfirmed; strings.Contains(story, "-") && len(u.naming) == 0 && len(u.alerts)+len(u.over)+u.names+u.held != 0 && !strings.Contains(what, "fires") {
			t.Errorf("%s: something is kept: %+v", what, *u)
		}
	}
	const page = "+1 page1:1 1=paged "
	f("accepted", page+"accepted1:a! -1", "paged=1")
	f("accepted after its end", page+"-1 accepted1:a!", "paged=1")
	f("waits still", page+"-1 superseded1:a", "paged=1")
	f("never sent", page+"-1 resolve2:1 superseded1:a! skipped2:a!", "resolved_before_page=1")
	f("the end comes after the receipt", page+"superseded1:a! -1", "resolved_before_page=1")
	f("one integration of two has it", page+"-1 accepted1:a superseded1:b!", "paged=1")
	f("the last of two has it", page+"-1 superseded1:a accepted1:b!", "paged=1")
	f("none of two has it", page+"-1 superseded1:a superseded1:b!", "resolved_before_page=1")
	f("refused for good", page+"-1 failed1:a!", "paged=1")
	f("refused by one, over at the other", page+"-1 failed1:a superseded1:b!", "paged=1")
	f("refused, and the fallback has it", page+"failed1:a -1 accepted1:fallback!", "paged=1")
	f("nobody was there", page+"-1 skipped1:-!", "paged=1")
	f("the resolve of what was in doubt is no page", page+"-1 resolve2:1 superseded1:a! accepted2:a!", "resolved_before_page=1")
	f("paged raw", page+"raw1 -1 superseded1:a!", "paged=1")
	f("it fires still", page+"superseded1:a!", "paged=1")

	const grouped = "+1 +2 page1:1 1=paged update2:1,2 2=grouped "
	f("an update in the page's place", grouped+"superseded1:a! accepted2:a! -1 -2", "paged=1 grouped=1")
	f("all over before the update was taken", grouped+"-1 -2 superseded1:a! superseded2:a! resolve3:1,2 skipped3:a!", "resolved_before_page=2")
	f("over before the update that names it", grouped+"accepted1:a! -2 superseded2:a! -1", "paged=1 resolved_before_page=1")
	f("its end stands in a later update", "+1 +2 page1:1,2 1=paged 2=grouped update2:1,2 -2 superseded1:a! accepted2:a! -1", "paged=1 grouped=1")
	f("a later update does not name it any more", "+1 +2 page1:1,2 1=paged 2=grouped update2:1,2 -2 superseded1:a! update3:1 superseded2:a! accepted3:a! -1", "paged=1 resolved_before_page=1")
	f("told of long ago, and the last update never sent", page+"accepted1:a! update2:1 -1 superseded2:a!", "paged=1")
	f("two groups, one of which has it", "+1 page1:1 1=paged page2:1 superseded1:a! accepted2:b! -1", "paged=1")
	f("two groups, none of which has it", "+1 page1:1 1=paged page2:1 superseded1:a! -1 superseded2:b!", "resolved_before_page=1")
	f("silenced before it was told", "+1 1=silenced -1", "silenced=1")
	f("a storm's", "+2 page1:2 2=storm -2 superseded1:a!", "resolved_before_page=1")

	f("fired again, and again over before the page was taken", page+"-1 +1 1=grouped -1 superseded1:a!", "resolved_before_page=2")
	f("fired again, and the page was taken", page+"-1 +1 accepted1:a! 1=grouped -1", "paged=1 grouped=1")
	f("fired again, and only then paged", page+"-1 +1 superseded1:a! page2:1 1=paged accepted2:a! -1", "paged=1 resolved_before_page=1")
	f("fired again, and paged, before it was plain that nobody had the first page", page+"-1 +1 page2:1 1=paged superseded1:a! accepted2:a! -1", "paged=1 resolved_before_page=1")
	f("fired again, while its receiver believed that it fired", page+"accepted1:a! -1 +1 update2:1~ 1=grouped -1 superseded2:a!", "paged=1 grouped=1")
	f("fired again long after, and over before its page was taken", page+"accepted1:a superseded1:b! -1 +1 page2:1 1=paged -1 superseded2:a!", "paged=1 resolved_before_page=1")
	f("the receipts of two lives", page+"superseded1:a -1 superseded1:b superseded1:a!", "resolved_before_page=1")
	f("a receipt that comes twice", page+"-1 superseded1:a! superseded1:a! -1", "resolved_before_page=1")
}

func TestUnconfirmedCriticalIsNoSwallowedOne(t *testing.T) {
	f := func(what, story string, swallowed uint64, told int) {
		t.Helper()
		l := play(open(), story)
		r := l.Report(1)
		if r.SwallowedCriticals != swallowed || len(r.Swallowed) != int(swallowed) || r.SelfResolved.Told != uint64(told) {
			t.Errorf("%s: %d swallowed, listed %+v, %d self-resolved were told; want %d and %d", what, r.SwallowedCriticals, r.Swallowed, r.SelfResolved.Told, swallowed, told)
		}
	}
	f("over before it was confirmed", "+1 page1:1 1=paged -1 superseded1:a!", 0, 0)
	f("confirmed", "+1 page1:1 1=paged -1 accepted1:a!", 0, 1)
	// Within a page of a warning it is told to nobody as what it is, until it turns
	// out that nobody was told of anything.
	f("grouped below its severity, in doubt", "+1 page1:1 1=grouped -1", 1, 1)
	f("grouped below its severity", "+1 page1:1 1=grouped -1 accepted1:a!", 1, 1)
	f("over before that was confirmed", "+1 page1:1 1=grouped -1 superseded1:a!", 0, 0)
}

func TestExplanationOfWhatEndedUnconfirmed(t *testing.T) {
	const wantHead = "Not paged because it ended before anybody confirmed INC-7/1, decided at 14:05:00; over since 14:03:00."
	explained := func(story string) (ofAlert, ofIncident string) {
		t.Helper()
		l := play(open(), story)
		var a, i bytes.Buffer
		rows, _ := l.Trail().Alert(1)
		if err := Explain(&a, rows, ExplainOptions{}); err != nil {
			t.Fatal(err)
		}
		rows, _ = l.Trail().Incident(7)
		if err := ExplainIncident(&i, rows, ExplainOptions{}); err != nil {
			t.Fatal(err)
		}
		return a.String(), i.String()
	}
	of, incident := explained("+1 page1:1 1=paged -1 resolve2:1 superseded1:a! skipped2:a!")
	if !strings.Contains(of, "\n"+wantHead+"\n") {
		t.Errorf("got\n%s\nwant %s", of, wantHead)
	}
	for _, want := range []string{
		"INC-7/1 page superseded by a newer one at oncall/a",
		"v1:0000000000000001: after all not paged because it ended before anybody confirmed INC-7/1 (its episode of 14:00:00)",
		"INC-7/2 page not needed by oncall/a",
	} {
		if !strings.Contains(incident, want) {
			t.Errorf("got\n%s\nwant %s", incident, want)
		}
	}
	// What becomes of an episode when the next one has begun is not the last word.
	if of, _ = explained("+1 page1:1 1=paged -1 +1 superseded1:a!"); !strings.Contains(of, "\nPending until 14:04:30, decided at 14:04:00.\n") || !strings.Contains(of, "confirmed INC-7/1 (its episode of 14:00:00)") {
		t.Errorf("got\n%s", of)
	}
	if _, incident = explained("+1 page1:1 1=paged skipped1:-!"); !strings.Contains(incident, "INC-7/1 page had nobody to go to at oncall\n") {
		t.Errorf("got\n%s", incident)
	}
}

// TestUnconfirmedBeyondTheLimit: what is not followed counts as told.
func TestUnconfirmedBeyondTheLimit(t *testing.T) {
	l := open()
	l.unconfirmed.names = MaxUnconfirmed - 1
	play(l, "+1 +2 page1:1,2 1=paged 2=grouped")
	if n := len(l.unconfirmed.alerts); n != 1 || l.unconfirmed.names != MaxUnconfirmed {
		t.Errorf("%d alerts are followed, %d names", n, l.unconfirmed.names)
	}
	play(l, "update2:1 -1 -2 superseded1:a! superseded2:a!")
	if d := l.Totals().Dispositions; d[correlate.ResolvedBeforePage] != 0 {
		t.Error("what was named beyond the limit is said to have been told to nobody")
	}
	l = open()
	l.unconfirmed.held = MaxUnconfirmed
	play(l, "+1 page1:1 1=paged")
	fold(l, end(time.Hour, 1, 0, correlate.Paged))
	if len(l.unconfirmed.over) != 0 || l.Totals().Dispositions[correlate.Paged] != 1 {
		t.Errorf("%d episodes are kept beyond the limit", len(l.unconfirmed.over))
	}
}
