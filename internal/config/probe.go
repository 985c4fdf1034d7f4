package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// probe has Alertmanager's loader judge each integration together with the
// global block, one at a time: some settings are needed in one of the two
// places. Whatever is broken already is left out.
func (p *parser) probe(root *yaml.Node, c *checker) {
	global := get(root, "global")
	if c.isBroken(global) {
		return
	}
	if n := locateRefusal(global); n != nil {
		p.fault(n.at, "%s", n.message)
		return
	}
	for _, receiver := range items(get(root, "receivers")) {
		if receiver.Kind != yaml.MappingNode {
			continue
		}
		for _, kind := range pairs(receiver, func(*yaml.Node) {}) {
			if !strings.HasSuffix(kind.key.Value, "_configs") {
				continue
			}
			for _, n := range items(kind.value) {
				if c.isBroken(n) || isNull(n) {
					continue
				}
				if err := loadOne(global, newMapping(
					newScalar("name"), newScalar(probeName), kind.key, newSequence(n))); err != nil {
					m := plainError(err)
					p.fault(locate(n, m), "%s", m)
				}
			}
		}
	}
}

const probeName = "probe"

type refusal struct {
	at      *yaml.Node
	message string
}

func locateRefusal(global *yaml.Node) *refusal {
	err := loadOne(global, newMapping(newScalar("name"), newScalar(probeName)))
	if err == nil {
		return nil
	}
	m := plainError(err)
	if global == nil {
		return &refusal{nil, m}
	}
	return &refusal{locate(global, m), m}
}

// loadOne loads the smallest file with this global block and this receiver.
func loadOne(global, receiver *yaml.Node) error {
	file := newMapping(
		newScalar("route"), newMapping(newScalar("receiver"), newScalar(probeName)),
		newScalar("receivers"), newSequence(receiver),
	)
	if global != nil {
		file.Content = append(file.Content, newScalar("global"), global)
	}
	_, err := loadAlertmanager(emit(file))
	return err
}
