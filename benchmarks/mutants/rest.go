package main

// ofTheNumbers are planted where repeats become numbers.
var ofTheNumbers = []mutant{
	{
		name: "end-under-another-key-dropped", breaks: "each key that an incident was paged under is closed",
		edit: edit{"sinks/queue.go", `if old.Kind == correlate.Resolve {`, `if old.Kind == 0 {`},
		pkg:  "sinks", tests: "TestEndUnderAnotherKeyIsTold",
	},
	{
		name: "known-before-it-is-durable", breaks: "only what is durable in the log is known by number",
		edit: edit{"ingest/emitter.go", `e.err = e.flush(&e.batch)`, "if e.dict != nil {\n\t\te.dict.learn(e.keys, e.batch.First)\n\t}\n\te.err = e.flush(&e.batch)"},
		pkg:  "ingest", tests: "TestOnlyWhatIsDurableIsKnown",
	},
	{
		name: "dialects-share-a-key", breaks: "the same bytes are another alert at another kind of door",
		edit: edit{"ingest/dictionary.go", `d.seeds[1], behind)+dialect)`, `d.seeds[1], behind))`},
		also: []edit{{"ingest/dictionary.go", `d.seeds[3], behind)+dialect)`, `d.seeds[3], behind))`}},
		pkg:  "ingest", tests: "TestDictionaryFindsAllItLearned",
	},
	{
		name: "dictionary-not-renewed-after-a-failure", breaks: "after an append that failed, alerts stand in the log in full again",
		edit: edit{"ingest/doors.go", `d.Dictionaries.Renew() //`, `_ = d.Dictionaries //`},
		pkg:  "ingest", tests: "TestFailedAppendRenewsTheDictionary",
	},
}

// ofTheWriter are planted where the log is written.
var ofTheWriter = []mutant{
	{
		name: "news-waits-for-company", breaks: "a frame with something new in it leaves at once",
		edit: edit{"internal/stream/append.go", `return len(b.Quarantined) == 0 && (len(b.Alerts) == 0 || len(b.Alerts) >= crowd)`, `return len(b.Repeats) >= 0`},
		pkg:  "internal/stream", tests: "TestNewsWaitsForNobody",
	},
}

// ofTheDoors are planted where alerts are read.
var ofTheDoors = []mutant{
	{
		name: "expression-without-a-limit", breaks: "a file whose expressions may hold up all alerts is refused",
		edit: edit{"internal/config/policy.go", `err = t.Check()`, `err = nil`},
		pkg:  "internal/config", tests: "TestExpressionsThatTakeTooLong",
	},
	{
		name: "slow-body-has-until-its-deadline", breaks: "a body comes with 1 KiB a second",
		edit: edit{"ingest/pace.go", `p.until = p.start.Add(bodyGrace)`, `p.until = p.deadline`},
		pkg:  "ingest", tests: "TestSlowBodyIsCutOff",
	},
	{
		name: "invalid-bytes-are-all-alike", breaks: "labels that differ in bytes that are not UTF-8 stay two alerts",
		edit: edit{"ingest/scan_string.go", `r = byteRunes + rune(b[0])`, `r = utf8.RuneError`},
		pkg:  "ingest", tests: "TestAlertsThatDifferInInvalidBytesAreTwo TestWhatIsNoTextStaysApart",
	},
	{
		name: "replay-forgotten-by-a-restart", breaks: "a signed request is admitted once, also over a restart",
		edit: edit{"ingest/signature.go", `return a.replays.keep(a.mark, now)`, `return nil`},
		pkg:  "ingest", tests: "TestReplaysOutliveARestart",
	},
	{
		name: "replay-kept-before-it-is-stored", breaks: "what a crash kept from the log is admitted when it comes again",
		edit: edit{"ingest/signature.go", `return admission{signed, m, d.Replays}, "", nil`, `return admission{signed, m, d.Replays}, "", d.Replays.keep(m, now)`},
		pkg:  "ingest", tests: "TestReplaysOutliveARestart",
	},
	{
		name: "last-severity-of-several-counts", breaks: "no critical hides behind a copy of its key",
		edit: edit{"ingest/cut.go", `if outranks(h.Value, ls[i].Value) {`, `if outranks(h.Value, ls[i].Value) && h.Name == "" {`},
		pkg:  "ingest", tests: "TestHighestSeverityWins",
	},
	{
		name: "truncated-labels-merge-alerts", breaks: "two alerts that differ behind a cut stay two",
		edit: edit{"ingest/emitter.go", `cutValue = cutIdentity`, `cutValue = cutText`},
		pkg:  "ingest", tests: "TestCuttingMergesNothing",
	},
	{
		name: "dropped-labels-merge-alerts", breaks: "two alerts that differ in labels that were dropped stay two",
		edit: edit{"ingest/cut.go", `Value: fmt.Sprintf("%016x", dropped)`, `Value: fmt.Sprintf("%016x", dropped&0)`},
		pkg:  "ingest", tests: "TestCuttingMergesNothing",
	},
	{
		name: "refusal-of-the-log-answered-2xx", breaks: "a request of which a batch was not stored is answered 503",
		edit: edit{"ingest/emitter.go", `e.err = e.flush(&e.batch)`, `_ = e.flush(&e.batch)`},
		pkg:  "ingest", tests: "TestErrorsOfTheLogAreAnswered503 TestOneFailedBatchFailsTheRequest",
	},
}

