package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxAliasNodes bounds what the aliases of a file may expand to, so that a few
// lines cannot fill the memory.
const maxAliasNodes = 100_000

// document is a file as a tree whose nodes know their place.
type document struct {
	name  string
	text  string // without a byte order mark
	lines []string
	root  *yaml.Node // without aliases; nil if the file says nothing
}

// compose parses text. The document is good for excerpts even when it fails.
func compose(name string, text []byte) (*document, *fault) {
	d := &document{name: name}
	if len(text) > MaxTextBytes {
		return d, &fault{1, 1, fmt.Sprintf("a file of more than %d bytes, which is the most that is read", MaxTextBytes)}
	}
	s := strings.TrimPrefix(string(text), "\ufeff")
	d.text = s
	d.lines = splitLines(strings.ToValidUTF8(s, "\ufffd"))
	if f := unreadable(s); f != nil {
		return d, f
	}
	docs, err := parseDocuments(s)
	if err != nil {
		return d, d.syntaxFault(err)
	}
	for i := 1; i < len(docs); i++ {
		if !empty(docs[i]) {
			return d, &fault{docs[i].Line, docs[i].Column, "a second document: only one is read, put everything into the first"}
		}
	}
	if len(docs) == 0 || empty(docs[0]) {
		return d, nil
	}
	x := expander{open: map[*yaml.Node]bool{}}
	d.root = x.expand(docs[0].Content[0])
	return d, x.bad
}

// parseDocuments never panics: a defect of the parser must not take down a
// process that pages people.
func parseDocuments(s string) (docs []*yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			docs, err = nil, fmt.Errorf("the YAML parser failed on this file: %v", p)
		}
	}()
	var nodes []yaml.Node
	if err := yaml.Load([]byte(s), &nodes, yaml.WithAllDocuments()); err != nil {
		return nil, err
	}
	for i := range nodes {
		docs = append(docs, &nodes[i])
	}
	return docs, nil
}

func empty(doc *yaml.Node) bool {
	return len(doc.Content) == 0 || isNull(doc.Content[0])
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// unreadable finds the first character that no YAML file may have: the parser
// would refuse it without saying where.
func unreadable(s string) *fault {
	for i, r := range s {
		message := ""
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				message = "the file is not UTF-8 text"
			}
		} else if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f {
			message = fmt.Sprintf("a control character (%U) that YAML does not allow", r)
		}
		if message != "" {
			before := splitLines(s[:i])
			return &fault{len(before), utf8.RuneCountInString(before[len(before)-1]) + 1, message}
		}
	}
	return nil
}

// lineBreaks are all that YAML counts as one.
var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

func splitLines(s string) []string { return strings.Split(lineBreaks.Replace(s), "\n") }

// syntaxFault says where and why text is no YAML.
func (d *document) syntaxFault(err error) *fault {
	le, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return &fault{1, 1, err.Error()}
	}
	line, column, message := max(le.Mark.Line, 1), max(le.Mark.Column, 1), le.Message
	if le.ContextMsg != "" {
		message += " " + le.ContextMsg
		if c := le.ContextMark; c.Line > 0 && c.Line != line {
			message += fmt.Sprintf(" that starts at line %d", c.Line)
		}
	}
	if c := le.ContextMark; c.Line > 0 && strings.Contains(le.Message, "end of stream") {
		line, column = c.Line, c.Column // what was never closed is the mistake
	}
	if line > len(d.lines) { // at the end of the file there is nothing to show
		line = len(d.lines)
		column = utf8.RuneCountInString(d.lines[line-1]) + 1
	}
	if at := []rune(d.lines[line-1]); column <= len(at) && at[column-1] == '\t' {
		message = "a tab where only spaces may indent"
	}
	if strings.HasPrefix(message, "unknown anchor") {
		message = "no anchor (&name) for this alias (*name) before it" // the name may be a password
	}
	return &fault{line, column, "not valid YAML: " + message}
}

// expander copies a tree with every alias replaced by what it stands for.
type expander struct {
	open  map[*yaml.Node]bool // being copied
	alias *yaml.Node          // the outermost one being replaced
	nodes int                 // copied below aliases
	bad   *fault
}

func (x *expander) expand(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		switch {
		case x.bad != nil:
		case x.open[n.Alias]:
			x.bad = &fault{n.Line, n.Column, fmt.Sprintf("the anchor %q contains itself", n.Value)}
		case x.alias == nil:
			x.alias = n
			defer func() { x.alias = nil }()
			return x.expand(n.Alias)
		default:
			return x.expand(n.Alias)
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line, Column: n.Column}
	}
	if x.alias != nil {
		if x.nodes++; x.nodes > maxAliasNodes && x.bad == nil {
			x.bad = &fault{x.alias.Line, x.alias.Column, fmt.Sprintf("the aliases of this file expand to more than %d values", maxAliasNodes)}
		}
	}
	out := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value, Line: n.Line, Column: n.Column}
	if x.bad != nil || len(n.Content) == 0 {
		return out
	}
	x.open[n] = true
	out.Content = make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out.Content[i] = x.expand(c)
	}
	delete(x.open, n)
	return out
}

// pair is a key of a mapping and its value.
type pair struct {
	key, value *yaml.Node
	merged     bool // came in through <<
}

// pairs lists what a mapping says, its << keys resolved in the way of
// Alertmanager's YAML library: what stands later wins, and of a list of
// mappings the first one. Keys written twice come twice. It calls bad for what
// cannot be merged.
func pairs(n *yaml.Node, bad func(*yaml.Node)) []pair {
	var out []pair
	at := map[string]int{}
	var put func(n *yaml.Node, merged bool)
	merge := func(v *yaml.Node) {
		if v.Kind != yaml.MappingNode {
			bad(v)
			return
		}
		put(v, true)
	}
	put = func(n *yaml.Node, merged bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			if k.ShortTag() == "!!merge" {
				if v.Kind != yaml.SequenceNode {
					merge(v)
					continue
				}
				for j := len(v.Content) - 1; j >= 0; j-- {
					merge(v.Content[j])
				}
				continue
			}
			if j, ok := at[k.Value]; ok && k.Kind == yaml.ScalarNode && (merged || out[j].merged) {
				out[j] = pair{k, v, merged && out[j].merged}
				continue
			}
			at[k.Value] = len(out)
			out = append(out, pair{k, v, merged})
		}
	}
	put(n, false)
	return out
}

// get returns the value of a key of a mapping, nil where there is none.
func get(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for _, p := range pairs(n, func(*yaml.Node) {}) {
		if p.key.Kind == yaml.ScalarNode && p.key.Value == key {
			return p.value
		}
	}
	return nil
}

// items returns what a list holds, nothing for what is no list.
func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// text returns a scalar's value, "" for what is none.
func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || isNull(n) {
		return ""
	}
	return n.Value
}
