package house

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// foreignFlags are flags of other programs that documents name on their own.
var foreignFlags = map[string]string{
	"--help": "every verb has it",
}

// known is what a command line may name.
type known struct {
	tree    *Tree
	targets map[string]bool // of the Makefile
	flags   map[string]bool // of cmd, without dashes
	verbs   map[string]bool // of cmd/winnow
}

// Commands wants every make target, every verb and flag of winnow, and every
// package that a document's commands name to exist. It reads what stands in
// backticks and in blocks of a shell (of a console: the lines after a prompt).
func Commands(t *Tree) []Finding {
	k := known{t, makeTargets(t), map[string]bool{"help": true, "version": true}, map[string]bool{"help": true, "completion": true}}
	k.readCmd()
	var out []Finding
	add := func(doc Text, n int, wrong []string) {
		for _, w := range wrong {
			out = append(out, Finding{doc.Path + ":" + strconv.Itoa(n), w, truthWhy, "name what is there"})
		}
	}
	for _, doc := range t.Markdown() {
		for _, l := range markdownLines(doc.Body) {
			for _, s := range l.spans() {
				add(doc, l.n, k.wrongSpan(s))
			}
		}
		for _, b := range blocks(doc.Body) {
			for _, c := range shellLines(b) {
				add(doc, c.n, k.wrongLine(c.text))
			}
		}
	}
	return out
}

func (k known) wrongSpan(s string) []string {
	if strings.HasPrefix(s, "--") {
		return k.wrongFlags(strings.Fields(s))
	}
	return k.wrongLine(s)
}

var assignment = regexp.MustCompile(`^[A-Za-z_]\w*=`)

// wrongLine lists what a shell's line names that does not exist.
func (k known) wrongLine(line string) []string {
	var out, words []string
	flush := func() {
		out, words = append(out, k.wrongCommand(words)...), nil
	}
	for w := range strings.FieldsSeq(line) {
		if strings.HasPrefix(w, "#") {
			break
		}
		if slices.Contains([]string{"|", "||", "&&", ";", "&"}, w) {
			flush()
			continue
		}
		if len(words) == 0 && assignment.MatchString(w) {
			continue
		}
		w, last := strings.CutSuffix(w, ";")
		words = append(words, strings.Trim(w, `"'()`))
		if last {
			flush()
		}
	}
	flush()
	return out
}

func (k known) wrongCommand(words []string) []string {
	if len(words) == 0 {
		return nil
	}
	switch words[0] {
	case "make":
		return k.wrongTargets(words[1:])
	case "winnow", "./winnow", "bin/winnow", "./bin/winnow":
		return k.wrongVerb(words[1:])
	case "go":
		for i, w := range words {
			if w == "./cmd/winnow" && words[1] == "run" {
				return append(k.wrongPackages(words[:i+1]), k.wrongVerb(words[i+1:])...)
			}
		}
		return k.wrongPackages(words)
	}
	return nil
}

func (k known) wrongTargets(words []string) []string {
	var out []string
	for _, w := range words {
		if makeWord.MatchString(w) && !k.targets[w] {
			out = append(out, "names make "+w+", which the Makefile does not have")
		}
	}
	return out
}

func (k known) wrongPackages(words []string) []string {
	var out []string
	for _, w := range words {
		p, ok := strings.CutPrefix(strings.TrimSuffix(w, "/..."), "./")
		if ok && p != "" && p != "..." && !strings.ContainsAny(p, "<>*{}") && !within(p, "bin") && !within(p, "dist") && !k.tree.Exists(p) {
			out = append(out, "names "+w+", which does not exist")
		}
	}
	return out
}

var verbWord = regexp.MustCompile(`^[a-z][a-z-]*$`)

func (k known) wrongVerb(words []string) []string {
	out := k.wrongFlags(words)
	for i, w := range words {
		if strings.HasPrefix(w, "-") {
			continue
		}
		value := i > 0 && strings.HasPrefix(words[i-1], "-") // perhaps of a flag
		if !value && verbWord.MatchString(w) && !k.verbs[w] {
			out = append(out, "names winnow "+w+", which is no verb of it")
		}
		if !value {
			break
		}
	}
	return out
}

var flagWord = regexp.MustCompile(`^--([a-z][a-z0-9.-]*)`)

func (k known) wrongFlags(words []string) []string {
	var out []string
	for _, w := range words {
		m := flagWord.FindStringSubmatch(w)
		if m == nil || k.flags[m[1]] || k.flags[strings.TrimPrefix(m[1], "no-")] || foreignFlags["--"+m[1]] != "" {
			continue
		}
		out = append(out, "names --"+m[1]+", which is no flag of winnow")
	}
	return out
}

var (
	makeWord = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
	makeRule = regexp.MustCompile(`(?m)^([a-z][a-z0-9_ -]*):([^=]|$)`)
)

func makeTargets(t *Tree) map[string]bool {
	out := map[string]bool{}
	for _, x := range t.Texts {
		if x.Path != "Makefile" {
			continue
		}
		for _, m := range makeRule.FindAllStringSubmatch(x.Body, -1) {
			for w := range strings.FieldsSeq(m[1]) {
				out[w] = true
			}
		}
	}
	return out
}

// defines are the methods of a flag set that define a flag.
var defines = regexp.MustCompile(`^(Bool|Count|Duration|Float(32|64)|Int(8|16|32|64)?|IP|String|StringTo(Int|Int64|String)|Text|Time|Uint(8|16|32|64)?|Func|BoolFunc|)(Array|Slice)?(Var)?P?$`)

// readCmd collects the flags and verbs that cmd defines: the first constant
// string among a defining call's arguments, and cobra's Use.
func (k known) readCmd() {
	for _, f := range k.tree.Go {
		if !within(f.Dir, "cmd") || f.Test {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && defines.MatchString(s.Sel.Name) {
					if name := firstString(n.Args[:min(2, len(n.Args))]); flagWord.MatchString("--" + name) {
						k.flags[name] = true
					}
				}
			case *ast.KeyValueExpr:
				if id, ok := n.Key.(*ast.Ident); ok && id.Name == "Use" {
					verb, _, _ := strings.Cut(firstString([]ast.Expr{n.Value}), " ")
					k.verbs[verb] = true
				}
			}
			return true
		})
	}
}

func firstString(xs []ast.Expr) string {
	for _, x := range xs {
		if lit, ok := x.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				return s
			}
		}
	}
	return ""
}

type shellLine struct {
	n    int
	text string
}

// shellLines are the commands of a block, continued lines joined.
func shellLines(b block) []shellLine {
	if !contains("sh bash zsh shell console", b.lang) {
		return nil
	}
	prompts := b.lang == "console" || strings.HasPrefix(b.text, "$ ") || strings.Contains(b.text, "\n$ ")
	var out []shellLine
	lines := strings.Split(b.text, "\n")
	for i := 0; i < len(lines); i++ {
		text, prompt := strings.CutPrefix(lines[i], "$ ")
		n := b.n + i
		for strings.HasSuffix(text, `\`) && i+1 < len(lines) {
			i++
			text = strings.TrimSuffix(text, `\`) + " " + lines[i]
		}
		if prompt || !prompts {
			out = append(out, shellLine{n, text})
		}
	}
	return out
}