// ofTheSinks are planted on the way to the providers.
var ofTheSinks = []mutant{
	{
		name: "descriptions-push-names-out", breaks: "names outlast descriptions, and no provider refuses a text for its length",
		edit: edit{"sinks/alertmanager.go", `alerts = w.fit(ctx, l, alerts)`, `w.fit(ctx, l, alerts)`},
		pkg:  "sinks", tests: "TestNamesOutlastDescriptions TestFieldLimits",
	},
	{
		name: "resolve-under-the-group-key", breaks: "an end closes what a page has opened",
		edit: edit{"sinks/send.go", `each.Key = it.n.Keys[it.resolved]`, `each.Key = it.n.GroupKey`},
		pkg:  "sinks", tests: "TestKeyed",
	},
	{
		name: "resolve-under-one-of-several-keys", breaks: "an end closes each key that was paged under",
		edit: edit{"sinks/send.go", `for it.resolved < uint32(len(it.n.Keys)) {`, "it.resolved = uint32(len(it.n.Keys)) - 1\n\tfor it.resolved < uint32(len(it.n.Keys)) {"},
		pkg:  "sinks", tests: "TestKeyed",
	},
	{
		name: "receipt-before-the-answer", breaks: "a receipt says what the provider said",
		edit: edit{"sinks/target.go", `e := t.send(in, it)`, "t.mu.Lock()\n\tt.finish([]ending{{it, correlate.Accepted, nil}}, nil)\n\tit.receipt = nil\n\tt.mu.Unlock()\n\te := t.send(in, it)"},
		pkg:  "sinks", tests: "TestReceipts TestRetries",
	},
	{
		name: "any-receipt-is-the-last", breaks: "the last receipt of a notification comes when all have it",
		edit: edit{"sinks/receipts.go", `rc.Last = c.left == 0`, `rc.Last = true`},
		pkg:  "sinks", tests: "TestReceipts",
	},
	{
		name: "retry-after-ignored", breaks: "a provider's Retry-After is kept",
		edit: edit{"sinks/target.go", `if wait = min(e.After, maxRetryAfter); wait > 0 {`, `if wait = 0; wait > 0 {`},
		pkg:  "sinks", tests: "TestRetries",
	},
	{
		name: "page-before-an-abandoned-resolve", breaks: "a resolve that arrives late closes no newer incident",
		edit: edit{"sinks/target.go", `left.ends > 0 && t.in != nil`, `left.ends > left.calls && t.in != nil`},
		pkg:  "sinks", tests: "TestHanging",
	},
	{
		name: "all-in-doubt-at-once", breaks: "one message is in doubt where a repeat shows",
		edit: edit{"sinks/slots.go", `s.doubt == 0`, `s.doubt >= 0`},
		pkg:  "sinks", tests: "TestOneMessageIsInDoubt",
	},
	{
		name: "order-per-key-not-kept", breaks: "what is told of a group is told in order",
		edit: edit{"sinks/target.go", `t.queues[it.n.GroupKey]`, `t.queues[it.n.GroupKey+it.n.ID()]`},
		also: []edit{{"sinks/target.go", `q := &queue{key: it.n.GroupKey,`, `q := &queue{key: it.n.GroupKey + it.n.ID(),`}},
		pkg:  "sinks", tests: "TestOrder TestAnyFaults",
	},
	{
		name: "update-in-a-pages-place-wakes-nobody", breaks: "what takes the place of a page that nobody has is a page",
		edit: edit{"sinks/queue.go", `it.page = it.page ||`, `it.page = it.page || false &&`},
		pkg:  "sinks", tests: "TestQueue TestAnyFaults",
	},
	{
		name: "full-queue-tells-nobody", breaks: "what a full queue has no room for is told to somebody",
		edit: edit{"sinks/queue.go", `if it.crowded && it.elsewhere {`, `if it.crowded {`},
		pkg:  "sinks", tests: "TestBounds",
	},
	{
		name: "page-done-with-before-its-update-is-out", breaks: "a page is done with when somebody has got it, or what took its place",
		edit: edit{"sinks/queue.go", `if page >= 0 && it.n.Kind == correlate.Update {`, `if false {`},
		pkg:  "sinks", tests: "TestQueue",
	},
	{
		name: "superseded-update-does-for-a-page", breaks: "no update does for a page that nobody has got, however many crashes later",
		edit: edit{"internal/engine/owner.go", `suffices(n, &h.Notification)`, `h.Incident == n.Incident`},
		pkg:  "internal/engine", tests: "TestNoUpdateDoesForAPage",
	},
	{
		name: "names-of-a-storm-superseded", breaks: "a newer notification without room for its names replaces none",
		edit: edit{"sinks/queue.go", `case i == 0 && q.busy, Outlasts(old.n, it.n):`, `case i == 0 && q.busy:`},
		pkg:  "sinks", tests: "TestNothingTakesThePlaceOfNames",
	},
	{
		name: "secret-printed-in-an-error", breaks: "no error shows a secret",
		edit: edit{"sinks/alertmanager.go", `errors.New(w.secret.error(e.Err))`, `errors.New(e.Err.Error())`},
		pkg:  "sinks", tests: "TestNoSecretInErrors",
	},
	{
		name: "failure-for-good-retried-never-told", breaks: "an answer that says no for good ends the attempts",
		edit: edit{"sinks/classify.go", `case status >= 500:`, `case status >= 400:`},
		pkg:  "sinks", tests: "TestStatus",
	},
	{
		name: "payload-written-over-while-read", breaks: "what a transport still reads of one message is not another one's",
		edit: edit{"sinks/payload.go", `p.open > 0 || cap(p.b)`, `cap(p.b)`},
		pkg:  "sinks", tests: "TestPayloadIsNotReusedWhileRead",
	},
	{
		name: "url-rendered-of-no-alerts", breaks: "a template of the configuration is rendered from all alerts",
		edit: edit{"sinks/webhook.go", ` || strings.Contains(string(c.URL), "{{")`, ` || strings.HasPrefix(string(c.URL), "{{")`},
		pkg:  "sinks", tests: "TestPayloadsLeftToTheNotifier",
	},
	{
		name: "webhook-with-a-name-twice", breaks: "a webhook is, byte for byte, Alertmanager's",
		edit: edit{"sinks/webhook.go", ` && isSorted(t.labels) && isSorted(t.annotations)`, ``},
		pkg:  "sinks", tests: "TestWebhookIsAlertmanagers",
	},
}

