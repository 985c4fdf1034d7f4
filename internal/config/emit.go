package config

import (
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// emit writes a tree in YAML's flow style on one line, for Alertmanager's own
// YAML library to read. The emitter of yaml/v4 is not used: it turns an empty
// value of a flow mapping into an empty text.
func emit(n *yaml.Node) string {
	var b strings.Builder
	emitNode(&b, n)
	return b.String()
}

func emitNode(b *strings.Builder, n *yaml.Node) {
	if n.Style&yaml.TaggedStyle != 0 {
		emitTag(b, n.Tag)
	}
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				b.WriteString(", ")
			}
			if n.Content[i].Kind != yaml.ScalarNode {
				b.WriteString("? ")
			}
			emitNode(b, n.Content[i])
			b.WriteString(" : ")
			emitNode(b, n.Content[i+1])
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, c := range n.Content {
			if i > 0 {
				b.WriteString(", ")
			}
			emitNode(b, c)
		}
		b.WriteByte(']')
	default:
		emitScalar(b, n)
	}
}

func emitTag(b *strings.Builder, tag string) {
	if strings.HasPrefix(tag, "!") {
		b.WriteString(tag)
	} else {
		b.WriteString("!<" + tag + ">")
	}
	b.WriteByte(' ')
}

const quotedStyles = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// An unquoted scalar of any other form is text in every version of YAML, so
// quotes do not change it.
var plainScalar = regexp.MustCompile(`^[+-]?\.?[A-Za-z0-9_][A-Za-z0-9_.+-]*$`)

func emitScalar(b *strings.Builder, n *yaml.Node) {
	plain := n.Style&quotedStyles == 0 && n.Tag != "!" // a lone ! makes text of anything
	switch {
	case plain && n.Value == "<<":
		b.WriteString("<<")
	case plain && n.Style&yaml.TaggedStyle == 0 && (n.Value == "" || n.Value == "~"):
		b.WriteString("null")
	case plain && plainScalar.MatchString(n.Value):
		b.WriteString(n.Value)
	default:
		emitQuoted(b, n.Value)
	}
}

// emitQuoted keeps to the escapes that YAML shares with Go.
func emitQuoted(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r < 0x7f:
			b.WriteRune(r)
		case r <= 0xffff:
			b.WriteString(`\u` + hex(r, 4))
		default:
			b.WriteString(`\U` + hex(r, 8))
		}
	}
	b.WriteByte('"')
}

func hex(r rune, digits int) string {
	s := strconv.FormatInt(int64(r), 16)
	return strings.Repeat("0", digits-len(s)) + s
}

func newScalar(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: s}
}

func newMapping(content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: content}
}

func newSequence(content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: content}
}

// without copies a mapping, one key left out.
func without(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return n
	}
	out := *n
	out.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind == yaml.ScalarNode && k.Value == key {
			continue
		}
		out.Content = append(out.Content, k, n.Content[i+1])
	}
	return &out
}
