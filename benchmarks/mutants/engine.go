package main

// ofTheLog are planted where the log, its frames and the outbox are written and
// read.
var ofTheLog = []mutant{
	{
		name: "ack-before-persist", breaks: "2xx means durable",
		edit: edit{"internal/stream/writer.go", "a := <-r.answer\n\treturn a.seq, a.err", "return w.stored.Load() + 1, nil"},
		pkg:  "internal/stream", tests: "TestFullLogSaysUnavailable TestNothingIsAcceptedAfterAWriteThatFailed",
	},
	{
		name: "reader-waits-for-what-is-stored", breaks: "what was stored without an answer is read",
		edit: edit{"internal/stream/writer.go", "\t\tw.s.logTail.doubt()\n", ""},
		pkg:  "internal/stream", tests: "TestReaderFindsWhatWasStoredUnsaid",
	},
	{
		name: "tail-passes-over-a-gap", breaks: "a reader has each message once and in order",
		edit: edit{"internal/stream/tail.go", `if !t.known || seq != t.last+1 {`, `if !t.known {`},
		pkg:  "internal/stream", tests: "TestTailAgainstList",
	},
	{
		name: "witness-forgets-numbers", breaks: "the witness knows what stands, also what began by a number",
		edit: edit{"internal/engine/recall.go", "case began && len(inFull) > 0 && i >= inFull[0].from:", "case began:"},
		pkg:  "internal/engine", tests: "TestWitnessKnowsWhatStands",
	},
	{
		name: "witness-forgets-messages", breaks: "the witness knows what stands, also what came in full",
		edit: edit{"internal/engine/recall.go", "\t\t\tmessage = true\n", "\t\t\tmessage = false\n"},
		pkg:  "internal/engine", tests: "TestWitnessKnowsWhatStands",
	},
	{
		name: "witness-believes-an-end-for-ever", breaks: "what comes back is believed no longer than its source said",
		edit: edit{"internal/engine/witness.go", "return a.EndsAt.Sub(rec.at), a.EndsAt > rec.at", "return e.Validity, true"},
		pkg:  "internal/engine", tests: "TestWhatAMessageRemembers",
	},
	{
		name: "witness-believes-a-head", breaks: "a bent head of a record is damage",
		edit: edit{"internal/engine/witness.go", "binary.LittleEndian.Uint64(head[sum:]) != xxhash.Sum64(head[:sum])", "sum < 0"},
		pkg:  "internal/engine", tests: "TestBentWitnessIsNamed",
	},
	{
		name: "guard-shares-what-overlaps", breaks: "a text that the guard keeps by what differs comes back",
		edit: edit{"internal/guard/kept/words.go", "for head+tail < n && a[len(a)-1-tail]", "for tail < n && a[len(a)-1-tail]"},
		pkg:  "internal/guard/kept", tests: "TestTextsThatAreAlike",
	},
	{
		name: "verify-believes-a-record", breaks: "verify names each flipped byte",
		edit: edit{"internal/stream/files.go", `string(r.hash.Sum(sum[:0])) != string(b[end:size])`, `string(r.hash.Sum(sum[:0])) == ""`},
		pkg:  "internal/verify", tests: "TestEveryFlippedByteIsNamed",
	},
	{
		name: "verify-passes-over-a-gap", breaks: "verify names what is missing",
		edit: edit{"internal/verify/verify.go", `r.tell("%s missing (before %s)", missing, place(p))`, `_ = missing`},
		pkg:  "internal/verify", tests: "TestWhatIsMissing",
	},
	{
		name: "accepted-by-a-broken-store", breaks: "once the store could not write, nothing is accepted",
		edit: edit{"internal/stream/writer.go", `err = w.s.Broken() // whatever`, `err = nil // whatever`},
		also: []edit{{"internal/stream/mend.go", "if err := s.Broken(); err != nil {\n\t\treturn nil, err\n", "if err := s.Broken(); err != nil && s.closed {\n\t\treturn nil, err\n"}},
		pkg:  "internal/stream", tests: "TestNothingIsAcceptedAfterAWriteThatFailed",
	},
	{
		name: "waits-for-a-late-log", breaks: "while the log stores nothing in time one sender at a time tries it",
		edit: edit{"internal/stream/writer.go", `if at == 0 {`, `if at >= 0 {`},
		pkg:  "internal/stream", tests: "TestSlowLogHoldsNobodyUp",
	},
	{
		name: "frame-counter-reused", breaks: "each frame has a number of its own",
		edit: edit{"internal/stream/writer.go", `w.counter++`, `w.counter += 0`},
		pkg:  "internal/stream", tests: "TestConcurrentAppendsShareFrames TestReopenGoesOnWithTheNumbers",
	},
	{
		name: "frame-counter-reused-after-a-restart", breaks: "the numbers of frames go on over a restart",
		edit: edit{"internal/stream/writer.go", `w.counter, w.last, w.before = h.Counter+1,`, `w.counter, w.last, w.before = h.Counter,`},
		pkg:  "internal/stream", tests: "TestReopenGoesOnWithTheNumbers",
	},
	{
		name: "handed-over-in-one-try", breaks: "what was handed on past a shared log is in it when a process ends",
		edit: edit{"internal/node/shared.go", "case <-time.After(handOverAgain):", "case <-time.After(handOverAgain):\n\t\t\treturn err"},
		pkg:  "internal/node", tests: "TestWhatWentPastTheLogIsHandedOver",
	},
	{
		name: "step-of-the-clock-untold", breaks: "the log says by how much the clock was set",
		edit: edit{"internal/stream/writer.go", `h.At, h.Step = w.clock.stamp(`, `h.At, _ = w.clock.stamp(`},
		pkg:  "internal/stream", tests: "TestStepsOfTheClockAreTold",
	},
	{
		name: "step-of-the-clock-told-twice", breaks: "the log says once by how much the clock was set",
		edit: edit{"internal/stream/writer.go", "answer was lost\n\t\tw.clock.stored(h.Step)", "answer was lost\n\t\tw.clock.stored(0)"},
		pkg:  "internal/stream", tests: "TestStepsOfTheClockAreTold",
	},
	{
		name: "chain-not-looked-at", breaks: "a frame that was exchanged for another is named",
		edit: edit{"internal/frame/frame.go", `h.Previous == sum {`, `h.Previous != sum {`},
		pkg:  "internal/engine", tests: "TestAnExchangedFrameIsNamed",
	},
	{
		name: "timer-of-the-wall-clock", breaks: "a page comes when it is due, whatever the clock is set to",
		edit: edit{"internal/engine/run.go", `at.Sub(e.opts.Stream.Now(e.owner.shard.seq))`, `time.Until(at.Std())`},
		pkg:  "internal/node", tests: "TestClockOfTheMachineIsSet",
	},
	{
		name: "books-keep-the-old-clock", breaks: "the books judge by the time that passes",
		edit: edit{"ledger/clock.go", "l.until.Shift(by)", "l.saw(l.until.Add(by))"},
		pkg:  "ledger", tests: "TestClockSteps TestTheBooksAlwaysBalance",
	},
	{
		name: "log-fence-dropped", breaks: "a frame is stored behind the one that it was made for",
		edit: edit{"internal/stream/writer.go", `jetstream.WithExpectLastSequencePerSubject(w.last), `, ``},
		pkg:  "internal/stream", tests: "TestNumbersGoOnBehindALostAnswer",
	},
	{
		name: "commit-fence-dropped", breaks: "of two processes one is kept from committing",
		edit: edit{"internal/stream/outbox.go", `jetstream.WithExpectLastSequencePerSubject(after), `, ``},
		pkg:  "internal/stream", tests: "TestCommitIsFenced",
	},
	{
		name: "tenure-fence-dropped", breaks: "a process learns that another has taken over",
		edit: edit{"internal/stream/tenure.go", `jetstream.WithExpectLastSequencePerSubject(after), `, ``},
		pkg:  "internal/stream", tests: "TestNoTwoMaySendAtOnce",
	},
	{
		name: "tenure-lapses-early", breaks: "nobody takes over while the owner may still send",
		edit: edit{"internal/stream/tenure.go", `tenureLapses   = 5 * time.Second`, `tenureLapses   = 2 * time.Second`},
		pkg:  "internal/stream", tests: "TestNoTwoMaySendAtOnce",
	},
	{
		name: "tenure-believed-for-ever", breaks: "a process that the log's servers do not answer stops sending",
		edit: edit{"internal/stream/tenure.go", `now.Sub(t.asked) < tenureBelieved && now.Round(0).Sub(t.asked.Round(0)) < tenureBelieved`, `true`},
		pkg:  "internal/stream", tests: "TestNoTwoMaySendAtOnce",
	},
	{
		name: "standing-still-is-being-cut-off", breaks: "a process that was stopped does not take the log's servers for gone",
		edit: edit{"internal/stream/tenure.go", ` || time.Since(asked) >= tenureTimeout+stoppedFor`, ``},
		pkg:  "internal/stream", tests: "TestStandingStillIsNotBeingCutOff",
	},
	{
		name: "busy-and-discourteous", breaks: "of several processes that append each comes to it",
		edit: edit{"internal/stream/writer.go", `time.Sleep(w.courtesy())`, `_ = w.courtesy()`},
		pkg:  "internal/stream", tests: "TestBusyProcessLetsOthersIn",
	},
	{
		name: "reader-loses-its-consumer", breaks: "a reader of a shared log goes on when its consumer is gone",
		edit: edit{"internal/stream/reader.go", `if err != nil && r.s.Shared() {`, `if err != nil && r.s.Shared() && r.closed {`},
		pkg:  "internal/stream", tests: "TestReaderOutlivesItsConsumer",
	},
	{
		name: "numbers-of-three", breaks: "repeats that several processes send are not lost",
		edit: edit{"internal/node/shared.go", `if n.stream.Shared() {
		return nil
	}
	return &n.spoken`, `return &n.spoken`},
		pkg: "internal/node", tests: "TestStandbyAcceptsAlerts",
	},
	{
		name: "frame-checksum-ignored", breaks: "damage is noticed, not applied",
		edit: edit{"internal/frame/frame.go", `want != got {`, `want != got && len(msg) == 0 {`},
		pkg:  "internal/frame", tests: "TestEveryFlippedBitIsFound",
	},
}

