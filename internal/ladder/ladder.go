// Package ladder decides how much of its work Winnow does when it is in trouble.
//
// It is a state machine over readings that are taken once a second: up at once
// when one is bad, down only after two minutes of good ones. It is pure: no
// clock, no I/O; it never does what a step asks for.
package ladder

import (
	"fmt"
	"time"
)

// Level is a step of the ladder. Each does what the ones before it do, too.
type Level uint8

const (
	L0 Level = iota // everything
	L1              // pages go out without look-ups
	L2              // what is not on the way of a page is put off
	L3              // the guard pages criticals and errors at once
	L4              // the log takes nothing: what must be acted on is handed on past it
	NumLevels
)

func (l Level) String() string { return "L" + string('0'+rune(min(l, NumLevels-1))) }

const (
	// GoodFor is how long readings must have been better before a step is taken
	// back: to the worst of that time.
	GoodFor = 2 * time.Minute

	// LagWithoutLookUps is the lag of the core at which L1 is taken.
	LagWithoutLookUps = 2 * time.Second
	// LagEssentials is the same for L2.
	LagEssentials = 5 * time.Second
	// LagBypass is the same for L3.
	LagBypass = 15 * time.Second

	// HeapEssentials is the share of the memory limit that may be alive.
	HeapEssentials = 0.70

	// LateShare is the share of the look-ups within Window that may be late or
	// fail, where there were FewLookUps at least.
	LateShare = 0.5
	// FewLookUps is how many are too few to tell.
	FewLookUps = 5

	// ManyPanics is how many panics of the core within Window are a loop: three
	// messages that were given up.
	ManyPanics = 9

	// Window is how far back look-ups and panics count.
	Window = 60 * time.Second
)

// Readings are what was seen since the readings before.
type Readings struct {
	// Lag is how long the oldest message waits that the core has not applied, or
	// how long the core has not answered.
	Lag time.Duration
	// Heap is the share of the memory limit that is alive; 0 without a limit.
	Heap float64

	LookUps, Late int // look-ups done, and how many of them were late or failed
	Panics        int // of the core

	Unbalanced bool // deliveries and dispositions do not add up
	LogRefuses bool // the log takes nothing
}

// Step is a change of level.
type Step struct {
	From, To Level
	Cause    string    // of To, or why it is over
	At       time.Time // of the reading
}

// sample is what counts of a reading for a while.
type sample struct {
	at            time.Time
	lookUps, late int
	panics        int
}

// Ladder is the state machine. The zero value is at L0.
type Ladder struct {
	level Level
	cause string

	better time.Time // since when readings ask for less; zero when they do not
	worst  Level     // asked for since then
	why    string    // of worst

	recent []sample // of the last Window, at most one a reading
}

// Level is the present one.
func (l *Ladder) Level() Level { return l.level }

// Cause says why the present level is not L0.
func (l *Ladder) Cause() string { return l.cause }

// Read takes readings and says whether they change the level. Calls must have
// non-decreasing now.
func (l *Ladder) Read(now time.Time, r Readings) (Step, bool) {
	l.remember(now, &r)
	want, why := l.asks(&r)
	switch {
	case want > l.level:
		return l.to(want, why, now), true
	case want == l.level:
		l.better = time.Time{}
		if want > L0 {
			l.cause = why
		}
		return Step{}, false
	case l.better.IsZero():
		l.better, l.worst, l.why = now, want, why
	case want >= l.worst:
		l.worst, l.why = want, why
	}
	if now.Sub(l.better) < GoodFor {
		return Step{}, false
	}
	why = l.why
	if l.worst == L0 {
		why = "readings have been good for " + GoodFor.String()
	}
	return l.to(l.worst, why, now), true
}

func (l *Ladder) to(level Level, why string, now time.Time) Step {
	s := Step{From: l.level, To: level, Cause: why, At: now}
	l.level, l.cause, l.better = level, why, time.Time{}
	if level == L0 {
		l.cause = ""
	}
	return s
}

// remember keeps what counts within Window.
func (l *Ladder) remember(now time.Time, r *Readings) {
	kept := l.recent[:0]
	for _, s := range l.recent {
		if now.Sub(s.at) < Window {
			kept = append(kept, s)
		}
	}
	l.recent = kept
	if r.LookUps != 0 || r.Panics != 0 {
		l.recent = append(l.recent, sample{now, r.LookUps, r.Late, r.Panics})
	}
}

// asks returns the highest level that the readings ask for, and why.
func (l *Ladder) asks(r *Readings) (Level, string) {
	lookUps, late, panics := 0, 0, 0
	for _, s := range l.recent {
		lookUps += s.lookUps
		late += s.late
		panics += s.panics
	}
	switch {
	case r.LogRefuses:
		return L4, "the log takes nothing"
	case r.Unbalanced:
		return L3, "the books do not balance"
	case panics >= ManyPanics:
		return L3, fmt.Sprintf("the core panicked %d times within %s", panics, Window)
	case r.Lag > LagBypass:
		return L3, behind(r.Lag, LagBypass)
	case r.Lag > LagEssentials:
		return L2, behind(r.Lag, LagEssentials)
	case r.Heap > HeapEssentials:
		return L2, fmt.Sprintf("%.0f %% of the memory limit are alive", 100*r.Heap)
	case r.Lag > LagWithoutLookUps:
		return L1, behind(r.Lag, LagWithoutLookUps)
	case lookUps >= FewLookUps && float64(late) > LateShare*float64(lookUps):
		return L1, fmt.Sprintf("%d of %d look-ups within %s were late or failed", late, lookUps, Window)
	}
	return L0, ""
}

func behind(lag, limit time.Duration) string {
	return fmt.Sprintf("the core is %s behind, more than %s", lag.Round(time.Second), limit)
}
