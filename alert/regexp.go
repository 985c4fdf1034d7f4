package alert

import (
	"fmt"
	"regexp/syntax"
	"unicode"
)

// MaxRegexpSteps bounds what an expression may take on one value, in steps of Go's
// matcher, of which some hundred millions take a second. Thousands of names pass,
// also with .* on either side of all of them, and five hundred with .* on either
// side of each.
const MaxRegexpSteps = 1 << 29

const (
	// longestValue is what a label's value is cut to, unless it is configured
	// otherwise.
	longestValue = 64 << 10

	// maxRegexpInsts bounds the compiled program. An expression of MaxRegexpBytes
	// that counts nothing, as x{1000} does, has a tenth of it.
	maxRegexpInsts = 1 << 20

	// ofWords is how many instructions count as one that do not come back to
	// themselves: a value has to spell a word to come further in it, and spells few
	// at a time.
	ofWords = 8
)

// Check refuses a matcher whose expression may take too long, for CheckRegexp's
// reasons. Who writes a matcher is told so; one that a log holds already is not
// asked.
func (m *Matcher) Check() error {
	if m.Op != Regexp && m.Op != NotRegexp {
		return nil
	}
	if err := CheckRegexp(m.Value); err != nil {
		return fmt.Errorf("matcher on %q: %w", m.Name, err)
	}
	return nil
}

// CheckRegexp refuses an expression that may take longer on a long value than a
// route should. Steps are estimated: what repeats is taken to be at work for the
// whole of the value.
func CheckRegexp(expression string) error {
	re, err := syntax.Parse("^(?:"+expression+")$", syntax.Perl)
	if err != nil {
		return err
	}
	p, err := syntax.Compile(re.Simplify())
	if err != nil {
		return err
	}
	if len(p.Inst) > maxRegexpInsts {
		return fmt.Errorf("the expression compiles to %d instructions, at most %d: it counts too far, or too often", len(p.Inst), maxRegexpInsts)
	}
	g := regexpGraph{prog: p}
	once := g.unroll()
	again := g.each()
	if steps := once + again*longestValue; steps > MaxRegexpSteps {
		return fmt.Errorf("the expression may take %d steps on a value of %d bytes, at most %d: too much of it repeats", steps, longestValue, MaxRegexpSteps)
	}
	return nil
}

// regexpGraph is a compiled expression as Go's matcher walks it: at each character
// of a value it holds a set of instructions, and takes a step for each that it
// looks at.
type regexpGraph struct {
	prog   *syntax.Prog
	before []int32 // edges into each instruction that have not been followed
}

// next are the instructions behind one.
func (g *regexpGraph) next(i uint32) (out [2]uint32, n int) {
	switch in := &g.prog.Inst[i]; in.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		return [2]uint32{in.Out, in.Arg}, 2
	case syntax.InstMatch, syntax.InstFail:
		return out, 0
	default:
		return [2]uint32{in.Out}, 1
	}
}

func readsRune(op syntax.InstOp) bool {
	return op == syntax.InstRune || op == syntax.InstRune1 || op == syntax.InstRuneAny || op == syntax.InstRuneAnyNotNL
}

// unroll bounds the steps in what stands before any repetition: an instruction can
// be in the set only as far into a value as one can have come to it. What is left
// with edges before it is in a repetition or behind one.
func (g *regexpGraph) unroll() (steps int) {
	insts := g.prog.Inst
	g.before = make([]int32, len(insts))
	reached := make([]bool, len(insts))
	stack := []uint32{uint32(g.prog.Start)}
	reached[g.prog.Start] = true
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		out, n := g.next(i)
		for _, o := range out[:n] {
			if g.before[o]++; !reached[o] {
				reached[o] = true
				stack = append(stack, o)
			}
		}
	}
	type span struct{ least, most int32 } // characters before it
	at := make([]span, len(insts))
	for i := range at {
		at[i].least = 1<<31 - 1
	}
	at[g.prog.Start].least = 0
	if g.before[g.prog.Start] == 0 {
		stack = append(stack, uint32(g.prog.Start))
	}
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		steps += min(int(at[i].most-at[i].least)+1, longestValue)
		read := int32(0)
		if readsRune(insts[i].Op) {
			read = 1
		}
		out, n := g.next(i)
		for _, o := range out[:n] {
			at[o].least, at[o].most = min(at[o].least, at[i].least+read), max(at[o].most, at[i].most+read)
			if g.before[o]--; g.before[o] == 0 {
				stack = append(stack, o)
			}
		}
	}
	return steps
}

// each bounds the steps for one character of what is in a repetition or behind
// one: of the instructions that read it, all that may come next.
func (g *regexpGraph) each() int {
	again := 0
	for i := range g.before {
		if g.before[i] > 0 {
			again++
		}
	}
	const enough = MaxRegexpSteps / longestValue
	if again <= enough {
		return again // it can be no more than all of them
	}
	// What comes back to itself stays at work; of all else, the instructions of the
	// character that most of them read, and those that read several.
	stays, passes, most, of := 0, 0, 0, map[rune]int{}
	seen := make([]uint32, len(g.prog.Inst)) // the walk that came there last
	for i := range g.prog.Inst {
		in := &g.prog.Inst[i]
		if g.before[i] == 0 || !readsRune(in.Op) {
			continue
		}
		walk := uint32(i) + 1
		n := 1 + g.reach(in.Out, seen, walk, enough)
		if r, ok := onlyRune(in); seen[i] == walk {
			stays += n
		} else if ok {
			of[r] += n
			most = max(most, of[r])
		} else {
			passes += n
		}
		if stays+(passes+most)/ofWords > enough {
			break
		}
	}
	return min(again, stays+(passes+most)/ofWords)
}

// reach counts the instructions between one and the next characters, up to about
// enough.
func (g *regexpGraph) reach(from uint32, seen []uint32, walk uint32, enough int) (n int) {
	stack := []uint32{from}
	for len(stack) > 0 && n <= enough {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[i] == walk {
			continue
		}
		seen[i] = walk
		n++
		if readsRune(g.prog.Inst[i].Op) {
			continue
		}
		out, k := g.next(i)
		stack = append(stack, out[:k]...)
	}
	return n
}

// onlyRune is the character that an instruction reads, in lower case where it
// reads both.
func onlyRune(in *syntax.Inst) (rune, bool) {
	switch {
	case in.Op == syntax.InstRune1 || in.Op == syntax.InstRune && len(in.Rune) == 1:
		return unicode.ToLower(in.Rune[0]), true
	case in.Op == syntax.InstRune && len(in.Rune) == 2 && in.Rune[0] == in.Rune[1]:
		return unicode.ToLower(in.Rune[0]), true
	}
	return 0, false
}
