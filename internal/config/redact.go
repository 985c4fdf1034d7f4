package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// Redacted writes the effective configuration as YAML: what the file says, what
// it leaves to defaults, and <secret> in place of each secret.
func (c Config) Redacted() string {
	if c.Alertmanager == nil {
		return ""
	}
	winnow, err := yaml.Dump(map[string]Winnow{winnowKey: c.Winnow})
	if err != nil {
		return "the configuration cannot be written: " + err.Error()
	}
	var b strings.Builder
	for _, text := range []string{c.Alertmanager.String(), string(winnow)} {
		var n yaml.Node
		if err := yaml.Load([]byte(text), &n); err != nil {
			return "the configuration cannot be written: " + err.Error()
		}
		redact(&n, "")
		out, err := yaml.Dump(&n, yaml.WithLineWidth(-1))
		if err != nil {
			return "the configuration cannot be written: " + err.Error()
		}
		b.Write(out)
	}
	return b.String()
}

// redact replaces what the types have let through: passwords in URLs, and what
// people put into free-form settings under a name that says what it is.
func redact(n *yaml.Node, key string) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			redact(n.Content[i+1], n.Content[i].Value)
		}
	case yaml.ScalarNode:
		switch {
		case isNull(n):
			n.Value = "null"
		case n.Value == "" || n.Value == secretText:
		case n.ShortTag() == "!!str" && isPassword(key):
			n.Value, n.Style = secretText, 0
		default:
			n.Value = userinfo.ReplaceAllString(n.Value, "${1}"+secretText+"@")
		}
	default:
		for _, c := range n.Content {
			redact(c, key)
		}
	}
}