// ofTheEngine are planted where decisions are made durable, and where a life
// takes over from the one before.
var ofTheEngine = []mutant{
	{
		name: "page-before-commit", breaks: "nobody acts on what is not committed",
		edit: edit{"internal/engine/run.go", "e.keepDecided(m.Seq, outputs)", "for i := range outputs {\n\t\t\te.opts.Deliver(ctx, &Delivery{Notification: &outputs[i]})\n\t\t}\n\t\te.keepDecided(m.Seq, outputs)"},
		also: []edit{{"internal/engine/deliver.go", "e.opts.Deliver(ctx, &d)", "if d.Again {\n\t\t\te.opts.Deliver(ctx, &d)\n\t\t}"}},
		pkg:  "internal/engine", tests: "TestZombieIsFenced",
	},
	{
		name: "life-without-a-claim", breaks: "of two processes the older commits nothing once the newer has begun",
		edit: edit{"internal/engine/engine.go", `e.write(ctx, e.owner.Claim(at))`, `error(nil)`},
		also: []edit{{"internal/engine/engine.go", `at = c.At`, `_, at = at, c.At`}},
		pkg:  "internal/engine", tests: "TestLifeBeginsWithAClaim",
	},
	{
		name: "standby-ahead-of-the-outbox", breaks: "what the owner has not committed is decided by the one that takes over",
		edit: edit{"internal/engine/keepup.go", `e.shardAt(ctx, c.Input)`, `e.shardAt(ctx, held.Last)`},
		pkg:  "internal/engine", tests: "TestStandbyKeepsUp",
	},
	{
		name: "claims-are-alike", breaks: "a process does not take another's claim for its own",
		edit: edit{"internal/engine/owner.go", `last.Owner == c.Owner && `, ``},
		pkg:  "internal/engine", tests: "TestClaimsOfTwoAreToldApart",
	},
	{
		name: "overtaken-and-sending", breaks: "what waits is not sent by a process that another has taken the place of",
		edit: edit{"internal/node/node.go", `May: n.stream.May, `, ``},
		pkg:  "internal/node", tests: "TestOvertakenProcessSendsNothing",
	},
	{
		name: "asked-too-early", breaks: "whether this process may send is asked right before the call",
		edit: edit{"sinks/target.go", `if !t.d.may() { // this goroutine`, `if false { // this goroutine`},
		pkg:  "sinks", tests: "TestIsAskedAgainRightBeforeTheCall",
	},
	{
		name: "one-side-is-silent", breaks: "both sides of a partition page",
		edit: edit{"internal/node/shared.go", ` && !n.stream.CutOff()`, ``},
		pkg:  "internal/node", tests: "TestBothSidesOfAPartitionPage",
	},
	{
		name: "nothing-is-handed-over", breaks: "what a process has paged past the log is known to the next",
		edit: edit{"internal/node/node.go", "n.watchers.Wait()\n\tn.handOver()", "n.watchers.Wait()"},
		pkg:  "internal/node", tests: "TestWhatWentPastTheLogIsHandedOver",
	},
	{
		name: "committed-twice", breaks: "what an earlier life has committed and delivered is not decided again",
		edit: edit{"internal/engine/owner.go", `seq <= o.committed.input {`, `seq == 0 {`},
		also: []edit{{"internal/engine/owner.go", `by > r.resumed || r.undelivered`, `by > 0 || r.undelivered`}},
		pkg:  "internal/sim", tests: "TestCrashPoints",
	},
	{
		name: "partial-commit-forgotten", breaks: "of a message committed in parts each part is written once",
		edit: edit{"internal/engine/owner.go", `partial: last.Partial}`, `partial: 0 * last.Partial}`},
		pkg:  "internal/sim", tests: "TestCrashPoints",
	},
	{
		name: "page-after-its-resolve", breaks: "after a start nobody is called to what is over",
		edit: edit{"internal/engine/owner.go", `classes |= m.Class`, `classes |= 0 & m.Class`},
		pkg:  "internal/sim", tests: "TestCrashPoints",
	},
	{
		name: "undelivered-not-sent-again", breaks: "what was committed and not confirmed is sent by the next life",
		edit: edit{"internal/engine/owner.go", `r.held = append(r.held, heldBack{Notification: *n})`, `r.held = append(r.held[:0:0], heldBack{Notification: *n})`},
		pkg:  "internal/sim", tests: "TestCrashPoints",
	},
	{
		name: "receipt-of-one-settles-all", breaks: "a notification is undelivered until its last receipt",
		edit: edit{"internal/engine/shard.go", `if e.Receipt.Last {`, `if e.Receipt.Incident > 0 {`},
		pkg:  "internal/sim", tests: "TestCrashPoints",
	},
	{
		name: "answers-not-passed-on", breaks: "who has taken a notification does not get it again while another has not",
		edit: edit{"internal/engine/owner.go", `r.answered[notificationID{n.Incident, n.Revision}]...)`, `r.answered[notificationID{n.Incident, 0}]...)`},
		pkg:  "internal/node", tests: "TestCrashWritesNothingTwiceWhileThePagerHangs",
	},
	{
		name: "answer-to-a-newer-one-without-the-name", breaks: "a critical that was refused, and has not come to the fallback, is sent again",
		edit: edit{"internal/engine/owner.go", `(j == i || !sinks.Outlasts(&r.held[i].Notification, &n.Notification))`, `(j == i || !sinks.Outlasts(&n.Notification, &n.Notification))`},
		pkg:  "internal/engine", tests: "TestRefusedNameIsSentAgain",
	},
	{
		name: "snapshot-without-the-answers", breaks: "what a snapshot leaves out is known all the same",
		edit: edit{"internal/engine/snapshot.go", `if len(s.answered) > 0 {`, `if len(s.answered) < 0 {`},
		pkg:  "internal/engine", tests: "TestAnswersOutliveALife",
	},
	{
		name: "waiting-page-falls-nowhere", breaks: "a page that its receiver does not take goes to the fallback",
		edit: edit{"internal/node/fallback.go", `if !f.fell && hasFallback(f.Notification, to) {`, `if f.fell && hasFallback(f.Notification, to) {`},
		pkg:  "internal/node", tests: "TestPageThatWaitsGoesToTheFallback",
	},
	{
		name: "receipts-ignored", breaks: "a restart pages nothing twice",
		edit: edit{"internal/engine/shard.go", `if e.Receipt.Last {`, `if e.Receipt.Last && e.Receipt.Incident == 0 {`},
		pkg:  "internal/engine", tests: "TestRestartPagesNothingTwice TestResolvedIsNotPagedAgain",
	},
	{
		name: "time-of-the-wall-clock", breaks: "the same log gives the same decisions, today or in a year",
		edit: edit{"internal/engine/shard.go", `s.now = max(s.now, h.At); h.At == 0`, `s.now = alert.TimeOf(time.Now()); h.At == 0`},
		pkg:  "internal/engine", tests: "TestSnapshotGoesOnAsBefore TestReplayKnowsNothingOfThePresentPolicy",
	},
	{
		name: "resume-left-out", breaks: "our own absence ends no alert",
		edit: edit{"internal/engine/owner.go", `first = frame.Event{Kind: frame.Resume, From: held.LastAt}`, `first = frame.Event{Kind: frame.Tick}`},
		pkg:  "internal/engine", tests: "TestOurAbsenceResolvesNothing",
	},
	{
		name: "poison-list-not-kept", breaks: "a message that breaks the core breaks no later life",
		edit: edit{"internal/engine/poison.go", `if p.dir == "" {`, `if p.dir != "" {`},
		pkg:  "internal/engine", tests: "TestPoisonIsGivenUp",
	},
	{
		name: "poison-told-to-nobody", breaks: "the alerts of a message that was given up are paged raw",
		edit: edit{"internal/engine/poison.go", `e.opts.Poisoned(m, broke)`, `_ = m`},
		pkg:  "internal/engine", tests: "TestPoisonIsGivenUp",
	},
	{
		name: "snapshot-without-the-undelivered", breaks: "what a snapshot leaves out is delivered all the same",
		edit: edit{"internal/engine/snapshot.go", `maps.Keys(s.undelivered)`, `maps.Keys(map[notificationID]uint64{})`},
		pkg:  "internal/sim", tests: "TestCrashPoints",
	},
	{
		name: "snapshot-checksum-ignored", breaks: "a snapshot is whole or it is not used",
		edit: edit{"internal/engine/snapshot.go", `!= xxhash.Sum64(b[:end]) {`, `== 0 && xxhash.Sum64(b[:end]) == 0 {`},
		pkg:  "internal/engine", tests: "TestDamagedSnapshotIsNotUsed",
	},
	{
		name: "lost-numbers-used-again", breaks: "nothing new takes the number of something that was decided",
		edit: edit{"internal/engine/owner.go", `seq >= max(o.padTo, o.committed.input+1)`, `seq > 0`},
		pkg:  "internal/engine", tests: "TestLogThatLostItsEnd",
	},
	{
		name: "quarantined-rest-not-counted", breaks: "the rest of a body that could not be read is accounted for",
		edit: edit{"internal/engine/shard.go", `range max(e.Quarantine.Alerts, 1) {`, `range e.Quarantine.Alerts {`},
		pkg:  "internal/engine", tests: "TestQuarantinedIsInTheBooks",
	},
	{
		name: "gap-in-frame-counters-unnamed", breaks: "a frame that is missing is named",
		edit: edit{"internal/engine/shard.go", `h.Counter != s.counter+1 {`, `h.Counter < s.counter {`},
		pkg:  "internal/engine", tests: "TestMissingFrameIsNamed",
	},
}