// ofTheNode are planted in the guard, in what tries a configuration, and in what
// holds the parts together.
var ofTheNode = []mutant{
	{
		name: "guard-ignores-the-pending-time", breaks: "a page that is pending for too long is made by the guard",
		edit: edit{"internal/guard/bypass.go", `if by.Before(now) {`, `if by.IsZero() {`},
		pkg:  "internal/guard", tests: "TestPagesWhatIsPendingForTooLong",
	},
	{
		name: "guard-pages-what-is-pending", breaks: "the guard is quiet while a page is on its way",
		edit: edit{"internal/guard/bypass.go", `if by.Before(now) {`, `if by.After(now) {`},
		pkg:  "internal/guard", tests: "TestIsQuietAboutWhatIsDecided",
	},
	{
		name: "guard-reads-nothing-of-before-its-start", breaks: "what was accepted just before a crash is watched too",
		edit: edit{"internal/guard/guard.go", `since := time.Now().Add(-ErrorWithin - grace)`, `since := time.Now()`},
		pkg:  "internal/guard", tests: "TestWatchesWhatCameJustBeforeItsStart",
	},
	{
		name: "guard-forgets-what-nobody-took", breaks: "the guard goes on trying until somebody hears",
		edit: edit{"internal/guard/page.go", `if reached > 0 && left == 0 &&`, `if left == 0 &&`},
		pkg:  "internal/guard", tests: "TestGoesOnTryingUntilSomebodyHears",
	},
	{
		name: "unpaging-policy-taken", breaks: "a reload that would unpage criticals is refused",
		edit: edit{"internal/node/reload.go", `case diff.Dangerous() && !force:`, `case diff.Dangerous() && !force && diff.Breaks != "":`},
		pkg:  "internal/node", tests: "TestReloadThatUnpagesCriticalsIsRefused",
	},
	{
		name: "loss-of-another-policy-not-seen", breaks: "a preview sees each critical that nobody would be told of",
		edit: edit{"internal/preview/diff.go", `case is == nil || is.told == 0:`, `case is == nil:`},
		pkg:  "internal/preview", tests: "TestCompare",
	},
	{
		name: "handed-on-to-nobody-answered-2xx", breaks: "past a full log, 2xx means that somebody has it",
		edit: edit{"internal/node/forward.go", `all = f.keep(b, &b.Alerts[i], reached[i], errs[i]) && all`, `_ = f.keep(b, &b.Alerts[i], reached[i], errs[i])`},
		pkg:  "internal/node", tests: "TestFullLogHandsCriticalsOn",
	},
	{
		name: "end-dropped-for-a-removed-receiver", breaks: "an incident is closed where it was opened",
		edit: edit{"sinks/dispatch.go", `addressed = append(addressed, d.gone(n)...)`, `_ = d.gone(n)`},
		pkg:  "internal/node", tests: "TestRemovedReceiverHearsOfTheEnd TestEndGoesWhereItBegan",
	},
	{
		name: "unpaged-by-a-crash-of-the-hand-over", breaks: "what was committed before a crash is delivered after it",
		edit: edit{"internal/engine/deliver.go", `return e.opts.Stream.FindCommit(ctx, input, last)`, `return last + 1, nil`},
		pkg:  "internal/node", tests: "TestBubble",
	},
	{
		name: "beyond-the-limit-paged-at-each-repeat", breaks: "an alert for which there is no room is paged once",
		edit: edit{"internal/node/bypass.go", `return n.raw.stands(a.Fingerprint)`, `return a.Fingerprint == 0`},
		pkg:  "internal/node", tests: "TestBeyondMaxAlertsIsPagedRaw",
	},
	{
		name: "limit-reached-untold", breaks: "people hear of a limit that was reached",
		edit: edit{"internal/node/limits.go", `case len(names) > 0:`, `case len(names) > len(l.all):`},
		pkg:  "internal/node", tests: "TestBeyondMaxAlertsIsPagedRaw",
	},
	{
		name: "self-alert-sent-late", breaks: "a refused page is told within 10 s",
		edit: edit{"internal/selfalert/selfalert.go", `tryAfter    = 5 * time.Second`, `tryAfter    = 15 * time.Second`},
		pkg:  "internal/node", tests: "TestRefusedPageIsToldWithin10Seconds",
	},
}
