package main

var ofTheCore = []mutant{
	{
		name: "alert-beyond-the-limit-dropped", breaks: "an alert for which there is no room is paged as it came",
		edit: edit{"correlate/beyond.go", `out.Beyond = append(out.Beyond, a.Clone())`, `_ = a`},
		pkg:  "correlate", tests: "TestBeyondMaxAlerts",
	},
	{
		name: "severity-left-out-of-escalation", breaks: "a warning that becomes critical pages again",
		edit: edit{"correlate/notify.go", `case severity.Rank() > g.pagedSeverity.Rank():`, `case severity.Rank() > alert.Critical:`},
		pkg:  "correlate", tests: "TestEscalationPagesAgain",
	},
	{
		name: "escalation-under-the-same-key", breaks: "an escalation has a key of its own, or it is folded into an incident that somebody has acknowledged",
		edit: edit{"alert/key.go", `return group + "#" + s.String()`, `return group`},
		pkg:  "correlate", tests: "TestEscalationPagesAgain",
	},
	{
		name: "resolve-names-the-last-key-only", breaks: "an end closes each key that was paged under",
		edit: edit{"correlate/notify.go", `n.Severity, n.Keys = severity, g.keys()`, `n.Severity, n.Keys = severity, g.keys()[max(1, len(g.levels))-1:]`},
		pkg:  "correlate", tests: "TestEscalationPagesAgain TestRandomStories",
	},
	{
		name: "timer-fires-at-the-time-of-its-tick", breaks: "a late tick changes nothing that is decided",
		edit: edit{"correlate/core.go", `c.flush(out, t.group, t.at)`, `c.flush(out, t.group, now)`},
		pkg:  "correlate", tests: "TestMoreTicksChangeNothing",
	},
	{
		name: "group-wait-ignored", breaks: "group_wait",
		edit: edit{"correlate/group.go", `due := now.Add(g.route.GroupWait)`, `due := now`},
		pkg:  "correlate", tests: "TestGroups",
	},
	{
		name: "repeat-interval-ignored", breaks: "repeat_interval",
		edit: edit{"correlate/group.go", `case told.at < t.Add(-g.route.RepeatInterval):`, `case told.at < 0:`},
		pkg:  "correlate", tests: "TestGroups",
	},
	{
		name: "inhibited-by-an-ended-alert", breaks: "only an alert that fires inhibits",
		edit: edit{"correlate/mute.go", `if !c.table.Firing(s, t) {`, `if false {`},
		pkg:  "correlate", tests: "TestInhibition TestEverySuppressionHasALiveCause",
	},
	{
		name: "exempt-from-all-that-share-the-target", breaks: "a source and target of one rule is muted by another",
		edit: edit{"correlate/mute.go", `if !target || len(links) == 0 || links[0].rule() != l.rule() || !links[0].source() {`, `if !target {`},
		pkg:  "correlate", tests: "TestClassesChangeNoDecision",
	},
	{
		name: "causes-in-order-of-ref", breaks: "the cause that is named is one of the first rule in the file",
		edit: edit{"correlate/causes.go", `cmp.Compare(c.causeOf(k, other), it)`, `cmp.Compare(other, it.ref())`},
		pkg:  "correlate", tests: "TestClassesChangeNoDecision TestCausesAreFound",
	},
	{
		name: "first-class-names-the-cause", breaks: "the cause that is named is one of the first rule in the file",
		edit: edit{"correlate/mute.go", `if newCause(r.place, 0) > first {`, `if first != noCause {`},
		pkg:  "correlate", tests: "TestClassesChangeNoDecision",
	},
	{
		name: "silence-never-ends", breaks: "a silence ends",
		edit: edit{"correlate/silence.go", `s.StartsAt <= t && t < s.EndsAt`, `s.StartsAt <= t`},
		pkg:  "correlate", tests: "TestSilences TestEverySuppressionHasALiveCause",
	},
	{
		name: "silence-outlives-its-end-in-a-group", breaks: "a suppression ends at the flush behind its cause",
		edit: edit{"correlate/group.go", `_, ok := c.silencedBy(m.ref, t); ok {`, `_, ok := c.silencedBy(m.ref, t); ok || m.disposition == Silenced {`},
		pkg:  "correlate", tests: "TestEverySuppressionHasALiveCause",
	},
	{
		name: "inhibition-outlives-its-source", breaks: "a suppression ends at the flush behind its cause",
		edit: edit{"correlate/group.go", `_, ok := c.inhibitedBy(m.ref, t); ok {`, `_, ok := c.inhibitedBy(m.ref, t); ok || m.disposition == Inhibited {`},
		pkg:  "correlate", tests: "TestEverySuppressionHasALiveCause",
	},
	{
		name: "timers-keep-the-old-clock", breaks: "a page comes when it is due, whatever the clock is set to",
		edit: edit{"correlate/shift.go", "c.timers[i].at.Shift(by)", "c.timers[i/2].at.Shift(by)"},
		pkg:  "correlate", tests: "TestClockSteps TestRandomStoriesWithClockSteps",
	},
	{
		name: "ends-keep-the-old-clock", breaks: "a step of the clock ends no alert",
		edit: edit{"dedupe/shift.go", "e.endsAt = e.endsAt.Add(by)", "e.endsAt = e.endsAt.Add(min(by, 0))"},
		pkg:  "correlate", tests: "TestClockSteps",
	},
	{
		name: "silence-revived-by-the-clock", breaks: "a silence that has ended does not begin again",
		edit: edit{"correlate/silence.go", "s.EndsAt = min(s.EndsAt, now.Add(by))", "s.EndsAt = max(s.EndsAt, now.Add(by))"},
		pkg:  "correlate", tests: "TestClockSteps",
	},
	{
		name: "flapping-waits-anew", breaks: "what flaps in step with group_wait is paged",
		edit: edit{"correlate/group.go", `return c.waited != 0 && now.Sub`, `return c.waited > now && now.Sub`},
		pkg:  "correlate", tests: "TestFlappingAlertIsToldWithinBounds",
	},
	{
		name: "mute-interval-inverted", breaks: "a mute interval mutes inside it, and pages outside it",
		edit: edit{"correlate/compile.go", "if c.contains(name, now) {\n\t\t\treturn name, true", "if !c.contains(name, now) {\n\t\t\treturn name, true"},
		pkg:  "correlate", tests: "TestIntervals",
	},
	{
		name: "validity-not-extended-by-our-absence", breaks: "our own absence ends no alert",
		edit: edit{"correlate/core.go", `c.table.Extend(from, to.Sub(from))`, ``},
		pkg:  "correlate", tests: "TestStopOfOursEndsNobodysAlert",
	},
	{
		name: "silent-source-believed", breaks: "a source that falls silent ends no alert",
		edit: edit{"correlate/source.go", `c.table.Freeze(ref)`, `_ = ref`},
		pkg:  "correlate", tests: "TestSilentSourceEndsNothing",
	},
	{
		name: "counted-in-a-storm-is-told", breaks: "what a storm only counts is not told",
		edit: edit{"correlate/settle.go", `c.named = v.named != 0 ||`, `c.named = true ||`},
		pkg:  "correlate", tests: "TestCountedInAStormIsNotNamed",
	},
	{
		name: "critical-joins-a-storm-unseen", breaks: "a critical that joins a storm's group is named soon, however long the interval",
		edit: edit{"correlate/storm.go", `if due := now.Add(max(StormWait, g.route.GroupWait)); g.next > due {`, `if due := now.Add(max(StormWait, g.route.GroupWait)); g.next == due {`},
		pkg:  "correlate", tests: "TestStorm",
	},
	{
		name: "max-listed-drops-criticals", breaks: "a notification without room for all new criticals is followed by others",
		edit: edit{"correlate/notify.go", `left > 0; c.append(out, g, n) {`, `left > MaxListed; c.append(out, g, n) {`},
		pkg:  "correlate", tests: "TestEveryCriticalIsNamed",
	},
	{
		name: "end-told-to-nobody-while-muted", breaks: "who was told that an alert fires hears of its end",
		edit: edit{"correlate/group.go", `v.listed = m.believed()`, `v.listed = m.believed() && v.disposition == NoDisposition`},
		pkg:  "correlate", tests: "TestSilences TestIntervals TestRandomStories",
	},
	{
		name: "reload-gives-groups-to-strangers", breaks: "a reload tells nobody again of what they know",
		edit: edit{"correlate/inherit.go", `give(moved[i].key, moved[i].group)`, `_ = moved[i]`},
		pkg:  "correlate", tests: "TestReloadGivesAGroupToItsAlerts",
	},
	{
		name: "told-by-hash-alone", breaks: "two alerts with one fingerprint stay two",
		edit: edit{"dedupe/table.go", ` && t.texts.equal(t.store.get(e.text), a.Labels)`, ``},
		pkg:  "dedupe", tests: "TestCollidingFingerprintsStayApart",
	},
	{
		name: "ref-reused-while-a-dictionary-names-it", breaks: "a number stands for the alert that it was given for",
		edit: edit{"dedupe/dictionary.go", "if d == nil {\n\t\tt.vacate(ref)", "if d == nil || d.id > 0 {\n\t\tt.vacate(ref)"},
		pkg:  "dedupe", tests: "TestNumbersSayWhatTheyStandFor",
	},
	{
		name: "a-number-is-explained-twice", breaks: "the first explanation of a number stands",
		edit: edit{"dedupe/dictionary.go", `if d.words.At(number).ref == 0 { // the first one stands`, `if ref != 0 {`},
		pkg:  "dedupe", tests: "TestFirstExplanationStands",
	},
	{
		name: "moved-row-counted-twice", breaks: "deliveries equal the sum of dispositions",
		edit: edit{"ledger/fold.go", `l.episodes.move(r)`, `l.total.dispositions[now]++; l.episodes.move(r)`},
		pkg:  "ledger", tests: "TestTheBooksAlwaysBalance",
	},
	{
		name: "quarantined-left-out-of-the-books", breaks: "what could not be read is accounted for",
		edit: edit{"correlate/core.go", `Action: Delivered, Now: Quarantined, Cause: reason,`, `Action: Adjusted, Now: Quarantined, Cause: reason,`},
		pkg:  "internal/engine", tests: "TestQuarantinedIsInTheBooks",
	},
	{
		name: "unsent-page-stays-paged", breaks: "an alert that was over before anybody took its page was not paged",
		edit: edit{"ledger/unconfirmed.go", `l.unpage(fp, o.e, notice{r.Incident, r.Revision}, at, 0)`, `l.episodes.count(fp, o.e, at)`},
		pkg:  "ledger", tests: "TestWhatEndedUnconfirmedWasNotPaged TestTheBooksAlwaysBalance",
	},
	{
		name: "refusal-passes-for-an-end", breaks: "a page that was refused for good stays a failure",
		edit: edit{"ledger/unconfirmed.go", `answered := r.Outcome != correlate.Superseded`, `answered := r.Outcome == correlate.Accepted`},
		pkg:  "ledger", tests: "TestWhatEndedUnconfirmedWasNotPaged TestTheBooksAlwaysBalance",
	},
	{
		name: "receipt-counted-each-time", breaks: "a receipt that comes twice counts once",
		edit: edit{"ledger/receipt.go", `if !inc.accept(acceptance{r.Revision, r.Receiver, r.Integration}) {`, `if inc.accept(acceptance{r.Revision, r.Receiver, r.Integration}); false {`},
		pkg:  "ledger", tests: "TestReceipts",
	},
}
